//! From a job to what stands in its folder.

use super::cache::Record;
use super::{Cancel, DeriveError, Job, Recipe, Tools, frames, picture, thumbnails, transcode};
use crate::report::Reporter;
use data_encoding::HEXLOWER;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The folder below a job's folder for what lives no longer than the job: parts of a rendition that wait for the
/// rest, frames on their way out of ffmpeg.
pub(super) const PARTS: &str = "parts";

/// What a recipe gave.
pub(super) struct Output {
    /// Small files to write; a large one lies in its place already.
    pub files: Vec<(String, Vec<u8>)>,
    /// What it all is.
    pub record: Record,
}

/// Makes it. `folder` exists.
pub(super) fn make(
    job: &Job,
    folder: &Path,
    tools: &Tools,
    reporter: &Reporter,
    cancel: &Cancel,
) -> Result<Output, DeriveError> {
    match job.recipe {
        Recipe::Pictures => picture::sizes(&picture::read(&job.source)?, cancel),
        Recipe::EmbeddedPicture => picture::sizes(&picture::embedded(&job.source)?, cancel),
        Recipe::KeyFramePicture => {
            let scratch = folder.join(PARTS);
            let mut clip = frames::Clip::open(&job.source, tools, None, &scratch, cancel)?;
            let duration_s = clip.duration_s();
            picture::sizes(&frames::telling(&mut clip, duration_s)?, cancel)
        }
        Recipe::Thumbnails { duration_s } => {
            let size = Some(thumbnails::SIDE);
            let scratch = folder.join(PARTS);
            let mut clip = frames::Clip::open(&job.source, tools, size, &scratch, cancel)?;
            thumbnails::make(&mut clip, duration_s)
        }
        Recipe::Sha256 => sha256(job, reporter, cancel),
        Recipe::Playable => transcode::make(job, None, folder, tools, reporter, cancel),
        Recipe::Rendition { height } => {
            transcode::make(job, Some(height), folder, tools, reporter, cancel)
        }
    }
}

fn sha256(job: &Job, reporter: &Reporter, cancel: &Cancel) -> Result<Output, DeriveError> {
    let progress = store::pass::Progress::default();
    let shown = reporter.progress("hashing", &job.name, job.stat.bytes);
    let hash = std::thread::scope(|scope| {
        let (done, wait) = mpsc::channel::<()>();
        let progress = &progress;
        let thread = scope.spawn(move || {
            let hash = store::sha256_file(&job.source, progress);
            drop(done);
            hash
        });
        while wait.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
            shown.at(progress.bytes());
            if cancel.is_cancelled() {
                progress.cancel();
            }
        }
        thread.join().expect("a hashing thread never panics")
    });
    // A file that can't be read now may be readable later: no failure to remember.
    let hash = hash.map_err(|error| {
        if cancel.is_cancelled() {
            DeriveError::Stopped
        } else {
            DeriveError::Cache {
                doing: "hash",
                path: job.source.clone(),
                source: std::io::Error::other(error.to_string()),
            }
        }
    })?;
    Ok(Output {
        files: Vec::new(),
        record: Record::Sha256(HEXLOWER.encode(&hash)),
    })
}
