//! One task a peer connection: it waits for the socket, the torrent's task or the clock, tells the [`Connection`] and
//! carries out what that says. On its own it only sends the blocks that were asked for. `line` moves the bytes,
//! `outgoing` the blocks. No buffer is held while nothing moves.

mod backlog;
mod dial;
mod line;
mod outgoing;
mod turn;

use crate::library::Served;
use crate::library::figures::Joined;
use crate::net::Pass;
use crate::serve::Shared;
use crate::torrent::{About, Joining, Membership, World};
use crate::uplink::{Class, Tap};
use backlog::Backlog;
pub use dial::connect;
pub use line::Stream;
use line::{Line, LineError};
use metainfo::SwarmHash;
use outgoing::Outgoing;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use turn::{BUDGET, ColdRead};
use wire::connection::{self, CloseReason, Connection, Output, Tally};

/// An answer of so many bytes counts as much as a block where the uplink is limited.
const LARGE: usize = 4096;
/// How long the last bytes may take when we close.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves one connection until it ends. Whoever hands over the stream has seen to it that small messages such as
/// unchoke don't wait for the next block.
pub async fn serve<S: Stream>(shared: Arc<Shared>, stream: S, remote: SocketAddr, _pass: Pass) {
    let connection = Connection::accept(Instant::now(), shared.settings);
    let line = Line::accept(stream, shared.config.encryption);
    let mut peer = Peer::new(&shared, line, remote, connection);
    peer.live().await;
}

/// One peer, as its task sees it.
struct Peer<'a, S> {
    shared: &'a Arc<Shared>,
    remote: SocketAddr,
    line: Line<S>,
    connection: Connection,
    /// We have connected to it.
    is_ours: bool,
    /// Blocks taken from the connection and not sent yet.
    outgoing: Outgoing,
    backlog: Backlog,
    /// Some of these are being read by a thread that may wait for the disk.
    cold: Option<ColdRead>,
    /// The torrent that we have connected for, until it is agreed on.
    called_for: Option<Arc<Served>>,
    torrent: Option<Arc<Served>>,
    member: Option<Membership>,
    /// Its part of the uplink.
    tap: Option<Tap>,
    figured: Option<Joined>,
    counted: Tally,
    /// Bytes moved since others had their turn.
    spent: usize,
}

impl<'a, S: Stream> Peer<'a, S> {
    fn new(
        shared: &'a Arc<Shared>,
        line: Line<S>,
        remote: SocketAddr,
        connection: Connection,
    ) -> Self {
        Self {
            shared,
            remote,
            line,
            connection,
            is_ours: false,
            outgoing: Outgoing::default(),
            backlog: Backlog::default(),
            cold: None,
            called_for: None,
            torrent: None,
            member: None,
            tap: None,
            figured: None,
            counted: Tally::default(),
            spent: 0,
        }
    }

    /// Runs to the end of the connection. Says whether it came to be about a torrent.
    async fn live(&mut self) -> bool {
        let metrics = &self.shared.metrics;
        let _gauge = metrics.peers_now.hold();
        let outcome = self.run().await;
        self.count();
        let remote = self.remote;
        match outcome {
            Ok(reason) => {
                metrics.closed(&reason);
                tracing::debug!("{remote}: {reason}");
            }
            Err(error) => {
                match error {
                    LineError::Socket(_) => metrics.peers_broken.add(1),
                    LineError::Encryption(_) => metrics.peers_not_agreed.add(1),
                }
                tracing::debug!("{remote}: {error}");
            }
        }
        self.member.is_some()
    }

    async fn run(&mut self) -> Result<CloseReason, LineError> {
        if let Some(socket) = self.line.socket() {
            self.backlog.begin(socket);
        }
        let mut armed = Instant::now();
        let timer = tokio::time::sleep_until(armed.into());
        let stop = self.shared.stop.cancelled();
        tokio::pin!(timer, stop);
        loop {
            // Bytes that were taken and room that was made both give the connection more to say.
            loop {
                if let Some(reason) = self.carry_out().await {
                    return Ok(self.farewell(reason).await);
                }
                if !self.line.feed_unread(&mut self.connection) {
                    break;
                }
            }
            self.count();
            if self.spent >= BUDGET {
                self.spent = 0;
                tokio::task::yield_now().await;
            }
            // Deadlines mostly move away; the timer is set again when it fires too early, not each time.
            if let Some(next) = self.connection.next_timeout()
                && (next < armed || timer.is_elapsed())
            {
                armed = next;
                timer.as_mut().reset(next.into());
            }
            poll_fn(|context| self.poll_turn(context, timer.as_mut(), stop.as_mut())).await?;
        }
    }

    /// Does what the connection says, until it says no more.
    async fn carry_out(&mut self) -> Option<CloseReason> {
        while let Some(output) = self.connection.poll_output(Instant::now()) {
            match output {
                Output::Identify(swarm) => match self.find(swarm).await {
                    Some(torrent) => self.admit(torrent).await,
                    None => self.connection.refuse(),
                },
                Output::Send(bytes) => {
                    if let Some(tap) = &mut self.tap {
                        // What a few bytes of a stranger can ask for waits its turn; it isn't read meanwhile.
                        if bytes.len() >= LARGE {
                            tap.pay(Class::FirstPrefix, bytes.len()).await;
                        } else {
                            tap.spend(bytes.len());
                        }
                    }
                    self.line.send(bytes, !self.outgoing.is_empty());
                }
                Output::FindHashes(range) => {
                    let torrent = self.torrent.as_ref();
                    let hashes = torrent.and_then(|torrent| torrent.hashes(&range));
                    self.connection.send_hashes(range, hashes);
                }
                Output::Event(event) => {
                    if let Some(member) = &self.member {
                        member.tell(event).await;
                    }
                }
                Output::Close(reason) => return Some(reason),
            }
        }
        None
    }

    /// The torrent of a swarm, where it is served.
    async fn find(&mut self, swarm: SwarmHash) -> Option<Arc<Served>> {
        if let Some(torrent) = self.called_for.take() {
            return Some(torrent);
        }
        let listed = self.shared.library().by_swarm(&swarm).cloned()?;
        self.shared.open(&listed).await
    }

    async fn admit(&mut self, torrent: Arc<Served>) {
        let Some(peer_id) = self.connection.peer_id() else {
            return;
        };
        let joining = Joining {
            world: World::Native,
            remote: self.remote,
            peer_id,
            outgoing: self.is_ours,
        };
        let about = || About::of(self.shared, &torrent);
        let tasks = &self.shared.tasks;
        let member = match torrent.swarm.join(about, joining, tasks).await {
            Ok(member) => member,
            Err(reason) => return self.connection.close(reason),
        };
        let served = connection::Served {
            geometry: Some(torrent.info.geometry()),
            metadata: Some(torrent.metadata.clone()),
            v2: torrent.info.info_hash_v2().map(|hash| hash.truncated()),
            own: member.own.clone(),
            upload_only: member.upload_only,
            private: torrent.info.private(),
            port: self.shared.peer_addrs.first().map(SocketAddr::port),
        };
        self.connection.admit(
            Instant::now(),
            served,
            Some(self.remote.ip().to_canonical()),
        );
        let encrypted = self.line.is_encrypted();
        self.figured = Some(torrent.figures.joined(S::TRANSPORT, encrypted));
        self.tap = Some(self.shared.uplink.tap(&torrent.id));
        self.member = Some(member);
        self.torrent = Some(torrent);
    }

    /// Passes on what was counted since the last time.
    fn count(&mut self) {
        let now = self.connection.tally();
        if now != self.counted {
            self.shared.metrics.add_tally(&self.counted, &now);
            if let (Some(member), Some(torrent)) = (&self.member, &self.torrent) {
                member.sent.store(now.block_bytes, Ordering::Relaxed);
                torrent
                    .figures
                    .sent(now.block_bytes - self.counted.block_bytes);
            }
            self.counted = now;
        }
    }

    /// Sends what is left, for a moment.
    async fn farewell(&mut self, reason: CloseReason) -> CloseReason {
        let polite = matches!(reason, CloseReason::BothSeeds | CloseReason::Withdrawn);
        // Of a block that can't be read on, the rest can't be sent, nor anything behind it.
        if polite && !self.shared.stop.is_cancelled() && !self.outgoing.is_begun() {
            self.outgoing.abandon();
            let last = poll_fn(|context| self.poll_finish(context));
            let _ = tokio::time::timeout(FAREWELL, last).await;
        }
        reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpStream;

    fn size_of_task<F>(_: impl Fn(Arc<Shared>, TcpStream, SocketAddr, Pass) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand idle peers have such a task each, and what it points at.
    #[test]
    fn an_idle_peers_task_is_small() {
        let sizes = (
            size_of_task(serve::<TcpStream>),
            size_of::<Peer<'_, TcpStream>>(),
            size_of::<Connection>(),
            size_of::<connection::Command>(),
            size_of::<connection::Event>(),
        );
        assert!(sizes.0 <= 3072, "{sizes:?}");
    }
}
