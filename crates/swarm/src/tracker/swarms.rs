//! Which swarms there are: a snapshot that is replaced as a whole, so that looking one up takes no lock.

use super::exchange::Tracked;
use super::swarm::Swarm;
use metainfo::ids::SwarmHash;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Hashes that were tracked once and are remembered.
const RETIRED: usize = 10_000;

/// The swarms of one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Swarms {
    by_hash: HashMap<SwarmHash, Arc<Swarm>, BuildHasherDefault<FirstBytes>>,
    /// All in one order, for what goes through them step by step.
    pub(super) all: Vec<Arc<Swarm>>,
    retired: HashSet<SwarmHash, BuildHasherDefault<FirstBytes>>,
}

impl Swarms {
    pub(super) fn get(&self, hash: &SwarmHash) -> Option<&Arc<Swarm>> {
        self.by_hash.get(hash)
    }

    pub(super) fn is_retired(&self, hash: &SwarmHash) -> bool {
        self.retired.contains(hash)
    }

    /// The next snapshot: swarms that stay are the same ones.
    pub(super) fn next(&self, tracked: impl IntoIterator<Item = Tracked>) -> Self {
        let mut next = Self::default();
        for tracked in tracked {
            let swarm = match self.by_hash.get(&tracked.swarm) {
                Some(swarm) => {
                    swarm.set(&tracked);
                    swarm.clone()
                }
                None => Arc::new(Swarm::new(&tracked)),
            };
            if next.by_hash.insert(tracked.swarm, swarm.clone()).is_none() {
                next.all.push(swarm);
            }
        }
        let before = self.all.iter().map(|swarm| swarm.hash);
        next.retire(before.chain(self.retired.iter().copied()));
        next
    }

    /// Remembers what isn't tracked any more, as far as there is room.
    pub(super) fn retire(&mut self, hashes: impl IntoIterator<Item = SwarmHash>) {
        for hash in hashes {
            if self.retired.len() < RETIRED && !self.by_hash.contains_key(&hash) {
                self.retired.insert(hash);
            }
        }
    }
}

/// Info-hashes are hashes, and the keys are the publisher's own: their first bytes will do.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}
