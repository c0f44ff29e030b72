//! The extension messages of an open connection, both ways: metadata (BEP 9), peer exchange (BEP 11), `lt_donthave`
//! (BEP 54). Extensions are optional, and so is making sense in them: nonsense is counted and passed over.

use super::asking::Asking;
use super::session::Session;
use super::{Connection, Event, ProtocolError, Stage};
use super::{OUR_LT_DONTHAVE, OUR_UT_METADATA, OUR_UT_PEX};
use crate::extended::metadata::{MetadataMessage, piece_range};
use crate::extended::pex::PexMessage;
use crate::extended::{self, ExtendedHandshake};
use crate::message::{HashRange, Message};
use bytes::Bytes;
use metainfo::ids::PieceIndex;
use std::time::Instant;

impl Connection {
    pub(super) fn handle_extended(
        &mut self,
        now: Instant,
        id: u8,
        payload: &Bytes,
    ) -> Result<(), ProtocolError> {
        let Stage::Open(session) = &mut self.stage else {
            return Ok(());
        };
        match id {
            extended::HANDSHAKE_ID => match ExtendedHandshake::decode(payload) {
                Ok(handshake) => {
                    let introduced = session.peer.introduced.get_or_insert_default();
                    introduced.update(handshake, self.settings.max_metadata);
                    let event = Event::Introduced((**introduced).clone());
                    session.events.push_back(event);
                    // A longer queue may have become known.
                    self.ask(Vec::new());
                }
                Err(_) => self.tally.malformed_extended += 1,
            },
            OUR_UT_METADATA => match MetadataMessage::decode(payload) {
                Ok(message) => self.handle_metadata(message),
                Err(_) => self.tally.malformed_extended += 1,
            },
            OUR_UT_PEX if !session.private => {
                let too_soon = session
                    .last_pex
                    .is_some_and(|last| now < last + self.settings.pex_interval);
                match PexMessage::decode(payload) {
                    _ if too_soon => self.tally.refused_pex += 1,
                    Ok((message, passed_over)) => {
                        session.last_pex = Some(now);
                        self.tally.refused_pex += u64::from(passed_over > 0);
                        if !message.is_empty() {
                            session.events.push_back(Event::Pex(message));
                        }
                    }
                    Err(_) => self.tally.malformed_extended += 1,
                }
            }
            OUR_LT_DONTHAVE => match <[u8; 4]>::try_from(&payload[..]) {
                Ok(piece) => return session.handle_dont_have(u32::from_be_bytes(piece)),
                Err(_) => self.tally.malformed_extended += 1,
            },
            _ => self.tally.malformed_extended += 1,
        }
        Ok(())
    }

    fn handle_metadata(&mut self, message: MetadataMessage) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        match message {
            MetadataMessage::Request { piece } => {
                let Some(their_id) = session.speaks(|peer| peer.metadata) else {
                    // There is no number to answer under.
                    self.tally.malformed_extended += 1;
                    return;
                };
                let repeats = self.settings.metadata_repeats;
                let taken = match &session.metadata {
                    Some(metadata) => session.serving.push(piece, metadata, repeats),
                    None => false,
                };
                if !taken {
                    self.tally.refused_metadata += 1;
                    let payload = MetadataMessage::Reject { piece }.encode().into();
                    self.send(&Message::Extended {
                        id: their_id,
                        payload,
                    });
                }
            }
            MetadataMessage::Data {
                piece,
                total_size,
                data,
            } => {
                if !Asking::answer(&mut session.asking.metadata, &piece) {
                    self.tally.passed_over += 1;
                    return;
                }
                let fits = total_size <= self.settings.max_metadata
                    && piece_range(piece, total_size as usize)
                        .is_some_and(|range| range.len() == data.len());
                session.events.push_back(if fits {
                    Event::Metadata {
                        piece,
                        total: total_size,
                        bytes: data,
                    }
                } else {
                    self.tally.malformed_extended += 1;
                    Event::MetadataRejected(piece)
                });
            }
            MetadataMessage::Reject { piece } => {
                if Asking::answer(&mut session.asking.metadata, &piece) {
                    session.events.push_back(Event::MetadataRejected(piece));
                } else {
                    self.tally.passed_over += 1;
                }
            }
        }
    }

    pub(super) fn ask_metadata(&mut self, piece: u32) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let id = session.speaks(|peer| peer.metadata);
        let Some(id) = id.filter(|_| Asking::open(&mut session.asking.metadata, piece)) else {
            session.events.push_back(Event::MetadataRejected(piece));
            return;
        };
        let payload = MetadataMessage::Request { piece }.encode().into();
        self.send(&Message::Extended { id, payload });
    }

    pub(super) fn ask_hashes(&mut self, range: HashRange) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if session.has_v2 && Asking::open(&mut session.asking.hashes, range) {
            self.send(&Message::HashRequest(range));
        } else {
            session.events.push_back(Event::HashesRejected(range));
        }
    }

    pub(super) fn send_pex(&mut self, now: Instant, message: PexMessage) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let told = session.last_pex_sent;
        let too_soon = told.is_some_and(|last| now < last + self.settings.pex_interval);
        let id = session.speaks(|peer| peer.pex);
        if let Some(id) = id.filter(|_| !session.private && !message.is_empty() && !too_soon) {
            session.last_pex_sent = Some(now);
            let payload = message.encode().into();
            self.send(&Message::Extended { id, payload });
        }
    }

    pub(super) fn hide(&mut self, piece: PieceIndex) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if let Some(id) = session.speaks(|peer| peer.dont_have) {
            let payload = Bytes::copy_from_slice(&piece.get().to_be_bytes());
            self.send(&Message::Extended { id, payload });
        }
        // What waits of that piece is not served any more.
        self.refuse_all_but(|block| block.piece() != piece);
    }
}

impl Session {
    /// The number under which the peer takes an extension.
    fn speaks(&self, which: impl Fn(&super::Introduced) -> Option<u8>) -> Option<u8> {
        self.peer.introduced.as_deref().and_then(which)
    }
}
