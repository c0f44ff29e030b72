//! What the seeder remembers across restarts about the files it looks after: how far the scrub has come, and which
//! files it has hashed itself since they were published. A small file in the seeder's state folder; without it, or
//! with one that can't be read, everything is begun anew.

use metainfo::state::StatRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    /// Where the scrub is.
    pub scrub: ScrubPlace,
    /// What a torrent's payload files were when they were last hashed here, by its id.
    #[serde(default)]
    pub accepted: BTreeMap<String, Box<[Option<StatRecord>]>>,
}

/// How far the scrub has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubPlace {
    /// When the round began, seconds since 1970; the next begins a fixed time later.
    pub began: u64,
    /// The torrent it is at: the first one of this id or a higher one. `None` when the round is over.
    pub at: Option<String>,
    /// The piece it is at.
    pub piece: u32,
    /// Rounds done.
    #[serde(default)]
    pub rounds: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            version: VERSION,
            scrub: ScrubPlace::default(),
            accepted: BTreeMap::new(),
        }
    }
}

/// The file in which a seeder of this folder remembers.
pub fn path(state_dir: &Path, source: &Path) -> PathBuf {
    let source = std::fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
    // FNV-1a: a name that is the same tomorrow; nothing depends on it but the name.
    let digest = source
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    state_dir.join(format!("seeder-{digest:016x}.json"))
}

impl Memory {
    /// Reads the file. Blocking.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let memory = serde_json::from_slice::<Self>(&bytes);
        match memory {
            Ok(memory) if memory.version == VERSION => Some(memory),
            Ok(_) | Err(_) => {
                tracing::warn!("{} can't be used and is begun anew", path.display());
                None
            }
        }
    }

    /// Writes the file. Blocking.
    pub fn write(&self, path: &Path) {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let folder = path.parent().unwrap_or(path);
        let written = std::fs::create_dir_all(folder)
            .map_err(|error| error.to_string())
            .and_then(|()| store::write_atomic(path, &bytes).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::debug!("the scrub's place is not remembered: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nonsense_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder.path().join("state"), folder.path());
        assert_eq!(Memory::read(&path), None);
        let mut memory = Memory::default();
        memory.scrub.at = Some("00ff".to_owned());
        memory.accepted.insert("00ff".to_owned(), Box::new([None]));
        memory.write(&path);
        assert_eq!(Memory::read(&path), Some(memory));
        std::fs::write(&path, "{\"version\": 7}").unwrap();
        assert_eq!(Memory::read(&path), None);
    }
}
