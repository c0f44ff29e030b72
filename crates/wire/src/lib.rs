//! Bytes ↔ messages ↔ one connection. Everything here is pure: bytes and times come in as arguments,
//! outputs are polled, and no function opens a socket, reads a clock or waits.
//!
//! The ladder, from the bottom:
//!
//! - [`encryption`]: what may come before it, for clients that hide the protocol (MSE);
//! - [`handshake`]: the first 68 bytes of a connection (BEP 3, reserved bits of BEP 6, 10 and 52);
//! - [`message`]: every message after it, encoded and decoded in one place each;
//! - [`decoder`]: cuts a stream into messages and never buffers more than one bounded frame;
//! - [`bitfield`]: which pieces a peer has;
//! - [`extended`]: the extension protocol (BEP 10) and metadata exchange (BEP 9);
//! - [`allowed_fast`]: which pieces a peer may ask for while choked (BEP 6);
//! - [`hashes`]: requests for BEP 52 hashes, the answers to them, and whether these are true;
//! - [`connection`]: one peer connection as a state machine;
//! - [`tracker`]: what is said between a peer and a tracker, and its HTTP, UDP and WebSocket forms;
//! - [`stun`]: at which address somebody is seen (RFC 8489).
//!
//! What is not here: choosing between peers (crate `swarm`), reading payload, sockets, tasks (the seeder).

pub mod allowed_fast;
pub mod bitfield;
pub mod connection;
pub mod decoder;
pub mod encryption;
pub mod extended;
pub mod handshake;
pub mod hashes;
pub mod message;
pub mod stun;
pub mod tracker;

#[cfg(test)]
mod vectors;
