//! Connection ids of the UDP tracker (BEP 15): whoever sends one back has received it, so it is where it says it is.
//! Nothing is kept for an asker: an id is a keyed tag of its address, all 64 bits of it, under a key that is
//! replaced every [`SLOT`]. The key before is accepted as well, so an id holds for two to four minutes.
//!
//! The tag is SipHash-2-4 (Aumasson, Bernstein): made to be unforgeable for short inputs by whoever doesn't have its 128-bit key,
//! 64 bits long as the id is, and some twenty nanoseconds for an address. (What `std` has is the weaker 1-3, without a way to
//! give it a key.) The key of a slot comes from one root by the same function, so threads that never speak to each other agree,
//! and an id seen in one slot says nothing of another.
//!
//! The root is the caller's to draw at random; so is the slot, a count of [`SLOT`]s on a clock that never goes back.

use siphasher::sip::SipHasher24;
use std::net::IpAddr;
use std::time::Duration;

/// How long a key gives ids. They are accepted for as long again.
pub const SLOT: Duration = Duration::from_secs(120);

/// Gives connection ids and knows its own.
#[derive(Clone)]
pub struct ConnectionIds {
    root: SipHasher24,
    slot: u64,
    current: SipHasher24,
    previous: SipHasher24,
}

impl std::fmt::Debug for ConnectionIds {
    /// Without the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionIds")
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

impl ConnectionIds {
    /// Ids under a root that nobody else knows, from this slot on.
    pub fn new(root: [u8; 16], slot: u64) -> Self {
        let root = SipHasher24::new_with_key(&root);
        Self {
            slot,
            current: slot_key(&root, slot),
            previous: slot_key(&root, slot.wrapping_sub(1)),
            root,
        }
    }

    /// Goes to a slot; costs nothing where it is the same one.
    pub fn turn_to(&mut self, slot: u64) {
        if slot != self.slot {
            *self = Self {
                root: self.root,
                slot,
                current: slot_key(&self.root, slot),
                previous: slot_key(&self.root, slot.wrapping_sub(1)),
            };
        }
    }

    /// An id for this address. An IPv4 address and its IPv6-mapped form are one.
    pub fn issue(&self, ip: IpAddr) -> u64 {
        tag(&self.current, ip)
    }

    /// Whether an id was given to this address in this slot or the one before.
    pub fn accepts(&self, ip: IpAddr, id: u64) -> bool {
        id == tag(&self.current, ip) || id == tag(&self.previous, ip)
    }
}

fn slot_key(root: &SipHasher24, slot: u64) -> SipHasher24 {
    // A byte more tells the halves apart; no other input of the root is nine bytes long.
    let half = |n: u8| {
        let mut input = [n; 9];
        input[..8].copy_from_slice(&slot.to_le_bytes());
        root.hash(&input)
    };
    SipHasher24::new_with_keys(half(0), half(1))
}

fn tag(key: &SipHasher24, ip: IpAddr) -> u64 {
    let ip = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    key.hash(&ip.octets())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const ROOT: [u8; 16] = *b"sixteen secret b";

    /// Appendix A of the paper: the 16th of the reference's vectors is of the 15 bytes 00 to 0e.
    #[test]
    fn the_function_is_siphash_2_4() {
        let key: [u8; 16] = std::array::from_fn(|n| n as u8);
        let input: [u8; 15] = std::array::from_fn(|n| n as u8);
        let hasher = SipHasher24::new_with_key(&key);
        assert_eq!(hasher.hash(&input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn an_id_lives_two_slots_and_no_longer() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let mut ids = ConnectionIds::new(ROOT, 10);
        let id = ids.issue(ip);
        for (slot, accepted) in [(10, true), (11, true), (12, false), (13, false)] {
            ids.turn_to(slot);
            assert_eq!(ids.accepts(ip, id), accepted, "slot {slot}");
        }
        assert!(SLOT >= Duration::from_secs(60), "BEP 15: at least a minute");
        let early = ConnectionIds::new(ROOT, 9);
        assert!(!early.accepts(ip, id), "nor before it was given");
    }

    #[test]
    fn every_thread_with_the_root_knows_the_id_and_no_other_does() {
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        let (mut here, there) = (ConnectionIds::new(ROOT, 3), ConnectionIds::new(ROOT, 4));
        here.turn_to(4);
        assert!(there.accepts(ip, here.issue(ip)));
        let other = ConnectionIds::new(*b"another secret b", 4);
        assert!(!other.accepts(ip, here.issue(ip)));
        assert!(!format!("{here:?}").contains("key"), "keys stay here");
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        let v4 = Ipv4Addr::new(192, 0, 2, 1);
        let ids = ConnectionIds::new(ROOT, 0);
        assert_eq!(ids.issue(v4.into()), ids.issue(v4.to_ipv6_mapped().into()));
    }

    /// Every bit of an id hangs on the key: over many ids each is set about half of the time, and none repeats.
    #[test]
    fn all_64_bits_are_the_tag() {
        let mut seen = HashSet::new();
        let mut ones = [0u32; 64];
        for slot in 0..64 {
            let ids = ConnectionIds::new(ROOT, slot);
            for host in 0..64u8 {
                let id = ids.issue(Ipv4Addr::new(10, 0, 0, host).into());
                assert!(seen.insert(id));
                for (bit, ones) in ones.iter_mut().enumerate() {
                    *ones += (id >> bit & 1) as u32;
                }
            }
        }
        // 4096 tosses: six standard deviations are 192.
        assert!(ones.iter().all(|n| n.abs_diff(2048) < 192), "{ones:?}");
    }

    proptest! {
        #[test]
        fn the_id_of_another_address_is_not_accepted(a: u128, b: u128, slot: u64, flip in 0u32..64) {
            let (a, b) = (Ipv6Addr::from(a), Ipv6Addr::from(b));
            let ids = ConnectionIds::new(ROOT, slot);
            let id = ids.issue(a.into());
            prop_assert!(ids.accepts(a.into(), id));
            prop_assert_eq!(ids.accepts(b.into(), id), a == b);
            prop_assert!(!ids.accepts(a.into(), id ^ (1 << flip)));
        }
    }
}
