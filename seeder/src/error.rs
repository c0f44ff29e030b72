//! Why a seeder can't start or can't go on. One line each: what, where, what to do.

use metainfo::state::DocumentError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a seeder can't start or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program has the port.
    #[error("the address {addr} is in use; stop the other program or choose another with {flag}")]
    AddressInUse {
        /// The address wanted.
        addr: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// The address can't be listened on for another reason.
    #[error("listen on {addr}: {source}; choose another with {flag}")]
    Listen {
        /// The address wanted.
        addr: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Status and metrics are for this machine alone.
    #[error(
        "--control takes a loopback address, not {0}; let a proxy with a password ask there for others"
    )]
    ControlNotLocal(SocketAddr),
    /// A file that must be readable isn't.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration file makes no sense.
    #[error("{}: {cause}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Where and why. It is told here, and not once more as a source.
        cause: Box<toml::de::Error>,
    },
    /// The publisher's state can't be used.
    #[error("{}: {source}; build it again with `publisher build`", .path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: DocumentError,
    },
    /// There can be no TLS.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
    /// What was sent this month can't be kept.
    #[error(transparent)]
    Month(#[from] crate::uplink::MonthError),
    /// Torrents were named without the folder of their files.
    #[error("torrents are served from their files; name the folder that holds them with --data")]
    NoData,
    /// The publisher's output folder isn't there.
    #[error("{} is no folder; make it with `publisher build`, or name .torrent files and --data", .0.display())]
    NotAFolder(PathBuf),
    /// A thread can't be started.
    #[error("start a thread: {0}")]
    Thread(io::Error),
    /// The system gives no signals.
    #[error("wait for signals: {0}")]
    Signal(io::Error),
    /// None of the torrents named can be served; each was reported.
    #[error("none of the torrents can be served")]
    NothingToServe,
}
