//! The tracker's store: who is in which swarm, for every front end at once. An announce in, a reply out, whatever form
//! it came in; what it looks like on the wire is the front ends' matter, and so are sockets, clocks and random seeds.
//!
//! - Only what [`Tracker::set_tracked`] names exists; no announce creates a swarm.
//! - A native peer is the address its announce came from and the port it named, bound to a tag of its peer id. A
//!   browser is a peer id bound to a socket. Nobody can enter, stop or replace a peer elsewhere.
//! - IPv4 and IPv6 peers are kept apart and an asker gets those of its own family; browsers are one swarm for both.
//! - Whatever a stranger can fill is bounded by [`Limits`], and counted in [`Counters`] when it bites.
//! - A lock is held for one step of one call. A large swarm is divided, so that it keeps every core busy.
//!
//! In files, from the outside in: [`Tracker`] here; `swarms` which there are, `swarm` one of them; `family`, `peers` and
//! `draw` native peers and their samples; `browsers` and `introduce` viewers and who meets whom; `index` and `quota` tables of
//! four bytes a slot; `rate`, `interval` and `once` how often; `keyed` and `lock` what the rest stands on.

mod browsers;
mod counters;
mod draw;
mod exchange;
mod family;
mod index;
mod interval;
mod introduce;
mod keyed;
mod limits;
mod lock;
mod native;
mod once;
mod peers;
mod quota;
mod rate;
pub mod statistics;
mod swarm;
mod swarms;
mod sweep;
mod viewer;

pub use counters::Counters;
pub use exchange::{
    Area, BrowserAnnounce, BrowserReply, Introduction, Load, Member, P2p, PackedPeers, Refusal,
    Reply, SocketId, Target, Tracked,
};
pub use limits::Limits;

use arc_swap::{ArcSwap, Guard};
use counters::{Count, Lanes};
use interval::Interval;
use keyed::Keyed;
use lock::Lock;
use metainfo::ids::SwarmHash;
use once::Once;
use rate::{Rate, Total};
use statistics::Client;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use swarm::Swarm;
use swarms::Swarms;
use sweep::{Sweep, Waking};
use wire::tracker::SwarmCounts;

/// What one swarm counts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwarmFigures {
    /// The swarm.
    pub swarm: SwarmHash,
    /// The same for all hashes of one torrent.
    pub id: u32,
    /// Peers that have everything, our own seeder not among them.
    pub complete: u32,
    /// Peers that don't.
    pub incomplete: u32,
    /// Who they are, by [`Client`]; whoever came over a socket is a browser.
    pub by_client: [u32; Client::COUNT],
    /// Peers that have come since the tracker began.
    pub arrivals: u64,
    /// How often a peer has got everything since the tracker began.
    pub completions: u64,
}

/// All swarms of one tracker, shared by its front ends.
#[derive(Debug)]
pub struct Tracker {
    limits: Limits,
    keyed: Keyed,
    swarms: ArcSwap<Swarms>,
    rate: Rate,
    offers: Total,
    counted: Lanes,
    completed: Once,
    /// When the first call came: what coarse ticks count from.
    began: OnceLock<Instant>,
    native_interval: Interval,
    browser_interval: Interval,
    offers_wanted: AtomicU32,
    loaded: AtomicBool,
    seeder_room: AtomicU32,
    /// Where the search for overdue peers is; its lock is also that of changes to `swarms`.
    sweep: Lock<Sweep>,
    waking: Lock<Waking>,
}

impl Tracker {
    /// A tracker without swarms. `key` is random: hashes of what strangers send hang on it.
    pub fn new(limits: Limits, key: u64) -> Self {
        let interval = |base| Interval::new(base, limits.announce_rate, limits.interval_growth);
        Self {
            limits,
            keyed: Keyed::new(key),
            swarms: ArcSwap::default(),
            rate: Rate::new(limits.address_rate, limits.address_burst),
            offers: Total::new(limits.offer_rate),
            counted: Lanes::default(),
            completed: Once::default(),
            began: OnceLock::new(),
            native_interval: interval(limits.interval),
            browser_interval: interval(limits.browser_interval),
            offers_wanted: AtomicU32::new(limits.offers_wanted),
            loaded: AtomicBool::new(false),
            seeder_room: AtomicU32::new(0),
            sweep: Lock::default(),
            waking: Lock::default(),
        }
    }

    /// The bounds it was made with.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets what is tracked. Swarms that stay lose no peer; those that go are forgotten but for their hash, whose
    /// askers are told that it is gone for good ([`Refusal::Retired`]). So many hashes are remembered: 10,000.
    pub fn set_tracked(&self, torrents: impl IntoIterator<Item = Tracked>) {
        let mut sweep = self.sweep.lock();
        let next = self.swarms.load().next(torrents);
        self.swarms.store(Arc::new(next));
        *sweep = Sweep::default();
        // Some may have changed to where browsers are introduced.
        *self.waking.lock() = Waking::begin();
    }

    /// Names swarms that were tracked before the tracker began and will not be again: their askers are told so. Those that
    /// are tracked, now or later, are none of them.
    pub fn retire(&self, swarms: impl IntoIterator<Item = SwarmHash>) {
        let _changing = self.sweep.lock();
        let mut next = Swarms::clone(&self.swarms.load());
        next.retire(swarms);
        self.swarms.store(Arc::new(next));
    }

    /// Says whether our own seeder serves a swarm, between two calls of [`set_tracked`](Self::set_tracked).
    pub fn set_seeded(&self, swarm: &SwarmHash, seeded: bool) {
        if let Some(swarm) = self.swarms.load().get(swarm) {
            swarm.set_seeded(seeded);
        }
    }

    /// Gives a swarm the number of completions of earlier runs, which are told to askers beside those of this one.
    pub fn restore_completions(&self, swarm: &SwarmHash, completions: u32) {
        if let Some(swarm) = self.swarms.load().get(swarm) {
            swarm.restore_completions(completions);
        }
    }

    /// Whether a swarm is tracked.
    pub fn is_tracked(&self, swarm: &SwarmHash) -> bool {
        self.swarms.load().get(swarm).is_some()
    }

    /// The numbers of a swarm, our own seeder and browsers included; `None` where it isn't tracked.
    pub fn scrape(&self, swarm: &SwarmHash) -> Option<SwarmCounts> {
        let counts = self.swarms.load().get(swarm).map(|swarm| swarm.counts());
        if counts.is_none() {
            self.counted.add(0, Count::NotTracked, 1);
        }
        counts
    }

    /// Says what the seeder can still carry: whether browsers of swarms under [`P2p::UnderLoad`] are introduced.
    pub fn set_load(&self, load: Load) {
        let loaded = load == Load::Loaded;
        if !self.loaded.swap(loaded, Ordering::Relaxed) && loaded {
            *self.waking.lock() = Waking::begin();
        }
    }

    /// Says how many offers the seeder takes until this is said again; none before it was said.
    pub fn set_seeder_room(&self, offers: u32) {
        self.seeder_room.store(offers, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn counters(&self) -> Counters {
        self.counted.read()
    }

    /// How many native peers and browsers are known in all swarms.
    pub fn n_peers(&self) -> usize {
        let (natives, browsers) = self.n_by_kind();
        natives + browsers
    }

    /// Calls `f` with the figures of every swarm.
    pub fn for_each_swarm(&self, f: &mut dyn FnMut(&SwarmFigures)) {
        for swarm in &self.swarms.load_full().all {
            f(&swarm.figures());
        }
    }

    /// Bytes that all peers occupy on the heap, native ones and browsers: what lists and tables have reserved, used or
    /// not.
    pub fn heap(&self) -> usize {
        let swarms = self.swarms.load_full();
        swarms.all.iter().map(|swarm| swarm.heap()).sum()
    }

    /// Native peers and browsers. Looks at every swarm, but at no peer.
    fn n_by_kind(&self) -> (usize, usize) {
        let swarms = self.swarms.load();
        swarms.all.iter().fold((0, 0), |sum, swarm| {
            let (natives, browsers) = swarm.n_peers();
            (sum.0 + natives, sum.1 + browsers)
        })
    }

    /// How long ago the tracker began.
    fn since(&self, now: Instant) -> Duration {
        now.saturating_duration_since(*self.began.get_or_init(|| now))
    }

    fn load(&self) -> Load {
        if self.loaded.load(Ordering::Relaxed) {
            Load::Loaded
        } else {
            Load::Spare
        }
    }

    /// Takes an announce out of an address's allowance.
    fn admit(&self, subscriber: u64, since: Duration) -> Result<(), Refusal> {
        self.rate
            .take(subscriber, 1, since.as_micros() as u64)
            .map_err(|retry_in| {
                self.counted.add(subscriber, Count::TooOften, 1);
                Refusal::TooOften { retry_in }
            })
    }

    /// Whether a peer's completion wasn't counted yet, when it was here before perhaps.
    fn is_first_of(&self, swarm: &Swarm, peer: u64) -> bool {
        let word = swarm
            .hash
            .0
            .first_chunk()
            .map(|word| u64::from_le_bytes(*word));
        self.completed
            .is_new(self.keyed.number(peer ^ word.unwrap_or_default()))
    }

    /// The swarm of an announce in a snapshot, or why there is none.
    fn find<'a>(
        &self,
        swarms: &'a Guard<Arc<Swarms>>,
        hash: &SwarmHash,
        subscriber: u64,
    ) -> Result<&'a Arc<Swarm>, Refusal> {
        swarms.get(hash).ok_or_else(|| {
            let (count, refusal) = if swarms.is_retired(hash) {
                (Count::Retired, Refusal::Retired)
            } else {
                (Count::NotTracked, Refusal::NotTracked)
            };
            self.counted.add(subscriber, count, 1);
            refusal
        })
    }
}

#[cfg(test)]
mod tests;
