//! What lies in `out/`: its folders, the order of writing, and what is taken away. Only files that an
//! earlier run wrote are ever removed from `site/`: what a person put there stays.

use crate::error::PublishError;
use metainfo::catalog::Catalog;
use metainfo::state::{DocumentError, State};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The folder that publisher and seeder share. Holding it keeps other publishers out.
#[derive(Debug)]
pub struct Out {
    root: PathBuf,
    _lock: File,
}

/// Every file of `site/` that is ours.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    files: BTreeSet<String>,
}

impl Out {
    /// Makes the folder where it is missing, and takes it for this process.
    pub fn open(root: &Path) -> Result<Self, PublishError> {
        let failed = |doing: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| PublishError::Folder {
                doing,
                path,
                source,
            }
        };
        for folder in ["site", "library"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(failed("make the folder", &path))?;
        }
        let path = root.join(".lock");
        let lock = File::create(&path).map_err(failed("write", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(PublishError::Busy(root.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed("lock", &path)(source)),
        }
        let out = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        out.remove_folder(&out.incoming())?;
        out.remove_temporary();
        Ok(out)
    }

    /// Takes away what a killed run was about to write. The lock says that nobody writes now.
    fn remove_temporary(&self) {
        let library = self.library();
        let entries = walkdir::WalkDir::new(&self.root)
            .into_iter()
            .filter_entry(|entry| entry.path() != library);
        for entry in entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file())
        {
            let name = entry.file_name().to_string_lossy();
            if name.starts_with('.') && name.ends_with(".tmp") {
                // One that stays is served to nobody and is tried again next time.
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// `out/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where payload lies by info-hash.
    pub fn library(&self) -> PathBuf {
        self.root.join("library")
    }

    /// Where payload lies until it has its hash: on the library's file system, so that a rename suffices.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("library/.incoming")
    }

    fn site(&self, path: &str) -> PathBuf {
        self.root.join("site").join(path)
    }

    /// The state that the last run left; none in a new folder.
    pub fn read_state(&self) -> Result<State, PublishError> {
        self.read(&self.root.join("state.json"), State::parse)
            .map(Option::unwrap_or_default)
    }

    /// The catalog that the last run left.
    pub fn read_catalog(&self) -> Result<Option<Catalog>, PublishError> {
        self.read(&self.site("catalog.json"), Catalog::parse)
    }

    fn read<T>(
        &self,
        path: &Path,
        parse: impl Fn(&[u8]) -> Result<T, DocumentError>,
    ) -> Result<Option<T>, PublishError> {
        match fs::read(path) {
            Ok(bytes) => parse(&bytes)
                .map(Some)
                .map_err(|source| PublishError::Document {
                    path: path.to_owned(),
                    source,
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PublishError::Folder {
                doing: "read",
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Writes a file of the site where it differs; says whether it wrote.
    pub fn write_site(&self, path: &str, bytes: &[u8]) -> Result<bool, PublishError> {
        Ok(store::write_if_changed(&self.site(path), bytes)?)
    }

    /// Writes the state where it differs, for its owner alone.
    pub fn write_state(&self, state: &State) -> Result<bool, PublishError> {
        let path = self.root.join("state.json");
        let bytes = state.to_bytes();
        if fs::read(&path).is_ok_and(|old| old == bytes) {
            return Ok(false);
        }
        store::atomic::write_atomic_private(&path, &bytes)?;
        Ok(true)
    }

    /// Adds files to those that are ours, before the first of them is written: what a killed run left is
    /// still known to the next.
    pub fn claim(&self, files: &BTreeSet<String>) -> Result<(), PublishError> {
        let mut manifest = self.manifest();
        manifest.files.extend(files.iter().cloned());
        self.write_manifest(&manifest)
    }

    /// Removes every file of ours that is not among these, and folders that are empty then.
    pub fn keep_only(&self, files: &BTreeSet<String>) -> Result<usize, PublishError> {
        let manifest = self.manifest();
        let stale: Vec<&String> = manifest.files.difference(files).collect();
        for path in &stale {
            let safe = path
                .split('/')
                .all(|part| metainfo::name::check(part).is_ok());
            let path = self.site(path);
            match if safe { fs::remove_file(&path) } else { Ok(()) } {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(PublishError::Folder {
                        doing: "remove",
                        path,
                        source,
                    });
                }
                _ => {}
            }
            // `remove_dir` takes empty folders only, which is what is wanted.
            for folder in path
                .ancestors()
                .skip(1)
                .take_while(|folder| *folder != self.root.join("site"))
            {
                if fs::remove_dir(folder).is_err() {
                    break;
                }
            }
        }
        self.write_manifest(&Manifest {
            files: files.clone(),
        })?;
        Ok(stale.len())
    }

    fn manifest(&self) -> Manifest {
        // A manifest that can't be read costs stale files, nothing else.
        let bytes = fs::read(self.root.join("manifest.json")).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), PublishError> {
        let bytes = serde_json::to_vec_pretty(manifest).expect("a list of texts always serialises");
        store::write_if_changed(&self.root.join("manifest.json"), &bytes)?;
        Ok(())
    }

    /// Removes payload that nothing seeds any more.
    pub fn keep_library(&self, ids: &BTreeSet<&str>) -> Result<(), PublishError> {
        let library = self.library();
        let failed = |source| PublishError::Folder {
            doing: "read",
            path: library.clone(),
            source,
        };
        for entry in fs::read_dir(&library).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_id = name
                .to_str()
                .is_some_and(|name| name.parse::<metainfo::SwarmHash>().is_ok());
            if is_id && !name.to_str().is_some_and(|name| ids.contains(name)) {
                self.remove_folder(&entry.path())?;
            }
        }
        self.remove_folder(&self.incoming())
    }

    fn remove_folder(&self, path: &Path) -> Result<(), PublishError> {
        match fs::remove_dir_all(path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(PublishError::Folder {
                    doing: "remove",
                    path: path.to_owned(),
                    source,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_publisher_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Out::open(folder.path()).unwrap();
        assert!(matches!(
            Out::open(folder.path()),
            Err(PublishError::Busy(_))
        ));
        drop(first);
        Out::open(folder.path()).unwrap();
    }

    #[test]
    fn only_what_is_ours_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let out = Out::open(folder.path()).unwrap();
        let ours: BTreeSet<String> = ["index.html", "r/a/index.html"].map(str::to_owned).into();
        out.claim(&ours).unwrap();
        for path in &ours {
            assert!(out.write_site(path, b"x").unwrap());
            assert!(!out.write_site(path, b"x").unwrap());
        }
        fs::write(folder.path().join("site/CNAME"), b"example.org").unwrap();
        assert_eq!(out.keep_only(&["index.html".to_owned()].into()).unwrap(), 1);
        assert!(!folder.path().join("site/r").exists());
        assert!(folder.path().join("site/CNAME").exists());
        assert!(folder.path().join("site/index.html").exists());
    }

    #[test]
    fn payload_that_nothing_seeds_goes() {
        let folder = tempfile::tempdir().unwrap();
        let out = Out::open(folder.path()).unwrap();
        let (kept, gone) = ("0".repeat(40), "1".repeat(40));
        for name in [&kept, &gone, "notes"] {
            fs::create_dir_all(folder.path().join("library").join(name)).unwrap();
        }
        out.keep_library(&[kept.as_str()].into()).unwrap();
        assert!(folder.path().join("library").join(&kept).exists());
        assert!(folder.path().join("library/notes").exists());
        assert!(!folder.path().join("library").join(&gone).exists());
    }
}
