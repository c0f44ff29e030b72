//! One swarm: native peers of both families, browsers, and what is counted of them.

use super::SwarmFigures;
use super::browsers::Browsers;
use super::exchange::{Introduction, Load, P2p, Tracked};
use super::family::{Family, Size};
use super::lock::Lock;
use super::statistics::Client;
use metainfo::ids::SwarmHash;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use wire::tracker::SwarmCounts;

/// A swarm that is tracked.
#[derive(Debug)]
pub(super) struct Swarm {
    pub(super) hash: SwarmHash,
    id: AtomicU32,
    p2p: AtomicU8,
    seeded: AtomicBool,
    incomplete: AtomicU32,
    complete: AtomicU32,
    n_browsers: AtomicU32,
    /// Completions counted, and those of earlier runs.
    completions: AtomicU64,
    earlier_completions: AtomicU32,
    arrivals: AtomicU64,
    pub(super) v4: Family<6>,
    pub(super) v6: Family<18>,
    browsers: OnceLock<Box<Lock<Browsers>>>,
}

impl Swarm {
    pub(super) fn new(tracked: &Tracked) -> Self {
        let swarm = Self {
            hash: tracked.swarm,
            id: AtomicU32::default(),
            p2p: AtomicU8::default(),
            seeded: AtomicBool::default(),
            incomplete: AtomicU32::default(),
            complete: AtomicU32::default(),
            n_browsers: AtomicU32::default(),
            completions: AtomicU64::default(),
            earlier_completions: AtomicU32::default(),
            arrivals: AtomicU64::default(),
            v4: Family::default(),
            v6: Family::default(),
            browsers: OnceLock::new(),
        };
        swarm.set(tracked);
        swarm
    }

    /// Takes over what may change while it is tracked.
    pub(super) fn set(&self, tracked: &Tracked) {
        self.id.store(tracked.id, Ordering::Relaxed);
        self.p2p.store(tracked.p2p as u8, Ordering::Relaxed);
        self.set_seeded(tracked.seeded);
    }

    pub(super) fn set_seeded(&self, seeded: bool) {
        self.seeded.store(seeded, Ordering::Relaxed);
    }

    pub(super) fn is_seeded(&self) -> bool {
        self.seeded.load(Ordering::Relaxed)
    }

    pub(super) fn restore_completions(&self, completions: u32) {
        self.earlier_completions
            .store(completions, Ordering::Relaxed);
    }

    /// Whether browsers are introduced to each other under this load.
    pub(super) fn introduction(&self, load: Load) -> Introduction {
        let p2p = self.p2p.load(Ordering::Relaxed);
        let always = p2p == P2p::Always as u8;
        let loaded = p2p == P2p::UnderLoad as u8 && load == Load::Loaded;
        if always || loaded {
            Introduction::Go
        } else {
            Introduction::Wait
        }
    }

    /// The browsers, where there ever was one.
    pub(super) fn browsers(&self) -> Option<&Lock<Browsers>> {
        self.browsers.get().map(|browsers| &**browsers)
    }

    /// The browsers, for one that comes.
    pub(super) fn browsers_for_entry(&self) -> &Lock<Browsers> {
        self.browsers.get_or_init(Box::default)
    }

    /// Follows a change of native peers.
    pub(super) fn note(&self, before: Size, after: Size) {
        // Differences wrap around, and so do sums of them.
        let add = |count: &AtomicU32, before: usize, after: usize| {
            if before != after {
                count.fetch_add(
                    (after as u32).wrapping_sub(before as u32),
                    Ordering::Relaxed,
                );
            }
        };
        add(&self.incomplete, before.incomplete, after.incomplete);
        add(&self.complete, before.complete, after.complete);
    }

    /// Follows a change of browsers.
    pub(super) fn note_browsers(&self, before: Size, after: Size) {
        self.note(before, after);
        let difference = (after.len() as u32).wrapping_sub(before.len() as u32);
        self.n_browsers.fetch_add(difference, Ordering::Relaxed);
    }

    pub(super) fn note_arrival(&self) {
        self.arrivals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_completion(&self) {
        self.completions.fetch_add(1, Ordering::Relaxed);
    }

    /// What is told to askers: our own seeder is one of them.
    pub(super) fn counts(&self) -> SwarmCounts {
        let completions = self.completions.load(Ordering::Relaxed)
            + u64::from(self.earlier_completions.load(Ordering::Relaxed));
        SwarmCounts {
            complete: self
                .complete
                .load(Ordering::Relaxed)
                .saturating_add(u32::from(self.is_seeded())),
            incomplete: self.incomplete.load(Ordering::Relaxed),
            downloaded: u32::try_from(completions).unwrap_or(u32::MAX),
        }
    }

    /// Native peers and browsers.
    pub(super) fn n_peers(&self) -> (usize, usize) {
        let all = self.complete.load(Ordering::Relaxed) as usize
            + self.incomplete.load(Ordering::Relaxed) as usize;
        let browsers = self.n_browsers.load(Ordering::Relaxed) as usize;
        (all.saturating_sub(browsers), browsers)
    }

    pub(super) fn figures(&self) -> SwarmFigures {
        let mut by_client = [0; Client::COUNT];
        let (natives, browsers) = self.n_peers();
        if natives > 0 {
            self.v4.count_clients(&mut by_client);
            self.v6.count_clients(&mut by_client);
        }
        by_client[Client::Browser as usize] += browsers as u32;
        SwarmFigures {
            swarm: self.hash,
            id: self.id.load(Ordering::Relaxed),
            complete: self.complete.load(Ordering::Relaxed),
            incomplete: self.incomplete.load(Ordering::Relaxed),
            by_client,
            arrivals: self.arrivals.load(Ordering::Relaxed),
            completions: self.completions.load(Ordering::Relaxed),
        }
    }

    /// Bytes that its peers occupy on the heap.
    pub(super) fn heap(&self) -> usize {
        let browsers = self.browsers();
        self.v4.heap() + self.v6.heap() + browsers.map_or(0, |browsers| browsers.lock().heap())
    }
}

impl Browsers {
    /// How many need something, and how many don't.
    pub(super) fn size(&self) -> Size {
        Size {
            incomplete: self.viewers.len() - self.n_complete(),
            complete: self.n_complete(),
        }
    }
}
