//! What a connection asks of the shell that drives it.

use super::CloseReason;
use crate::message::HashRange;
use bytes::Bytes;
use metainfo::geometry::Block;
use metainfo::ids::SwarmHash;

/// What the shell has to do. Everything is to be carried out in the order in which it is given.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// The peer wants this swarm: answer with [`super::Connection::admit`] or [`super::Connection::refuse`].
    Identify(SwarmHash),
    /// Send these bytes.
    Send(Bytes),
    /// Read these blocks and send them, each behind its [`crate::message::piece_header`].
    Read(Vec<Block>),
    /// The peer asks for hashes: answer with [`super::Connection::send_hashes`].
    FindHashes(HashRange),
    /// Whether the peer wants anything has changed: for the choker.
    Interest(bool),
    /// Send what is left, then close. Nothing follows.
    Close(CloseReason),
}
