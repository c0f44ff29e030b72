//! One connection. Requests to the tracker are answered by a loop of our own, which costs little more than reading and
//! writing; a WebSocket goes on in `crate::tracker::websocket`; at the first request that is anything else hyper takes
//! over, with what was read put back. It answers the tracker's requests as well, so that a connection may mix them all.

use super::account::Account;
use super::head::{self, Asked, Head};
use super::rewind::Rewind;
use super::stall::WriteStall;
use super::{Asker, over_hyper};
use crate::net::Pass;
use crate::serve::Shared;
use crate::tracker::websocket;
use axum::Router;
use bytes::{Buf, BytesMut};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tungstenite::handshake::derive_accept_key;
use wire::tracker::http::push_digits;

/// How much room there is for what is read next. An announce is about 400 bytes.
const READ: usize = 2048;
/// The longest head of a request to the tracker. Its query may be half of that.
const MAX_HEAD: usize = 16 * 1024;
/// How many bytes of answers wait to be written together, about.
const TOGETHER: usize = 16 * 1024;
/// How much of what comes behind a head that is too long is thrown away before the connection ends.
const MAX_UNREAD: usize = 256 * 1024;
/// How long the end of a connection may take.
const BREAK_OFF: Duration = Duration::from_secs(2);
/// What a request with too long a head is told.
const TOO_LONG: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// How the answer begins that makes a connection a WebSocket (RFC 6455, 4.2.2).
const SWITCHING: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: ";

/// A connection, as the tracker's loop sees it.
struct Front<S> {
    stream: S,
    asker: Asker,
    account: Account,
    /// What was read and not answered.
    read: BytesMut,
    /// Answers to be written.
    answers: Vec<u8>,
    /// The body of an answer, on its way there.
    body: Vec<u8>,
}

/// What is to be done when answers were written.
enum Next {
    /// Look at what was read again: it holds more.
    Again,
    /// Read on.
    Read,
    /// Nothing.
    End,
    /// Nothing, though more is on its way.
    BreakOff,
    /// Go on as a WebSocket of whoever is at this address.
    WebSocket(IpAddr),
    /// Leave it to hyper: something else is asked for.
    Hyper,
}

/// What a connection goes over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Tries to send bytes behind which the connection is closed, and gives how many went: they may be held back until
    /// it is, so that its end goes with them. Whatever doesn't go this way goes the usual one.
    fn try_send_last(&self, bytes: &[u8]) -> usize;

    /// Says that nothing more comes, where closing alone doesn't.
    fn end(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Transport for TcpStream {
    #[cfg(target_os = "linux")]
    fn try_send_last(&self, bytes: &[u8]) -> usize {
        use rustix::net::{SendFlags, send};
        let sent = self.try_io(Interest::WRITABLE, || {
            let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
            Ok(send(self, bytes, flags)?)
        });
        sent.unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn try_send_last(&self, _bytes: &[u8]) -> usize {
        0
    }

    async fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Transport for Box<TlsStream<TcpStream>> {
    fn try_send_last(&self, _bytes: &[u8]) -> usize {
        0
    }

    async fn end(&mut self) -> io::Result<()> {
        self.shutdown().await
    }
}

/// Serves one connection until it ends, or is a WebSocket.
pub(super) async fn serve<S: Transport>(
    shared: Arc<Shared>,
    router: Router,
    stream: S,
    asker: Asker,
    pass: Pass,
) {
    let _gauge = shared.metrics.http_now.hold();
    let front = Front {
        stream,
        asker,
        account: Account::new(shared.uplink.clone()),
        read: BytesMut::with_capacity(READ),
        answers: Vec::new(),
        body: Vec::new(),
    };
    tokio::select! {
        // Most connections end before this was looked at twice.
        biased;
        outcome = front.run(&shared, router, pass) => if let Err(error) = outcome {
            tracing::debug!("{}: {error}", asker.remote);
        },
        () = shared.stop.cancelled() => {}
    }
}

impl<S: Transport> Front<S> {
    async fn run(mut self, shared: &Arc<Shared>, router: Router, pass: Pass) -> io::Result<()> {
        match self.answer(shared).await? {
            Next::Again | Next::Read | Next::End => {
                let ended = timeout(BREAK_OFF, self.stream.end()).await;
                ended.unwrap_or(Ok(()))?;
            }
            Next::BreakOff => self.break_off().await?,
            Next::WebSocket(ip) => {
                websocket::serve(shared, self.stream, self.read.freeze(), ip, pass);
            }
            Next::Hyper => {
                let stall = Duration::from_secs(shared.config.limits.http_stall_seconds.max(1));
                let metrics = shared.metrics.clone();
                let stream = WriteStall::new(self.stream, stall, metrics, self.account.clone());
                let stream = Rewind::new(self.read.freeze(), stream);
                // Boxed, since it is many times as large as what comes before it.
                let serving = over_hyper(shared, router, stream, self.asker, self.account);
                if let Some((ip, rest, stream)) = Box::pin(serving).await {
                    websocket::serve(shared, stream.into_inner(), rest, ip, pass);
                }
            }
        }
        Ok(())
    }

    /// Ends the connection so that the last answer arrives: what is closed with something unread is reset.
    async fn break_off(&mut self) -> io::Result<()> {
        let mut unread = vec![0; READ];
        let drain = async {
            self.stream.shutdown().await?;
            for _ in 0..MAX_UNREAD / READ {
                if self.stream.read(&mut unread).await? == 0 {
                    break;
                }
            }
            Ok(())
        };
        timeout(BREAK_OFF, drain).await.unwrap_or(Ok(()))
    }

    /// Answers requests to the tracker until there is something else to do.
    async fn answer(&mut self, shared: &Arc<Shared>) -> io::Result<Next> {
        let limits = &shared.config.limits;
        let patience = Duration::from_secs(limits.http_head_seconds.max(1));
        let mut deadline = Instant::now() + patience;
        loop {
            let next = self.answer_whole(shared);
            if !self.answers.is_empty() {
                let stall = Duration::from_secs(limits.http_stall_seconds.max(1));
                // Where something was left unread, closing at once would throw away what was held back.
                let sent = match next {
                    Next::End if self.read.is_empty() => self.stream.try_send_last(&self.answers),
                    _ => 0,
                };
                let write = async {
                    self.stream.write_all(&self.answers[sent..]).await?;
                    // TLS may have taken more than the socket did.
                    self.stream.flush().await
                };
                match timeout(stall, write).await {
                    Ok(written) => written?,
                    Err(_) => {
                        shared.metrics.http_stalled.add(1);
                        return Ok(Next::End);
                    }
                }
                self.account.wrote(self.answers.len());
                self.answers.clear();
                deadline = Instant::now() + patience;
            }
            match next {
                Next::Again => continue,
                Next::Read => {}
                next => return Ok(next),
            }
            self.read.reserve(READ / 2);
            match timeout_at(deadline, self.stream.read_buf(&mut self.read)).await {
                Ok(read) => {
                    if read? == 0 {
                        return Ok(Next::End);
                    }
                }
                Err(_) => {
                    // Between requests a connection may end without a word; within one it was too slow.
                    if !self.read.is_empty() {
                        shared.metrics.http_heads_slow.add(1);
                    }
                    return Ok(Next::End);
                }
            }
        }
    }

    /// Answers what was read, as far as it is requests to the tracker.
    fn answer_whole(&mut self, shared: &Shared) -> Next {
        let remote = self.asker.remote.ip();
        while !self.read.is_empty() {
            match head::read(&self.read, remote, &shared.config.trusted_proxies) {
                Head::Partial if self.read.len() < MAX_HEAD => return Next::Read,
                Head::Partial => {
                    shared.metrics.http_heads_long.add(1);
                    self.answers.extend_from_slice(TOO_LONG);
                    return Next::BreakOff;
                }
                Head::Tracker(asked) => {
                    shared.metrics.http_requests.add(1);
                    self.body.clear();
                    let reached = self.asker.local.ip();
                    let question = asked.question;
                    question.answer(shared, asked.query, asked.ip, reached, &mut self.body);
                    respond(&asked, &self.body, &mut self.answers);
                    let (length, keep_alive) = (asked.length, asked.keep_alive);
                    self.read.advance(length);
                    if !keep_alive {
                        return Next::End;
                    }
                    if self.answers.len() >= TOGETHER {
                        return Next::Again;
                    }
                }
                Head::WebSocket { length, key, ip } => {
                    shared.metrics.http_requests.add(1);
                    self.answers.extend_from_slice(SWITCHING);
                    self.answers
                        .extend_from_slice(derive_accept_key(key).as_bytes());
                    self.answers.extend_from_slice(b"\r\n\r\n");
                    self.read.advance(length);
                    return Next::WebSocket(ip);
                }
                Head::Other => return Next::Hyper,
            }
        }
        Next::Read
    }
}

/// Appends the answer to a request.
fn respond(asked: &Asked<'_>, body: &[u8], into: &mut Vec<u8>) {
    let version = if asked.old { "HTTP/1.0" } else { "HTTP/1.1" };
    into.extend_from_slice(version.as_bytes());
    into.extend_from_slice(
        b" 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n\
          Access-Control-Allow-Origin: *\r\nContent-Length: ",
    );
    push_digits(into, body.len() as u64);
    into.extend_from_slice(match (asked.keep_alive, asked.old) {
        (false, _) => b"\r\nConnection: close\r\n\r\n",
        (true, true) => b"\r\nConnection: keep-alive\r\n\r\n",
        (true, false) => b"\r\n\r\n",
    });
    if !asked.head_only {
        into.extend_from_slice(body);
    }
}
