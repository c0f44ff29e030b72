//! One task a peer connection: it waits for the socket, the choker or the clock, tells the
//! [`Connection`] and carries out what that says. No buffer is held while nothing moves.

use crate::library::Served;
use crate::net::Pass;
use crate::serve::Shared;
use crate::torrent::Membership;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use wire::connection::{self, CloseReason, Connection, Output, Tally};
use wire::message::{PIECE_HEADER, piece_header};

/// How much is read from the socket at once. What a leecher says is small.
const READ: usize = 16 * 1024;
/// How many buffers go into one write.
const SLICES: usize = 16;
/// How long the last bytes may take when we close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves one connection until it ends.
pub async fn serve(shared: Arc<Shared>, stream: TcpStream, remote: SocketAddr, _pass: Pass) {
    let _gauge = shared.metrics.peers_now.hold();
    // Small messages such as unchoke mustn't wait for the next block.
    let _ = stream.set_nodelay(true);
    let connection = Connection::accept(Instant::now(), shared.settings);
    let mut peer = Peer {
        shared: &shared,
        stream,
        remote,
        connection,
        torrent: None,
        member: None,
        unread: Vec::new(),
        out: VecDeque::new(),
        counted: Tally::default(),
    };
    let outcome = peer.run().await;
    peer.count();
    match outcome {
        Ok(reason) => {
            shared.metrics.closed(&reason);
            tracing::debug!("{remote}: {reason}");
        }
        Err(error) => {
            shared.metrics.peers_broken.add(1);
            tracing::debug!("{remote}: {error}");
        }
    }
}

struct Peer<'a> {
    shared: &'a Shared,
    stream: TcpStream,
    remote: SocketAddr,
    connection: Connection,
    torrent: Option<Arc<Served>>,
    member: Option<Membership>,
    /// Bytes that came and that the connection hasn't taken yet: no more than one read.
    unread: Vec<u8>,
    /// Bytes for the socket: no more than the connection's send window and what goes with it.
    out: VecDeque<Bytes>,
    counted: Tally,
}

impl Peer<'_> {
    async fn run(&mut self) -> io::Result<CloseReason> {
        let mut armed = Instant::now();
        let timer = tokio::time::sleep_until(armed.into());
        tokio::pin!(timer);
        loop {
            // Bytes that were taken and room that was made both give the connection more to say.
            let mut moved = true;
            while moved {
                if let Some(reason) = self.carry_out().await {
                    return Ok(self.farewell(reason).await);
                }
                moved = self.write()?;
                moved |= self.feed_unread();
                self.count();
            }
            // Deadlines mostly move away; the timer is set again when it fires too early, not each time.
            if let Some(next) = self.connection.next_timeout()
                && (next < armed || timer.is_elapsed())
            {
                armed = next;
                timer.as_mut().reset(next.into());
            }
            let wants_input = self.connection.wants_input() && self.unread.is_empty();
            let wants_room = !self.out.is_empty();
            let choke = async {
                match &mut self.member {
                    Some(member) => member.choked.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let gone = async {
                match &self.torrent {
                    Some(torrent) => torrent.gone.cancelled().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = self.stream.readable(), if wants_input => {
                    ready?;
                    if self.read()? == Some(0) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                ready = self.stream.writable(), if wants_room => ready?,
                alive = choke => match self.member.as_mut().filter(|_| alive) {
                    Some(member) => {
                        let choked = *member.choked.borrow_and_update();
                        self.connection.set_choked(choked);
                    }
                    // The torrent's task has ended under us: it panicked. This peer can't be served on.
                    None => self.connection.close(CloseReason::Withdrawn),
                },
                () = gone => self.connection.close(CloseReason::Withdrawn),
                () = self.shared.stop.cancelled() => self.connection.close(CloseReason::Withdrawn),
                () = &mut timer => self.connection.handle_timeout(Instant::now()),
            }
        }
    }

    /// Offers what is unread to the connection; says whether it took any.
    fn feed_unread(&mut self) -> bool {
        if self.unread.is_empty() {
            return false;
        }
        let taken = self.connection.handle_bytes(Instant::now(), &self.unread);
        self.unread.drain(..taken);
        if self.unread.is_empty() {
            self.unread = Vec::new();
        }
        taken > 0
    }

    /// Reads once; 0 is the end of the stream.
    fn read(&mut self) -> io::Result<Option<usize>> {
        let mut buffer = [0; READ];
        match self.stream.try_read(&mut buffer) {
            Ok(n) => {
                let taken = self.connection.handle_bytes(Instant::now(), &buffer[..n]);
                self.unread.extend_from_slice(&buffer[taken..n]);
                Ok(Some(n))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes as much as the socket takes. Says whether it took any.
    fn write(&mut self) -> io::Result<bool> {
        let mut wrote = false;
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self
                .out
                .iter()
                .zip(&mut slices)
                .map(|(bytes, slice)| *slice = IoSlice::new(bytes))
                .count();
            match self.stream.try_write_vectored(&slices[..filled]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    let mut left = n;
                    while let Some(front) = self.out.front_mut().filter(|_| left > 0) {
                        let step = left.min(front.len());
                        front.advance(step);
                        left -= step;
                        if front.is_empty() {
                            self.out.pop_front();
                        }
                    }
                    self.connection.handle_sent(Instant::now(), n);
                    wrote = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(wrote),
                Err(error) => return Err(error),
            }
        }
        self.out.shrink_to(4);
        Ok(wrote)
    }

    /// Does what the connection says, until it says no more.
    async fn carry_out(&mut self) -> Option<CloseReason> {
        while let Some(output) = self.connection.poll_output(Instant::now()) {
            match output {
                Output::Identify(swarm) => {
                    let found = self.shared.library().by_swarm(&swarm).cloned();
                    match found.filter(|torrent| torrent.is_sound()) {
                        Some(torrent) => self.admit(torrent).await,
                        None => self.connection.refuse(),
                    }
                }
                Output::Send(bytes) => self.out.push_back(bytes),
                Output::Read(blocks) => match self.read_blocks(blocks).await {
                    Some(bytes) => self.out.push_back(bytes),
                    None => self.connection.close(CloseReason::Withdrawn),
                },
                Output::FindHashes(range) => {
                    let hashes = self
                        .torrent
                        .as_ref()
                        .and_then(|torrent| torrent.hashes(&range));
                    self.connection.send_hashes(range, hashes);
                }
                Output::Interest(interested) => {
                    if let Some(member) = &self.member {
                        member.interest(interested).await;
                    }
                }
                Output::Close(reason) => return Some(reason),
            }
        }
        None
    }

    async fn admit(&mut self, torrent: Arc<Served>) {
        let served = connection::Served {
            geometry: torrent.info.geometry(),
            metadata: torrent.metadata.clone(),
            v2: torrent.info.info_hash_v2().map(|hash| hash.truncated()),
        };
        self.connection.admit(
            Instant::now(),
            served,
            Some(self.remote.ip().to_canonical()),
        );
        self.member = Some(
            torrent
                .swarm
                .join(self.shared.config.limits.upload_slots, &self.shared.tasks)
                .await,
        );
        self.torrent = Some(torrent);
    }

    /// Reads blocks, each behind its header. `None` where the payload isn't what it should be.
    async fn read_blocks(&self, blocks: Vec<metainfo::Block>) -> Option<Bytes> {
        let torrent = self.torrent.clone()?;
        let _place = self.shared.reads.acquire().await.ok()?;
        let read = tokio::task::spawn_blocking(move || {
            let geometry = torrent.info.geometry();
            let length = blocks
                .iter()
                .map(|block| PIECE_HEADER + block.length() as usize)
                .sum();
            let mut out = Vec::with_capacity(length);
            for block in blocks {
                out.extend_from_slice(&piece_header(block));
                if let Err(error) = torrent.payload.read(geometry.block_range(block), &mut out) {
                    torrent.report(&error);
                    return None;
                }
            }
            Some(Bytes::from(out))
        });
        let read = read.await.ok().flatten();
        self.shared
            .metrics
            .reads_failed
            .add(u64::from(read.is_none()));
        read
    }

    /// Passes on what was counted since the last time.
    fn count(&mut self) {
        let now = self.connection.tally();
        if now != self.counted {
            self.shared.metrics.add_tally(&self.counted, &now);
            self.counted = now;
            if let Some(member) = &self.member {
                member.sent.store(now.block_bytes, Ordering::Relaxed);
            }
        }
    }

    /// Sends what is left, for a moment.
    async fn farewell(&mut self, reason: CloseReason) -> CloseReason {
        let polite = matches!(reason, CloseReason::BothSeeds | CloseReason::Withdrawn);
        if polite && !self.shared.stop.is_cancelled() {
            let flush = async {
                while !self.out.is_empty()
                    && self.stream.writable().await.is_ok()
                    && self.write().is_ok()
                {}
            };
            let _ = tokio::time::timeout(FAREWELL, flush).await;
        }
        reason
    }
}
