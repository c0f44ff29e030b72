//! Who was served lately, by address, so that coming back doesn't make anybody new. Bounded: where it is full, what
//! was noted longest ago is forgotten.

use crate::subscriber;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Bytes given by address.
#[derive(Debug)]
pub(super) struct Memory {
    lasts: Duration,
    most: usize,
    given: HashMap<IpAddr, (u64, Instant)>,
    /// The addresses in the order in which they were first noted.
    order: VecDeque<(IpAddr, Instant)>,
    n_forgotten: u64,
}

impl Memory {
    /// Remembers so many addresses for so long.
    pub(super) fn new(most: usize, lasts: Duration) -> Self {
        Self {
            lasts,
            most,
            given: HashMap::new(),
            order: VecDeque::new(),
            n_forgotten: 0,
        }
    }

    /// An address was given so many bytes more.
    pub(super) fn note(&mut self, now: Instant, address: IpAddr, bytes: u64) {
        self.forget(now);
        let address = subscriber(address);
        if let Some((given, _)) = self.given.get_mut(&address) {
            *given = given.saturating_add(bytes);
            return;
        }
        if self.order.len() >= self.most
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.given.remove(&oldest);
            self.n_forgotten += 1;
        }
        self.given.insert(address, (bytes, now));
        self.order.push_back((address, now));
    }

    /// How many were forgotten early to make place for others.
    pub(super) fn n_forgotten(&self) -> u64 {
        self.n_forgotten
    }

    /// How many bytes an address was given, as far as is remembered.
    pub(super) fn given(&mut self, now: Instant, address: IpAddr) -> u64 {
        self.forget(now);
        self.given
            .get(&subscriber(address))
            .map_or(0, |(bytes, _)| *bytes)
    }

    fn forget(&mut self, now: Instant) {
        while let Some((address, at)) = self.order.front()
            && now.saturating_duration_since(*at) > self.lasts
        {
            self.given.remove(address);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    #[test]
    fn addresses_are_remembered_for_a_while_and_within_bounds() {
        let start = epoch();
        let mut memory = Memory::new(2, Duration::from_secs(60));
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        memory.note(start, address("10.0.0.1"), 5);
        memory.note(start, address("::ffff:10.0.0.1"), 6);
        memory.note(start, address("2001:db8::1"), 7);
        assert_eq!(memory.given(start, address("10.0.0.1")), 11);
        assert_eq!(memory.given(start, address("2001:db8::2:1")), 7);
        assert_eq!(memory.given(start, address("2001:db8:0:1::1")), 0);
        memory.note(start, address("10.0.0.2"), 8);
        assert_eq!(memory.given(start, address("10.0.0.1")), 0);
        assert_eq!(memory.given(start, address("10.0.0.2")), 8);
        assert_eq!(memory.n_forgotten(), 1);
        assert_eq!((memory.given.len(), memory.order.len()), (2, 2));
        let later = start + Duration::from_secs(61);
        assert_eq!(memory.given(later, address("10.0.0.2")), 0);
        assert!(memory.given.is_empty() && memory.order.is_empty());
    }
}
