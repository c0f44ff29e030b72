//! One socket's task: bytes in, frames out of them, what waits written out. A resting socket holds no buffer at all:
//! what is read lies in a buffer of the thread's until its frames are whole, and a queue is given away when it is
//! written.

use super::frames::{self, Fault, Frame, Frames, MAX_HEADER};
use super::outgoing::{Ending, Standing};
use super::relay::Browser;
use crate::net::Pass;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use swarm::tracker::Target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use wire::tracker::websocket::MAX_MESSAGE;

/// How often a task reads before others have their turn.
const READS: usize = 8;
/// Room for the beginning of a message and for what comes behind it.
const BUFFER: usize = MAX_MESSAGE + MAX_HEADER + 64 * 1024;

/// What a thread lends to whichever socket has its turn.
struct Scratch {
    buffer: Box<[u8]>,
    targets: Vec<Target>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        buffer: vec![0; BUFFER].into_boxed_slice(),
        targets: Vec::new(),
    });
}

/// The future that is one socket's task. Ends when the socket does.
pub(super) struct Socket<S> {
    stream: S,
    browser: Browser,
    frames: Frames,
    /// The beginning of a frame that isn't whole yet.
    partial: Vec<u8>,
    /// Nothing has been read yet: what lies in `partial` came with the request.
    fresh: bool,
    /// A message has begun and not ended.
    unfinished: bool,
    /// What was taken from the queue to be written, and how much of it is.
    writing: Vec<u8>,
    written: usize,
    /// The stream may hold something back until it is flushed.
    unflushed: bool,
    /// What waits is written in this turn.
    due: bool,
    _pass: Option<Pass>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// `leftover` is what came behind the request that asked for a socket.
    pub(super) fn new(stream: S, browser: Browser, leftover: &[u8], pass: Option<Pass>) -> Self {
        let metrics = &browser.sockets.metrics;
        metrics.ws_accepted.add(1);
        metrics.ws_now.add(1);
        browser.sockets.budget.hold(leftover.len());
        Self {
            stream,
            frames: Frames::default(),
            partial: leftover.to_vec(),
            fresh: !leftover.is_empty(),
            unfinished: false,
            writing: Vec::new(),
            written: 0,
            unflushed: false,
            due: false,
            browser,
            _pass: pass,
        }
    }

    fn turn(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        let writes = self.is_writing();
        let due = std::mem::take(&mut self.due) || writes;
        // Who doesn't take what was written isn't read from.
        if !writes && let Poll::Ready(ending) = self.read(context) {
            return Poll::Ready(ending);
        }
        match self.browser.outgoing.look(context) {
            Standing::Ended(ending) => return Poll::Ready(ending),
            Standing::Empty if !writes => return Poll::Pending,
            // One turn later, when everybody whose bytes are here has had a turn: what they add goes in one write.
            Standing::Waiting if !due => {
                self.due = true;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Standing::Empty | Standing::Waiting => {}
        }
        match self.write(context) {
            Poll::Ready(Ok(())) if writes => {
                // Now it is read from again.
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => Poll::Ready(Ending::Gone),
        }
    }

    fn is_writing(&self) -> bool {
        !self.writing.is_empty() || self.unflushed
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<Ending> {
        SCRATCH.with_borrow_mut(|scratch| {
            let Scratch { buffer, targets } = scratch;
            if std::mem::take(&mut self.fresh) {
                // What came with the request may be whole frames.
                let leftover = std::mem::take(&mut self.partial);
                self.browser.sockets.budget.release(leftover.len());
                let Some(bytes) = buffer.get_mut(..leftover.len()) else {
                    return Poll::Ready(Ending::TooLong);
                };
                bytes.copy_from_slice(&leftover);
                if let Err(ending) = self.take_frames(bytes, targets) {
                    return Poll::Ready(ending);
                }
            }
            for _ in 0..READS {
                let kept = self.partial.len();
                buffer[..kept].copy_from_slice(&self.partial);
                let mut into = ReadBuf::new(&mut buffer[kept..]);
                let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut into));
                let n = into.filled().len();
                if read.is_err() || n == 0 {
                    return Poll::Ready(Ending::Gone);
                }
                let budget = &self.browser.sockets.budget;
                budget.release(std::mem::take(&mut self.partial).len());
                if let Err(ending) = self.take_frames(&mut buffer[..kept + n], targets) {
                    return Poll::Ready(ending);
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
    }

    /// Does what the whole frames say and keeps the rest.
    fn take_frames(
        &mut self,
        mut bytes: &mut [u8],
        targets: &mut Vec<Target>,
    ) -> Result<(), Ending> {
        let now = Instant::now();
        let before = self.frames.held();
        let mut heard = false;
        let ended = loop {
            let (taken, frame) = match self.frames.next(bytes) {
                Ok(Some(next)) => next,
                Ok(None) => break Ok(()),
                Err(Fault::Malformed) => break Err(Ending::Malformed),
                Err(Fault::TooLong) => break Err(Ending::TooLong),
            };
            heard = true;
            let allowed = self.browser.allow(now);
            let done = match (allowed, frame) {
                (Err(ending), _) => Err(ending),
                (_, Frame::Close) => Err(Ending::Gone),
                (Ok(false), _) | (_, Frame::Part | Frame::Pong) => Ok(()),
                (_, Frame::Ping(payload)) => self.browser.queue(|out| frames::pong(out, payload)),
                (_, Frame::Message(message)) => self.browser.message(now, &message, targets),
            };
            if done.is_err() {
                break done;
            }
            bytes = &mut bytes[taken..];
        };
        let budget = &self.browser.sockets.budget;
        budget.release(before);
        budget.hold(self.frames.held());
        let second = self.browser.sockets.second(now);
        if heard {
            self.browser.outgoing.heard(second);
        }
        ended?;
        let unfinished = !bytes.is_empty() || self.frames.is_open();
        if unfinished != self.unfinished || unfinished && heard {
            self.unfinished = unfinished;
            self.browser.outgoing.unfinished(unfinished, second);
        }
        if unfinished && budget.is_half_spent() {
            return Err(Ending::Memory);
        }
        budget.hold(bytes.len());
        self.partial = bytes.to_vec();
        Ok(())
    }

    fn write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.writing.len() {
                let rest = &self.writing[self.written..];
                match Pin::new(&mut self.stream).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    Poll::Ready(Ok(n)) => {
                        self.written += n;
                        self.unflushed = true;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        self.block();
                        return Poll::Pending;
                    }
                }
            }
            self.browser.sockets.budget.release(self.writing.len());
            self.written = 0;
            self.writing = Vec::new();
            self.writing = self.browser.outgoing.take();
            if self.writing.is_empty() {
                break;
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(flushed) => {
                    self.unflushed = false;
                    flushed?;
                }
                Poll::Pending => {
                    self.block();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn block(&self) {
        let sockets = &self.browser.sockets;
        let unsent = self.writing.len() - self.written;
        let second = sockets.second(Instant::now());
        self.browser.outgoing.blocked(unsent, second);
    }

    /// Says goodbye to whoever may still be there, without waiting for it.
    fn close(&mut self, context: &mut Context<'_>, ending: Ending) {
        self.browser.sockets.count(ending);
        let queued = self.browser.outgoing.take();
        self.writing.extend_from_slice(&queued);
        let all = self.writing.len();
        frames::close(&mut self.writing, ending.code());
        // Given back with the rest when this goes.
        self.browser.sockets.budget.hold(self.writing.len() - all);
        while self.written < self.writing.len() {
            let rest = &self.writing[self.written..];
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(n)) if n > 0 => self.written += n,
                _ => break,
            }
        }
        let _ = Pin::new(&mut self.stream).poll_shutdown(context);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Socket<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let ending = ready!(this.turn(context));
        this.close(context, ending);
        Poll::Ready(())
    }
}

impl<S> Drop for Socket<S> {
    fn drop(&mut self) {
        let sockets = &self.browser.sockets;
        let held = self.partial.len() + self.frames.held() + self.writing.len();
        sockets.budget.release(held);
        sockets.metrics.ws_now.lower();
        self.browser.leave(Instant::now());
    }
}
