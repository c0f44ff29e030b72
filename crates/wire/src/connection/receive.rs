//! What a message of the peer does to an open connection: one place that sends each to its handler.

use super::{Connection, Has, ProtocolError, Stage};
use crate::message::Message;
use metainfo::geometry::RawRequest;
use std::time::Instant;

impl Connection {
    pub(super) fn handle_message(&mut self, now: Instant, message: Message) {
        self.introduce();
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if let Some(name) = session.not_agreed(&message) {
            return self.fail(ProtocolError::NotAgreed(name));
        }
        let outcome = match message {
            Message::KeepAlive | Message::Port(_) => Ok(()),
            Message::Choke => {
                self.handle_choke(true);
                Ok(())
            }
            Message::Unchoke => {
                self.handle_choke(false);
                Ok(())
            }
            Message::Interested => {
                session.handle_interest(true);
                Ok(())
            }
            Message::NotInterested => {
                session.handle_interest(false);
                Ok(())
            }
            Message::Have { piece } => session.handle_have(piece),
            Message::Bitfield(bits) => session.handle_bitfield(&bits),
            Message::HaveAll => session.restate(Has::All),
            Message::HaveNone => session.restate(Has::None),
            Message::Request(raw) => self.handle_request(raw),
            Message::Cancel(raw) => {
                self.handle_cancel(raw);
                Ok(())
            }
            Message::Piece { piece, begin, data } => {
                let raw = RawRequest {
                    piece,
                    begin,
                    length: data.len() as u32,
                };
                self.handle_block(raw, data)
            }
            Message::Reject(raw) => self.handle_reject(raw),
            Message::AllowedFast { piece } => {
                self.handle_allowed_fast(piece);
                Ok(())
            }
            Message::Suggest { piece } => {
                self.handle_suggest(piece);
                Ok(())
            }
            Message::Extended { id, payload } => self.handle_extended(now, id, &payload),
            Message::HashRequest(range) => {
                self.handle_hash_request(range);
                Ok(())
            }
            Message::Hashes { range, hashes } => self.handle_hashes(range, Some(hashes)),
            Message::HashReject(range) => self.handle_hashes(range, None),
        };
        match outcome {
            Ok(()) => self.part_from_seed(),
            Err(error) => self.fail(error),
        }
    }
}
