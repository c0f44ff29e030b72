//! The peers of one swarm and address family: two dense lists (complete, incomplete), so that a sample costs
//! what is sampled and not what is there, and an index by address.

use crate::subscriber;
use metainfo::ids::PeerId;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use wire::tracker::TrackerPeer;

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) addr: SocketAddr,
    pub(super) peer_id: PeerId,
    pub(super) expires: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Peers {
    incomplete: Vec<Entry>,
    complete: Vec<Entry>,
    /// Where a peer stands: in `complete` or not, and at which place.
    index: HashMap<SocketAddr, (bool, usize)>,
    /// How many peers an address has.
    per_address: HashMap<IpAddr, usize>,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn n_complete(&self) -> usize {
        self.complete.len()
    }

    pub(super) fn n_incomplete(&self) -> usize {
        self.incomplete.len()
    }

    /// Whether a known peer is complete.
    pub(super) fn is_complete(&self, addr: SocketAddr) -> Option<bool> {
        self.index.get(&addr).map(|(complete, _)| *complete)
    }

    pub(super) fn of_address(&self, ip: IpAddr) -> usize {
        self.per_address.get(&subscriber(ip)).copied().unwrap_or(0)
    }

    /// Enters a peer, or puts what is new of a known one in its place.
    pub(super) fn enter(&mut self, entry: Entry, complete: bool) {
        match self.index.get(&entry.addr).copied() {
            Some((was_complete, at)) if was_complete == complete => self.list(complete)[at] = entry,
            known => {
                if known.is_some() {
                    self.take_out(entry.addr);
                }
                let list = self.list(complete);
                list.push(entry);
                let at = list.len() - 1;
                self.index.insert(entry.addr, (complete, at));
                *self
                    .per_address
                    .entry(subscriber(entry.addr.ip()))
                    .or_default() += 1;
            }
        }
    }

    /// Removes a peer that says itself that it goes.
    pub(super) fn remove(&mut self, addr: SocketAddr, peer_id: PeerId) {
        if let Some((complete, at)) = self.index.get(&addr).copied()
            && self.list(complete)[at].peer_id == peer_id
        {
            self.take_out(addr);
        }
    }

    /// Forgets the overdue; gives how many.
    pub(super) fn expire(&mut self, now: Instant) -> usize {
        let overdue: Vec<SocketAddr> = self
            .incomplete
            .iter()
            .chain(&self.complete)
            .filter(|entry| entry.expires <= now)
            .map(|entry| entry.addr)
            .collect();
        for addr in &overdue {
            self.take_out(*addr);
        }
        overdue.len()
    }

    /// Adds up to `wanted` different peers, every one as likely as any other, of those that pass `others`:
    /// by Floyd's method, so that the cost is that of the sample. Nearly all pass, so a few more are drawn.
    pub(super) fn sample(
        &self,
        wanted: usize,
        incomplete_only: bool,
        others: impl Fn(&Entry) -> bool,
        below: &mut dyn FnMut(usize) -> usize,
        out: &mut Vec<TrackerPeer>,
    ) {
        let n = self.incomplete.len()
            + if incomplete_only {
                0
            } else {
                self.complete.len()
            };
        let draws = if wanted == 0 { 0 } else { n.min(wanted + 4) };
        let mut drawn: Vec<usize> = Vec::with_capacity(draws);
        for top in n - draws..n {
            let pick = below(top + 1);
            // Inserting at a random place keeps late draws from always standing last, where they'd be cut off.
            let pick = if drawn.contains(&pick) { top } else { pick };
            let place = below(drawn.len() + 1);
            drawn.push(pick);
            let last = drawn.len() - 1;
            drawn.swap(place, last);
        }
        let entry = |at: usize| {
            self.incomplete
                .get(at)
                .or_else(|| self.complete.get(at - self.incomplete.len()))
        };
        let found = drawn
            .into_iter()
            .filter_map(entry)
            .filter(|entry| others(entry));
        out.extend(found.take(wanted).map(|entry| TrackerPeer {
            addr: entry.addr,
            peer_id: Some(entry.peer_id),
        }));
    }

    fn list(&mut self, complete: bool) -> &mut Vec<Entry> {
        if complete {
            &mut self.complete
        } else {
            &mut self.incomplete
        }
    }

    fn take_out(&mut self, addr: SocketAddr) {
        let Some((complete, at)) = self.index.remove(&addr) else {
            return;
        };
        let list = self.list(complete);
        list.swap_remove(at);
        if let Some(moved) = list.get(at).map(|entry| entry.addr) {
            self.index.insert(moved, (complete, at));
        }
        let key = subscriber(addr.ip());
        if let Some(n) = self.per_address.get_mut(&key) {
            *n -= 1;
            if *n == 0 {
                self.per_address.remove(&key);
            }
        }
    }
}
