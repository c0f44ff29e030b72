//! Serves the info dictionary to one peer, piece by piece (BEP 9), each piece a few times at most.

use crate::extended::metadata::{MetadataMessage, n_pieces, piece_range};
use bytes::Bytes;
use std::collections::VecDeque;

/// How many requests for metadata wait at once.
const MAX_WAITING: usize = 64;

#[derive(Debug, Default)]
pub(super) struct MetadataServer {
    waiting: VecDeque<u32>,
    /// How often each piece was given; made with the first request.
    given: Vec<u8>,
}

impl MetadataServer {
    /// Takes a request; `false` where it must be rejected.
    pub(super) fn push(&mut self, piece: u32, metadata: &Bytes, repeats: u8) -> bool {
        if self.waiting.len() >= MAX_WAITING || piece_range(piece, metadata.len()).is_none() {
            return false;
        }
        if self.given.is_empty() {
            self.given = vec![0; n_pieces(metadata.len())];
        }
        match self.given.get_mut(piece as usize) {
            Some(times) if *times < repeats => {
                *times += 1;
                self.waiting.push_back(piece);
                true
            }
            _ => false,
        }
    }

    /// The next answer.
    pub(super) fn pop(&mut self, metadata: &Bytes) -> Option<MetadataMessage> {
        let piece = self.waiting.pop_front()?;
        let range = piece_range(piece, metadata.len())?;
        Some(MetadataMessage::Data {
            piece,
            total_size: metadata.len() as u32,
            data: metadata.slice(range),
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }
}
