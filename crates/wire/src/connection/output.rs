//! What a connection asks of the shell that drives it.

use super::{CloseReason, Event};
use crate::message::HashRange;
use bytes::Bytes;
use metainfo::ids::SwarmHash;

/// What the shell has to do. Everything is to be carried out in the order in which it is given. Blocks are not
/// among it: see [`super::Connection::take_blocks`].
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// The peer is in this swarm: answer with [`super::Connection::admit`] or [`super::Connection::refuse`].
    Identify(SwarmHash),
    /// Send these bytes.
    Send(Bytes),
    /// The peer asks for hashes: answer with [`super::Connection::send_hashes`].
    FindHashes(HashRange),
    /// The peer has said something that others may want to know.
    Event(Event),
    /// Send what is left, then close. Nothing follows.
    Close(CloseReason),
}
