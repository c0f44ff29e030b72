//! Whom a fetcher serves: as long as there are slots, everybody who wants something, for an uplink that idles helps
//! nobody. With more peers than slots those who gave most in the last round come first, and one slot in four goes
//! by chance, to newcomers above all, who have nothing to give yet.

use super::{Change, Peer, Policy};
use crate::random::Random;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// One slot in so many goes by chance.
const BY_CHANCE: usize = 4;
/// How long a peer is new, and how much likelier than others it is taken.
const NEW: Duration = Duration::from_secs(60);
const NEW_WEIGHT: usize = 3;

/// Rounds, and who has been lucky.
#[derive(Debug)]
pub(super) struct Chances {
    round_began: Instant,
    rounds: u32,
    lucky: BTreeSet<u64>,
}

impl Chances {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            round_began: now,
            rounds: 0,
            lucky: BTreeSet::new(),
        }
    }

    pub(super) fn choose(
        &mut self,
        now: Instant,
        peers: &mut BTreeMap<u64, Peer>,
        slots: usize,
        policy: &Policy,
        random: &mut Random,
    ) -> Vec<Change> {
        let is_new_round = now.saturating_duration_since(self.round_began) >= policy.round;
        if is_new_round {
            self.round_began = now;
            self.rounds += 1;
            for peer in peers.values_mut() {
                peer.gave = peer.received - peer.received_before;
                peer.received_before = peer.received;
            }
            if self.rounds.is_multiple_of(3) {
                self.lucky.clear();
            }
        }
        let wants = |peer: &Peer| peer.interest.0 && !peer.metered;
        let wanting = peers.iter().filter(|(_, peer)| wants(peer)).count();
        let mut chosen: BTreeSet<u64> = BTreeSet::new();
        if wanting <= slots {
            chosen.extend(peers.iter().filter(|(_, p)| wants(p)).map(|(key, _)| *key));
        } else if is_new_round || self.has_free_slot(peers, slots) {
            self.lucky.retain(|key| peers.get(key).is_some_and(wants));
            let by_chance = (slots / BY_CHANCE).max(1);
            let mut givers: Vec<(u64, u64)> = peers
                .iter()
                .filter(|(_, peer)| wants(peer))
                .map(|(key, peer)| (peer.gave, *key))
                .collect();
            // Of those who gave the same, whoever is served goes on being served.
            givers.sort_by_key(|(gave, key)| (Reverse(*gave), peers[key].choked.0, *key));
            let regular = slots - by_chance.min(slots);
            chosen.extend(givers.iter().take(regular).map(|(_, key)| *key));
            chosen.extend(self.lucky.iter().take(slots - regular));
            let mut tickets: Vec<u64> = Vec::new();
            for (_, key) in &givers {
                let peer = &peers[key];
                let new = now.saturating_duration_since(peer.joined) < NEW;
                let weight = if new { NEW_WEIGHT } else { 1 };
                tickets.extend(std::iter::repeat_n(*key, weight));
            }
            while chosen.len() < slots && !tickets.is_empty() {
                let key = tickets.swap_remove(random.below(tickets.len()));
                if chosen.insert(key) {
                    self.lucky.insert(key);
                }
            }
        } else {
            return linger(now, peers, policy);
        }
        let mut changes = linger(now, peers, policy);
        for (key, peer) in peers.iter().filter(|(_, peer)| wants(peer)) {
            let choke = !chosen.contains(key);
            if choke != peer.choked.0 {
                changes.push(Change { key: *key, choke });
            }
        }
        changes
    }

    fn has_free_slot(&self, peers: &BTreeMap<u64, Peer>, slots: usize) -> bool {
        let served = peers.values().filter(|peer| {
            let wants = peer.interest.0 && !peer.metered;
            wants && !peer.choked.0
        });
        served.count() < slots
    }
}

/// Chokes who has wanted nothing for a while.
fn linger(now: Instant, peers: &BTreeMap<u64, Peer>, policy: &Policy) -> Vec<Change> {
    let idle = peers.iter().filter(|(_, peer)| {
        let since = now.saturating_duration_since(peer.interest.1);
        !peer.metered && !peer.choked.0 && !peer.interest.0 && since >= policy.linger
    });
    idle.map(|(key, _)| Change {
        key: *key,
        choke: true,
    })
    .collect()
}
