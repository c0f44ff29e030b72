//! The seeder as its users meet it: a publisher's output folder on disk, sockets on loopback, port 0, no sleeps.
//! One test binary; a file a subject.

#![allow(clippy::unwrap_used)] // A test that can't go on fails.

mod audience;
mod control;
mod discovery;
mod files;
mod front;
mod hostile;
mod http;
mod out;
mod peers;
mod reload;
mod tls;
mod tracker;
