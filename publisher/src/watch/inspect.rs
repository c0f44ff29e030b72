//! Asking the disk about one file: who writes to it, and what its container says of its end.

use crate::file_type::media_type;
use crate::folder::FoundRelease;
use crate::probe::MediaFile;
use crate::watch::settle::{Inspect, WRITING, Whole};
use media::{Complete, ProbeError, ReadAt};
use std::path::Path;
use store::lease::{self, Writer};

/// Files as they lie on disk.
#[derive(Debug, Clone, Copy)]
pub struct OnDisk {
    /// Whether other machines may write to the same files: then this machine's kernel can't speak for all
    /// writers.
    pub shared: bool,
}

impl Inspect for OnDisk {
    fn writer(&mut self, path: &Path) -> Writer {
        match lease::writer(path) {
            Writer::None if self.shared => Writer::Unknown,
            writer => writer,
        }
    }

    fn whole(&mut self, path: &Path) -> Whole {
        // Other files may begin like a clip by chance.
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !media_type(&name).is_timed() {
            return Whole::Unknown;
        }
        // What can't be read is the run's to report.
        MediaFile::open(path).map_or(Whole::Unknown, |file| whole(&file))
    }
}

fn whole(file: &dyn ReadAt) -> Whole {
    if file.length() == 0 {
        return Whole::CutOff("it is empty".to_owned());
    }
    match media::complete(file) {
        Complete::Yes => Whole::Yes,
        Complete::Unknown => Whole::Unknown,
        Complete::No(how) => match media::probe(file) {
            Err(ProbeError::NotMedia | ProbeError::Malformed(_)) => Whole::Damaged(how),
            _ => Whole::CutOff(how),
        },
    }
}

/// Whether a release may be published by a run that can't wait for it: nobody writes to its files, and
/// none is cut off.
///
/// # Errors
/// Why not, as a clause for people.
pub fn at_rest(found: &FoundRelease) -> Result<(), String> {
    let mut disk = OnDisk { shared: false };
    for file in &found.files {
        let named = |why: &str| match file.path.last() {
            Some(name) => format!("{name}: {why}"),
            None => why.to_owned(),
        };
        if disk.writer(&file.location) == Writer::Present {
            return Err(named(WRITING));
        }
        if let Whole::CutOff(how) = disk.whole(&file.location) {
            return Err(named(&format!("it is cut off: {how}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Vec<u8> {
        let clip = "../examples/test-drive/test-drive.mp4";
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(clip)).unwrap()
    }

    #[test]
    fn clips_tell_whether_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip.mp4");
        let mut disk = OnDisk { shared: false };
        let bytes = example();
        std::fs::write(&clip, &bytes).unwrap();
        assert_eq!(disk.whole(&clip), Whole::Yes);
        for cut in [1, bytes.len() / 2] {
            std::fs::write(&clip, &bytes[..bytes.len() - cut]).unwrap();
            assert!(matches!(disk.whole(&clip), Whole::CutOff(_)), "{cut}");
        }
        std::fs::write(&clip, b"").unwrap();
        assert!(matches!(disk.whole(&clip), Whole::CutOff(_)));
        assert_eq!(disk.whole(&folder.path().join("gone.mp4")), Whole::Unknown);
        let other = folder.path().join("clip.zip");
        std::fs::write(&other, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(disk.whole(&other), Whole::Unknown);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_shared_folder_has_writers_one_can_not_see() {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip.mp4");
        let writing = std::fs::File::create(&clip).unwrap();
        assert_eq!(OnDisk { shared: true }.writer(&clip), Writer::Present);
        drop(writing);
        assert_eq!(OnDisk { shared: true }.writer(&clip), Writer::Unknown);
        assert_eq!(OnDisk { shared: false }.writer(&clip), Writer::None);
    }

    #[test]
    fn a_single_run_refuses_what_is_not_finished() {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip.mp4");
        let verdict = || {
            let listing = crate::folder::list(folder.path(), &[]).unwrap();
            at_rest(&listing.releases[0])
        };
        let bytes = example();
        std::fs::write(&clip, &bytes).unwrap();
        assert_eq!(verdict(), Ok(()));
        std::fs::write(&clip, &bytes[..bytes.len() / 2]).unwrap();
        assert!(verdict().unwrap_err().starts_with("it is cut off: "));
    }
}
