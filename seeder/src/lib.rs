//! Serves the first swarm of what the publisher has made: to BitTorrent peers over TCP, to browsers and
//! BEP 19 clients over HTTP ranges, with the HTTP tracker that brings them together, and the site itself.
//!
//! The life of a block:
//!
//! 1. [`net`] accepts a connection, bounded in all and by address;
//! 2. [`peer`], one task a connection, hands the bytes to `wire::connection::Connection`, which says what to do;
//! 3. the handshake names a swarm, which [`library`] looks up; [`torrent`], one task a torrent with peers,
//!    decides by `swarm::choker` who is unchoked;
//! 4. a request that the connection lets pass is read by `store::Payload` under its stat guard, on a blocking
//!    thread, and written to the socket.
//!
//! A connection's state has one owner, its task; a swarm's state has one owner, its task. Nothing on the
//! way of a block takes a lock that another peer could hold. [`http`] serves files the same way, [`tracker`]
//! is a thin shell over `swarm::tracker`, and [`metrics`] has every counter once.
//!
//! Start at [`serve::Bound`].

pub mod args;
pub mod cli;
pub mod config;
pub mod control;
pub mod datagrams;
pub mod discover;
pub mod error;
pub mod fetch;
pub mod http;
pub mod library;
pub mod metrics;
pub mod net;
pub mod peer;
pub mod serve;
pub mod status;
pub mod stun;
pub mod tls;
pub mod torrent;
pub mod tracker;
pub mod uplink;
pub mod utp;

pub use args::ServeFlags;
pub use config::{Limits, ServeConfig, Source};
pub use error::ServeError;
pub use serve::{Bound, Loaded};
