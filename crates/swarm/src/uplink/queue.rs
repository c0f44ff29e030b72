//! Who asks for the uplink, in the order in which they are served: classes, in these releases, in these askers.
//!
//! Both lower levels are fair queues (self-clocked fair queueing, Golestani 1994): what asks is placed by the virtual
//! time at which it would be done if all were served at once, and virtual time is the place of whoever was served
//! last. Nobody's past has to be remembered for that, so nothing is won by asking in small bits, by coming anew, or by
//! having rested. Every step is a search in an ordered set.

use std::collections::BTreeSet;

/// One byte of a release of weight one, in virtual time.
const BYTE: u128 = 1 << 20;
/// The weight of one asker.
pub(super) const ONE: u64 = 1 << 10;

/// Askers of one class and release.
#[derive(Debug, Clone, Default)]
pub(super) struct Askers {
    waiting: BTreeSet<(u128, u64, usize)>,
    /// Virtual time, in bytes of one asker.
    now: u128,
    /// Tells apart who has the same place: first come, first served.
    count: u64,
    /// The place among the releases of the class, where it has one.
    pub(super) place: Option<u128>,
}

/// An asker's place, by which it can be taken out again.
pub(super) type Place = (u128, u64);

impl Askers {
    /// Enters an asker who wants so many bytes.
    pub(super) fn push(&mut self, asker: usize, bytes: u64) -> Place {
        self.count += 1;
        let place = (self.now + u128::from(bytes), self.count);
        self.waiting.insert((place.0, place.1, asker));
        place
    }

    /// Takes an asker out before its turn.
    pub(super) fn remove(&mut self, asker: usize, place: Place) {
        self.waiting.remove(&(place.0, place.1, asker));
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<usize> {
        self.waiting.first().map(|(_, _, asker)| *asker)
    }

    /// Takes out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let (place, _, asker) = self.waiting.pop_first()?;
        self.now = place;
        Some(asker)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Releases that somebody of one class asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Releases {
    waiting: BTreeSet<(u128, usize)>,
    now: u128,
    /// What this class may send before those above it: its small share of what they sent while it waited.
    pub(super) credit: u64,
}

impl Releases {
    /// Enters a release whose first asker wants so many bytes. Gives its place.
    pub(super) fn push(&mut self, release: usize, bytes: u64, weight: u64) -> u128 {
        let place = self.now + u128::from(bytes) * BYTE * u128::from(ONE) / u128::from(weight);
        self.waiting.insert((place, release));
        place
    }

    /// Takes a release out.
    pub(super) fn remove(&mut self, release: usize, place: u128) {
        self.waiting.remove(&(place, release));
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<usize> {
        self.waiting.first().map(|(_, release)| *release)
    }

    /// Takes out whose turn it is.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let (place, release) = self.waiting.pop_first()?;
        self.now = place;
        Some(release)
    }
}
