//! What was decided elsewhere and a connection carries out: by the choker, by spreading first copies, by the picker.

use super::{CloseReason, Connection, Stage};
use crate::extended::pex::PexMessage;
use crate::message::{HashRange, Message};
use metainfo::geometry::Block;
use metainfo::ids::PieceIndex;
use std::time::Instant;

/// What a connection is told to do. Before it is admitted only [`Command::Close`] has a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Choke the peer or unchoke it. What a choked peer had asked for is dropped, and rejected by BEP 6;
    /// pieces that it is allowed fast are served on.
    Choke(bool),
    /// We have this piece, or reveal it to this peer (`have`). Shown already: nothing happens.
    Show(PieceIndex),
    /// We have all pieces, or reveal all.
    ShowAll,
    /// We have this piece no longer (BEP 54). To who doesn't know that message nothing can be said; requests for
    /// it are refused in any case.
    Hide(PieceIndex),
    /// We want pieces of the peer, or no longer.
    Interested(bool),
    /// Ask for these blocks, in this order. They wait while the peer's queue is full; those that can't be asked
    /// for, because the peer chokes us, come back as [`super::Event::Rejected`].
    Request(Vec<Block>),
    /// Don't send this block after all. Should it come nevertheless, it is counted and dropped.
    Cancel(Block),
    /// These pieces may be asked for while choked (BEP 6). Nothing happens where the peer doesn't speak it.
    AllowFast(Vec<PieceIndex>),
    /// Tell of a piece that is cheap for us to give (BEP 6).
    Suggest(PieceIndex),
    /// Tell of other peers (BEP 11): where the torrent isn't private, the peer wants to know, and wasn't told
    /// within [`super::Settings::pex_interval`].
    Pex(PexMessage),
    /// Ask for a piece of the info dictionary (BEP 9). Comes back as [`super::Event::Metadata`] or
    /// [`super::Event::MetadataRejected`].
    RequestMetadata(u32),
    /// Ask for hashes of a file's merkle tree (BEP 52). Comes back as [`super::Event::Hashes`] or
    /// [`super::Event::HashesRejected`].
    RequestHashes(HashRange),
    /// We have all that we want (BEP 21): told to the peer by another extension handshake.
    UploadOnly,
    /// End the connection.
    Close(CloseReason),
}

impl Connection {
    /// Carries out what was decided elsewhere. Drain [`Self::poll_output`] afterwards.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        if let Command::Close(reason) = command {
            return self.end(reason);
        }
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        let fast = session.peer.reserved.fast();
        match command {
            Command::Choke(choke) => self.choke(choke),
            Command::Show(piece) => {
                if session.exists(piece) && session.own.add(piece) {
                    self.send(&Message::Have { piece: piece.get() });
                }
            }
            Command::ShowAll => session.show_all(),
            Command::Hide(piece) => {
                if session.exists(piece) && session.own.remove(piece, session.n_pieces()) {
                    self.hide(piece);
                }
            }
            Command::Interested(interested) => {
                if session.interested != interested {
                    session.interested = interested;
                    self.send(&if interested {
                        Message::Interested
                    } else {
                        Message::NotInterested
                    });
                }
            }
            Command::Request(blocks) => self.ask(blocks),
            Command::Cancel(block) => {
                if session.asking.cancel(block) {
                    self.send(&Message::Cancel(block.raw()));
                    self.ask(Vec::new());
                }
            }
            Command::AllowFast(pieces) if fast => {
                for piece in pieces {
                    let Stage::Open(session) = &mut self.stage else {
                        return;
                    };
                    if session.exists(piece) && session.allow_fast(piece) {
                        self.send(&Message::AllowedFast { piece: piece.get() });
                    }
                }
            }
            Command::Suggest(piece) if fast && session.exists(piece) => {
                self.send(&Message::Suggest { piece: piece.get() });
            }
            Command::AllowFast(_) | Command::Suggest(_) => {}
            Command::Pex(message) => self.send_pex(now, message),
            Command::RequestMetadata(piece) => self.ask_metadata(piece),
            Command::RequestHashes(range) => self.ask_hashes(range),
            Command::UploadOnly => self.upload_only(),
            Command::Close(_) => {}
        }
    }
}
