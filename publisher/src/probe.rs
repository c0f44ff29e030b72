//! FoundRelease → ProbedRelease: reads what is beside and inside the files (front matter, captions,
//! chapters, poster, tags). A sidecar that can't be used is left out and told; only front matter that
//! can't be read stops the release, since it may say `draft`.

use crate::error::{ReleaseError, SourceError};
use crate::file_type::{self, MediaType};
use crate::folder::{FoundRelease, Kind};
use crate::front_matter::{self, Chapter, FrontMatter};
use crate::vtt;
use lofty::file::{AudioFile, TaggedFileExt};
use lofty::tag::Accessor;
use std::path::{Path, PathBuf};

/// A release of which everything is known but its hashes: the second stage.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbedRelease {
    /// What was found.
    pub found: FoundRelease,
    /// What the publisher wrote.
    pub front: FrontMatter,
    /// Title: front matter, tags, or the file's name made readable.
    pub title: String,
    /// One for each payload file, in the same order.
    pub tracks: Vec<Track>,
    /// Length of the whole, in seconds, where it is known.
    pub duration_s: Option<f64>,
    /// Poster or cover that can be shown.
    pub poster: Option<Poster>,
    /// Captions that can be used: language and text.
    pub captions: Vec<(String, String)>,
    /// Chapters in order.
    pub chapters: Vec<Chapter>,
    /// What was left out, one line each.
    pub warnings: Vec<String>,
}

/// What one payload file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Its type.
    pub media: MediaType,
    /// Title from its tags, else its name.
    pub title: String,
    /// Artist from its tags.
    pub artist: Option<String>,
    /// Number from its tags.
    pub number: Option<u32>,
    /// Length in seconds.
    pub duration_s: Option<f64>,
}

/// A still picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Poster {
    /// The file.
    pub path: PathBuf,
    /// Extension in lower case.
    pub extension: String,
    /// MIME type.
    pub mime: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Reads everything but the payload's bytes.
pub fn probe(found: FoundRelease) -> Result<ProbedRelease, ReleaseError> {
    let mut warnings = Vec::new();
    let front = match &found.sidecars.text {
        Some(path) => front_matter::parse(&read_text(path)?, path)?,
        None => FrontMatter::default(),
    };
    let mut tracks = Vec::with_capacity(found.files.len());
    let mut album = None;
    for file in &found.files {
        let name = file
            .path
            .last()
            .map_or(found.source.as_str(), String::as_str);
        let (track, album_of_track) = track(&file.location, name);
        album = album.or(album_of_track);
        tracks.push(track);
    }
    let tagged = match found.kind {
        Kind::Album => album,
        Kind::Clip => tracks.first().map(|track| track.title.clone()),
        Kind::Download => None,
    };
    let title = front
        .title
        .clone()
        .or(tagged)
        .unwrap_or_else(|| readable(&found.source));
    let durations = tracks.iter().filter_map(|track| track.duration_s);
    let duration_s =
        Some(durations.sum::<f64>()).filter(|sum| *sum > 0.0 && found.kind != Kind::Download);
    let poster = found.sidecars.poster.as_deref().and_then(|path| {
        poster(path)
            .map_err(|reason| warnings.push(format!("{}: {reason}; left out", path.display())))
            .ok()
    });
    let mut captions = Vec::new();
    for (language, path) in &found.sidecars.captions {
        match vtt_text(path) {
            Ok((text, _)) => captions.push((language.clone(), text)),
            Err(reason) => warnings.push(format!("{}:{reason}; left out", path.display())),
        }
    }
    let mut chapters = front.chapters.clone();
    if let Some(path) = found
        .sidecars
        .chapters
        .as_deref()
        .filter(|_| chapters.is_empty())
    {
        match vtt_text(path) {
            Ok((_, cues)) => chapters = cues,
            Err(reason) => warnings.push(format!("{}:{reason}; left out", path.display())),
        }
    }
    Ok(ProbedRelease {
        found,
        front,
        title,
        tracks,
        duration_s,
        poster,
        captions,
        chapters,
        warnings,
    })
}

fn read_text(path: &Path) -> Result<String, SourceError> {
    let too_large = || std::io::Error::other(format!("longer than {} bytes", vtt::MAX_BYTES));
    let read = || match std::fs::metadata(path)?.len() {
        0..=vtt::MAX_BYTES => std::fs::read_to_string(path),
        _ => Err(too_large()),
    };
    read().map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })
}

fn vtt_text(path: &Path) -> Result<(String, Vec<Chapter>), String> {
    let text = read_text(path).map_err(|error| error.to_string())?;
    let cues = vtt::cues(&text).map_err(|error| error.to_string())?;
    Ok((text, cues))
}

/// What tags say of a file, and the album they name. Tags that can't be read say nothing.
fn track(path: &Path, name: &str) -> (Track, Option<String>) {
    let media = file_type::media_type(name);
    let plain = Track {
        media,
        title: readable(name),
        artist: None,
        number: None,
        duration_s: None,
    };
    if !media.is_timed() {
        return (
            Track {
                title: name.to_owned(),
                ..plain
            },
            None,
        );
    }
    // A file may hold anything: a reader of tags that stumbles must not stop the release.
    let read = std::panic::catch_unwind(|| lofty::read_from_path(path).ok())
        .ok()
        .flatten();
    let Some(file) = read else {
        return (plain, None);
    };
    let seconds = file.properties().duration().as_secs_f64();
    let tag = file.primary_tag().or_else(|| file.first_tag());
    let text = |value: Option<std::borrow::Cow<'_, str>>| {
        value
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let track = Track {
        title: tag.and_then(|tag| text(tag.title())).unwrap_or(plain.title),
        artist: tag.and_then(|tag| text(tag.artist())),
        number: tag.and_then(Accessor::track),
        duration_s: Some(seconds).filter(|seconds| *seconds > 0.0),
        media,
    };
    (track, tag.and_then(|tag| text(tag.album())))
}

fn poster(path: &Path) -> Result<Poster, String> {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let size = imagesize::size(path)
        .map_err(|error| format!("not a picture that can be shown ({error})"))?;
    let pixels = |n: usize| u32::try_from(n).ok().filter(|n| (1..=20_000).contains(n));
    let (Some(width), Some(height)) = (pixels(size.width), pixels(size.height)) else {
        return Err(format!(
            "{} × {} pixels are not shown",
            size.width, size.height
        ));
    };
    let mime = file_type::media_type(&format!("x.{extension}")).mime;
    Ok(Poster {
        path: path.to_owned(),
        extension,
        mime,
        width,
        height,
    })
}

/// A name made readable: without ending and leading track number, separators as spaces.
pub fn readable(name: &str) -> String {
    let is_ending = |end: &str| {
        !end.is_empty() && end.len() <= 5 && end.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let stem = name
        .rsplit_once('.')
        .filter(|(stem, end)| !stem.is_empty() && is_ending(end))
        .map_or(name, |s| s.0);
    let words: Vec<&str> = stem
        .split([' ', '_', '-'])
        .filter(|word| !word.is_empty())
        .collect();
    let text = words.join(" ");
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_readable() {
        for (name, expected) in [
            ("test-drive.mp4", "Test drive"),
            ("v2.1 notes.txt", "V2.1 notes"),
            ("firmware-2.1", "Firmware 2"),
            ("élan_vital.webm", "Élan vital"),
            ("...", "..."),
        ] {
            assert_eq!(readable(name), expected, "{name}");
        }
    }

    #[test]
    fn what_can_not_be_used_is_left_out_and_told() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("a.mp4", "not a movie"),
            ("a.jpg", "not a picture"),
            ("a.en.vtt", "not captions"),
            ("a.de.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\nHallo"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let found = crate::folder::list(folder.path(), &[])
            .unwrap()
            .releases
            .remove(0);
        let probed = probe(found).unwrap();
        assert_eq!(probed.title, "A");
        assert_eq!(probed.captions.len(), 1);
        assert!(probed.poster.is_none());
        assert_eq!(probed.warnings.len(), 2, "{:?}", probed.warnings);
    }

    #[test]
    fn front_matter_that_can_not_be_read_stops_the_release() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.mp4"), "x").unwrap();
        std::fs::write(folder.path().join("a.md"), "+++\ndraft = maybe\n+++").unwrap();
        let found = crate::folder::list(folder.path(), &[])
            .unwrap()
            .releases
            .remove(0);
        let error = probe(found).unwrap_err().to_string();
        assert!(error.contains("a.md:2:9"), "{error}");
    }
}
