//! A BEP 3 peer that owns nothing: it asks for what it was shown, keeps a number of requests in flight, and
//! throws away what comes, but for a sample of pieces that it checks.

use crate::client::{Client, Fault, Meter, Tally};
use crate::target::{Sample, Target};
use metainfo::{Block, RawRequest};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

const HANDSHAKE: usize = 68;
/// No message of a seed is longer, a block's aside: a bitfield of four million pieces.
const MAX_MESSAGE: usize = 1 << 19;
const BLOCK: u32 = 16 * 1024;

/// What a peer wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appetite {
    /// Requests in flight; 0 says that it isn't interested at all.
    pub depth: usize,
    /// The piece that it begins with; from there on in order, and around.
    pub first_piece: u32,
    /// How many bytes at the start of the payload make the first prefix, whose arrival is timed.
    pub prefix: u64,
}

/// One peer.
#[derive(Debug)]
pub struct Peer {
    target: Rc<Target>,
    id: u32,
    appetite: Appetite,
    shown: Vec<bool>,
    unchoked: bool,
    interested: bool,
    /// The next block to ask for; its piece is among the shown.
    cursor: Option<(u32, u32)>,
    pieces_begun: u64,
    prefix_left: u64,
    in_flight: VecDeque<(Block, Instant)>,
    samples: Vec<Sample>,
    /// What has come of the message that is coming: all of it, or a block's head.
    partial: Vec<u8>,
    coming: Option<Coming>,
    tally: Tally,
}

/// A block whose head has come.
#[derive(Debug)]
struct Coming {
    block: Block,
    asked: Instant,
    got: usize,
    sample: Option<usize>,
}

impl Peer {
    /// A peer; `id` tells it from others.
    pub fn new(target: Rc<Target>, id: u32, appetite: Appetite) -> Self {
        Self {
            shown: vec![false; target.geometry.n_pieces() as usize],
            target,
            id,
            appetite,
            unchoked: false,
            interested: false,
            cursor: None,
            pieces_begun: 0,
            prefix_left: appetite.prefix,
            in_flight: VecDeque::new(),
            samples: Vec::new(),
            partial: Vec::new(),
            coming: None,
            tally: Tally::default(),
        }
    }

    /// How long the beginning of the message is that must be there to go on.
    fn needed(&self) -> Result<usize, Fault> {
        if !self.tally.met {
            return Ok(HANDSHAKE);
        }
        let Some(length) = self.partial.first_chunk() else {
            return Ok(4);
        };
        let length = u32::from_be_bytes(*length) as usize;
        match (length, self.partial.get(4)) {
            (0, _) => Ok(4),
            (_, None) => Ok(5),
            (_, Some(7)) if length < 9 => Err(Fault::protocol("a block without a head")),
            (_, Some(7)) => Ok(13),
            _ if length > MAX_MESSAGE => {
                Err(Fault::protocol(format!("a message of {length} bytes")))
            }
            _ => Ok(4 + length),
        }
    }

    fn handle_message(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), Fault> {
        let message = std::mem::take(&mut self.partial);
        if !self.tally.met {
            if message[..20] != *b"\x13BitTorrent protocol"
                || message[28..48] != *self.target.swarm.as_bytes()
            {
                return Err(Fault::protocol("another handshake"));
            }
            self.tally.met = true;
        } else if let (Some(&id), rest) = (message.get(4), message.get(5..).unwrap_or_default()) {
            match id {
                0 => {
                    // Without BEP 6 all that was asked for is forgotten.
                    self.tally.refusals += u64::from(self.unchoked);
                    self.unchoked = false;
                    self.in_flight.clear();
                    self.samples.clear();
                    self.cursor = None;
                }
                1 => self.unchoked = true,
                4 => {
                    let piece = rest
                        .first_chunk()
                        .map(|raw| u32::from_be_bytes(*raw) as usize);
                    let piece = piece.and_then(|piece| self.shown.get_mut(piece));
                    *piece.ok_or_else(|| Fault::protocol("have what isn't"))? = true;
                }
                5 => {
                    if rest.len() != self.shown.len().div_ceil(8) {
                        return Err(Fault::protocol("a bitfield of another length"));
                    }
                    for (piece, shown) in self.shown.iter_mut().enumerate() {
                        *shown = rest[piece / 8] & (0x80 >> (piece % 8)) != 0;
                    }
                }
                7 => self.begin_block(&message)?,
                _ => {}
            }
            if matches!(id, 4 | 5) {
                self.tally.shown_all = !self.shown.contains(&false);
            }
        }
        // The buffer is used again.
        self.partial = message;
        self.partial.clear();
        if self.coming.is_none() {
            self.ask(now, out);
        }
        Ok(())
    }

    fn begin_block(&mut self, head: &[u8]) -> Result<(), Fault> {
        let number =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let raw = RawRequest {
            piece: number(5),
            begin: number(9),
            length: number(0) - 9,
        };
        let at = self
            .in_flight
            .iter()
            .position(|(block, _)| block.raw() == raw);
        let (block, asked) = at
            .and_then(|at| self.in_flight.remove(at))
            .ok_or_else(|| Fault::protocol(format!("a block that wasn't asked for: {raw:?}")))?;
        self.coming = Some(Coming {
            block,
            asked,
            got: 0,
            sample: self
                .samples
                .iter()
                .position(|sample| sample.is_of(block.piece())),
        });
        Ok(())
    }

    /// Takes what belongs to the block that is coming; how much that is.
    fn take_payload(&mut self, bytes: &[u8], meter: &mut Meter<'_>) -> usize {
        let Some(coming) = &mut self.coming else {
            return 0;
        };
        let length = coming.block.length() as usize;
        let taken = bytes.len().min(length - coming.got);
        self.tally.bytes += taken as u64;
        let begin = coming.block.begin() as usize + coming.got;
        coming.got += taken;
        if let Some(sample) = coming.sample
            && self.samples[sample].put(begin, &bytes[..taken])
        {
            let right = self.samples.swap_remove(sample).is_right(&self.target);
            self.tally.checked += 1;
            self.tally.bad += u64::from(!right);
        }
        if coming.got == length {
            if let Some(latency) = &mut meter.latency {
                latency.record(meter.now.duration_since(coming.asked));
            }
            self.tally.first_block.get_or_insert(meter.now);
            if self.prefix_left > 0
                && self.target.geometry.block_range(coming.block).start < self.appetite.prefix
            {
                self.prefix_left = self.prefix_left.saturating_sub(length as u64);
                if self.prefix_left == 0 {
                    self.tally.prefix = Some(meter.now);
                }
            }
            self.coming = None;
        }
        taken
    }

    /// Asks for as much as may be in flight.
    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) {
        if self.appetite.depth == 0 {
            return;
        }
        if !self.interested && self.shown.contains(&true) {
            self.interested = true;
            out.extend([0, 0, 0, 1, 2]);
        }
        while self.unchoked && self.in_flight.len() < self.appetite.depth {
            let Some(block) = self.next_block() else {
                break;
            };
            let raw = block.raw();
            out.extend([0, 0, 0, 13, 6]);
            for number in [raw.piece, raw.begin, raw.length] {
                out.extend(number.to_be_bytes());
            }
            self.in_flight.push_back((block, now));
        }
    }

    fn next_block(&mut self) -> Option<Block> {
        let pieces = self.target.geometry.n_pieces();
        let (piece, begin) = match self.cursor {
            Some(cursor) => cursor,
            None => (self.next_shown(self.appetite.first_piece % pieces)?, 0),
        };
        let index = self.target.geometry.piece(piece)?;
        let length = self.target.geometry.piece_len(index);
        if begin == 0 {
            // A piece that is asked for anew while its sample waits for a block isn't kept twice.
            let kept = self.samples.iter().any(|sample| sample.is_of(index));
            if !kept && Sample::is_due(self.id, self.pieces_begun) {
                self.samples.push(Sample::new(&self.target, index));
            }
            self.pieces_begun += 1;
        }
        let raw = RawRequest {
            piece,
            begin,
            length: BLOCK.min(length - begin),
        };
        self.cursor = Some(if begin + BLOCK < length {
            (piece, begin + BLOCK)
        } else {
            (self.next_shown((piece + 1) % pieces)?, 0)
        });
        self.target.geometry.block(raw).ok()
    }

    /// The first shown piece from here on, around.
    fn next_shown(&self, from: u32) -> Option<u32> {
        let pieces = self.shown.len();
        (0..pieces)
            .map(|step| (from as usize + step) % pieces)
            .find(|piece| self.shown[*piece])
            .map(|piece| piece as u32)
    }
}

impl Client for Peer {
    fn handle_open(&mut self, _now: Instant, out: &mut Vec<u8>) {
        out.extend(b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0");
        out.extend(self.target.swarm.as_bytes());
        out.extend(format!("-LG0001-{:012}", self.id).as_bytes());
    }

    fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let taken = self.take_payload(bytes, meter);
            bytes = &bytes[taken..];
            if taken > 0 {
                if self.coming.is_none() {
                    self.ask(meter.now, out);
                }
                continue;
            }
            let missing = self.needed()? - self.partial.len();
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.partial.extend(head);
            bytes = rest;
            if self.partial.len() == self.needed()? {
                self.handle_message(meter.now, out)?;
            }
        }
        Ok(())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
