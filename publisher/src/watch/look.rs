//! Looking at the clips folder: names and `stat` only. Events tell where to look; now and then everything
//! is looked at, because events get lost. What is remembered of everything is one number for each entry,
//! however much lies in it.

use crate::file_type::{MediaKind, is_passed_over, media_type};
use crate::watch::agenda::Change;
use crate::watch::settle::Sight;
use metainfo::state::StatRecord;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::hash::BuildHasher;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use walkdir::WalkDir;

/// The clips folder, as it is looked at.
#[derive(Debug)]
pub struct Ground {
    root: PathBuf,
    own: PathBuf,
    /// Whether change times come from the clock of this machine.
    own_clock: bool,
    hasher: RandomState,
}

/// One number for each entry, by the hash of its name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fingerprints(HashMap<u64, u64>);

/// How an entry of the clips folder looks.
#[derive(Debug, Default)]
pub struct Look {
    /// Its files; none where it is gone.
    pub sights: Vec<Sight>,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether there is anything, be it a link or a pipe.
    pub exists: bool,
    fingerprint: u64,
}

/// What a look at everything gave.
#[derive(Debug)]
pub struct Found {
    /// How everything looks.
    pub fingerprints: Fingerprints,
    /// Entries that look different from before, and those that are new.
    pub changed: Vec<OsString>,
    /// Whether entries have vanished.
    pub vanished: bool,
}

impl Ground {
    /// The folder at `root`, without what the publisher writes to `own`.
    pub fn new(root: PathBuf, own: PathBuf, own_clock: bool) -> Self {
        Self {
            root,
            own,
            own_clock,
            hasher: RandomState::new(),
        }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What tells the folder from another one that is put, or mounted, in its place. `None` where there
    /// is none.
    pub fn identity(&self) -> Option<(u64, u64)> {
        let stat = store::stat_record(&self.root).ok()?;
        Some((stat.device, stat.inode))
    }

    /// The entry of the clips folder that a path belongs to: `None` for the folder itself and for what is
    /// passed over.
    pub fn entry_of<'a>(&self, path: &'a Path) -> Option<&'a OsStr> {
        let below = path.strip_prefix(&self.root).ok()?;
        let shown = !path.starts_with(&self.own) && below.iter().all(is_shown);
        below.iter().next().filter(|_| shown)
    }

    /// Looks at one entry.
    pub fn entry(&self, name: &OsStr) -> Look {
        self.below(&self.root.join(name))
    }

    /// Looks at a file, or at all below a folder.
    pub fn below(&self, path: &Path) -> Look {
        let mut look = Look::default();
        for found in self.walk(path, 0) {
            look.exists = true;
            look.is_folder |= found.file_type().is_dir();
            let stat = stat(&found);
            look.fingerprint = look
                .fingerprint
                .wrapping_add(self.fingerprint(&found, stat.as_ref()));
            look.sights
                .extend(stat.map(|stat| self.sight(found.into_path(), stat)));
        }
        look
    }

    /// A file of which `stat` has just said this.
    pub fn sight(&self, path: PathBuf, stat: StatRecord) -> Sight {
        let age = || age(&stat, SystemTime::now());
        Sight {
            age: self.own_clock.then(age).flatten(),
            path,
            stat,
        }
    }

    /// The folders below this one, itself included.
    pub fn folders(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        self.walk(path, 0)
            .filter(|found| found.file_type().is_dir())
            .map(walkdir::DirEntry::into_path)
    }

    /// Looks at everything, and compares.
    pub fn everything(&self, before: &Fingerprints) -> io::Result<Found> {
        // An unreadable folder is not an empty one.
        std::fs::read_dir(&self.root)?;
        let mut now = Fingerprints::default();
        let mut changed = Vec::new();
        let mut current: Option<(OsString, u64)> = None;
        let mut finish = |entry: Option<(OsString, u64)>| {
            if let Some((name, fingerprint)) = entry {
                let key = self.key(&name);
                if before.0.get(&key) != Some(&fingerprint) {
                    changed.push(name);
                }
                now.0.insert(key, fingerprint);
            }
        };
        for found in self.walk(&self.root, 1) {
            let fingerprint = self.fingerprint(&found, stat(&found).as_ref());
            match &mut current {
                Some((_, sum)) if found.depth() > 1 => *sum = sum.wrapping_add(fingerprint),
                _ => {
                    let next = (found.file_name().to_owned(), fingerprint);
                    finish(current.replace(next));
                }
            }
        }
        finish(current);
        let vanished = before.0.keys().any(|key| !now.0.contains_key(key));
        Ok(Found {
            fingerprints: now,
            changed,
            vanished,
        })
    }

    /// Remembers how an entry looks. `false` where it is remembered so already.
    pub fn remember(&self, fingerprints: &mut Fingerprints, name: &OsStr, look: &Look) -> bool {
        let key = self.key(name);
        if !look.exists {
            fingerprints.0.remove(&key).is_some()
        } else {
            fingerprints.0.insert(key, look.fingerprint) != Some(look.fingerprint)
        }
    }

    /// Forgets entries that are not among those that were found.
    pub fn drop_vanished(fingerprints: &mut Fingerprints, found: &Fingerprints) {
        fingerprints.0.retain(|key, _| found.0.contains_key(key));
    }

    /// Forgets how an entry looks, so that it counts as changed.
    pub fn forget(&self, fingerprints: &mut Fingerprints, name: &OsStr) {
        fingerprints.0.remove(&self.key(name));
    }

    fn key(&self, name: &OsStr) -> u64 {
        self.hasher.hash_one(name)
    }

    fn fingerprint(&self, found: &walkdir::DirEntry, stat: Option<&StatRecord>) -> u64 {
        let content = stat.map(|stat| (stat.device, stat.inode, stat.bytes, stat.mtime_ns));
        self.hasher.hash_one((found.path(), content))
    }

    fn walk(&self, from: &Path, min_depth: usize) -> impl Iterator<Item = walkdir::DirEntry> {
        let (root, own) = (self.root.clone(), self.own.clone());
        WalkDir::new(from)
            .min_depth(min_depth)
            .follow_links(false)
            .follow_root_links(false)
            .into_iter()
            .filter_entry(move |entry| {
                let path = entry.path();
                path == root || (is_shown(entry.file_name()) && path != own)
            })
            .filter_map(Result::ok)
    }
}

/// What `stat` says of a plain file.
fn stat(found: &walkdir::DirEntry) -> Option<StatRecord> {
    let is_file = found.file_type().is_file();
    is_file
        .then(|| store::stat_record(found.path()).ok())
        .flatten()
}

/// How long ago the file changed, by the time that no program can set.
fn age(stat: &StatRecord, now: SystemTime) -> Option<Duration> {
    let changed = u64::try_from(stat.ctime_ns).ok().filter(|ns| *ns > 0)?;
    now.duration_since(UNIX_EPOCH + Duration::from_nanos(changed))
        .ok()
}

fn is_shown(name: &OsStr) -> bool {
    !name.to_str().is_some_and(is_passed_over)
}

/// What a change of this entry means, going by its name.
pub fn change_of(name: &OsStr) -> Change {
    let lower = name.to_string_lossy().to_lowercase();
    let text = [".md", ".vtt", ".srt", ".toml", ".json"];
    let picture = media_type(&lower).kind == MediaKind::Image && !lower.ends_with(".gif");
    if picture || text.iter().any(|ending| lower.ends_with(ending)) {
        Change::Sidecar
    } else {
        Change::Payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn ground() -> (tempfile::TempDir, Ground) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let own = root.join("public");
        (folder, Ground::new(root, own, true))
    }

    #[test]
    fn paths_belong_to_entries() {
        let (_folder, ground) = ground();
        let of = |path: &str| {
            let path = ground.root().join(path);
            ground
                .entry_of(&path)
                .map(|name| name.to_string_lossy().into_owned())
        };
        assert_eq!(of("clip.mp4").as_deref(), Some("clip.mp4"));
        assert_eq!(of("album/cd1/01.flac").as_deref(), Some("album"));
        for passed_over in [
            "",
            ".groundswell/site/index.html",
            "public",
            "public/site/index.html",
            "clip.mp4.part",
            "album/.clip.mp4.Xy12ab",
            "album/.tmp/x.mp4",
        ] {
            assert_eq!(of(passed_over), None, "{passed_over}");
        }
        assert_eq!(ground.entry_of(Path::new("/elsewhere/clip.mp4")), None);
    }

    #[test]
    fn a_look_at_everything_names_what_changed() {
        let (folder, ground) = ground();
        let root = folder.path();
        put(root, "a.mp4", b"1");
        put(root, "album/01.flac", b"1");
        put(root, "album/02.flac", b"1");
        put(root, "public/site/index.html", b"1");
        put(root, ".hidden/x", b"1");
        let first = ground.everything(&Fingerprints::default()).unwrap();
        let mut names = first.changed.clone();
        names.sort();
        assert_eq!(names, ["a.mp4", "album"]);
        let again = ground.everything(&first.fingerprints).unwrap();
        assert_eq!((again.changed.len(), again.vanished), (0, false));
        put(root, "album/02.flac", b"12");
        put(root, "public/site/index.html", b"12");
        let third = ground.everything(&first.fingerprints).unwrap();
        assert_eq!(third.changed, ["album"]);
        std::fs::remove_file(root.join("a.mp4")).unwrap();
        let fourth = ground.everything(&third.fingerprints).unwrap();
        assert_eq!((fourth.changed.len(), fourth.vanished), (0, true));
        std::fs::remove_dir_all(root).unwrap();
        assert!(ground.everything(&first.fingerprints).is_err());
        assert_eq!(ground.identity(), None);
    }

    #[test]
    fn an_entry_looks_as_everything_does() {
        let (folder, ground) = ground();
        put(folder.path(), "album/cd1/01.flac", b"1");
        put(folder.path(), "album/.part", b"1");
        put(folder.path(), "b.mp4", b"1");
        let mut all = ground
            .everything(&Fingerprints::default())
            .unwrap()
            .fingerprints;
        for (name, file) in [("album", "album/cd1/01.flac"), ("b.mp4", "b.mp4")] {
            let name = OsStr::new(name);
            let look = ground.entry(name);
            assert_eq!(look.sights.len(), 1);
            assert!(look.sights[0].age.is_some());
            assert!(!ground.remember(&mut all, name, &look), "it is known");
            put(folder.path(), file, b"12");
            let changed = ground.entry(name);
            assert!(ground.remember(&mut all, name, &changed));
            ground.forget(&mut all, name);
            assert!(ground.remember(&mut all, name, &changed));
        }
        let gone = ground.entry(OsStr::new("gone.mp4"));
        assert!(
            gone.sights.is_empty() && !ground.remember(&mut all, OsStr::new("gone.mp4"), &gone)
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let (folder, ground) = ground();
        put(folder.path(), "a/x", b"1");
        std::os::unix::fs::symlink("..", folder.path().join("a/loop")).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("link")).unwrap();
        assert_eq!(ground.entry(OsStr::new("a")).sights.len(), 1);
        assert!(ground.entry(OsStr::new("link")).sights.is_empty());
        let folders: Vec<_> = ground.folders(folder.path()).collect();
        assert_eq!(folders, [folder.path().to_owned(), folder.path().join("a")]);
    }

    #[test]
    fn names_tell_payload_from_sidecars() {
        for sidecar in [
            "a.md",
            "a.en.VTT",
            "a.jpg",
            "channel.toml",
            "a.chapters.json",
        ] {
            assert_eq!(change_of(OsStr::new(sidecar)), Change::Sidecar, "{sidecar}");
        }
        for payload in ["a.mp4", "a.gif", "album", "a.zip"] {
            assert_eq!(change_of(OsStr::new(payload)), Change::Payload, "{payload}");
        }
    }
}
