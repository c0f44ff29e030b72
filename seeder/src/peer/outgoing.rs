//! The blocks that a peer is to get next, on their way from the page cache or the disk into its socket.
//!
//! On plain TCP a batch goes out by one system call, straight from the page cache ([`store::Window`]), and no byte of
//! payload is held here. What can't go that way (encrypted lines, uTP, other systems, blocks that lie in several
//! files) is copied, a few blocks at a time: at once where it is in memory, else on a thread that may wait for the
//! disk. So a cold file holds up nobody but those who ask for it.

use metainfo::Geometry;
use metainfo::geometry::Block;
use std::ops::Range;
use store::{Payload, PayloadError};
use wire::message::{PIECE_HEADER, piece_header};

/// How much payload is taken from the connection at once, and so goes into one system call at most.
pub const BATCH: usize = 512 * 1024;
/// How much is copied at once: what a busy peer holds of memory.
const COPY: usize = 3 * (16 * 1024 + PIECE_HEADER);
/// How many blocks go into one system call.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
const BLOCKS: usize = 32;

/// Blocks on their way, in order.
#[derive(Debug, Default)]
pub struct Outgoing {
    blocks: Vec<Block>,
    /// How many of them are sent.
    done: usize,
    /// How many bytes of the next one's message are sent.
    begun: usize,
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    window: Option<std::sync::Arc<store::Window>>,
}

/// What is to be read on a thread that may wait.
#[derive(Debug)]
pub struct Cold {
    blocks: Vec<Block>,
    /// What will be asked for next.
    ahead: Vec<Range<u64>>,
    geometry: Geometry,
}

/// Messages that were copied.
#[derive(Debug)]
pub struct Copied {
    /// The messages, whole.
    pub bytes: Vec<u8>,
    /// How many blocks they are.
    blocks: usize,
}

impl Outgoing {
    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.done == self.blocks.len()
    }

    /// Where the connection puts the next blocks, once nothing is on its way.
    pub fn refill(&mut self) -> &mut Vec<Block> {
        debug_assert!(self.is_empty(), "blocks would be lost");
        self.blocks.clear();
        self.done = 0;
        &mut self.blocks
    }

    /// How many bytes the messages have that are not sent, those that are begun counted whole.
    pub fn length(&self) -> usize {
        let waiting = self.blocks[self.done..].iter();
        waiting
            .map(|block| PIECE_HEADER + block.length() as usize)
            .sum()
    }

    /// Gives back what only a busy peer needs.
    pub fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Forgets everything: it can't be sent.
    pub fn abandon(&mut self) {
        *self = Self::default();
    }

    /// Whether a message is sent in part.
    pub fn is_begun(&self) -> bool {
        self.begun > 0
    }

    /// Copies as many messages as are in memory, up to a bound.
    pub fn copy_resident(
        &self,
        payload: &Payload,
        geometry: &Geometry,
    ) -> Result<Option<Copied>, PayloadError> {
        let (mut bytes, mut blocks) = (Vec::new(), 0);
        for block in self.next_to_copy() {
            let before = bytes.len();
            bytes.extend_from_slice(&piece_header(*block));
            if !payload.read_resident(geometry.block_range(*block), &mut bytes)? {
                bytes.truncate(before);
                break;
            }
            blocks += 1;
        }
        Ok((blocks > 0).then_some(Copied { bytes, blocks }))
    }

    /// What to have read by a thread that may wait.
    pub fn cold(&self, geometry: Geometry) -> Cold {
        let waiting = self.blocks[self.done..].iter();
        Cold {
            blocks: self.next_to_copy().to_vec(),
            ahead: waiting.map(|block| geometry.block_range(*block)).collect(),
            geometry,
        }
    }

    /// Messages were copied: they are on their way by themselves now. Gives them, and how many of their bytes are
    /// sent already.
    pub fn hand_over(&mut self, copied: Copied) -> (Vec<u8>, usize) {
        self.done += copied.blocks;
        (copied.bytes, std::mem::take(&mut self.begun))
    }

    /// The blocks that are copied together: at least one.
    fn next_to_copy(&self) -> &[Block] {
        let waiting = &self.blocks[self.done..];
        let mut bytes = 0;
        let fit = waiting.iter().take_while(|block| {
            bytes += PIECE_HEADER + block.length() as usize;
            bytes <= COPY
        });
        &waiting[..fit.count().max(1).min(waiting.len())]
    }
}

impl Cold {
    /// Reads. Blocking.
    pub fn read(self, payload: &Payload) -> Result<Copied, PayloadError> {
        payload.read_ahead(self.ahead);
        let length = |block: &Block| PIECE_HEADER + block.length() as usize;
        let mut bytes = Vec::with_capacity(self.blocks.iter().map(length).sum());
        for block in &self.blocks {
            let range = self.geometry.block_range(*block);
            bytes.extend_from_slice(&piece_header(*block));
            payload.read(range.clone(), &mut bytes)?;
            // What comes next needn't be copied then.
            #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
            payload.open_window(&range);
        }
        let blocks = self.blocks.len();
        Ok(Copied { bytes, blocks })
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod lend {
    use super::*;
    use std::io;
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::task::{Context, Poll, ready};
    use store::{Part, Window};
    use tokio::io::Interest;
    use tokio::net::TcpStream;

    /// How sending from the page cache went.
    pub enum Lent {
        /// So many bytes are in the socket.
        Sent(usize),
        /// What comes next has to be copied.
        Unable,
    }

    /// Why a batch can't be sent.
    pub enum LendError {
        /// The file's side.
        Payload(PayloadError),
        /// The socket's side.
        Socket(io::Error),
    }

    impl Outgoing {
        /// Sends as much as the socket takes at once of what is in memory.
        pub fn poll_lend(
            &mut self,
            context: &mut Context<'_>,
            socket: &TcpStream,
            payload: &Payload,
            geometry: &Geometry,
        ) -> Poll<Result<Lent, LendError>> {
            loop {
                ready!(socket.poll_write_ready(context)).map_err(LendError::Socket)?;
                let Some(window) = self.window(payload, geometry) else {
                    return Poll::Ready(Ok(Lent::Unable));
                };
                window.guard().map_err(LendError::Payload)?;
                let resident = self.resident(&window, geometry);
                if resident == 0 {
                    return Poll::Ready(Ok(Lent::Unable));
                }
                let sent = socket.try_io(Interest::WRITABLE, || {
                    self.send(&window, socket, geometry, resident)
                });
                match sent {
                    Ok(sent) => {
                        self.advance(sent);
                        return Poll::Ready(Ok(Lent::Sent(sent)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => {
                        return Poll::Ready(Err(match window.blame(&error) {
                            Some(error) => LendError::Payload(error),
                            None => LendError::Socket(error),
                        }));
                    }
                }
            }
        }

        /// The window that the next block lies in, where it lies in one that is open.
        fn window(&mut self, payload: &Payload, geometry: &Geometry) -> Option<Arc<Window>> {
            let range = geometry.block_range(*self.blocks.get(self.done)?);
            if let Some(window) = self.window.as_ref().filter(|w| w.covers(&range)) {
                return Some(window.clone());
            }
            self.window = payload.window(&range);
            self.window.clone()
        }

        /// How many of the next blocks the window can lend without waiting for the disk.
        fn resident(&self, window: &Window, geometry: &Geometry) -> usize {
            let waiting = &self.blocks[self.done..];
            let waiting = &waiting[..waiting.len().min(BLOCKS)];
            let mut resident = 0;
            while resident < waiting.len() {
                // Neighbours are asked about together.
                let mut run = geometry.block_range(waiting[resident]);
                if !window.covers(&run) {
                    break;
                }
                let first = resident;
                resident += 1;
                for block in &waiting[resident..] {
                    let range = geometry.block_range(*block);
                    if range.start != run.end || !window.covers(&range) {
                        break;
                    }
                    run.end = range.end;
                    resident += 1;
                }
                let in_memory = run.start + window.resident(run.clone());
                if in_memory < run.end {
                    let whole = waiting[first..resident].iter();
                    let whole =
                        whole.take_while(|block| geometry.block_range(**block).end <= in_memory);
                    return first + whole.count();
                }
            }
            resident
        }

        fn send(
            &self,
            window: &Window,
            socket: &TcpStream,
            geometry: &Geometry,
            n: usize,
        ) -> io::Result<usize> {
            let blocks = &self.blocks[self.done..self.done + n];
            let mut headers = [[0; PIECE_HEADER]; BLOCKS];
            for (header, block) in headers.iter_mut().zip(blocks) {
                *header = piece_header(*block);
            }
            let mut parts = [const { Part::Bytes(&[]) }; 2 * BLOCKS];
            let mut begun = self.begun;
            for (at, (block, header)) in blocks.iter().zip(&headers).enumerate() {
                let range = geometry.block_range(*block);
                let into_payload = begun.saturating_sub(PIECE_HEADER) as u64;
                parts[2 * at] = Part::Bytes(&header[begun.min(PIECE_HEADER)..]);
                parts[2 * at + 1] = Part::Payload(range.start + into_payload..range.end);
                begun = 0;
            }
            window.send(socket.as_fd(), &parts[..2 * n])
        }

        /// So many bytes are in the socket.
        fn advance(&mut self, sent: usize) {
            let mut left = self.begun + sent;
            while let Some(block) = self.blocks.get(self.done) {
                let length = PIECE_HEADER + block.length() as usize;
                if left < length {
                    break;
                }
                left -= length;
                self.done += 1;
            }
            self.begun = left;
        }
    }
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub use lend::{LendError, Lent};

#[cfg(test)]
mod tests;
