//! The way of bytes between a peer's socket and its [`Connection`]: reads, writes, and encryption where the peer wants
//! it. Works over any byte stream; nothing is held while nothing moves.

use crate::library::Library;
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::connection::Connection;
use wire::encryption::{Cipher, EncryptionError, MAX_PADDING, Policy, Responder, Step};

/// How much is read from the socket at once. What a leecher says is small.
const READ: usize = 16 * 1024;
/// How many buffers go into one write.
const SLICES: usize = 16;

/// Why a line is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The network's side, or the peer's end of it.
    #[error(transparent)]
    Socket(#[from] io::Error),
    /// What the peer says first is not taken here.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
}

/// One peer's line.
#[derive(Debug)]
pub struct Line<S> {
    stream: S,
    /// Until it is clear whether the peer encrypts, and how.
    opening: Option<Box<Responder>>,
    cipher: Option<Box<Cipher>>,
    /// Bytes of the negotiation that are still to be sent; the connection doesn't know of them.
    ahead: usize,
    /// Bytes for the connection that it hasn't taken yet: no more than one read.
    unread: Vec<u8>,
    /// Bytes for the socket: no more than the connection's send window and what goes with it.
    out: VecDeque<Bytes>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// A line on which the peer speaks first.
    pub fn new(stream: S, policy: Policy) -> Self {
        let padding = vec![0; usize::from(rand::random::<u16>()) % (MAX_PADDING + 1)];
        let padding = padding.into_iter().map(|_: u8| rand::random()).collect();
        Self {
            stream,
            opening: Some(Box::new(Responder::new(policy, rand::random(), padding))),
            cipher: None,
            ahead: 0,
            unread: Vec::new(),
            out: VecDeque::new(),
        }
    }

    /// Whether all that came was given to the connection.
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether bytes wait for the socket.
    pub fn has_unsent(&self) -> bool {
        !self.out.is_empty()
    }

    /// Queues bytes of the connection.
    pub fn send(&mut self, bytes: Bytes) {
        let bytes = match &mut self.cipher {
            None => bytes,
            Some(cipher) => {
                // Nearly always ours alone, and then encrypted where it lies.
                let mut bytes = bytes
                    .try_into_mut()
                    .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
                cipher.encrypt(&mut bytes);
                bytes.freeze()
            }
        };
        self.out.push_back(bytes);
    }

    /// Offers what is unread to the connection; says whether it took any.
    pub fn feed_unread(&mut self, connection: &mut Connection) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        let taken = connection.handle_bytes(Instant::now(), &self.unread);
        self.unread.drain(..taken);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        taken > 0
    }

    /// Reads and writes what goes without waiting, then waits until something has gone.
    pub fn poll_move(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
        library: &impl Fn() -> Arc<Library>,
        read: bool,
        write: bool,
    ) -> Poll<Result<(), LineError>> {
        let mut moved = false;
        if write {
            match self.poll_write(context, connection) {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => {}
            }
        }
        if read {
            match self.poll_read(context, connection, library) {
                Poll::Ready(Ok(())) => moved = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {}
            }
        }
        if moved {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Writes what the socket takes now. Says whether it took any.
    pub fn write_now(&mut self, connection: &mut Connection) -> io::Result<bool> {
        let mut wrote = false;
        // Whoever waits afterwards polls once more and is woken then.
        let mut context = Context::from_waker(Waker::noop());
        while self.has_unsent() {
            match self.poll_write(&mut context, connection) {
                Poll::Ready(outcome) => outcome?,
                Poll::Pending => return Ok(wrote),
            }
            wrote = true;
        }
        self.out.shrink_to(4);
        Ok(wrote)
    }

    /// Sends what is left and ends the stream.
    pub async fn finish(&mut self, connection: &mut Connection) -> io::Result<()> {
        while self.has_unsent() {
            std::future::poll_fn(|context| self.poll_write(context, connection)).await?;
        }
        std::future::poll_fn(|context| Pin::new(&mut self.stream).poll_shutdown(context)).await
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self
            .out
            .iter()
            .zip(&mut slices)
            .map(|(bytes, slice)| *slice = IoSlice::new(bytes))
            .count();
        let stream = Pin::new(&mut self.stream);
        let sent = ready!(stream.poll_write_vectored(context, &slices[..filled]))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        let mut left = sent;
        while let Some(front) = self.out.front_mut().filter(|_| left > 0) {
            let step = left.min(front.len());
            front.advance(step);
            left -= step;
            if front.is_empty() {
                self.out.pop_front();
            }
        }
        let ahead = sent.min(self.ahead);
        self.ahead -= ahead;
        connection.handle_sent(Instant::now(), sent - ahead);
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
        library: &impl Fn() -> Arc<Library>,
    ) -> Poll<Result<(), LineError>> {
        let mut space = [0; READ];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled_mut();
        if bytes.is_empty() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        if self.opening.is_some() {
            return Poll::Ready(self.open(bytes, connection, library));
        }
        if let Some(cipher) = &mut self.cipher {
            cipher.decrypt(bytes);
        }
        self.give(bytes, connection);
        Poll::Ready(Ok(()))
    }

    fn give(&mut self, bytes: &[u8], connection: &mut Connection) {
        let taken = connection.handle_bytes(Instant::now(), bytes);
        self.unread.extend_from_slice(&bytes[taken..]);
    }

    /// Bytes came before it was clear how the peer speaks.
    fn open(
        &mut self,
        bytes: &[u8],
        connection: &mut Connection,
        library: &impl Fn() -> Arc<Library>,
    ) -> Result<(), LineError> {
        let Some(mut opening) = self.opening.take() else {
            return Ok(());
        };
        let mut step = opening.handle_bytes(bytes);
        loop {
            match step {
                Step::Wait => {
                    self.opening = Some(opening);
                    return Ok(());
                }
                Step::Send(bytes) => {
                    self.ahead += bytes.len();
                    self.out.push_back(bytes.into());
                }
                Step::Identify(digest) => opening.identify(library().by_request(&digest)),
                Step::Plain(bytes) => {
                    self.give(&bytes, connection);
                    return Ok(());
                }
                Step::Open(open) => {
                    self.ahead += open.reply.len();
                    self.out.push_back(open.reply.into());
                    self.cipher = open.cipher;
                    self.give(&open.received, connection);
                    return Ok(());
                }
                Step::Fail(error) => return Err(error.into()),
            }
            step = opening.handle_bytes(&[]);
        }
    }
}
