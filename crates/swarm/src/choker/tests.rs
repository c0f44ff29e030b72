//! Stories of a link that peers share.

use super::*;
use proptest::prelude::*;

#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

/// A link of so many bytes a second, shared evenly by who is unchoked and takes less than its part.
struct Link {
    choker: Choker,
    start: Instant,
    now: Instant,
    rate: u64,
    /// What each takes at most, in bytes a second, and what it has had.
    peers: BTreeMap<u64, (u64, u64)>,
    unchoked: BTreeMap<u64, bool>,
}

impl Link {
    fn new(kind: Kind, rate: u64) -> Self {
        let start = epoch();
        Self {
            choker: Choker::new(start, kind, Policy::DEFAULT, 3),
            start,
            now: start,
            rate,
            peers: BTreeMap::new(),
            unchoked: BTreeMap::new(),
        }
    }

    fn join(&mut self, key: u64, takes: u64, address: u64) {
        let [.., high, low] = address.to_be_bytes();
        let address = IpAddr::from([10, 0, high, low]);
        self.choker.handle_join(self.now, key, Some(address));
        self.choker.handle_interest(self.now, key, true);
        self.peers.insert(key, (takes, 0));
        self.unchoked.insert(key, false);
        self.poll();
    }

    fn poll(&mut self) {
        while let Some(change) = self.choker.poll_change(self.now) {
            let was = self.unchoked.insert(change.key, !change.choke);
            assert_eq!(was, Some(change.choke), "a change changes something");
        }
    }

    fn n_unchoked(&self) -> usize {
        self.unchoked.values().filter(|unchoked| **unchoked).count()
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 4 {
            self.now += Duration::from_millis(250);
            let mut served: Vec<u64> = self
                .unchoked
                .iter()
                .filter(|(_, u)| **u)
                .map(|(k, _)| *k)
                .collect();
            served.sort_by_key(|key| self.peers[key].0);
            let mut left = self.rate / 4;
            let n = served.len() as u64;
            for (at, key) in (0..).zip(served) {
                let (takes, had) = self.peers.get_mut(&key).unwrap();
                let part = (left / (n - at)).min(*takes / 4);
                left -= part;
                *had += part;
                self.choker.handle_sent(self.now, key, *had);
            }
            self.poll();
        }
    }

    fn had(&self, key: u64) -> u64 {
        self.peers[&key].1
    }
}

const MB: u64 = 1_000_000;

#[test]
fn a_fast_link_serves_everybody_within_seconds() {
    let mut link = Link::new(Kind::Seed, 1000 * MB);
    (0..512).for_each(|key| link.join(key, 1000 * MB, key));
    assert_eq!(link.n_unchoked(), 64);
    link.run(2);
    assert_eq!(link.n_unchoked(), 512);
    let before: Vec<u64> = (0..512).map(|key| link.had(key)).collect();
    link.run(4);
    let got: Vec<u64> = (0..512)
        .map(|key| link.had(key) - before[key as usize])
        .collect();
    assert!(got.iter().min() >= got.iter().max().map(|most| most / 2).as_ref());
}

#[test]
fn a_slow_link_serves_few_at_once_and_everybody_soon() {
    let mut link = Link::new(Kind::Seed, 2 * MB);
    (0..500).for_each(|key| link.join(key, 8 * MB, key));
    link.run(90);
    assert!(link.n_unchoked() <= 160, "{}", link.n_unchoked());
    assert!((0..500).all(|key| link.had(key) > 0));
    link.run(900);
    let had: Vec<u64> = (0..500).map(|key| link.had(key)).collect();
    let (least, most) = (*had.iter().min().unwrap(), *had.iter().max().unwrap());
    assert!(most < 3 * least, "{least} to {most}");
    assert!(
        had.iter().sum::<u64>() > 900 * 2 * MB * 9 / 10,
        "the link is used"
    );
}

#[test]
fn slow_takers_do_not_keep_a_fast_link_from_being_used() {
    let mut link = Link::new(Kind::Seed, 1000 * MB);
    (0..500).for_each(|key| link.join(key, 10_000, key));
    link.run(30);
    assert!(link.n_unchoked() >= 450, "{}", link.n_unchoked());
}

#[test]
fn a_limit_that_is_known_needs_no_search() {
    let mut link = Link::new(Kind::Seed, 2_500_000);
    link.choker.handle_limit(Some(2_500_000));
    (0..500).for_each(|key| link.join(key, MB, key));
    assert_eq!(link.n_unchoked(), 122);
    link.choker.handle_limit(Some(1000));
    assert_eq!(link.choker.slots(), Policy::DEFAULT.least_slots);
}

#[test]
fn coming_back_makes_nobody_new() {
    let mut link = Link::new(Kind::Seed, 100_000);
    link.choker.handle_limit(Some(100_000));
    // Slots for five; ten that stay, and one that reconnects whenever it is choked.
    (0..10).for_each(|key| link.join(key, 100_000, key));
    let (mut rider, mut taken) = (100, 0);
    link.join(rider, 100_000, 200);
    for _ in 0..3600 {
        link.run(1);
        if !link.unchoked[&rider] {
            taken += link.had(rider);
            link.choker.handle_leave(link.now, rider);
            link.unchoked.remove(&rider);
            link.peers.remove(&rider);
            rider += 1;
            link.join(rider, 100_000, 200);
        }
    }
    taken += link.had(rider);
    let others: u64 = (0..10).map(|key| link.had(key)).sum();
    assert!(taken <= others / 10, "{taken} against {} each", others / 10);
    assert!(link.now - link.start >= Duration::from_secs(3600));
}

#[test]
fn metered_peers_are_let_in_before_they_ask_and_hold_no_slot() {
    let mut link = Link::new(Kind::Seed, MB);
    link.choker.handle_limit(Some(1));
    for key in 0..50 {
        link.choker.handle_join(link.now, key, None);
        link.choker.handle_metered(key, true);
        link.peers.insert(key, (0, 0));
        link.unchoked.insert(key, false);
    }
    link.poll();
    assert_eq!(link.n_unchoked(), 50);
    // Shown everything, they have turns like everybody.
    for key in 0..50 {
        link.choker.handle_interest(link.now, key, true);
        link.choker.handle_metered(key, false);
    }
    link.run(61);
    assert_eq!(link.n_unchoked(), Policy::DEFAULT.least_slots);
}

#[test]
fn metered_peers_that_want_something_are_bounded_and_counted() {
    let start = epoch();
    let policy = Policy {
        most_metered: 3,
        ..Policy::DEFAULT
    };
    let mut choker = Choker::new(start, Kind::Seed, policy, 3);
    let mut let_in = 0;
    for key in 0..5 {
        choker.handle_join(start, key, None);
        choker.handle_metered(key, true);
        choker.handle_interest(start, key, true);
        while choker.poll_change(start).is_some() {
            let_in += 1;
        }
    }
    assert_eq!((let_in, choker.n_kept_out()), (3, 2));
    // They wait on; nobody else is kept out by that.
    let later = start + TICK;
    assert_eq!(choker.poll_change(later), None);
    assert_eq!(choker.n_kept_out(), 2);
    choker.handle_leave(later, 1);
    assert_eq!(
        choker.poll_change(later).map(|change| change.choke),
        Some(false)
    );
}

#[test]
fn who_wants_nothing_costs_nothing() {
    let start = epoch();
    let mut choker = Choker::new(start, Kind::Seed, Policy::DEFAULT, 3);
    for key in 0..100 {
        choker.handle_join(start, key, None);
        choker.handle_metered(key, key < 50);
    }
    while choker.poll_change(start).is_some() {}
    assert!(choker.live.is_empty());
    choker.handle_interest(start, 7, true);
    choker.handle_interest(start, 77, true);
    while choker.poll_change(start).is_some() {}
    assert_eq!(choker.live.iter().copied().collect::<Vec<_>>(), [7, 77]);
}

#[test]
fn a_fetcher_serves_who_gives_and_somebody_by_chance() {
    let mut link = Link::new(Kind::Fetch, 2 * MB);
    link.choker.handle_limit(Some(8 * 20 * 1024));
    (0..40).for_each(|key| link.join(key, 2 * MB, key));
    assert_eq!(
        link.n_unchoked(),
        8,
        "nobody has given anything yet: by chance"
    );
    let mut ever = BTreeSet::new();
    for second in 1..=300 {
        for key in 0..6 {
            link.choker
                .handle_received(link.now, key, second * 10_000 * (key + 1));
        }
        link.run(1);
        ever.extend(
            link.unchoked
                .iter()
                .filter(|(_, u)| **u)
                .map(|(key, _)| *key),
        );
    }
    assert_eq!(link.n_unchoked(), 8);
    assert!((0..6).all(|key| link.unchoked[&key]), "{:?}", link.unchoked);
    assert!(ever.len() > 12, "others get a chance: {}", ever.len());
}

#[test]
fn a_fetcher_with_room_serves_everybody() {
    let mut link = Link::new(Kind::Fetch, 2 * MB);
    (0..15).for_each(|key| link.join(key, 2 * MB, key));
    assert_eq!(link.n_unchoked(), 15);
    link.run(60);
    assert_eq!(link.n_unchoked(), 15);
    link.choker.handle_interest(link.now, 3, false);
    link.run(11);
    assert_eq!(link.n_unchoked(), 14);
    link.choker.handle_kind(Kind::Seed);
    link.run(60);
    assert_eq!(link.n_unchoked(), 14);
}

proptest! {
    #[test]
    fn whatever_happens_no_change_is_told_twice(
        fetch in any::<bool>(), steps in proptest::collection::vec((0u8..7, 0u64..6, 0u64..400_000), 0..200)
    ) {
        let kind = if fetch { Kind::Fetch } else { Kind::Seed };
        let mut link = Link::new(kind, MB);
        link.choker.handle_limit(Some(1));
        for (what, key, amount) in steps {
            let now = link.now;
            match what {
                0 if !link.peers.contains_key(&key) => link.join(key, MB, key),
                1 => {
                    link.choker.handle_leave(now, key);
                    link.peers.remove(&key);
                    link.unchoked.remove(&key);
                }
                2 => link.choker.handle_interest(now, key, amount % 2 == 0),
                3 => link.choker.handle_metered(key, amount % 2 == 0),
                4 => link.choker.handle_received(now, key, amount),
                5 => link.choker.handle_sent(now, key, amount),
                _ => link.now += Duration::from_millis(amount),
            }
            link.poll();
        }
    }
}
