//! What a release shares → in the library under a provisional name, ready to be hashed: linked or copied as it
//! is, or packed anew without loss where browsers need that. What is hashed is what is seeded.

use crate::channel::{Channel, Library};
use crate::error::ReleaseError;
use crate::fingerprint::Fingerprint;
use crate::folder::{FoundFile, Kind};
use crate::probe::{MediaFile, ProbedRelease};
use crate::report::Reporter;
use media::{Container, Media, Plays, Rewrite};
use metainfo::Layout;
use std::fs;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The name of the rendition that the publisher's own file is.
pub const SOURCE: &str = "source";

/// What one torrent is to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Payload {
    /// Which form of the release it is: `source`, `720p` …
    pub rendition: String,
    /// The torrent's name.
    pub name: String,
    /// Its files in the order of paths; one entry with an empty path for a single file.
    pub files: Vec<FoundFile>,
    /// How it is packed anew on its way into the library.
    pub rewrite: Option<Rewrite>,
}

/// One torrent's payload in the library, ready to be hashed: the third stage.
#[derive(Debug)]
pub struct PreparedRendition {
    /// What it is.
    pub payload: Payload,
    /// Its torrent's files and pieces.
    pub layout: Layout,
    /// What a file that was packed anew is now.
    pub media: Option<Media>,
    /// Where it lies until it has its hash. Dropping it takes it away.
    pub staged: Staged,
}

/// A provisional folder in the library, removed unless it is kept.
#[derive(Debug)]
pub struct Staged {
    folder: Option<PathBuf>,
    journal: PathBuf,
}

impl Staged {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(""))
    }

    /// Where the pass remembers how far it is: a run that was killed goes on from there.
    pub fn journal(&self) -> &Path {
        &self.journal
    }

    /// Gives the folder its final name. Where that exists already, it holds the same bytes.
    pub fn keep_as(mut self, target: &Path) -> std::io::Result<()> {
        if target.exists() {
            return Ok(());
        }
        fs::rename(self.path(), target)?;
        self.folder = None;
        target.parent().map_or(Ok(()), store::atomic::sync_folder)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What can't be removed now is removed when a run ends.
        if let Some(folder) = &self.folder {
            let _ = fs::remove_dir_all(folder);
        }
        let _ = fs::remove_file(&self.journal);
    }
}

impl Payload {
    /// What the publisher put there.
    pub fn of_source(probed: &ProbedRelease) -> Self {
        let source = &probed.found.source;
        let rewrite = match (probed.found.files.as_slice(), probed.tracks.as_slice()) {
            ([only], [track]) if only.path.is_empty() => match track.plays {
                Some(Plays::After(rewrite)) => Some(rewrite),
                _ => None,
            },
            _ => None,
        };
        let ending = match rewrite {
            Some(Rewrite::ToMp4) => Some("mp4"),
            Some(Rewrite::ToWebm) => Some("webm"),
            Some(Rewrite::Faststart) => None,
            None => right_ending(probed),
        };
        Self {
            rendition: SOURCE.into(),
            name: ending.map_or_else(
                || source.clone(),
                |ending| format!("{}.{ending}", stem(source)),
            ),
            files: probed.found.files.clone(),
            rewrite,
        }
    }

    /// A form of it that was made by encoding: `<stem>.720p.mp4`, and the stem alone for the one that stands in
    /// for a source that browsers can't play.
    pub fn of_derived(rendition: &str, source: &str, file: &Path) -> Result<Self, ReleaseError> {
        let ending = file
            .extension()
            .map_or("mp4".into(), |ending| ending.to_string_lossy().into_owned());
        let stat = store::stat_record(file).map_err(|source| crate::error::SourceError::Read {
            path: file.to_owned(),
            source,
        })?;
        Ok(Self {
            rendition: rendition.into(),
            name: format!("{}.{rendition}.{ending}", stem(source)),
            files: vec![FoundFile {
                path: Vec::new(),
                location: file.to_owned(),
                stat,
            }],
            rewrite: None,
        })
    }

    /// Whether it is one file without a folder.
    pub fn is_single_file(&self) -> bool {
        matches!(self.files.as_slice(), [only] if only.path.is_empty())
    }

    /// The torrent layout of files of this name and these lengths.
    pub fn layout(
        &self,
        name: &str,
        lengths: &[u64],
        channel: &Channel,
    ) -> Result<Layout, ReleaseError> {
        let (format, pieces) = (channel.format, channel.piece_length);
        let layout = match lengths {
            [length] if self.is_single_file() => Layout::file(name, *length, format, pieces),
            lengths => {
                let paths = self.files.iter().map(|file| file.path.clone());
                Layout::folder(name, paths.zip(lengths.iter().copied()), format, pieces)
            }
        };
        layout.map_err(|source| ReleaseError::Layout {
            path: PathBuf::from(&self.name),
            source,
        })
    }

    /// Names its provisional folder: the same files on the same way give the same name in every run.
    fn key(&self, channel: &Channel) -> String {
        let mut key = Fingerprint::new();
        key.text(&self.name);
        key.text(&format!(
            "{:?} {:?} {:?} {:?}",
            self.rewrite, channel.library, channel.format, channel.piece_length
        ));
        for file in &self.files {
            key.text(&file.path.join("/")).content(&file.stat);
        }
        format!("{:016x}", key.finish())
    }

    /// Refuses a payload whose files are not what they were when they were found.
    pub fn check_unchanged(&self) -> Result<(), ReleaseError> {
        for file in &self.files {
            let now = store::stat_record(&file.location).ok();
            if !now.is_some_and(|now| now.same_content(&file.stat)) {
                return Err(store::PassError::Changed(file.location.clone()).into());
            }
        }
        Ok(())
    }
}

/// Brings the payload into a folder of `incoming`, which lies on the library's file system.
pub fn prepare(
    payload: Payload,
    channel: &Channel,
    incoming: &Path,
    reporter: &Reporter,
) -> Result<PreparedRendition, ReleaseError> {
    let key = payload.key(channel);
    let folder = incoming.join(&key);
    let staged = Staged {
        journal: incoming.join(format!("{key}.journal")),
        folder: Some(folder.clone()),
    };
    let mut media = None;
    let mut lengths = Vec::with_capacity(payload.files.len());
    for file in &payload.files {
        let mut target = folder.join(&payload.name);
        target.extend(&file.path);
        let failed = |source| ReleaseError::Library {
            path: file.location.clone(),
            library: target.clone(),
            source,
        };
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match payload.rewrite {
            Some(rewrite) => {
                media = Some(repack(file, rewrite, &target, reporter)?);
            }
            None => bring(file, &target, channel.library).map_err(failed)?,
        }
        lengths.push(store::stat_record(&target).map_err(failed)?.bytes);
    }
    payload.check_unchanged()?;
    Ok(PreparedRendition {
        layout: payload.layout(&payload.name, &lengths, channel)?,
        payload,
        media,
        staged,
    })
}

/// Links or copies a file. What a killed run brought here already stays.
fn bring(file: &FoundFile, target: &Path, library: Library) -> std::io::Result<()> {
    if let Ok(there) = store::stat_record(target) {
        // The folder is named after the source as it is: a file that took its name here is whole.
        let linked = there.same_content(&file.stat);
        if linked || (library == Library::Copy && there.bytes == file.stat.bytes) {
            return Ok(());
        }
        fs::remove_file(target)?;
    }
    if library == Library::Link && fs::hard_link(&file.location, target).is_ok() {
        return Ok(());
    }
    let part = part_of(target);
    fs::copy(&file.location, &part)?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(&part, target)
}

/// Packs a media file anew and makes sure that what came out plays.
fn repack(
    file: &FoundFile,
    rewrite: Rewrite,
    target: &Path,
    reporter: &Reporter,
) -> Result<Media, ReleaseError> {
    let failed = |source| ReleaseError::Library {
        path: file.location.clone(),
        library: target.to_owned(),
        source,
    };
    if !target.exists() {
        let source = MediaFile::open(&file.location).map_err(failed)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let shown = reporter.progress("preparing", &name, file.stat.bytes);
        let part = part_of(target);
        let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&part).map_err(failed)?);
        media::rewrite(&source, rewrite, &mut out, &mut |written| {
            shown.at(written);
            ControlFlow::Continue(())
        })
        .map_err(|error| match error {
            media::RewriteError::Write(source) => failed(source),
            source => ReleaseError::Rewrite {
                path: file.location.clone(),
                source,
            },
        })?;
        out.flush().map_err(failed)?;
        out.get_ref().sync_all().map_err(failed)?;
        fs::rename(&part, target).map_err(failed)?;
    }
    let unplayable = |why: String| ReleaseError::RewrittenWrong {
        path: file.location.clone(),
        why,
    };
    let result = MediaFile::open(target).map_err(failed)?;
    let media = media::probe(&result).map_err(|error| unplayable(error.to_string()))?;
    match media::plays(&media) {
        Plays::AsIs { .. } => Ok(media),
        Plays::After(way) => Err(unplayable(format!("wants {way:?} again"))),
        Plays::Transcode { why } => Err(unplayable(why)),
    }
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

/// The ending of a clip that plays as it is, where its name has another: servers and players go by it.
fn right_ending(probed: &ProbedRelease) -> Option<&'static str> {
    let track = match probed.tracks.as_slice() {
        [only] if probed.kind == Kind::Clip && only.is_playable() => only,
        _ => return None,
    };
    let endings: &[&str] = match track.media.as_ref()?.container {
        Container::Mp4 => &["mp4", "m4v", "m4a"],
        Container::WebM => &["webm"],
        Container::Ogg => &["ogg", "oga", "ogv", "opus"],
        Container::Mp3 => &["mp3"],
        Container::Flac => &["flac"],
        Container::Wav => &["wav"],
        Container::Adts => &["aac"],
        _ => return None,
    };
    let source = probed.found.source.to_lowercase();
    let now = source.rsplit_once('.').map_or("", |(_, ending)| ending);
    (!endings.contains(&now)).then(|| endings[0])
}

/// A file's name without its ending.
pub fn stem(name: &str) -> &str {
    name.rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
        .map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front_matter::FrontMatter;
    use crate::probe::probe;

    /// The file of this name with these bytes, probed.
    fn probed(folder: &Path, name: &str, bytes: &[u8]) -> ProbedRelease {
        fs::write(folder.join(name), bytes).unwrap();
        let listing = crate::folder::list(folder, &[]).unwrap();
        let found = listing.releases.into_iter();
        let found = found.rev().find(|found| found.source == name);
        probe(found.unwrap(), FrontMatter::default()).unwrap()
    }

    fn wav() -> Vec<u8> {
        let mut wav =
            b"RIFF\x34\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0"
                .to_vec();
        wav.extend(b"data\x10\0\0\0");
        wav.extend([0; 16]);
        wav
    }

    fn channel(folder: &Path) -> Channel {
        Channel::read(folder).unwrap()
    }

    #[test]
    fn a_torrent_bears_the_ending_of_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let name = |source: &str, bytes: &[u8]| {
            Payload::of_source(&probed(folder.path(), source, bytes)).name
        };
        assert_eq!(name("sound.wav", &wav()), "sound.wav");
        assert_eq!(name("fake.mp4", &wav()), "fake.wav");
        assert_eq!(name("noise.mp4", b"nothing of the kind"), "noise.mp4");
        assert_eq!(name("firm.ware.bin", b"x"), "firm.ware.bin");
        assert_eq!(stem(".x"), ".x");
    }

    #[test]
    fn a_source_that_changed_meanwhile_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let probed = probed(folder.path(), "a.bin", b"one");
        let incoming = folder.path().join(".incoming");
        let reporter = Reporter::new(crate::report::Mode::Quiet);
        let payload = Payload::of_source(&probed);
        let prepared = prepare(
            payload.clone(),
            &channel(folder.path()),
            &incoming,
            &reporter,
        )
        .unwrap();
        assert_eq!(prepared.layout.payload_bytes(), 3);
        drop(prepared);
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
        fs::remove_file(folder.path().join("a.bin")).unwrap();
        fs::write(folder.path().join("a.bin"), b"other").unwrap();
        let error = prepare(payload, &channel(folder.path()), &incoming, &reporter).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
        assert_eq!(fs::read_dir(&incoming).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_run_brought_in_is_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let probed = probed(folder.path(), "a.bin", b"one");
        let incoming = folder.path().join(".incoming");
        let reporter = Reporter::new(crate::report::Mode::Quiet);
        let mut channel = channel(folder.path());
        channel.library = Library::Copy;
        let payload = Payload::of_source(&probed);
        let first = prepare(payload.clone(), &channel, &incoming, &reporter).unwrap();
        let path = first.staged.path().join("a.bin");
        let before = store::stat_record(&path).unwrap();
        std::mem::forget(first);
        let second = prepare(payload, &channel, &incoming, &reporter).unwrap();
        assert_eq!(second.staged.path().join("a.bin"), path);
        assert_eq!(store::stat_record(&path).unwrap(), before);
    }
}
