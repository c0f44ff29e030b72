//! What is made of a release behind its publication, and kept: sizes of its poster, a poster out of the clip
//! itself, thumbnails along the timeline, renditions, whole-file hashes.
//!
//! One idea: a derived file is a cache entry in a folder named after what it is made of and how; what is
//! missing is a [`Job`]; publishing never waits for one. [`Derived::look`] asks, [`Derived::make`] makes, and a
//! [`Worker`] makes what a watched folder lacks, one job at a time.
//!
//! Not here: what a release needs (the caller asks), lossless rewriting (done before publication).

mod cache;
mod decoder;
mod ffmpeg;
mod frames;
mod picture;
mod process;
mod recipe;
mod thumbnails;
mod tools;
mod transcode;
mod worker;

pub use cache::Derived;
pub use decoder::serve as serve_decoder;
pub use thumbnails::thumbnails_vtt;
pub use tools::Tools;
pub use worker::Worker;

use metainfo::state::StatRecord;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something to make out of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The file.
    pub source: PathBuf,
    /// What it was when the job was asked for: a file that has changed since is left alone.
    pub stat: StatRecord,
    /// What to make.
    pub recipe: Recipe,
    /// What people know it by: `test-drive.mp4`.
    pub name: String,
}

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// Sizes of a picture file, as JPEG and WebP.
    Pictures,
    /// The same of the cover art inside an audio or video file.
    EmbeddedPicture,
    /// The same of a telling frame of a clip.
    KeyFramePicture,
    /// Small frames along the timeline of a clip, in one JPEG.
    Thumbnails {
        /// Length of the clip in seconds.
        duration_s: f64,
    },
    /// SHA-256 over the whole file.
    Sha256,
    /// H.264 and AAC-LC in MP4 (`.mp4`), or AAC-LC alone (`.m4a`) where there is no picture, at the source's own size:
    /// what makes a clip play that browsers can't.
    Playable,
    /// H.264 and AAC-LC in MP4, the shorter side of the picture at most this long: `720p`.
    Rendition {
        /// Pixels of the shorter side.
        height: u32,
    },
}

impl Recipe {
    /// Whether nothing but ffmpeg can do it.
    pub fn needs_ffmpeg(self) -> bool {
        matches!(self, Self::Playable | Self::Rendition { .. })
    }

    /// What people call what it makes.
    pub fn word(self) -> String {
        match self {
            Self::Pictures => "picture sizes".to_owned(),
            Self::EmbeddedPicture => "cover out of its tags".to_owned(),
            Self::KeyFramePicture => "poster out of the clip".to_owned(),
            Self::Thumbnails { .. } => "thumbnails".to_owned(),
            Self::Sha256 => "whole-file hash".to_owned(),
            Self::Playable => "playable version".to_owned(),
            Self::Rendition { height } => format!("{height}p rendition"),
        }
    }

    /// Cheap ones and those that are seen at once first; what makes a clip play goes before what adorns it.
    fn rank(self) -> u32 {
        match self {
            Self::Pictures => 0,
            Self::EmbeddedPicture => 1,
            Self::KeyFramePicture => 2,
            Self::Sha256 => 3,
            Self::Playable => 4,
            Self::Thumbnails { .. } => 5,
            Self::Rendition { height } => height.saturating_add(6),
        }
    }
}

/// What the cache holds for a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is there.
    Made(Made),
    /// It is to be made.
    Missing,
    /// It was tried and can't be made: why, as a clause for people.
    Failed(String),
    /// It can't be tried on this machine: why, as a clause for people.
    Impossible(String),
}

/// What was made.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// Sizes of one picture: JPEG with widths rising, then WebP likewise.
    Pictures(Vec<Picture>),
    /// Small frames along the timeline.
    Thumbnails(Thumbnails),
    /// A media file; its extension says what it is.
    File(PathBuf),
    /// A hash.
    Sha256([u8; 32]),
}

/// One size of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The file.
    pub path: PathBuf,
    /// `image/jpeg` or `image/webp`.
    pub mime: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Small frames along a timeline, row by row in one JPEG.
#[derive(Debug, Clone, PartialEq)]
pub struct Thumbnails {
    /// The JPEG that holds them all.
    pub sprite: PathBuf,
    /// Pixels of one.
    pub width: u32,
    /// Pixels of one.
    pub height: u32,
    /// How many stand in a row.
    pub columns: u32,
    /// When each one is shown, rising; the first is 0.
    pub times_s: Vec<f64>,
}

/// The JPEG for those who take no other: the largest of at most 1280 pixels, else the smallest there is.
pub fn fallback(pictures: &[Picture]) -> Option<&Picture> {
    let jpegs = || {
        pictures
            .iter()
            .filter(|picture| picture.mime == "image/jpeg")
    };
    jpegs()
        .filter(|picture| picture.width <= 1280)
        .max_by_key(|picture| picture.width)
        .or_else(|| jpegs().min_by_key(|picture| picture.width))
}

/// The order in which jobs are worth doing: cheap ones first, whoever asked.
pub fn cheap_first(jobs: &mut [Job]) {
    jobs.sort_by_key(|job| job.recipe.rank());
}

/// Says to work under way that it is not wanted any more.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the work, soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was said.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why a job was not made.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// The source doesn't give it: not tried again until source, recipe or tools change.
    #[error("{0}")]
    Failed(String),
    /// It was called off, or the source is not what it was: nothing is remembered.
    #[error("stopped")]
    Stopped,
    /// What was made can't be written: tried again.
    #[error(transparent)]
    Write(store::WriteError),
    /// The cache or a program can't be used now: tried again.
    #[error("{doing} {}: {source}", .path.display())]
    Cache {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DeriveError {
    fn cache(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Cache {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}
