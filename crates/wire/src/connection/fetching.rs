//! The fetching side: what we ask for, and what comes of it.

use super::asking::Asking;
use super::asking::Came;
use super::{Connection, Event, ProtocolError, Stage};
use crate::message::{HashRange, Message};
use bytes::Bytes;
use metainfo::geometry::{Block, RawRequest};

impl Connection {
    /// Takes up requests of ours, and sends as many as the peer has room for.
    pub(super) fn ask(&mut self, blocks: Vec<Block>) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        for block in blocks {
            if !session.exists(block.piece()) || !session.asking.push(block) {
                session.events.push_back(Event::Rejected(block));
            }
        }
        let introduced = session.peer.introduced.as_deref();
        let room = introduced.and_then(|introduced| introduced.request_queue);
        while let Stage::Open(session) = &mut self.stage
            && let Some(block) = session.asking.next(room)
        {
            self.send(&Message::Request(block.raw()));
        }
    }

    pub(super) fn handle_choke(&mut self, choke: bool) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if session.asking.choked == choke {
            return;
        }
        session.events.push_back(Event::Choked(choke));
        if choke {
            let gone = session.asking.choke(session.peer.reserved.fast());
            session.events.extend(gone.into_iter().map(Event::Rejected));
        } else {
            session.asking.choked = false;
        }
    }

    pub(super) fn handle_block(
        &mut self,
        raw: RawRequest,
        data: Bytes,
    ) -> Result<(), ProtocolError> {
        let Stage::Open(session) = &mut self.stage else {
            return Ok(());
        };
        let block = session
            .geometry
            .and_then(|geometry| geometry.block(raw).ok());
        let block = block.ok_or(ProtocolError::UnaskedBlock)?;
        match session.asking.handle_block(&block) {
            Came::Wanted => {
                self.tally.blocks_received += 1;
                self.tally.block_bytes_received += u64::from(block.length());
                session
                    .events
                    .push_back(Event::Block { block, bytes: data });
                self.ask(Vec::new());
                Ok(())
            }
            Came::Late => {
                self.tally.late_blocks += 1;
                Ok(())
            }
            Came::Unasked => Err(ProtocolError::UnaskedBlock),
        }
    }

    pub(super) fn handle_reject(&mut self, raw: RawRequest) -> Result<(), ProtocolError> {
        let Stage::Open(session) = &mut self.stage else {
            return Ok(());
        };
        let Some(block) = session
            .geometry
            .and_then(|geometry| geometry.block(raw).ok())
        else {
            self.tally.passed_over += 1;
            return session.asking.count_unasked();
        };
        if session.asking.handle_reject(&block)? {
            session.events.push_back(Event::Rejected(block));
            self.ask(Vec::new());
        } else {
            self.tally.passed_over += 1;
        }
        Ok(())
    }

    pub(super) fn handle_allowed_fast(&mut self, piece: u32) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        match session.geometry.and_then(|geometry| geometry.piece(piece)) {
            Some(piece) if session.asking.allow(piece) => {
                session.events.push_back(Event::AllowedFast(piece));
            }
            _ => self.tally.passed_over += 1,
        }
    }

    pub(super) fn handle_suggest(&mut self, piece: u32) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        match session.geometry.and_then(|geometry| geometry.piece(piece)) {
            Some(piece) if !session.upload_only => {
                session.events.push_back(Event::Suggested(piece));
            }
            _ => self.tally.passed_over += 1,
        }
    }

    pub(super) fn handle_hashes(
        &mut self,
        range: HashRange,
        hashes: Option<Bytes>,
    ) -> Result<(), ProtocolError> {
        let Stage::Open(session) = &mut self.stage else {
            return Ok(());
        };
        if !Asking::answer(&mut session.asking.hashes, &range) {
            self.tally.passed_over += 1;
            return session.asking.count_unasked();
        }
        session.events.push_back(match hashes {
            Some(hashes) => Event::Hashes { range, hashes },
            None => Event::HashesRejected(range),
        });
        Ok(())
    }
}
