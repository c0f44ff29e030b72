//! The peers of one torrent: a task that lives as long as there are any, the one owner of the swarm's state. A
//! torrent without peers has no task and costs nothing.
//!
//! A peer's task ([`crate::peer`]) enters the swarm by [`SwarmHandle::join`], tells what its peer says
//! ([`Membership::tell`]) and carries out the commands that come back. What the task decides by lies in pure
//! machines: `swarm::choker`, `swarm::picker`; here they meet the members.

mod dial;
mod disk;
mod exchange;
mod fetching;
mod member;
mod priority;
mod seeding;
mod task;

use crate::library::Served;
use crate::library::figures::TorrentFigures;
use crate::metrics::Metrics;
use crate::serve::Shared;
use crate::uplink::Uplink;
use bytes::Bytes;
pub use fetching::{Fetch, Progress, Runs, State};
use metainfo::geometry::Block;
use metainfo::{Geometry, PeerId, PieceIndex, SwarmHash};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
pub use swarm::spread::World;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::connection::{CloseReason, Command, Event, Own};

/// How many messages of peers wait for the task. A peer's task waits when it is full, and with it its peer.
const INBOX: usize = 256;

/// What the task needs to know of its torrent.
#[derive(Clone)]
pub struct About {
    /// How its bytes fall into pieces.
    pub geometry: Geometry,
    /// The first of its hashes.
    pub swarm: SwarmHash,
    /// No peers are exchanged (BEP 27).
    pub private: bool,
    /// How many peers are served at once.
    pub slots: usize,
    /// Whether pieces are shown one by one while copies are scarce.
    pub spread: bool,
    /// What is known of its swarm.
    pub figures: Arc<TorrentFigures>,
    /// Where bounds that bite are counted.
    pub metrics: Arc<Metrics>,
    /// What the uplink is shared out by, and the torrent's name there.
    pub uplink: Option<(Arc<Uplink>, String)>,
    /// Cancelled when it is served no longer: its peers are let go then.
    pub gone: CancellationToken,
    /// Cancelled when the seeder stops.
    pub stop: CancellationToken,
}

impl About {
    /// Of a torrent that is served.
    pub fn of(shared: &Shared, torrent: &Served) -> Self {
        Self {
            geometry: torrent.info.geometry(),
            swarm: (torrent.info.swarm_hashes().first().copied()).unwrap_or(SwarmHash([0; 20])),
            private: torrent.info.private(),
            slots: shared.config.limits.upload_slots,
            spread: shared.config.spread,
            figures: torrent.figures.clone(),
            metrics: shared.metrics.clone(),
            uplink: Some((shared.uplink.clone(), torrent.id.clone())),
            gone: torrent.gone.clone(),
            stop: shared.stop.clone(),
        }
    }
}

/// A peer that wants to enter.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    /// Where it lives.
    pub world: World,
    /// Its address, as we see it.
    pub remote: SocketAddr,
    /// Who it says it is.
    pub peer_id: PeerId,
    /// Whether we have connected to it.
    pub outgoing: bool,
}

/// The way to a torrent's task, where it has one.
#[derive(Debug, Default)]
pub struct SwarmHandle(Mutex<Option<mpsc::WeakSender<Input>>>);

/// What the task is told.
#[derive(Debug)]
enum Input {
    Join {
        key: u64,
        joining: Joining,
        commands: mpsc::UnboundedSender<Command>,
        sent: Arc<AtomicU64>,
        answer: oneshot::Sender<Result<Admission, CloseReason>>,
    },
    Event {
        key: u64,
        event: Event,
    },
    Leave {
        key: u64,
    },
    /// Peers that may be worth a connection.
    Candidates(Vec<SocketAddr>),
    /// A connection that the task wanted is over.
    Undialled(SocketAddr),
    /// A web seed is ready to be asked.
    WebSeed {
        key: u64,
        runs: Runs,
    },
}

/// What a peer is admitted with.
#[derive(Debug)]
struct Admission {
    own: Own,
    upload_only: bool,
    scarce: Arc<Scarce>,
}

/// A peer's membership in a swarm; it leaves when this goes.
#[derive(Debug)]
pub struct Membership {
    key: u64,
    inbox: mpsc::Sender<Input>,
    /// What is decided for the peer: to be handed to its connection in order. When this ends, so has the swarm's
    /// task, and the peer can't be served on.
    pub commands: mpsc::UnboundedReceiver<Command>,
    /// What it is shown at the start.
    pub own: Own,
    /// We want nothing of it (BEP 21).
    pub upload_only: bool,
    /// Bytes of payload sent to it; to be kept up to date.
    pub sent: Arc<AtomicU64>,
    /// Which pieces go first where the uplink is full.
    pub scarce: Arc<Scarce>,
}

/// Which pieces others hardly have yet: a hint for whoever divides the uplink, written by the torrent's task.
#[derive(Debug, Default)]
pub struct Scarce {
    any: AtomicBool,
    pieces: Vec<AtomicU64>,
}

impl Scarce {
    fn new(n_pieces: u32) -> Self {
        Self {
            any: AtomicBool::new(false),
            pieces: (0..n_pieces.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// Says anew which pieces they are.
    fn update(&self, any: bool, is_scarce: impl Fn(u32) -> bool) {
        if any {
            for (word, at) in self.pieces.iter().zip(0..) {
                let bits = (0..64u32).filter(|bit| is_scarce(at * 64 + bit));
                word.store(bits.fold(0, |bits, bit| bits | 1 << bit), Ordering::Relaxed);
            }
        }
        self.any.store(any, Ordering::Relaxed);
    }

    /// Whether this piece is one of them.
    pub fn contains(&self, piece: PieceIndex) -> bool {
        let word = || self.pieces.get(piece.as_usize() / 64);
        self.any.load(Ordering::Relaxed)
            && word().is_some_and(|w| w.load(Ordering::Relaxed) & bit(piece) != 0)
    }
}

fn bit(piece: PieceIndex) -> u64 {
    1 << (piece.get() % 64)
}

/// A fetch that goes on as long as this lives.
#[derive(Debug, Clone)]
pub struct Fetcher(mpsc::Sender<Input>);

/// A web seed's way to the torrent's task; it is asked as long as this lives.
#[derive(Debug)]
pub struct WebMember {
    key: u64,
    inbox: mpsc::WeakSender<Input>,
    /// What to fetch, in order: blocks that follow one another without a gap.
    pub runs: std::sync::mpsc::Receiver<Vec<Block>>,
}

/// Tells the torrent's task that a connection which it wanted is over.
#[derive(Debug, Clone)]
pub struct Undialled(mpsc::WeakSender<Input>);

impl Undialled {
    /// That to this address.
    pub async fn tell(&self, address: SocketAddr) {
        if let Some(inbox) = self.0.upgrade() {
            let _ = inbox.send(Input::Undialled(address)).await;
        }
    }
}

impl Fetcher {
    /// Tells of peers that may be worth a connection.
    pub async fn add_candidates(&self, addresses: Vec<SocketAddr>) {
        let _ = self.0.send(Input::Candidates(addresses)).await;
    }

    /// Enters a web seed.
    pub async fn add_web_seed(&self) -> WebMember {
        let (key, (told, runs)) = (next_key(), std::sync::mpsc::channel());
        let _ = self.0.send(Input::WebSeed { key, runs: told }).await;
        WebMember {
            key,
            inbox: self.0.downgrade(),
            runs,
        }
    }
}

impl WebMember {
    /// Gives a block. Blocking; says whether more are wanted.
    pub fn give(&self, block: Block, bytes: Bytes) -> bool {
        let event = Event::Block { block, bytes };
        let input = Input::Event {
            key: self.key,
            event,
        };
        let inbox = self.inbox.upgrade();
        inbox.is_some_and(|inbox| inbox.blocking_send(input).is_ok())
    }
}

impl Drop for WebMember {
    fn drop(&mut self) {
        // Should the inbox be full, it is noticed when the next run is asked for.
        if let Some(inbox) = self.inbox.upgrade() {
            let _ = inbox.try_send(Input::Leave { key: self.key });
        }
    }
}

fn next_key() -> u64 {
    static KEYS: AtomicU64 = AtomicU64::new(0);
    KEYS.fetch_add(1, Ordering::Relaxed)
}

impl SwarmHandle {
    /// Begins to fetch. The task lives as long as what this gives, peers or no peers. `dial` gets what to call when a
    /// connection that was wanted is over.
    pub fn fetch(
        &self,
        about: About,
        fetch: impl FnOnce(Undialled) -> Fetch,
        tasks: &TaskTracker,
    ) -> std::io::Result<Fetcher> {
        let (inbox, outlet) = mpsc::channel(INBOX);
        let fetch = fetch(Undialled(inbox.downgrade()));
        let task = task::fetch(about, fetch, outlet)?;
        let mut handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *handle = Some(inbox.downgrade());
        tasks.spawn(task);
        Ok(Fetcher(inbox))
    }

    /// Enters a peer, or says why not. The first one starts the task.
    pub async fn join(
        &self,
        about: impl FnOnce() -> About,
        joining: Joining,
        tasks: &TaskTracker,
    ) -> Result<Membership, CloseReason> {
        let key = next_key();
        let inbox = {
            let mut handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match handle.as_ref().and_then(mpsc::WeakSender::upgrade) {
                Some(inbox) => inbox,
                None => {
                    let (inbox, outlet) = mpsc::channel(INBOX);
                    *handle = Some(inbox.downgrade());
                    tasks.spawn(task::run(about(), outlet));
                    inbox
                }
            }
        };
        let (told, commands) = mpsc::unbounded_channel();
        let (answer, answered) = oneshot::channel();
        let sent = Arc::new(AtomicU64::new(0));
        let entry = Input::Join {
            key,
            joining,
            commands: told,
            sent: sent.clone(),
            answer,
        };
        // While a sender lives, so does the task; it fails only where the task has panicked.
        let gone = CloseReason::Withdrawn;
        inbox.send(entry).await.map_err(|_| gone)?;
        let admission = answered.await.map_err(|_| gone)??;
        Ok(Membership {
            key,
            inbox,
            commands,
            own: admission.own,
            upload_only: admission.upload_only,
            sent,
            scarce: admission.scarce,
        })
    }
}

impl Membership {
    /// Passes on what the peer has said. Waits while the swarm's task is busy.
    pub async fn tell(&self, event: Event) {
        let key = self.key;
        let _ = self.inbox.send(Input::Event { key, event }).await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        use mpsc::error::TrySendError::Full;
        if let Err(Full(leave)) = self.inbox.try_send(Input::Leave { key: self.key })
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let inbox = self.inbox.clone();
            runtime.spawn(async move { inbox.send(leave).await });
        }
    }
}

#[cfg(test)]
mod tests;
