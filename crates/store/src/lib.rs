//! Payload files on disk, for both programs: hashing them in one parallel pass ([`pass`]), reading
//! ranges of them under a stat guard ([`payload`]), checking them against a torrent ([`verify()`]), asking
//! whether somebody still writes to one ([`lease`]), and writing small files so that a kill at any moment
//! leaves the old or the new ([`atomic`]).
//!
//! Blocking and synchronous on purpose: positioned reads need no cursor and no lock, and a caller that
//! is async moves a whole batch to a blocking thread rather than each read.

pub mod atomic;
mod digest;
pub mod incoming;
pub mod lanes;
pub mod lease;
pub mod pass;
pub mod payload;
pub mod stat;
mod verify;

pub use atomic::{WriteError, write_atomic, write_if_changed};
pub use digest::sha256_file;
pub use incoming::{Incoming, IncomingError};
pub use pass::{Hashed, PassError, Want, hash, hash_resuming};
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use payload::{Part, Window};
pub use payload::{Payload, PayloadError};
pub use stat::stat_record;
pub use verify::piece::PieceCheck;
pub use verify::{Verdict, verify};
