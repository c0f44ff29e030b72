//! What picker, choker and those who spread first copies may decide, and that what they are told fits it.

use super::*;
use wire::connection::Event;
use wire::extended::metadata::METADATA_PIECE;
use wire::extended::pex::{MAX_PEERS, PexMessage, PexPeer};

impl Shell {
    /// The picker decides.
    pub(super) fn fetch(&mut self, draw: &mut Draw<'_>) {
        if !self.is_open() {
            return;
        }
        let geometry = self.geometry();
        let piece = geometry.piece(u32::from(draw.u8()) % geometry.n_pieces());
        let piece = piece.expect("it exists");
        match draw.u8() % 8 {
            0..=2 => {
                let blocks: Vec<_> = geometry.blocks(piece).collect();
                self.asked.extend(&blocks);
                self.command(Command::Request(blocks));
            }
            3 => {
                for block in geometry.blocks(piece) {
                    self.asked.remove(&block);
                    self.command(Command::Cancel(block));
                }
            }
            4 => self.command(Command::Interested(draw.u8().is_multiple_of(2))),
            5 => {
                let piece = u32::from(draw.u8() % 6);
                self.asked_metadata.insert(piece);
                self.command(Command::RequestMetadata(piece));
            }
            6 => {
                let range = said::range(draw);
                self.asked_hashes.push(range);
                self.command(Command::RequestHashes(range));
            }
            _ => {
                let address = ([10, 0, 0, draw.u8()], 1).into();
                let flags = Default::default();
                let added = vec![PexPeer { address, flags }; usize::from(draw.u8())];
                let dropped = vec![address; usize::from(draw.u8())];
                self.command(Command::Pex(PexMessage { added, dropped }));
            }
        }
    }

    /// It is decided what the peer may see.
    pub(super) fn show(&mut self, draw: &mut Draw<'_>) {
        if !self.is_open() {
            return;
        }
        let geometry = self.geometry();
        let n = u32::from(draw.u8()) % geometry.n_pieces();
        let piece = geometry.piece(n).expect("it exists");
        match draw.u8() % 8 {
            0 | 1 => {
                self.shown.insert(n);
                self.command(Command::Show(piece));
            }
            2 => {
                self.shown = geometry.pieces().map(|piece| piece.get()).collect();
                self.command(Command::ShowAll);
            }
            3 => {
                self.shown.remove(&n);
                self.command(Command::Hide(piece));
            }
            4 | 5 => {
                if self.fast {
                    self.allowed.insert(n);
                }
                self.command(Command::AllowFast(vec![piece]));
            }
            6 => self.command(Command::Suggest(piece)),
            _ => self.command(Command::UploadOnly),
        }
    }

    /// The peer has said something: all of it fits the torrent and what was asked for.
    pub(super) fn event(&mut self, event: Event) {
        let geometry = self.geometry();
        let exists = |piece: metainfo::PieceIndex| geometry.piece(piece.get()).is_some();
        match event {
            Event::Interested(interested) => {
                assert_ne!(interested, self.interested, "told when it changes");
                self.interested = interested;
            }
            Event::Choked(choked) => {
                assert_ne!(choked, self.choked_by, "told when it changes");
                self.choked_by = choked;
                if choked && !self.fast {
                    self.asked.clear();
                }
            }
            Event::Have(piece)
            | Event::DontHave(piece)
            | Event::AllowedFast(piece)
            | Event::Suggested(piece) => assert!(exists(piece)),
            Event::HasAll | Event::HasNone => {}
            Event::Bitfield(field) => {
                assert_eq!(field.n_pieces(), geometry.n_pieces());
                assert!(field.count() > 0 && !field.is_complete());
            }
            Event::Block { block, bytes } => {
                assert_eq!(block.length() as usize, bytes.len());
                assert!(self.asked.remove(&block), "{block:?} was never asked for");
            }
            Event::Rejected(block) => {
                assert!(self.asked.remove(&block), "{block:?} was never asked for");
            }
            Event::Introduced(introduced) => {
                let size = introduced.metadata_size.unwrap_or(0);
                assert!(size <= self.settings.max_metadata);
            }
            Event::Pex(message) => {
                assert!(
                    !self.served.private,
                    "a private torrent's peers stay where they are"
                );
                assert!(message.added.len() <= MAX_PEERS && message.dropped.len() <= MAX_PEERS);
            }
            Event::Metadata {
                piece,
                total,
                bytes,
            } => {
                assert!(self.asked_metadata.remove(&piece));
                assert!(total <= self.settings.max_metadata && bytes.len() <= METADATA_PIECE);
                assert!(piece as usize * METADATA_PIECE + bytes.len() <= total as usize);
            }
            Event::MetadataRejected(piece) => {
                self.asked_metadata.remove(&piece);
            }
            Event::Hashes { range, .. } => {
                assert!(self.asked_hashes.contains(&range));
            }
            Event::HashesRejected(range) => {
                assert!(self.asked_hashes.contains(&range));
            }
        }
    }
}
