//! The serving side: requests of the peer, and the blocks that are handed out for them.

use super::requests::Taken;
use super::unsent::Kind;
use super::{Connection, ProtocolError, Stage};
use crate::message::{HashRange, Message, PIECE_HEADER};
use bytes::Bytes;
use metainfo::geometry::{Block, RawRequest};
use std::time::Instant;

/// How many requests for hashes wait at once.
const MAX_HASH_REQUESTS: usize = 16;

impl Connection {
    /// Whether requests of the peer wait, with or without room to send.
    pub fn has_requests(&self) -> bool {
        matches!(&self.stage, Stage::Open(session) if !session.requests.is_empty())
    }

    /// The block that [`Self::take_blocks`] would give first; `None` while there is none or no room to send.
    pub fn next_request(&self) -> Option<Block> {
        match &self.stage {
            Stage::Open(session) if self.unsent.total() < self.settings.send_window => {
                session.requests.first()
            }
            _ => None,
        }
    }

    /// Takes blocks that are to be sent now, in this order, each behind its [`crate::message::piece_header`]: up
    /// to `most_bytes` of payload and to what the send window has room for, yet at least one where there is one
    /// and any room. They count as unsent until [`Self::handle_sent`] says otherwise. Whoever can't send what was
    /// taken must close the connection.
    pub fn take_blocks(&mut self, now: Instant, most_bytes: usize, into: &mut Vec<Block>) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let (mut payload, mut bytes) = (0, 0);
        while let Some(block) = session.requests.first() {
            let length = block.length() as usize;
            let full = self.unsent.total() + bytes >= self.settings.send_window;
            let enough = payload + length > most_bytes && (payload > 0 || most_bytes == 0);
            if full || enough {
                break;
            }
            session.requests.pop();
            into.push(block);
            payload += length;
            bytes += PIECE_HEADER + length;
            self.tally.blocks += 1;
        }
        if bytes > 0 {
            self.tally.block_bytes += payload as u64;
            self.count_out(now, Kind::Blocks, bytes);
        }
    }

    /// The answer to [`super::Output::FindHashes`]: the hashes and the proof, or nothing.
    pub fn send_hashes(&mut self, range: HashRange, hashes: Option<Bytes>) {
        match hashes {
            Some(hashes) => self.send(&Message::Hashes { range, hashes }),
            None => {
                self.tally.refused_hashes += 1;
                self.send(&Message::HashReject(range));
            }
        }
    }

    pub(super) fn choke(&mut self, choke: bool) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if session.choked == choke {
            return;
        }
        session.choked = choke;
        if choke {
            let allowed = session.allowed_fast.clone();
            self.send(&Message::Choke);
            self.refuse_all_but(|block| allowed.contains(&block.piece()));
        } else {
            self.send(&Message::Unchoke);
        }
    }

    /// Drops requests that wait and are no longer served.
    pub(super) fn refuse_all_but(&mut self, keep: impl Fn(&Block) -> bool) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let fast = session.peer.reserved.fast();
        let dropped = session.requests.drop_all_but(keep);
        self.tally.refused_requests += dropped.len() as u64;
        for block in dropped.iter().filter(|_| fast) {
            self.send(&Message::Reject(block.raw()));
        }
    }

    pub(super) fn handle_request(&mut self, raw: RawRequest) -> Result<(), ProtocolError> {
        let Stage::Open(session) = &mut self.stage else {
            return Ok(());
        };
        let limit = self.settings.request_queue as usize;
        let taken = match session.geometry {
            None => session.requests.refuse(),
            Some(geometry) => {
                let block = geometry.block(raw)?;
                let shown = session.own.has(block.piece());
                self.tally.hidden_requests += u64::from(!shown);
                let served = shown && session.serves(block.piece());
                session.requests.push(block, served, limit)
            }
        };
        let fast = session.peer.reserved.fast();
        match taken {
            Taken::Queued => Ok(()),
            Taken::Refused => {
                self.tally.refused_requests += 1;
                if fast {
                    self.send(&Message::Reject(raw));
                }
                Ok(())
            }
            Taken::Flood => Err(ProtocolError::RequestFlood(limit as u32)),
        }
    }

    pub(super) fn handle_cancel(&mut self, raw: RawRequest) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let fast = session.peer.reserved.fast();
        if session.requests.cancel(raw) {
            self.tally.cancelled_requests += 1;
            // BEP 6: every request is answered, by the block or by this.
            if fast {
                self.send(&Message::Reject(raw));
            }
        }
    }

    pub(super) fn handle_hash_request(&mut self, range: HashRange) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if session.hash_requests.len() < MAX_HASH_REQUESTS {
            session.hash_requests.push_back(range);
        } else {
            self.send_hashes(range, None);
        }
    }
}
