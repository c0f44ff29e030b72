//! Stories of one seed in spread mode.

use super::*;
use metainfo::geometry::PieceLength;
use proptest::prelude::*;

#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

const PIECE: u64 = 16 * 1024;
const NATIVE: World = World::Native;

/// A seed and its peers, each of which fetches what it is shown at once, unless told otherwise.
struct Story {
    spread: Spread,
    geometry: Geometry,
    start: Instant,
    now: Instant,
    sent: BTreeMap<u64, u64>,
    shown: BTreeMap<u64, Vec<PieceIndex>>,
    everything: Vec<u64>,
}

impl Story {
    fn new(n_pieces: u32) -> Self {
        let length = PieceLength::power_of_two(PIECE as i64).unwrap();
        let geometry = Geometry::new(length, u64::from(n_pieces) * PIECE).unwrap();
        let start = epoch();
        Self {
            spread: Spread::new(start, geometry, 7),
            geometry,
            start,
            now: start,
            sent: BTreeMap::new(),
            shown: BTreeMap::new(),
            everything: Vec::new(),
        }
    }

    fn join(&mut self, key: u64) -> Mode {
        let mode = self.spread.handle_join(self.now, key, NATIVE);
        let none = Bitfield::none(self.geometry.n_pieces());
        self.spread.handle_bitfield(self.now, key, &none);
        mode
    }

    /// Takes what is to be shown now.
    fn poll(&mut self) -> Vec<(u64, PieceIndex)> {
        let mut pieces = Vec::new();
        while let Some((key, reveal)) = self.spread.poll_reveal(self.now) {
            match reveal {
                Reveal::Piece(piece) => {
                    self.spread.handle_interest(self.now, key, true);
                    self.shown.entry(key).or_default().push(piece);
                    pieces.push((key, piece));
                }
                Reveal::All => self.everything.push(key),
            }
        }
        pieces
    }

    fn send(&mut self, key: u64, bytes: u64) {
        let sent = self.sent.entry(key).or_default();
        *sent += bytes;
        self.spread.handle_sent(self.now, key, *sent);
    }

    fn fetch(&mut self, key: u64, piece: PieceIndex) {
        self.send(key, u64::from(self.geometry.piece_len(piece)));
        self.spread.handle_have(self.now, key, piece);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn piece(&self, index: u32) -> PieceIndex {
        self.geometry.piece(index).unwrap()
    }
}

const MS: Duration = Duration::from_millis(1);

#[test]
fn nothing_goes_out_twice_before_a_copy_is_out() {
    let mut story = Story::new(64);
    (1..=8).for_each(|key| assert_eq!(story.join(key), Mode::Spreading));
    let mut order = Vec::new();
    while order.len() < 64 {
        for (key, piece) in story.poll() {
            story.pass(10 * MS);
            order.push(piece.get());
            story.fetch(key, piece);
        }
        story.pass(MS);
    }
    let mut once = order.clone();
    once.sort_unstable();
    assert_ne!(once, order, "random, not by index");
    once.dedup();
    assert_eq!(once.len(), 64);
    let copy = story.spread.first_copy().unwrap();
    assert_eq!(copy.sent, 64 * PIECE);
    assert!((1.0..2.0).contains(&story.spread.copies(NATIVE)));
    // Everybody got its share.
    let shares: Vec<usize> = story.shown.values().map(Vec::len).collect();
    assert!(
        shares.iter().all(|share| (6..=10).contains(share)),
        "{shares:?}"
    );
}

#[test]
fn few_are_under_way_at_once_and_never_none() {
    let mut story = Story::new(1000);
    (1..=100).for_each(|key| {
        story.join(key);
    });
    assert_eq!(story.poll().len(), 8);
    // A link of a piece every 100 ms, whoever it goes to.
    let mut queue: Vec<(u64, PieceIndex)> = Vec::new();
    story
        .shown
        .iter()
        .for_each(|(key, pieces)| queue.push((*key, pieces[0])));
    let mut most = 0;
    for _ in 0..500 {
        story.pass(100 * MS);
        assert!(
            !queue.is_empty(),
            "the uplink idles at {:?}",
            story.now - story.start
        );
        let (key, piece) = queue.remove(0);
        story.fetch(key, piece);
        queue.extend(story.poll());
        most = most.max(queue.len());
    }
    assert!(most <= 24, "{most} at once");
}

#[test]
fn a_lone_peer_gets_all_the_speed_there_is() {
    let mut story = Story::new(4000);
    story.join(1);
    // 20 ms of round trip and no end of a link.
    let mut under_way: Vec<(Instant, PieceIndex)> = Vec::new();
    let mut came = 0;
    for _ in 0..1000 {
        let news = story.poll();
        under_way.extend(news.iter().map(|(_, piece)| (story.now + 20 * MS, *piece)));
        story.pass(MS);
        let now = story.now;
        let ready: Vec<_> = under_way.extract_if(.., |(at, _)| *at <= now).collect();
        came += ready.len();
        ready.iter().for_each(|(_, piece)| story.fetch(1, *piece));
        if came == 4000 {
            break;
        }
    }
    assert_eq!(came, 4000, "in a second");
    assert_eq!(story.sent[&1], 4000 * PIECE);
}

#[test]
fn a_piece_of_a_peer_that_leaves_goes_to_another() {
    let mut story = Story::new(4);
    story.join(1);
    let first = story.poll();
    assert_eq!(first.len(), 2);
    story.spread.handle_leave(story.now, 1);
    story.join(2);
    let mut again = Vec::new();
    while again.len() < 4 {
        let news = story.poll();
        assert!(!news.is_empty());
        news.iter()
            .for_each(|(key, piece)| story.fetch(*key, *piece));
        again.extend(news);
    }
    assert!(first.iter().all(|(_, piece)| again.contains(&(2, *piece))));
    // It had everything, told nobody else, and went.
    assert_eq!(story.spread.copies(NATIVE), 1.0);
    story.spread.handle_leave(story.now, 2);
    assert_eq!(story.spread.copies(NATIVE), 0.0);
    story.join(3);
    assert_eq!(story.poll().len(), 2);
}

#[test]
fn a_piece_that_nothing_comes_of_is_given_to_another() {
    let mut story = Story::new(32);
    (1..=4).for_each(|key| {
        story.join(key);
    });
    let mut news = story.poll();
    let (dead, piece) = news[0];
    for _ in 0..300 {
        for (key, other) in &news {
            if *key != dead {
                story.fetch(*key, *other);
            }
        }
        if news
            .iter()
            .any(|(key, other)| *key != dead && *other == piece)
        {
            return;
        }
        story.pass(100 * MS);
        news = story.poll();
    }
    panic!("never given again");
}

#[test]
fn who_passes_on_gets_more() {
    let mut story = Story::new(400);
    (1..=12).for_each(|key| {
        story.join(key);
    });
    for _ in 0..30 {
        for (key, piece) in story.poll() {
            story.pass(10 * MS);
            story.fetch(key, piece);
            // Peer 1 gives what it gets to 12; all others keep what they have.
            if key == 1 {
                story.spread.handle_have(story.now, 12, piece);
            }
        }
        story.pass(MS);
    }
    let got = |key: u64| story.shown[&key].len();
    assert!(got(1) > 3 * got(2), "{} and {}", got(1), got(2));
    assert!(got(2) > 0);
    assert_eq!(story.spread.passed_on(1), got(1) as u64 * PIECE);
    assert_eq!(story.spread.passed_on(2), 0);
}

#[test]
fn claims_are_not_copies() {
    let mut story = Story::new(16);
    story.join(1);
    // A liar brings everything along, and another claims each piece as it is shown to it.
    story.spread.handle_join(story.now, 2, NATIVE);
    story
        .spread
        .handle_bitfield(story.now, 2, &Bitfield::all(16));
    story.join(3);
    for _ in 0..400 {
        for (key, piece) in story.poll() {
            if key == 3 {
                story.spread.handle_have(story.now, 3, piece);
            } else {
                story.fetch(key, piece);
            }
        }
        story.pass(50 * MS);
        if story.spread.first_copy().is_some() {
            break;
        }
    }
    assert!(story.spread.first_copy().is_some());
    assert_eq!(
        story.sent[&1],
        16 * PIECE,
        "the honest one was given everything"
    );
}

#[test]
fn a_torrent_of_a_piece_or_two_is_not_spread() {
    let mut story = Story::new(1);
    assert_eq!(story.join(1), Mode::Plain);
    story.fetch(1, story.piece(0));
    story.spread.handle_leave(story.now, 1);
    assert_eq!(story.join(2), Mode::Plain);
    assert!(!story.spread.metered(2));
}

#[test]
fn plenty_ends_it_and_scarcity_brings_it_back() {
    let mut story = Story::new(4);
    story.join(10);
    for key in 1..=9 {
        story.spread.handle_join(story.now, key, NATIVE);
        story
            .spread
            .handle_bitfield(story.now, key, &Bitfield::all(4));
    }
    // Nine that say they have everything weigh as much as three that were seen to get it.
    assert_eq!(story.spread.mode(NATIVE), Mode::Plain);
    story.poll();
    assert!(story.everything.contains(&10));
    assert_eq!(story.join(11), Mode::Plain);
    assert!(!story.spread.metered(11));
    for key in 1..=5 {
        story.spread.handle_leave(story.now, key);
    }
    assert_eq!(story.spread.mode(NATIVE), Mode::Spreading);
    assert_eq!(story.join(12), Mode::Spreading);
    assert!(story.spread.metered(12));
    // The browsers' world has seen nothing of all that.
    assert_eq!(story.spread.mode(World::Browser), Mode::Spreading);
    assert_eq!(story.spread.copies(World::Browser), 0.0);
}

#[test]
fn worlds_do_not_feed_each_other() {
    let mut story = Story::new(8);
    story.join(1);
    story.spread.handle_join(story.now, 2, World::Browser);
    story.spread.handle_interest(story.now, 2, true);
    for _ in 0..50 {
        for (key, piece) in story.poll() {
            story.fetch(key, piece);
        }
        story.pass(10 * MS);
    }
    let mut shown = [story.shown[&1].len(), story.shown[&2].len()];
    shown.sort_unstable();
    assert_eq!(shown, [8, 8], "each world got its own copy");
}

#[test]
fn who_tells_nothing_is_shown_everything() {
    let mut story = Story::new(1000);
    (1..=3).for_each(|key| {
        story.join(key);
    });
    for _ in 0..200 {
        for (key, _) in story.poll() {
            story.send(key, PIECE);
        }
        story.pass(50 * MS);
    }
    assert_eq!(story.spread.mode(NATIVE), Mode::Plain);
    assert_eq!(story.everything.len(), 3);
}

#[test]
fn a_slow_peer_keeps_nobody_waiting() {
    let mut story = Story::new(600);
    (1..=6).for_each(|key| {
        story.join(key);
    });
    // Peers 1 to 5 need 5 s a piece, peer 6 needs 20 ms.
    let mut under_way: Vec<(Instant, u64, PieceIndex)> = Vec::new();
    for _ in 0..3000 {
        for (key, piece) in story.poll() {
            let takes = if key == 6 { 20 * MS } else { 5000 * MS };
            under_way.push((story.now + takes, key, piece));
        }
        story.pass(10 * MS);
        let now = story.now;
        let ready: Vec<_> = under_way.extract_if(.., |(at, ..)| *at <= now).collect();
        ready
            .iter()
            .for_each(|(_, key, piece)| story.fetch(*key, *piece));
    }
    let fast = story.shown[&6].len();
    assert!(fast > 300, "{fast} pieces in half a minute");
}

proptest! {
    #[test]
    fn whatever_peers_say_the_counts_hold(
        steps in proptest::collection::vec((0u8..9, 1u64..5, 0u32..6, 0u64..3), 0..200)
    ) {
        let mut story = Story::new(6);
        for (what, key, piece, pieces) in steps {
            let piece = story.piece(piece);
            let now = story.now;
            match what {
                0 => drop(story.join(key)),
                1 => story.spread.handle_leave(now, key),
                2 => story.spread.handle_have(now, key, piece),
                3 => story.spread.handle_dont_have(now, key, piece),
                4 if pieces == 0 => story.spread.handle_bitfield(now, key, &Bitfield::none(6)),
                4 => story.spread.handle_bitfield(now, key, &Bitfield::all(6)),
                5 => story.send(key, pieces * PIECE),
                6 => story.fetch(key, piece),
                7 => story.pass(Duration::from_secs(pieces * 4)),
                _ => story.spread.handle_choked(now, key, pieces == 0),
            }
            story.poll();
            prop_assert!(story.spread.copies(NATIVE) >= 0.0);
            if let Some(at) = story.spread.next_timeout(now) {
                prop_assert!(at > now);
            }
        }
        for key in 1..5 {
            story.spread.handle_leave(story.now, key);
        }
        prop_assert_eq!(story.spread.copies(NATIVE), 0.0);
        prop_assert_eq!(story.spread.mode(NATIVE), Mode::Spreading);
        // Nothing is left under way of those who have gone.
        story.join(9);
        story.pass(Duration::from_secs(1));
        prop_assert!(!story.poll().is_empty());
    }
}

#[test]
fn who_wants_nothing_keeps_nobody_waiting() {
    let mut story = Story::new(64);
    for key in 1..=2000 {
        story.spread.handle_join(story.now, key, NATIVE);
    }
    let poll = |story: &mut Story| {
        let mut pieces = Vec::new();
        while let Some((key, Reveal::Piece(piece))) = story.spread.poll_reveal(story.now) {
            pieces.push((key, piece));
        }
        pieces
    };
    let mut shown = 0;
    while shown < 2000 {
        shown += poll(&mut story).len();
        story.pass(5 * MS);
    }
    // Even while they come, who comes last is next.
    story.pass(2000 * MS);
    poll(&mut story);
    let newcomer = 9999;
    story.join(newcomer);
    let mut fetched = 0;
    while fetched < 60 {
        let pieces = poll(&mut story);
        fetched += pieces.len();
        assert!(!pieces.is_empty(), "nothing for who wants something");
        for (key, piece) in pieces {
            assert_eq!(key, newcomer);
            story.spread.handle_interest(story.now, key, true);
            story.pass(MS);
            story.fetch(key, piece);
        }
    }
    // One of the idle wants something after all.
    story.spread.handle_interest(story.now, 7, true);
    assert!(poll(&mut story).iter().any(|(key, _)| *key == 7));
}

#[test]
fn nobody_waits_for_ever_behind_those_who_pass_nothing_on() {
    let mut story = Story::new(512);
    // A block a peer each second is all the link gives: no piece is whole within the story.
    for key in 1..=300 {
        story.join(key);
    }
    let mut served = BTreeMap::new();
    while story.now < story.start + 30_000 * MS {
        for (key, _) in story.poll() {
            served.entry(key).or_insert(story.now - story.start);
        }
        let begun: Vec<u64> = served.keys().copied().collect();
        for key in begun {
            if !story.sent.contains_key(&key) {
                story.send(key, 1024);
            }
        }
        story.spread.handle_uplink(true);
        story.pass(10 * MS);
    }
    assert_eq!(served.len(), 300);
    let last = served.values().max().unwrap();
    assert!(*last < Duration::from_secs(26), "{last:?}");
}

#[test]
fn who_comes_with_the_piece_that_it_is_shown_is_shown_another() {
    let mut story = Story::new(8);
    for key in 1..=20 {
        story.spread.handle_join(story.now, key, NATIVE);
        let (_, Reveal::Piece(first)) = story.spread.poll_reveal(story.now).unwrap() else {
            panic!("everything was shown");
        };
        let mut field = Bitfield::all(8);
        field.unset(story.piece(3));
        story.spread.handle_bitfield(story.now, key, &field);
        if first != story.piece(3) {
            let next = story.spread.poll_reveal(story.now);
            assert_eq!(next, Some((key, Reveal::Piece(story.piece(3)))));
        }
        story.spread.handle_leave(story.now, key);
        story.pass(10 * MS);
    }
}

/// Somebody who has got what it is shown under way from elsewhere, and never asks for it.
#[test]
fn who_asks_for_nothing_that_it_is_shown_is_shown_more_while_the_uplink_idles() {
    let mut story = Story::new(32);
    story.join(1);
    let mut shown = story.poll().len();
    assert_eq!(shown, 2);
    for _ in 0..40 {
        story.pass(50 * MS);
        shown += story.poll().len();
    }
    assert!(shown >= 10, "{shown} pieces in two seconds");
    // What it asks for at last is counted as ever.
    let piece = *story.shown[&1].last().unwrap();
    story.fetch(1, piece);
    assert!(!story.poll().is_empty());
    assert_eq!(story.spread.copies(NATIVE), 1.0 / 32.0);
}

#[test]
fn an_uplink_that_others_wait_for_does_not_idle() {
    let mut story = Story::new(32);
    story.join(1);
    story.spread.handle_uplink(true);
    let mut shown = story.poll().len();
    for _ in 0..20 {
        story.pass(50 * MS);
        shown += story.poll().len();
    }
    assert_eq!(shown, 2);
}

/// How long the first copy takes eight peers that pass on what they get, behind a link of a piece every 10 ms, while
/// `liars` more say that they want something, take so many bytes and come again after half a second.
fn first_copy_among(liars: u64, taken: u64) -> Duration {
    let mut story = Story::new(600);
    (1..=8).for_each(|key| {
        story.join(key);
    });
    let mut queue = std::collections::VecDeque::new();
    for step in 0..6000u64 {
        if step.is_multiple_of(50) {
            let first = 9 + step / 50 * liars;
            for key in first..first + liars {
                story.spread.handle_leave(story.now, key);
                story.join(key + liars);
            }
        }
        for (key, piece) in story.poll() {
            if key > 8 && !story.sent.contains_key(&key) && taken > 0 {
                story.send(key, taken);
            } else if key <= 8 {
                queue.push_back((key, piece));
            }
        }
        story.pass(10 * MS);
        if let Some((key, piece)) = queue.pop_front() {
            story.fetch(key, piece);
            story.spread.handle_have(story.now, key % 8 + 1, piece);
        }
        if let Some(copy) = story.spread.first_copy() {
            return copy.after;
        }
    }
    panic!("no copy in a minute");
}

#[test]
fn who_only_says_that_it_wants_something_holds_nobody_up() {
    let alone = first_copy_among(0, 0);
    for (liars, taken) in [(8, 0), (40, 0), (8, 1), (40, 1)] {
        let among = first_copy_among(liars, taken);
        assert!(among < alone * 11 / 10, "{among:?} instead of {alone:?}");
    }
    // Sixteen blocks a second of the link's hundred, taken and never told of.
    let among = first_copy_among(8, PIECE);
    assert!(among < alone * 5 / 4, "{among:?} instead of {alone:?}");
}

#[test]
fn the_last_pieces_do_not_wait_for_somebody_slow() {
    let mut story = Story::new(40);
    (1..=8).for_each(|key| {
        story.join(key);
    });
    // Peer 1 never gets its pieces whole; a link of a piece every 50 ms serves the others.
    let mut queue = std::collections::VecDeque::new();
    for _ in 0..80 {
        for (key, piece) in story.poll() {
            if key == 1 {
                story.send(1, PIECE / 2);
            } else {
                queue.push_back((key, piece));
            }
        }
        story.pass(50 * MS);
        if let Some((key, piece)) = queue.pop_front() {
            story.fetch(key, piece);
        }
    }
    let copy = story.spread.first_copy().expect("a copy is out");
    // Forty pieces are two seconds.
    assert!(copy.after < 2600 * MS, "{copy:?}");
    assert!(copy.sent < 45 * PIECE, "{copy:?}");
}
