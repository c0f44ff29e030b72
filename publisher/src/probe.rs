//! FoundRelease → ProbedRelease: reads what is beside and inside the files (front matter, captions,
//! chapters, poster, container, codecs, tags). What a file is, its content says and not its name. A sidecar
//! that can't be used is left out and told; only front matter that can't be read stops the release, since it
//! may say `draft`.

use crate::error::{ReleaseError, SourceError};
use crate::file_type::{self, MediaType};
use crate::folder::{FoundFile, FoundRelease, Kind};
use crate::front_matter::{self, Chapter, FrontMatter};
use crate::{chapters, place, srt, vtt};
use lofty::config::ParseOptions;
use lofty::file::TaggedFileExt;
use lofty::tag::Accessor;
use media::{Media, Plays, ProbeError};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A release of which everything is known but its hashes: the second stage.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbedRelease {
    /// What was found.
    pub found: FoundRelease,
    /// What it is, now that its content is known.
    pub kind: Kind,
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
    /// Why it is less than it could be, for the page: a sentence.
    pub note: Option<String>,
    /// What was left out, one line each.
    pub warnings: Vec<String>,
}

/// What one payload file says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Its type by its name.
    pub named: MediaType,
    /// What its content is, where it is media.
    pub media: Option<Media>,
    /// What has to be done before every browser plays it.
    pub plays: Option<Plays>,
    /// Whether a picture is embedded in it.
    pub picture: bool,
    /// Title from its tags, else its name.
    pub title: String,
    /// Artist from its tags.
    pub artist: Option<String>,
    /// Number from its tags.
    pub number: Option<u32>,
}

impl Track {
    /// Length in seconds.
    pub fn duration_s(&self) -> Option<f64> {
        let seconds = self.media.as_ref()?.duration_s?;
        Some(seconds).filter(|seconds| seconds.is_finite() && *seconds > 0.0)
    }

    /// Whether every browser plays it as it is.
    pub fn is_playable(&self) -> bool {
        matches!(self.plays, Some(Plays::AsIs { .. }))
    }
}

/// The largest picture that is taken as a poster.
const MAX_POSTER_BYTES: u64 = 32 << 20;

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

/// A file as the readers of media want it.
#[derive(Debug)]
pub struct MediaFile {
    file: File,
    length: u64,
}

impl MediaFile {
    /// Opens a file for reading.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl media::ReadAt for MediaFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        #[cfg(unix)]
        {
            std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
        }
        #[cfg(windows)]
        {
            let mut filled = 0;
            while filled < buffer.len() {
                let at = offset + filled as u64;
                match std::os::windows::fs::FileExt::seek_read(
                    &self.file,
                    &mut buffer[filled..],
                    at,
                )? {
                    0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                    read => filled += read,
                }
            }
            Ok(())
        }
    }
}

/// Reads what the publisher wrote of a release.
pub fn front_matter(found: &FoundRelease) -> Result<FrontMatter, ReleaseError> {
    match &found.sidecars.text {
        Some(path) => Ok(front_matter::parse(&read_text(path)?, path)?),
        None => Ok(FrontMatter::default()),
    }
}

/// Reads everything else but the payload's bytes.
pub fn probe(found: FoundRelease, front: FrontMatter) -> Result<ProbedRelease, ReleaseError> {
    let mut warnings = Vec::new();
    if let [only] = found.files.as_slice()
        && only.stat.bytes == 0
    {
        return Err(ReleaseError::Empty(only.location.clone()));
    }
    let mut tracks = Vec::with_capacity(found.files.len());
    let mut album = None;
    let mut note = None;
    for file in &found.files {
        let name = name_of(file, &found);
        let (track, album_of_track, no_media) = track(file, name, found.kind)?;
        album = album.or(album_of_track);
        if let Some(reason) = no_media {
            warnings.push(format!(
                "{} {reason}; it is offered for download only",
                file.location.display()
            ));
            note = Some(format!(
                "The file {reason}, so it is offered as a download."
            ));
        }
        tracks.push(track);
    }
    let timed = tracks.iter().any(|track| track.media.is_some());
    let kind = if timed { found.kind } else { Kind::Download };
    if kind == Kind::Album {
        note = None;
    }
    let tagged = match kind {
        Kind::Album => album,
        Kind::Clip => tracks.first().map(|track| track.title.clone()),
        Kind::Download => None,
    };
    let title = front
        .title
        .clone()
        .or(tagged)
        .unwrap_or_else(|| readable(&found.source));
    let durations = tracks.iter().filter_map(Track::duration_s);
    let duration_s =
        Some(durations.sum::<f64>()).filter(|sum| *sum > 0.0 && kind != Kind::Download);
    let poster = found.sidecars.poster.as_deref().and_then(|path| {
        poster(path)
            .map_err(|reason| warnings.push(format!("{}: {reason}; left out", path.display())))
            .ok()
    });
    let mut captions = Vec::new();
    for (language, path) in &found.sidecars.captions {
        match captions_text(path) {
            Ok(text) => captions.push((language.clone(), text)),
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
        match chapters_of(path) {
            Ok(named) => chapters = named,
            Err(reason) => warnings.push(format!("{}:{reason}; left out", path.display())),
        }
    }
    if let (true, Kind::Clip, Some(media)) = (
        chapters.is_empty(),
        kind,
        tracks.first().and_then(|track| track.media.as_ref()),
    ) {
        let inside = media.chapters.iter().map(|chapter| Chapter {
            start_s: chapter.start_s,
            title: chapter.title.clone(),
        });
        chapters = inside.collect();
    }
    Ok(ProbedRelease {
        found,
        kind,
        front,
        title,
        tracks,
        duration_s,
        poster,
        captions,
        chapters,
        note,
        warnings,
    })
}

fn name_of<'a>(file: &'a FoundFile, found: &'a FoundRelease) -> &'a str {
    file.path
        .last()
        .map_or(found.source.as_str(), String::as_str)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, SourceError> {
    let too_large = || std::io::Error::other(format!("longer than {} bytes", vtt::MAX_BYTES));
    let read = || match std::fs::metadata(path)?.len() {
        0..=vtt::MAX_BYTES => std::fs::read(path),
        _ => Err(too_large()),
    };
    read().map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_text(path: &Path) -> Result<String, SourceError> {
    place::decode(&read_bytes(path)?).map_err(|error| SourceError::Toml {
        path: path.to_owned(),
        place: error.place,
        message: error.reason,
    })
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Captions as WebVTT, whatever they were written as.
fn captions_text(path: &Path) -> Result<String, String> {
    let bytes = read_bytes(path).map_err(|error| error.to_string())?;
    if has_ending(path, "srt") {
        return srt::to_vtt(&bytes).map_err(|error| error.to_string());
    }
    let text = place::decode(&bytes).map_err(|error| error.to_string())?;
    vtt::cues(&text).map_err(|error| error.to_string())?;
    Ok(text)
}

fn chapters_of(path: &Path) -> Result<Vec<Chapter>, String> {
    let bytes = read_bytes(path).map_err(|error| error.to_string())?;
    let text = place::decode(&bytes).map_err(|error| error.to_string())?;
    if has_ending(path, "json") {
        return chapters::from_json(&text).map_err(|error| error.to_string());
    }
    vtt::cues(&text).map_err(|error| error.to_string())
}

/// What a file and its tags say of it, the album they name, and, where its name promises media that it does
/// not hold, what it is instead. Tags that can't be read say nothing.
fn track(
    file: &FoundFile,
    name: &str,
    kind: Kind,
) -> Result<(Track, Option<String>, Option<String>), ReleaseError> {
    let named = file_type::media_type(name);
    let mut track = Track {
        named,
        media: None,
        plays: None,
        picture: false,
        title: name.to_owned(),
        artist: None,
        number: None,
    };
    if !named.is_timed() {
        return Ok((track, None, None));
    }
    track.title = readable(name);
    let path = &file.location;
    let read = |source| SourceError::Read {
        path: path.clone(),
        source,
    };
    let content = MediaFile::open(path).map_err(read)?;
    match media::probe(&content) {
        Ok(media) => {
            track.plays = Some(media::plays(&media));
            track.media = Some(media);
        }
        // In a folder of anything, anything may lie.
        Err(_) if kind == Kind::Download => return Ok((track, None, None)),
        Err(ProbeError::Read(source)) => return Err(read(source).into()),
        Err(ProbeError::Truncated(why)) => {
            return Err(ReleaseError::CutOff {
                path: path.clone(),
                why,
            });
        }
        Err(error) => return Ok((track, None, Some(error.to_string()))),
    }
    // A file may hold anything: a reader of tags that stumbles must not stop the release.
    let options = ParseOptions::new().read_properties(false);
    let tagged = std::panic::catch_unwind(|| {
        lofty::probe::Probe::open(path)
            .ok()?
            .options(options)
            .guess_file_type()
            .ok()?
            .read()
            .ok()
    });
    let Some(tagged) = tagged.ok().flatten() else {
        return Ok((track, None, None));
    };
    let Some(tag) = tagged.primary_tag().or_else(|| tagged.first_tag()) else {
        return Ok((track, None, None));
    };
    let text = |value: Option<std::borrow::Cow<'_, str>>| {
        value
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    track.title = text(tag.title()).unwrap_or(track.title);
    track.artist = text(tag.artist());
    track.number = tag.track();
    track.picture = tagged.tags().iter().any(|tag| tag.picture_count() > 0);
    Ok((track, text(tag.album()), None))
}

fn poster(path: &Path) -> Result<Poster, String> {
    let extension = path
        .extension()
        .map(|e| e.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let bytes = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if bytes > MAX_POSTER_BYTES {
        return Err(format!("larger than {} MB", MAX_POSTER_BYTES >> 20));
    }
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
        let front = front_matter(&found).unwrap();
        let probed = probe(found, front).unwrap();
        assert_eq!(probed.title, "A");
        assert_eq!(probed.captions.len(), 1);
        assert!(probed.poster.is_none());
        assert_eq!(probed.warnings.len(), 3, "{:?}", probed.warnings);
        assert_eq!(probed.kind, Kind::Download);
        assert!(probed.note.is_some());
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
        let error = front_matter(&found).unwrap_err().to_string();
        assert!(error.contains("a.md:2:9"), "{error}");
    }
}
