//! What can go wrong while publishing, each with the path it is about and, where there is one, the
//! remedy. One release's error stops that release alone; a [`PublishError`] stops the run.

use crate::place::Place;
use std::io;
use std::path::{Path, PathBuf};

/// Something the publisher wrote that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or folder can't be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// TOML that does not parse, or a key that is not known.
    #[error("{}:{place}: {message}", .path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What was expected.
        message: String,
    },
    /// A value that is not allowed.
    #[error("{}:{place}: `{key}`: {reason}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Where the value stands.
        place: Place,
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl SourceError {
    /// Places a TOML error: `first_line` lines of the file precede `text`.
    pub(crate) fn toml(
        path: &Path,
        text: &str,
        first_line: usize,
        error: &toml::de::Error,
    ) -> Self {
        Self::Toml {
            path: path.to_owned(),
            place: Place::of(text, error.span().map_or(0, |span| span.start)).below(first_line),
            message: error.message().replace('\n', " "),
        }
    }
}

/// Why one release is not published. The others are.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// See [`SourceError`].
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its files can't become a torrent.
    #[error("{}: {source}", .path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        source: metainfo::LayoutError,
    },
    /// Its name can't be used.
    #[error("{}: {source}; rename it", .path.display())]
    Name {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        source: metainfo::name::BadName,
    },
    /// A symbolic link, which may lead anywhere.
    #[error("{} is a symbolic link, which is not followed; put the file itself there", .0.display())]
    SymbolicLink(PathBuf),
    /// Something that is neither file nor folder.
    #[error("{} is neither a file nor a folder", .0.display())]
    NotAFile(PathBuf),
    /// There is nothing in it.
    #[error("{} is empty (0 bytes)", .0.display())]
    Empty(PathBuf),
    /// Its container ends before it should.
    #[error("{} is cut off: {why}; copy it again", .path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// It is still being written, or otherwise not ready to be published.
    #[error("{}: {why}", .path.display())]
    NotReady {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// It can't be packed anew.
    #[error("{} {source}", .path.display())]
    Rewrite {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        source: media::RewriteError,
    },
    /// It was packed anew, and the result is not what it should be.
    #[error("{} was packed anew, but the result does not play: {why}", .path.display())]
    RewrittenWrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Its files can't be hashed.
    #[error(transparent)]
    Pass(#[from] store::PassError),
    /// Its files can't be brought into the library.
    #[error("bring {} into the library at {}: {}", .path.display(), .library.display(), store::atomic::remedy(source))]
    Library {
        /// The source.
        path: PathBuf,
        /// The library's path.
        library: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of it can't be written.
    #[error(transparent)]
    Write(#[from] store::WriteError),
    /// Two releases ask for the same address.
    #[error("{}: the slug `{slug}` is taken by {}; choose another", .path.display(), .other)]
    SlugTaken {
        /// The release that comes later.
        path: PathBuf,
        /// The slug both want.
        slug: String,
        /// The release that has it.
        other: String,
    },
}

/// Why nothing could be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The clips folder, or its `channel.toml`.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A document of an earlier run.
    #[error("{}: {source}", .path.display())]
    Document {
        /// The document.
        path: PathBuf,
        /// What is wrong with it.
        source: metainfo::state::DocumentError,
    },
    /// A file of the site or the state can't be written.
    #[error(transparent)]
    Write(#[from] store::WriteError),
    /// A folder or stale file can't be touched.
    #[error("{doing} {}: {source}", .path.display())]
    Folder {
        /// What was tried.
        doing: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another publisher writes into the same folder.
    #[error("another publisher is at work in {}; stop it, or choose another folder with --out", .0.display())]
    Busy(PathBuf),
    /// The signing key can't be read or made, or does not sign.
    #[error(transparent)]
    Sign(#[from] crate::sign::SignError),
    /// The pages can't be made.
    #[error(transparent)]
    Page(#[from] crate::page::PageError),
    /// The clips folder can't be watched.
    #[error("watch {}: {source}", .path.display())]
    Watch {
        /// The clips folder.
        path: PathBuf,
        /// What the system said.
        source: notify::Error,
    },
}
