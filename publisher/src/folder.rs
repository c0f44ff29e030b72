//! The clips folder as it lies there: which files make which release, and which sidecars belong to
//! whom. Looks at names and `stat` only; nothing is read.

use crate::error::{ReleaseError, SourceError};
use crate::file_type::{MediaKind, is_passed_over, media_type};
use metainfo::name;
use metainfo::state::StatRecord;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a release is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A video or one audio file.
    Clip,
    /// A folder of audio tracks.
    Album,
    /// Any other file or folder.
    Download,
}

impl Kind {
    /// The word that stands in catalog and pages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clip => "clip",
            Self::Album => "album",
            Self::Download => "download",
        }
    }
}

/// A release found by name: the first stage.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRelease {
    /// Name of its file or folder in the clips folder: what it is known by from run to run.
    pub source: String,
    /// What it is.
    pub kind: Kind,
    /// Its payload in the order of paths; one entry with an empty path for a single file.
    pub files: Vec<FoundFile>,
    /// Files that say something about it.
    pub sidecars: Sidecars,
}

/// One payload file.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundFile {
    /// Path components below the release's folder; empty for a single file.
    pub path: Vec<String>,
    /// Where it lies.
    pub location: PathBuf,
    /// What `stat` says.
    pub stat: StatRecord,
}

/// Files beside or inside a release that say something about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sidecars {
    /// Page text with front matter.
    pub text: Option<PathBuf>,
    /// Poster or cover.
    pub poster: Option<PathBuf>,
    /// Captions by language tag.
    pub captions: BTreeMap<String, PathBuf>,
    /// Chapters as WebVTT.
    pub chapters: Option<PathBuf>,
    /// What `stat` says of each of them.
    pub stats: BTreeMap<PathBuf, StatRecord>,
}

/// What a look at the folder gave.
#[derive(Debug, Default)]
pub struct Listing {
    /// Releases in the order of their names.
    pub releases: Vec<FoundRelease>,
    /// What stops single releases, by the name of their file or folder.
    pub problems: Vec<(String, ReleaseError)>,
    /// Sidecars that belong to nothing, as a hint to a slip of the pen.
    pub orphans: Vec<PathBuf>,
}

/// Looks at the clips folder. `reserved` names files there that are no releases, such as the logo.
pub fn list(clips: &Path, reserved: &[&str]) -> Result<Listing, SourceError> {
    let read_error = |source| SourceError::Read {
        path: clips.to_owned(),
        source,
    };
    let mut names = BTreeMap::new();
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(clips).map_err(read_error)? {
        let entry = entry.map_err(read_error)?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            let shown = entry.file_name().to_string_lossy().into_owned();
            listing.problems.push((
                shown,
                ReleaseError::Name {
                    path,
                    source: name::BadName::NotUtf8,
                },
            ));
            continue;
        };
        if !is_passed_over(&name)
            && name != crate::channel::FILE_NAME
            && !reserved.contains(&name.as_str())
        {
            names.insert(name, path);
        }
    }
    let mut files = BTreeMap::new();
    let mut folders = Vec::new();
    for (name, path) in names {
        // A path that vanished since the folder was read is simply not there.
        let Ok(metadata) = path.symlink_metadata() else {
            continue;
        };
        if metadata.is_symlink() {
            listing
                .problems
                .push((name, ReleaseError::SymbolicLink(path)));
        } else if metadata.is_dir() {
            folders.push((name, path));
        } else if metadata.is_file() {
            files.insert(name, path);
        } else {
            listing.problems.push((name, ReleaseError::NotAFile(path)));
        }
    }
    let mut found = Beside::new(files);
    for (name, path) in folders {
        let beside = found.sidecars_of(&name);
        match folder(&name, &path, beside) {
            Ok(Some(release)) => listing.releases.push(release),
            Ok(None) => {}
            Err(error) => listing.problems.push((name, error)),
        }
    }
    for (name, path) in found.take_payload() {
        let stem = stem(&name).to_owned();
        match single(&name, path, found.sidecars_of(&stem)) {
            Ok(release) => listing.releases.push(release),
            Err(error) => listing.problems.push((name, error)),
        }
    }
    listing.orphans = found.orphans();
    listing.releases.sort_by(|a, b| a.source.cmp(&b.source));
    Ok(listing)
}

fn single(name: &str, path: PathBuf, sidecars: Sidecars) -> Result<FoundRelease, ReleaseError> {
    name::check_published(name).map_err(|source| ReleaseError::Name {
        path: path.clone(),
        source,
    })?;
    let kind = if media_type(name).is_timed() {
        Kind::Clip
    } else {
        Kind::Download
    };
    let stat = stat(&path)?;
    let files = vec![FoundFile {
        path: Vec::new(),
        location: path,
        stat,
    }];
    Ok(FoundRelease {
        source: name.to_owned(),
        kind,
        files,
        sidecars,
    })
}

/// A folder is an album where every file that is not a picture or a text beside the tracks is audio. An empty one is
/// nothing yet.
fn folder(name: &str, path: &Path, beside: Sidecars) -> Result<Option<FoundRelease>, ReleaseError> {
    name::check_published(name).map_err(|source| ReleaseError::Name {
        path: path.to_owned(),
        source,
    })?;
    let mut sidecars = beside;
    let mut files = files_below(path)?;
    files.retain(|file| {
        let [only] = file.path.as_slice() else {
            return true;
        };
        let own = ["album.", "release."].iter();
        let mut own = own.filter_map(|start| only.strip_prefix(start));
        // A picture is a file of the album as well.
        let is_picture = media_type(only).kind == MediaKind::Image;
        if !is_picture && own.any(|rest| sidecars.take_named(rest, &file.location)) {
            return false;
        }
        let lower = only.to_lowercase();
        let cover = ["cover.", "folder.", "front.", "album."]
            .iter()
            .any(|start| lower.starts_with(start));
        if cover && is_picture {
            sidecars.take(|sidecars| &mut sidecars.poster, file.location.clone());
        }
        true
    });
    if files.is_empty() {
        return Ok(None);
    }
    let kinds = files
        .iter()
        .map(|file| media_type(file.path.last().map_or("", String::as_str)).kind);
    let counted = kinds.fold((0, 0), |(audio, other), kind| match kind {
        MediaKind::Audio => (audio + 1, other),
        MediaKind::Image => (audio, other),
        MediaKind::Video | MediaKind::Other => (audio, other + 1),
    });
    const TEXTS: [&str; 9] = [
        ".txt", ".md", ".vtt", ".srt", ".lrc", ".cue", ".m3u", ".m3u8", ".nfo",
    ];
    let is_text = |name: &String| {
        TEXTS
            .iter()
            .any(|ending| name.to_lowercase().ends_with(ending))
    };
    let texts = files
        .iter()
        .filter(|file| file.path.last().is_some_and(is_text))
        .count();
    let kind = if counted.0 > 0 && counted.1 == texts {
        Kind::Album
    } else {
        Kind::Download
    };
    Ok(Some(FoundRelease {
        source: name.to_owned(),
        kind,
        files,
        sidecars,
    }))
}

/// Every file below a folder that is not passed over, in the order of names.
///
/// # Errors
/// The first thing that can't be published: a link, a pipe, a name that is no text.
pub fn files_below(folder: &Path) -> Result<Vec<FoundFile>, ReleaseError> {
    let walk = WalkDir::new(folder)
        .follow_links(false)
        .sort_by_file_name()
        .into_iter();
    let shown = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().to_str().is_some_and(is_passed_over)
    };
    let mut files = Vec::new();
    for entry in walk.filter_entry(shown) {
        let entry = entry.map_err(|error| {
            let at = error.path().unwrap_or(folder).to_owned();
            let source = error
                .into_io_error()
                .unwrap_or_else(|| std::io::Error::other("a loop of folders"));
            SourceError::Read { path: at, source }
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let location = entry.path().to_owned();
        if entry.file_type().is_symlink() {
            return Err(ReleaseError::SymbolicLink(location));
        }
        if !entry.file_type().is_file() {
            return Err(ReleaseError::NotAFile(location));
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let parts: Option<Vec<String>> = below
            .iter()
            .map(|part| part.to_str().map(str::to_owned))
            .collect();
        let Some(path) = parts else {
            return Err(ReleaseError::Name {
                path: location,
                source: name::BadName::NotUtf8,
            });
        };
        files.push(FoundFile {
            path,
            stat: stat(&location)?,
            location,
        });
    }
    Ok(files)
}

fn stat(path: &Path) -> Result<StatRecord, SourceError> {
    store::stat_record(path).map_err(|source| SourceError::Read {
        path: path.to_owned(),
        source,
    })
}

fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

impl Sidecars {
    /// Sets a place that is still free, and records what the file is.
    fn take(&mut self, place: impl Fn(&mut Self) -> &mut Option<PathBuf>, path: PathBuf) {
        if place(self).is_none() {
            *place(self) = Some(path.clone());
            self.record(path);
        }
    }

    /// Takes a file by what its name says behind the release's: `md`, `jpg`, `en.vtt`, `chapters.vtt` …
    /// Says whether it is a sidecar. WebVTT goes before other forms of the same.
    fn take_named(&mut self, rest: &str, path: &Path) -> bool {
        let lower = rest.to_lowercase();
        let parts: Vec<&str> = lower.split('.').collect();
        match parts.as_slice() {
            ["md"] => self.take(|sidecars| &mut sidecars.text, path.to_owned()),
            ["jpg" | "jpeg" | "png" | "webp"] => {
                self.take(|sidecars| &mut sidecars.poster, path.to_owned());
            }
            ["chapters", ending @ ("vtt" | "json")] => {
                if *ending == "vtt" {
                    self.chapters = None;
                }
                self.take(|sidecars| &mut sidecars.chapters, path.to_owned());
            }
            [language, ending @ ("vtt" | "srt")] if is_language_tag(language) => {
                // As it was written: BCP 47 ignores case, people don't.
                let language = &rest[..language.len()];
                if *ending == "vtt" || !self.captions.contains_key(language) {
                    self.captions.insert(language.to_owned(), path.to_owned());
                    self.record(path.to_owned());
                }
            }
            _ => return false,
        }
        true
    }

    fn record(&mut self, path: PathBuf) {
        if let Ok(stat) = store::stat_record(&path) {
            self.stats.insert(path, stat);
        }
    }
}

/// The files of the clips folder itself, until each has found its place.
struct Beside {
    sidecars: BTreeMap<String, PathBuf>,
    payload: BTreeMap<String, PathBuf>,
}

impl Beside {
    fn new(files: BTreeMap<String, PathBuf>) -> Self {
        let is_sidecar = |name: &str| {
            let lower = name.to_lowercase();
            [".md", ".vtt", ".srt", ".chapters.json"]
                .iter()
                .any(|ending| lower.ends_with(ending))
                || (media_type(&lower).kind == MediaKind::Image && !lower.ends_with(".gif"))
        };
        let (sidecars, payload) = files.into_iter().partition(|(name, _)| is_sidecar(name));
        Self { sidecars, payload }
    }

    fn take_payload(&mut self) -> BTreeMap<String, PathBuf> {
        std::mem::take(&mut self.payload)
    }

    /// Takes the sidecars whose names start with this stem: `stem.md`, `stem.jpg`, `stem.en.vtt`,
    /// `stem.chapters.vtt`.
    fn sidecars_of(&mut self, stem: &str) -> Sidecars {
        let mut sidecars = Sidecars::default();
        let names: Vec<String> = self
            .sidecars
            .range(format!("{stem}.")..)
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(stem))
            .collect();
        for name in names {
            let Some(rest) = name
                .strip_prefix(stem)
                .and_then(|rest| rest.strip_prefix('.'))
            else {
                continue;
            };
            if sidecars.take_named(rest, &self.sidecars[&name]) {
                self.sidecars.remove(&name);
            }
        }
        sidecars
    }

    fn orphans(self) -> Vec<PathBuf> {
        self.sidecars.into_values().collect()
    }
}

/// The shape of a BCP 47 tag: letters and digits in parts of at most eight, the first of letters.
pub fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().is_some_and(|part| {
        (2..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic())
    });
    first
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"x").unwrap();
        }
        folder
    }

    fn shown(listing: &Listing) -> Vec<String> {
        let release = |release: &FoundRelease| {
            format!(
                "{} {} {}",
                release.kind.word(),
                release.source,
                release.files.len()
            )
        };
        listing.releases.iter().map(release).collect()
    }

    #[test]
    fn names_tell_releases_and_sidecars() {
        let folder = tree(&[
            "channel.toml",
            "logo.png",
            "drive.mp4",
            "drive.md",
            "drive.JPG",
            "drive.en.vtt",
            "drive.pt-BR.vtt",
            "drive.chapters.vtt",
            "lone.md",
            ".hidden.mp4",
            ".groundswell/site/index.html",
            "new.mp4.part",
            "talk.mp3",
            "manual.pdf",
            "album/01.flac",
            "album/02.flac",
            "album/cover.jpg",
            "album/album.md",
            "pack/setup.bin",
            "pack/docs/read.txt",
            "pack.md",
        ]);
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        let listing = list(folder.path(), &["logo.png"]).unwrap();
        assert_eq!(
            shown(&listing),
            [
                "album album 3",
                "clip drive.mp4 1",
                "download manual.pdf 1",
                "download pack 2",
                "clip talk.mp3 1"
            ]
        );
        let drive = &listing.releases[1].sidecars;
        assert_eq!(drive.captions.keys().collect::<Vec<_>>(), ["en", "pt-BR"]);
        assert!(drive.text.is_some() && drive.poster.is_some() && drive.chapters.is_some());
        assert_eq!(drive.stats.len(), 5);
        let album = &listing.releases[0].sidecars;
        assert!(album.text.is_some() && album.poster.is_some());
        assert!(listing.releases[3].sidecars.text.is_some());
        assert_eq!(listing.orphans, [folder.path().join("lone.md")]);
        assert!(listing.problems.is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn what_can_not_be_published_is_named_and_the_rest_is_found() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tree(&[
            "ok.mp4",
            "CON.mp4",
            "a\u{202e}b.mp4",
            "bad/x:\\y.txt",
            "linked/a.bin",
        ]);
        std::fs::write(
            folder.path().join(std::ffi::OsStr::from_bytes(b"\xff.mp4")),
            b"x",
        )
        .unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.mp4")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("linked/b.bin")).unwrap();
        let listing = list(folder.path(), &[]).unwrap();
        assert_eq!(shown(&listing), ["download bad 1", "clip ok.mp4 1"]);
        assert_eq!(listing.problems.len(), 5);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = list(Path::new("/nowhere/clips"), &[]).unwrap_err();
        assert!(error.to_string().contains("/nowhere/clips"));
    }
}
