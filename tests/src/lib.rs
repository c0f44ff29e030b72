//! The harness of the tests of the whole: it starts the real binaries and real foreign programs, waits
//! for conditions (never for a time), and reads what came out with its own small parsers, so that a
//! mistake in ours can't hide itself. Used by `it/` alone; the crates' own tests live beside their code.
//!
//! Everything here panics with a clear sentence when something isn't as it should be: a harness has
//! nobody to return an error to. No fixed ports; every foreign client has a loopback address of its own.

pub mod bencode;
pub mod certificates;
pub mod clients;
pub mod folder;
pub mod http;
pub mod namespace;
pub mod process;
pub mod programs;
pub mod published;
pub mod sandbox;
pub mod sim;
pub mod site;
pub mod torrent;
pub mod wait;
