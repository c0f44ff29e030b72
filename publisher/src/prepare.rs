//! ProbedRelease → PreparedRelease: brings the payload into the library under a provisional name, so
//! that what is hashed is what is seeded, and lays out its torrent.

use crate::channel::{Channel, Library};
use crate::error::ReleaseError;
use crate::probe::ProbedRelease;
use metainfo::Layout;
use std::fs;
use std::path::{Path, PathBuf};

/// A release whose payload lies in the library and is ready to be hashed: the third stage.
#[derive(Debug)]
pub struct PreparedRelease {
    /// What is known of it.
    pub probed: ProbedRelease,
    /// Its torrent's files and pieces.
    pub layout: Layout,
    /// Where its payload lies until it has its hash. Dropping it takes it away.
    pub staged: Staged,
}

/// A provisional folder in the library, removed unless it is kept.
#[derive(Debug)]
pub struct Staged {
    folder: Option<PathBuf>,
}

impl Staged {
    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new(""))
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
        if let Some(folder) = &self.folder {
            // What can't be removed now is removed when the publisher starts again.
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// The torrent layout of a release.
pub fn layout(probed: &ProbedRelease, channel: &Channel) -> Result<Layout, ReleaseError> {
    let found = &probed.found;
    let layout = match found.files.as_slice() {
        [only] if only.path.is_empty() => Layout::file(
            &found.source,
            only.stat.bytes,
            channel.format,
            channel.piece_length,
        ),
        files => {
            let files = files
                .iter()
                .map(|file| (file.path.clone(), file.stat.bytes));
            Layout::folder(&found.source, files, channel.format, channel.piece_length)
        }
    };
    let path = PathBuf::from(&found.source);
    layout.map_err(|source| ReleaseError::Layout { path, source })
}

/// Links or copies the payload into `incoming/<number>`, a folder on the library's file system.
pub fn prepare(
    probed: ProbedRelease,
    layout: Layout,
    channel: &Channel,
    incoming: &Path,
    number: usize,
) -> Result<PreparedRelease, ReleaseError> {
    let folder = incoming.join(number.to_string());
    let staged = Staged {
        folder: Some(folder.clone()),
    };
    for file in &probed.found.files {
        let mut target = folder.join(&probed.found.source);
        target.extend(&file.path);
        bring(&file.location, &target, channel.library).map_err(|source| {
            ReleaseError::Library {
                path: file.location.clone(),
                library: target,
                source,
            }
        })?;
    }
    Ok(PreparedRelease {
        probed,
        layout,
        staged,
    })
}

fn bring(source: &Path, target: &Path, library: Library) -> std::io::Result<()> {
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    if library == Library::Link && fs::hard_link(source, target).is_ok() {
        return Ok(());
    }
    fs::copy(source, target)?;
    fs::File::open(target)?.sync_all()
}
