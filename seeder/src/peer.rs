//! One task a peer connection: it waits for the socket, the choker or the clock, tells the
//! [`Connection`] and carries out what that says. [`line`] moves the bytes. No buffer is held while nothing moves.

mod line;

use crate::library::Served;
use crate::net::Pass;
use crate::serve::Shared;
use crate::torrent::Membership;
use bytes::Bytes;
use line::{Line, LineError};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use wire::connection::{self, CloseReason, Connection, Output, Tally};
use wire::message::{PIECE_HEADER, piece_header};

/// How long the last bytes may take when we close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves one connection until it ends. Whoever hands over the stream has seen to it that small messages such as
/// unchoke don't wait for the next block.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    shared: Arc<Shared>,
    stream: S,
    remote: SocketAddr,
    _pass: Pass,
) {
    let _gauge = shared.metrics.peers_now.hold();
    let connection = Connection::accept(Instant::now(), shared.settings);
    let mut peer = Peer {
        line: Line::new(stream, shared.config.encryption),
        shared: &shared,
        remote,
        connection,
        torrent: None,
        member: None,
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
            match error {
                LineError::Socket(_) => shared.metrics.peers_broken.add(1),
                LineError::Encryption(_) => shared.metrics.peers_not_agreed.add(1),
            }
            tracing::debug!("{remote}: {error}");
        }
    }
}

struct Peer<'a, S> {
    shared: &'a Shared,
    line: Line<S>,
    remote: SocketAddr,
    connection: Connection,
    torrent: Option<Arc<Served>>,
    member: Option<Membership>,
    counted: Tally,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<'_, S> {
    async fn run(&mut self) -> Result<CloseReason, LineError> {
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
                moved = self.line.write_now(&mut self.connection)?;
                moved |= self.line.feed_unread(&mut self.connection);
                self.count();
            }
            // Deadlines mostly move away; the timer is set again when it fires too early, not each time.
            if let Some(next) = self.connection.next_timeout()
                && (next < armed || timer.is_elapsed())
            {
                armed = next;
                timer.as_mut().reset(next.into());
            }
            let read = self.connection.wants_input() && self.line.is_read();
            let write = self.line.has_unsent();
            let library = || self.shared.library();
            let moved = poll_fn(|context| {
                let connection = &mut self.connection;
                self.line
                    .poll_move(context, connection, &library, read, write)
            });
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
                moved = moved => moved?,
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
                Output::Send(bytes) => self.line.send(bytes),
                Output::Read(blocks) => match self.read_blocks(blocks).await {
                    Some(bytes) => self.line.send(bytes),
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
            let _ = tokio::time::timeout(FAREWELL, self.line.finish(&mut self.connection)).await;
        }
        reason
    }
}
