//! Many small files written together: as safe against a kill or a power cut as one at a time, without
//! waiting for the disk once a file. A run that changes a page changes several files at least, and a first
//! run of a large channel tens of thousands.

use super::{WriteError, folder_of, is_there, sync_folder, temporary};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// From how many files on one sync of the whole file system costs less than one of each file.
const SYNC_TOGETHER: usize = 16;

/// Files that are written beside their targets and take their names together.
///
/// Nothing shows before [`Batch::commit`]: dropped without it, a batch leaves nothing, folders made for it
/// included. A commit first makes all contents last, then renames in the order of staging: what refers to
/// something is staged after it, so that a kill between two names leaves no reference to nothing.
#[derive(Debug, Default)]
pub struct Batch {
    staged: Vec<Staged>,
    /// Where in `staged` a target is, so that a file staged again replaces its first content.
    places: HashMap<PathBuf, usize>,
    /// Folders that are known to be there, in the order in which they were met.
    folders: Folders,
}

#[derive(Debug)]
struct Staged {
    target: PathBuf,
    /// `None` where the target has this content already.
    temporary: Option<tempfile::TempPath>,
}

#[derive(Debug, Default)]
struct Folders {
    known: std::collections::HashSet<PathBuf>,
    /// Made by this batch, outer before inner, until a commit makes them permanent.
    made: Vec<PathBuf>,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file with this content. Says whether its content differs from what is there: what doesn't
    /// is left untouched by the commit, its times included.
    pub fn stage(&mut self, path: &Path, bytes: &[u8]) -> Result<bool, WriteError> {
        self.stage_with_mode(path, bytes, 0o644)
    }

    /// The same for a file that nobody else may read; one that others may read differs.
    pub fn stage_private(&mut self, path: &Path, bytes: &[u8]) -> Result<bool, WriteError> {
        self.stage_with_mode(path, bytes, 0o600)
    }

    /// How many files the commit will write.
    pub fn changes(&self) -> usize {
        self.staged
            .iter()
            .filter(|staged| staged.temporary.is_some())
            .count()
    }

    fn stage_with_mode(
        &mut self,
        path: &Path,
        bytes: &[u8],
        mode: u32,
    ) -> Result<bool, WriteError> {
        let differs = !is_there(path, bytes, mode);
        let write = |folders: &mut Folders| -> io::Result<_> {
            let folder = folder_of(path);
            folders.make(folder)?;
            Ok(temporary(folder, bytes, mode)?.into_temp_path())
        };
        let temporary = differs
            .then(|| write(&mut self.folders))
            .transpose()
            .map_err(|source| WriteError::at(path, source))?;
        let staged = Staged {
            target: path.to_owned(),
            temporary,
        };
        // A new place even where it was staged before: its last content may refer to what came since.
        if let Some(before) = self.places.insert(path.to_owned(), self.staged.len()) {
            self.staged[before].temporary = None;
        }
        self.staged.push(staged);
        Ok(differs)
    }

    /// Gives every file its name. After an error the files before the one it names have theirs, the others
    /// are as they were.
    pub fn commit(mut self) -> Result<(), WriteError> {
        let renames: Vec<(PathBuf, tempfile::TempPath)> = std::mem::take(&mut self.staged)
            .into_iter()
            .filter_map(|staged| Some((staged.target, staged.temporary?)))
            .collect();
        if renames.is_empty() {
            return Ok(());
        }
        let together = renames.len() > SYNC_TOGETHER;
        let mut parents: Vec<PathBuf> = Vec::new();
        let mut last = None;
        for (target, _) in &renames {
            let folder = folder_of(target);
            if last != Some(folder) {
                parents.push(folder.to_owned());
            }
            last = Some(folder);
        }
        parents.sort();
        parents.dedup();
        if !(together && sync_file_systems(&parents)?) {
            for (target, temporary) in &renames {
                std::fs::OpenOptions::new()
                    .write(true)
                    .open(temporary)
                    .and_then(|file| file.sync_all())
                    .map_err(|source| WriteError::at(target, source))?;
            }
        }
        // From here on the folders hold files that stay.
        for made in std::mem::take(&mut self.folders.made) {
            parents.push(folder_of(&made).to_owned());
            parents.push(made);
        }
        parents.sort();
        parents.dedup();
        for (target, temporary) in renames {
            temporary
                .persist(&target)
                .map_err(|error| WriteError::at(&target, error.error))?;
        }
        if !(together && sync_file_systems(&parents)?) {
            for folder in &parents {
                sync_folder(folder).map_err(|source| WriteError::at(folder, source))?;
            }
        }
        Ok(())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.staged.clear();
        for folder in self.folders.made.iter().rev() {
            // Fails where somebody else put a file into it: then it is not ours to remove.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Folders {
    /// Makes a folder and those above it, and remembers which were not there.
    fn make(&mut self, folder: &Path) -> io::Result<()> {
        if self.known.contains(folder) {
            return Ok(());
        }
        match std::fs::create_dir(folder) {
            Ok(()) => self.made.push(folder.to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make(folder.parent().ok_or(error)?)?;
                return self.make(folder);
            }
            Err(_) if folder.is_dir() => {}
            Err(error) => return Err(error),
        }
        self.known.insert(folder.to_owned());
        Ok(())
    }
}

/// Makes everything last that was written to the file systems of these folders. `false` where the system
/// has no such call.
fn sync_file_systems(folders: &[PathBuf]) -> Result<bool, WriteError> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        let mut synced = std::collections::HashSet::new();
        for folder in folders {
            let sync = |synced: &mut std::collections::HashSet<u64>| -> io::Result<()> {
                if synced.insert(std::fs::metadata(folder)?.dev()) {
                    rustix::fs::syncfs(std::fs::File::open(folder)?)?;
                }
                Ok(())
            };
            sync(&mut synced).map_err(|source| WriteError::at(folder, source))?;
        }
        Ok(true)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folders;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every path below a folder, sorted, hidden ones included.
    fn below(folder: &Path) -> Vec<String> {
        let mut all = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                all.push(
                    path.strip_prefix(folder)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                );
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        all.sort();
        all
    }

    #[test]
    fn names_are_taken_at_the_commit_and_not_before() {
        for count in [3, SYNC_TOGETHER + 4] {
            let folder = tempfile::tempdir().unwrap();
            let path = |i: usize| folder.path().join(format!("r/{}/{i}.html", i % 3));
            let mut batch = Batch::new();
            for i in 0..count {
                assert!(
                    batch
                        .stage(&path(i), format!("page {i}").as_bytes())
                        .unwrap()
                );
            }
            assert!((0..count).all(|i| !path(i).exists()));
            assert_eq!(batch.changes(), count);
            batch.commit().unwrap();
            for i in 0..count {
                assert_eq!(
                    std::fs::read_to_string(path(i)).unwrap(),
                    format!("page {i}")
                );
            }
            let hidden = |name: &String| name.contains(".tmp");
            assert!(
                !below(folder.path()).iter().any(hidden),
                "nothing else stays"
            );
        }
    }

    #[test]
    fn equal_content_is_left_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let [same, other] = ["same", "other"].map(|name| folder.path().join(name));
        std::fs::write(&same, b"content").unwrap();
        std::fs::write(&other, b"CONTENT").unwrap();
        let before = crate::stat_record(&same).unwrap();
        let mut batch = Batch::new();
        assert!(!batch.stage(&same, b"content").unwrap());
        assert!(batch.stage(&other, b"content").unwrap());
        assert_eq!(batch.changes(), 1);
        batch.commit().unwrap();
        assert_eq!(crate::stat_record(&same).unwrap(), before);
        assert_eq!(std::fs::read(&other).unwrap(), b"content");
    }

    #[test]
    fn a_batch_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("old"), b"old").unwrap();
        let mut batch = Batch::new();
        batch.stage(&folder.path().join("old"), b"new").unwrap();
        batch
            .stage(&folder.path().join("a/b/c/new"), b"new")
            .unwrap();
        drop(batch);
        assert_eq!(below(folder.path()), ["old"]);
        assert_eq!(std::fs::read(folder.path().join("old")).unwrap(), b"old");
    }

    #[test]
    fn the_last_content_of_a_file_staged_twice_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.html");
        std::fs::write(&path, b"one").unwrap();
        let mut batch = Batch::new();
        assert!(batch.stage(&path, b"two").unwrap());
        assert!(!batch.stage(&path, b"one").unwrap());
        assert_eq!(batch.changes(), 0);
        batch.stage(&path, b"two").unwrap();
        batch.stage(&path, b"three").unwrap();
        batch.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(below(folder.path()), ["index.html"]);
    }

    #[test]
    fn names_are_taken_in_the_order_of_staging() {
        // The second can't take its name: the first has its own then, the third has not.
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("2/full")).unwrap();
        let mut batch = Batch::new();
        for name in ["1", "2", "3"] {
            batch.stage(&path(name), b"x").unwrap();
        }
        let error = batch.commit().unwrap_err();
        assert_eq!(error.path, path("2"));
        assert_eq!(below(folder.path()), ["1", "2", "2/full"]);
    }

    #[test]
    fn a_place_that_can_not_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"x").unwrap();
        let error = Batch::new()
            .stage(&folder.path().join("file/below/page"), b"x")
            .unwrap_err();
        assert!(error.to_string().contains("file/below/page"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_private_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        std::fs::write(&path, b"{}").unwrap();
        let mut batch = Batch::new();
        assert!(
            batch.stage_private(&path, b"{}").unwrap(),
            "others may read it"
        );
        batch.commit().unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!Batch::new().stage_private(&path, b"{}").unwrap());
    }
}
