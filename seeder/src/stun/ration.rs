//! How many answers go out in a second, in all and to one address. The table has a fixed size: addresses that fall into the
//! same place share it, and the keyed hash lets nobody choose which.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Instant;
use swarm::subscriber;

/// Places for addresses: 128 KiB.
const PLACES: usize = 1 << 13;
/// After a quiet time an address gets the answers of so many seconds at once: a page asks for several connections
/// together, and many viewers may share an address.
const BURST_SECONDS: f32 = 5.0;

pub(super) struct Ration {
    all: Bucket,
    rate: f32,
    places: Vec<Bucket>,
    rate_per_address: f32,
    hasher: RandomState,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f32,
    at: Instant,
}

impl Ration {
    /// Full buckets: so many answers a second in all, and so many for one IPv4 address or IPv6 /64.
    pub(super) fn new(rate: u32, rate_per_address: u32, now: Instant) -> Self {
        let (rate, rate_per_address) = (rate as f32, rate_per_address as f32);
        let bucket = |left| Bucket { left, at: now };
        Self {
            all: bucket(rate),
            rate,
            places: vec![bucket(rate_per_address * BURST_SECONDS); PLACES],
            rate_per_address,
            hasher: RandomState::new(),
        }
    }

    /// Whether this address is answered now.
    pub(super) fn take(&mut self, ip: IpAddr, now: Instant) -> bool {
        let place = self.hasher.hash_one(subscriber(ip)) as usize % PLACES;
        let rate = self.rate_per_address;
        // The address first: what one of them asks in vain costs the others nothing.
        self.places[place].take(rate, rate * BURST_SECONDS, now)
            && self.all.take(self.rate, self.rate, now)
    }
}

impl Bucket {
    fn take(&mut self, rate: f32, most: f32, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f32();
        self.left = (self.left + passed * rate).min(most);
        self.at = now;
        let taken = self.left >= 1.0;
        if taken {
            self.left -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_gets_its_rate_and_no_more_and_so_do_all_together() {
        let start = Instant::now();
        let mut ration = Ration::new(1000, 10, start);
        let mut answered = |ip: &str, after: u64| {
            let (ip, now) = (ip.parse().unwrap(), start + Duration::from_secs(after));
            (0..500).filter(|_| ration.take(ip, now)).count()
        };
        assert_eq!(answered("192.0.2.1", 0), 50);
        assert_eq!(answered("192.0.2.1", 2), 20);
        assert_eq!(answered("2001:db8::1", 2), 50);
        assert_eq!(answered("2001:db8::2", 2), 0, "a /64 is one");
        let crowd: usize = (0..100)
            .map(|n| answered(&format!("198.51.100.{n}"), 3))
            .sum();
        assert!((900..=1000).contains(&crowd), "{crowd}");
    }
}
