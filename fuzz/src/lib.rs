//! What must hold for any bytes at all, said of every reader in the project: one function a subject,
//! from bytes to assertions. They ask more than "does not panic": what is accepted must be bounded, safe
//! and the same when it is written and read again.
//!
//! Two callers: `tests/corpus.rs` replays a corpus and deterministic mutations of it under
//! `cargo test`, and the targets in `libfuzzer` explore from there with coverage. Nothing else uses
//! this crate, and nothing here makes up for a fault of what it tests.

mod bencode;
mod captions;
mod channel;
mod connection;
mod decoder;
mod documents;
mod draw;
mod extended;
mod front_matter;
mod handshake;
mod magnet;
mod media;
mod names;
mod range;
mod stun;
mod torrent;
mod tracker;
mod udp_tracker;
mod websocket;

pub use bencode::bencode;
pub use captions::{chapters, srt, vtt};
pub use channel::channel;
pub use connection::connection;
pub use decoder::decoder;
pub use documents::{catalog, state};
pub use extended::{extended, ut_metadata};
pub use front_matter::front_matter;
pub use handshake::handshake;
pub use magnet::magnet;
pub use media::media;
pub use names::names;
pub use range::range;
pub use stun::stun;
pub use torrent::torrent;
pub use tracker::tracker;
pub use udp_tracker::udp_tracker;
pub use websocket::{websocket_frames, websocket_message};
