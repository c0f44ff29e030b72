//! The way of bytes between a peer's socket and its [`Connection`]: reads, writes, and encryption where the peer wants
//! it. Works over any byte stream; nothing is held while nothing moves.

use crate::library::Library;
use crate::library::figures::Transport;
use bytes::Bytes;
use metainfo::SwarmHash;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use wire::connection::Connection;
use wire::encryption::{Cipher, EncryptionError, Initiator, MAX_PADDING, Policy, Responder, Step};

/// How much is read from the socket at once.
const READ: usize = 64 * 1024;

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

/// A byte stream that a peer may come over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// What it is counted as.
    const TRANSPORT: Transport;

    /// The TCP socket, where that is all there is to it.
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Stream for TcpStream {
    const TRANSPORT: Transport = Transport::Tcp;

    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// One peer's line.
#[derive(Debug)]
pub struct Line<S> {
    stream: S,
    /// Until it is clear whether the peer encrypts, and how.
    opening: Option<Opening>,
    cipher: Option<Box<Cipher>>,
    /// Bytes of the negotiation that are still to be sent; the connection doesn't know of them.
    ahead: usize,
    /// Bytes for the connection that it hasn't taken yet: no more than one read.
    unread: Vec<u8>,
    /// Bytes as the socket gets them.
    flight: Vec<u8>,
    /// How many of them it has.
    flown: usize,
    /// Messages that wait behind the blocks under way, not yet encrypted.
    behind: Vec<u8>,
}

/// How the two sides agree on encryption.
#[derive(Debug)]
enum Opening {
    Theirs(Box<Responder>),
    Ours(Box<Initiator>),
}

impl Opening {
    fn handle_bytes(&mut self, bytes: &[u8]) -> Step {
        match self {
            Self::Theirs(responder) => responder.handle_bytes(bytes),
            Self::Ours(initiator) => initiator.handle_bytes(bytes),
        }
    }
}

impl<S: Stream> Line<S> {
    /// A line on which the peer speaks first, and so chooses whether it is encrypted, within our policy.
    pub fn accept(stream: S, policy: Policy) -> Self {
        let responder = Responder::new(policy, rand::random(), padding());
        let opening = Some(Opening::Theirs(Box::new(responder)));
        Self {
            opening,
            ..Self::plain(stream)
        }
    }

    /// A line on which we speak first, encrypted. `early` is what the connection says first: it goes along with the
    /// request and isn't counted as sent by this line.
    pub fn encrypted(stream: S, policy: Policy, swarm: SwarmHash, early: Vec<u8>) -> Self {
        let initiator = Initiator::new(policy, swarm, rand::random(), early);
        let mut line = Self::plain(stream);
        line.send_ahead(initiator.opening(&padding()));
        line.opening = Some(Opening::Ours(Box::new(initiator)));
        line
    }

    /// A line that isn't encrypted.
    pub fn plain(stream: S) -> Self {
        Self {
            stream,
            opening: None,
            cipher: None,
            ahead: 0,
            unread: Vec::new(),
            flight: Vec::new(),
            flown: 0,
            behind: Vec::new(),
        }
    }

    /// Whether all that came was given to the connection.
    pub fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Whether bytes are on their way into the socket.
    pub fn is_flying(&self) -> bool {
        !self.flight.is_empty()
    }

    /// How many bytes of ours wait for the socket.
    pub fn held(&self) -> usize {
        self.flight.len() - self.flown + self.behind.len()
    }

    /// Whether it is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.cipher.is_some()
    }

    /// The TCP socket, where that is what it runs over.
    pub fn socket(&self) -> Option<&TcpStream> {
        self.stream.tcp()
    }

    /// The socket, where bytes go into it as they are.
    pub fn plain_socket(&self) -> Option<&TcpStream> {
        match self.cipher {
            None => self.stream.tcp(),
            Some(_) => None,
        }
    }

    /// Queues messages of the connection. `behind_blocks`: blocks that go before them are still under way.
    pub fn send(&mut self, bytes: Bytes, behind_blocks: bool) {
        if behind_blocks || !self.behind.is_empty() || self.is_flying() {
            self.behind.extend_from_slice(&bytes);
        } else {
            self.fly(bytes.into(), 0);
        }
    }

    /// Sends bytes next, of which so many are sent already. Only while nothing flies.
    pub fn fly(&mut self, mut bytes: Vec<u8>, sent: usize) {
        debug_assert!(!self.is_flying(), "two at once");
        if let Some(cipher) = &mut self.cipher {
            cipher.encrypt(&mut bytes);
        }
        self.flight = bytes;
        self.flown = sent;
    }

    /// Sends what waits behind blocks, once these are sent. Says whether there is any.
    pub fn release(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.behind);
        let any = !bytes.is_empty();
        if any {
            self.fly(bytes, 0);
        }
        any
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

    /// Writes some of what flies. Gives how many bytes.
    pub fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
    ) -> Poll<io::Result<usize>> {
        let left = &self.flight[self.flown..];
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, left))?;
        if sent == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.flown += sent;
        if self.flown == self.flight.len() {
            self.flight = Vec::new();
            self.flown = 0;
        }
        let ahead = sent.min(self.ahead);
        self.ahead -= ahead;
        connection.handle_sent(Instant::now(), sent - ahead);
        Poll::Ready(Ok(sent))
    }

    /// Ends the stream.
    pub fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// Reads what has come and gives it to the connection. Gives how many bytes came.
    pub fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        connection: &mut Connection,
        library: impl Fn() -> Arc<Library>,
    ) -> Poll<Result<usize, LineError>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        let bytes = buffer.filled_mut();
        let came = bytes.len();
        if came == 0 {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        }
        if self.opening.is_some() {
            self.open(bytes, connection, library)?;
        } else {
            if let Some(cipher) = &mut self.cipher {
                cipher.decrypt(bytes);
            }
            self.give(bytes, connection);
        }
        Poll::Ready(Ok(came))
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
        library: impl Fn() -> Arc<Library>,
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
                Step::Send(bytes) => self.send_ahead(bytes),
                Step::Identify(digest) => {
                    if let Opening::Theirs(responder) = &mut opening {
                        responder.identify(library().by_request(&digest));
                    }
                }
                Step::Plain(bytes) => {
                    self.give(&bytes, connection);
                    return Ok(());
                }
                Step::Open(open) => {
                    self.send_ahead(open.reply);
                    self.cipher = open.cipher;
                    self.give(&open.received, connection);
                    return Ok(());
                }
                Step::Fail(error) => return Err(error.into()),
            }
            step = opening.handle_bytes(&[]);
        }
    }

    /// Sends bytes of the negotiation, as they are.
    fn send_ahead(&mut self, bytes: Vec<u8>) {
        self.ahead += bytes.len();
        self.flight.extend_from_slice(&bytes);
    }
}

/// As much as message stream encryption allows, at random.
fn padding() -> Vec<u8> {
    let length = usize::from(rand::random::<u16>()) % (MAX_PADDING + 1);
    (0..length).map(|_| rand::random()).collect()
}
