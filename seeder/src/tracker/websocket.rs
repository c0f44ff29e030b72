//! The WebTorrent tracker over WebSocket: a thin shell over `wire::tracker::websocket`, which reads and writes
//! messages, and `swarm::tracker`, which knows who is where and who meets whom. One small task a socket; one task for
//! all sockets asks after the silent ones and tells who may be introduced. The HTTP request that asks for a socket is
//! read and answered in `http`.

pub mod frames;
mod outgoing;
mod relay;
mod socket;
#[cfg(test)]
mod tests;

use super::statistics::Statistics;
use crate::metrics::Metrics;
use crate::net::Pass;
use crate::serve::Shared;
use bytes::Bytes;
use metainfo::SwarmHash;
use outgoing::{Budget, Ending, Outgoing, Patience, Registry, Weight};
use relay::Browser;
use socket::Socket;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use swarm::tracker::{SocketId, Tracker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use wire::tracker::websocket::{Announce, Offer, P2p, Reply, write_reply};

/// How often silent sockets are looked for.
const ROUND: Duration = Duration::from_secs(5);
/// How often it is asked who may be introduced now.
const TELL: Duration = Duration::from_secs(1);
/// Browsers answer pings by themselves and announce every two minutes or so.
const PATIENCE: Patience = Patience {
    ping: 50,
    silent: 180,
    slow: 30,
    scarce: 5,
};

/// What a browser may take, by socket and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that wait for one socket; offers are dropped at half of it.
    pub queue: usize,
    /// Bytes held for all sockets together.
    pub memory: usize,
    /// Frames that one socket may send a second in the long run, half a minute's worth at once.
    pub messages_per_second: u32,
    /// Bytes of session descriptions that one socket may send a second in the long run, half a minute's worth at once.
    pub description_bytes_per_second: u32,
}

/// All sockets of the tracker.
pub struct Sockets {
    tracker: Arc<Tracker>,
    statistics: Arc<Statistics>,
    metrics: Arc<Metrics>,
    limits: Limits,
    registry: Registry,
    budget: Budget,
    next: AtomicU64,
    started: Instant,
}

impl Sockets {
    /// None yet.
    pub fn new(
        tracker: Arc<Tracker>,
        statistics: Arc<Statistics>,
        metrics: Arc<Metrics>,
        limits: Limits,
    ) -> Self {
        Self {
            tracker,
            statistics,
            metrics,
            limits,
            registry: Registry::new(),
            budget: Budget::new(limits.memory),
            next: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    /// The task of one socket.
    fn open<S: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        stream: S,
        leftover: &[u8],
        from: IpAddr,
        pass: Option<Pass>,
    ) -> Socket<S> {
        let now = Instant::now();
        let id = SocketId(self.next.fetch_add(1, Ordering::Relaxed));
        let outgoing = Arc::new(Outgoing::new(self.second(now)));
        self.registry.insert(id, outgoing.clone());
        let browser = Browser::new(self.clone(), id, outgoing, from.to_canonical(), now);
        Socket::new(stream, browser, leftover, pass)
    }

    /// Looks after all sockets until told to stop, and then closes them.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = tokio::time::interval(ROUND);
        let mut tells = tokio::time::interval(TELL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tells.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut wanted = Vec::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                now = rounds.tick() => {
                    let now = self.second(now);
                    self.registry.for_each(|socket| socket.look_after(now, &PATIENCE, &self.budget));
                }
                now = tells.tick() => {
                    // No more than bring as many offers as are passed on in that time: a whole audience may be waiting.
                    let limits = self.tracker.limits();
                    let most = limits.offer_rate / limits.offers_wanted.max(1);
                    wanted.clear();
                    self.tracker.newly_wanted(now.into_std(), most.max(1) as usize, &mut wanted);
                    wanted.iter().for_each(|(socket, swarm)| self.tell(*socket, swarm));
                }
            }
        }
        self.registry.for_each(|socket| socket.end(Ending::Stop));
    }

    /// Tells a browser that waits that it is introduced now.
    fn tell(&self, socket: SocketId, swarm: &SwarmHash) {
        let Some(counts) = self.tracker.scrape(swarm) else {
            return;
        };
        let reply = Reply {
            interval: None,
            counts,
            p2p: P2p::Go,
            offers_wanted: self.tracker.limits().offers_wanted,
        };
        if let Some(socket) = self.registry.get(socket) {
            socket.push(&self.budget, self.limits.queue, Weight::Heavy, |out| {
                frames::text(out, |out| write_reply(out, swarm, &reply));
            });
        }
    }

    /// Takes an offer that the store gives to our own seeder. It speaks no WebRTC yet, so the store gives none.
    fn to_seeder(&self, _announce: &Announce<'_>, _offer: &Offer<'_>, _from: SocketId) {
        self.metrics.ws_offers_unplaced.add(1);
    }

    /// The time in whole seconds.
    fn second(&self, now: Instant) -> u32 {
        let seconds = now.saturating_duration_since(self.started).as_secs();
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }

    fn count(&self, ending: Ending) {
        let metrics = &self.metrics;
        match ending {
            Ending::Gone | Ending::Stop => {}
            Ending::Malformed => metrics.ws_closed_malformed.add(1),
            Ending::TooLong => metrics.ws_closed_too_long.add(1),
            Ending::Flood => metrics.ws_closed_flood.add(1),
            Ending::Slow => metrics.ws_closed_slow.add(1),
            Ending::Silent => metrics.ws_closed_silent.add(1),
            Ending::Memory => metrics.ws_closed_memory.add(1),
        }
    }
}

/// Serves the WebSocket of one browser in a task of its own, small because there are many. The caller has agreed to it
/// (101); `leftover` is what came behind the request, `from` the browser's address. The task ends with the socket or the
/// seeder, and gives `pass` back then.
pub fn serve<S>(shared: &Arc<Shared>, stream: S, leftover: Bytes, from: IpAddr, pass: Pass)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let socket = shared.websocket.open(stream, &leftover, from, Some(pass));
    shared.tasks.spawn(socket);
}
