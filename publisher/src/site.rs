//! What lies in `out/`: its folders, its documents, and what is taken away. Only files that an earlier run
//! wrote are ever removed from `site/`: what a person put there stays.

use crate::error::PublishError;
use crate::ledger::Ledger;
use crate::withdraw::Withdrawn;
use metainfo::catalog::Catalog;
use metainfo::state::{DocumentError, State};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// The folder that publisher and seeder share. Holding it keeps other publishers out.
#[derive(Debug)]
pub struct Out {
    root: PathBuf,
    _lock: Option<File>,
}

/// Files of `site/` that a run was about to write. Where the document is there, that run did not end.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Claims {
    files: BTreeSet<String>,
}

/// Where the clips lie that are published here: what `publisher withdraw <out>` needs to know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The clips folder.
    pub clips: PathBuf,
}

impl Out {
    /// Makes the folder where it is missing, and takes it for this process.
    pub fn open(root: &Path) -> Result<Self, PublishError> {
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
            _lock: Some(lock),
        };
        // Below the upper folders only a run that said so writes.
        let depth = if out.is_being_written() {
            usize::MAX
        } else {
            2
        };
        out.remove_temporary(depth);
        Ok(out)
    }

    /// For looking only: nothing is made, taken or written.
    pub fn peek(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            _lock: None,
        }
    }

    /// Takes away what a killed run was about to write. The lock says that nobody writes now.
    fn remove_temporary(&self, depth: usize) {
        let aside = [self.library(), self.derived()];
        let entries = walkdir::WalkDir::new(&self.root)
            .max_depth(depth)
            .into_iter()
            .filter_entry(|entry| aside.iter().all(|folder| entry.path() != folder));
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

    /// What is made behind publication.
    pub fn derived(&self) -> PathBuf {
        self.root.join("derived")
    }

    /// A file of the site.
    pub fn site(&self, path: &str) -> PathBuf {
        self.root.join("site").join(path)
    }

    /// What pages last showed of a release.
    pub fn view(&self, slug: &str) -> PathBuf {
        self.root.join("views").join(format!("{slug}.json"))
    }

    /// The document that the seeder reads.
    pub fn state_path(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// The state that the last run left; none in a new folder.
    pub fn read_state(&self) -> Result<State, PublishError> {
        self.read(&self.state_path(), State::parse)
            .map(Option::unwrap_or_default)
    }

    /// The catalog that the last run left. One that is damaged counts as none and is made again.
    pub fn read_catalog(&self) -> Result<Option<Catalog>, PublishError> {
        let path = self.site("catalog.json");
        match self.read(&path, Catalog::parse) {
            Err(PublishError::Document {
                source: DocumentError::Json(_),
                ..
            }) => Ok(None),
            read => read,
        }
    }

    /// What the last run left of each release.
    pub fn read_ledger(&self) -> Ledger {
        Ledger::parse(&fs::read(self.ledger_path()).unwrap_or_default())
    }

    /// What is to be gone.
    pub fn read_withdrawn(&self) -> Result<Withdrawn, PublishError> {
        self.read(&self.withdrawn_path(), Withdrawn::parse)
            .map(Option::unwrap_or_default)
    }

    /// Where the ledger lies.
    pub fn ledger_path(&self) -> PathBuf {
        self.root.join("ledger.json")
    }

    /// Where it is written what is to be gone.
    pub fn withdrawn_path(&self) -> PathBuf {
        self.root.join("withdrawn.json")
    }

    /// Where it is written where the clips lie.
    pub fn origin_path(&self) -> PathBuf {
        self.root.join("origin.json")
    }

    fn claims_path(&self) -> PathBuf {
        self.root.join("claims.json")
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
            Err(source) => Err(failed("read", path)(source)),
        }
    }

    /// What earlier runs were about to write and may have written.
    pub fn claimed(&self) -> BTreeSet<String> {
        // A list that can't be read costs stale files, nothing else.
        let bytes = fs::read(self.claims_path()).unwrap_or_default();
        let claims: Claims = serde_json::from_slice(&bytes).unwrap_or_default();
        claims.files
    }

    /// Says that a run is about to write: the next one takes away what it leaves half-written.
    pub fn mark(&self) -> Result<(), PublishError> {
        let path = self.claims_path();
        if path.exists() {
            return Ok(());
        }
        // It speaks to the next process, not to the next boot: a cut of power costs stray files at most.
        fs::write(&path, b"{\"files\":[]}").map_err(failed("write", &path))
    }

    /// Says what is about to be written, before the first of it is: what a killed run left is known to the
    /// next.
    pub fn claim(&self, files: BTreeSet<String>) -> Result<(), PublishError> {
        let claims = Claims { files };
        let bytes = serde_json::to_vec(&claims).expect("a list of texts always serialises");
        Ok(store::write_atomic(&self.claims_path(), &bytes)?)
    }

    /// Whether a run is writing, or was killed while it did.
    pub fn is_being_written(&self) -> bool {
        self.claims_path().exists()
    }

    /// All that was claimed is in the ledger now, or gone.
    pub fn settle_claims(&self) -> Result<(), PublishError> {
        let path = self.claims_path();
        match fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(source))
            }
            _ => Ok(()),
        }
    }

    /// Makes payload that took its place in the library last.
    pub fn sync_library(&self, ids: &[String]) -> Result<(), PublishError> {
        let library = self.library();
        for id in ids {
            let folder = library.join(id);
            store::atomic::sync_folder(&folder).map_err(failed("write", &folder))?;
        }
        store::atomic::sync_folder(&library).map_err(failed("write", &library))
    }

    /// Removes files of the site, and folders that are empty then.
    pub fn remove(&self, stale: &BTreeSet<&str>) -> Result<(), PublishError> {
        for path in stale {
            let safe = path
                .split('/')
                .all(|part| metainfo::name::check(part).is_ok());
            let path = self.site(path);
            match if safe { fs::remove_file(&path) } else { Ok(()) } {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failed("remove", &path)(source));
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
        Ok(())
    }

    /// Removes payload that nothing seeds any more, and what was to become payload.
    pub fn keep_library(&self, ids: &HashSet<&str>) -> Result<(), PublishError> {
        let library = self.library();
        for entry in fs::read_dir(&library).map_err(failed("read", &library))? {
            let entry = entry.map_err(failed("read", &library))?;
            let name = entry.file_name();
            let is_id = name
                .to_str()
                .is_some_and(|name| name.parse::<metainfo::SwarmHash>().is_ok());
            if is_id && !name.to_str().is_some_and(|name| ids.contains(name)) {
                remove_folder(&entry.path())?;
            }
        }
        remove_folder(&self.incoming())
    }

    /// Removes what was remembered of releases that are shown no more.
    pub fn keep_views(&self, slugs: &HashSet<&str>) {
        for entry in fs::read_dir(self.root.join("views"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = entry.file_name();
            let slug = name.to_str().and_then(|name| name.strip_suffix(".json"));
            if !slug.is_some_and(|slug| slugs.contains(slug)) {
                // What stays here by mistake is never shown: only releases in the ledger are.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn remove_folder(path: &Path) -> Result<(), PublishError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove", path)(source))
        }
        _ => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl Fn(std::io::Error) -> PublishError {
    let path = path.to_owned();
    move |source| PublishError::Folder {
        doing,
        path: path.clone(),
        source,
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
    fn folders_go_with_their_last_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let out = Out::open(folder.path()).unwrap();
        for path in ["index.html", "r/a/index.html", "CNAME"] {
            store::write_atomic(&out.site(path), b"x").unwrap();
        }
        store::write_atomic(&folder.path().join("state.json"), b"x").unwrap();
        out.remove(&["r/a/index.html", "r/b/index.html", "../state.json"].into())
            .unwrap();
        assert!(!folder.path().join("site/r").exists());
        assert!(folder.path().join("site/CNAME").exists());
        assert!(folder.path().join("site/index.html").exists());
        assert!(folder.path().join("state.json").exists());
    }

    #[test]
    fn what_a_killed_run_claimed_is_known_until_it_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let out = Out::open(folder.path()).unwrap();
        out.claim(["r/a/index.html".to_owned()].into()).unwrap();
        drop(out);
        fs::create_dir(folder.path().join("site/r")).unwrap();
        fs::write(folder.path().join("site/r/.x.tmp"), b"half").unwrap();
        let out = Out::open(folder.path()).unwrap();
        assert_eq!(out.claimed(), ["r/a/index.html".to_owned()].into());
        assert!(!folder.path().join("site/r/.x.tmp").exists());
        out.settle_claims().unwrap();
        assert!(out.claimed().is_empty());
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
