//! Crowds around our first seed, on virtual time: whether its spread mode brings the first copies out close to what is
//! possible, whoever the crowd is made of. Small ones; the figure of 10,000 peers is a command of `bench/`.

use std::time::Duration;
use tests::sim::connected::Connected;
use tests::sim::crowd::{Crowd, Outcome};
use tests::sim::leecher::Random;

/// The last leecher's time and that of the first copy, in units of the bound, and the copies sent until then.
#[track_caller]
fn figures(outcome: &Outcome) -> (f64, f64, f64) {
    let last = outcome.last().expect("everybody gets everything");
    let (first, copies) = outcome.first_copy.expect("a copy gets out");
    (last / outcome.bound, first / outcome.bound, copies)
}

#[test]
fn a_flash_crowd_is_done_close_to_the_bound() {
    let crowd = Crowd::flash(200, 128);
    let (last, first, copies) = figures(&crowd.run());
    assert!(last <= 1.15, "last {last}");
    assert!(
        first <= 1.05 && copies <= 1.05,
        "first copy at {first} with {copies}"
    );
    // Rarest first alone sends pieces twice before each is out once.
    let plain = Crowd {
        spreads: false,
        ..crowd
    };
    let (plain_last, _, plain_copies) = figures(&plain.run());
    assert!(plain_copies > copies, "{plain_copies}");
    assert!(plain_last > last, "{plain_last}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let crowd = Crowd::flash(40, 32);
    assert_eq!(crowd.run().done, crowd.run().done);
    let other = Crowd {
        seed: 2,
        ..crowd.clone()
    };
    assert_ne!(crowd.run().done, other.run().done);
}

#[test]
fn a_lone_leecher_gets_the_whole_uplink() {
    let (last, _, copies) = figures(&Crowd::flash(1, 64).run());
    assert!(last < 1.02 && copies == 1.0, "{last}, {copies} copies");
}

#[test]
fn a_handful_is_served_at_the_bound_as_well() {
    let (last, first, copies) = figures(&Crowd::flash(3, 64).run());
    assert!(
        last < 1.15 && first < 1.05 && copies < 1.05,
        "{last}, {first}, {copies} copies"
    );
}

#[test]
fn slow_starters_find_what_they_need() {
    let mut crowd = Crowd::flash(100, 64);
    for (leecher, at) in crowd.leechers.iter_mut().zip(0..) {
        leecher.joins = f64::from(at) * 0.3;
    }
    let outcome = crowd.run();
    figures(&outcome);
    let longest = longest_wait(&crowd, &outcome);
    assert!(longest < 1.6, "{longest}");
    assert!(outcome.seed_sent < 8.0, "{} copies", outcome.seed_sent);
}

/// From coming to having everything, in units of the bound.
fn longest_wait(crowd: &Crowd, outcome: &Outcome) -> f64 {
    let waited = outcome.done.iter().zip(&crowd.leechers);
    let waited = waited.map(|(done, leecher)| done.unwrap() - leecher.joins);
    waited.fold(0.0, f64::max) / outcome.bound
}

#[test]
fn who_leaves_when_done_leaves_nobody_without() {
    let mut crowd = Crowd::flash(100, 64);
    // Nobody finds new neighbours here: whose are all gone still has the seed.
    crowd.neighbours = 120;
    for (leecher, at) in crowd.leechers.iter_mut().zip(0..) {
        leecher.leaves = true;
        leecher.joins = f64::from(at % 10) * 2.0;
    }
    // The slowest of all stays alone with the seed at the end.
    crowd.leechers[0].down = crowd.seed_up;
    let outcome = crowd.run();
    let (_, _, copies) = figures(&outcome);
    assert!(copies < 1.2, "{copies} copies");
    let longest = longest_wait(&crowd, &outcome);
    assert!(longest < 2.5, "{longest}");
}

#[test]
fn liars_do_not_keep_pieces_from_getting_out() {
    let mut crowd = Crowd::flash(100, 64);
    crowd
        .leechers
        .iter_mut()
        .take(15)
        .for_each(|leecher| leecher.lies = true);
    // They sit among the seed's own neighbours.
    crowd.neighbours = 40;
    let (last, first, copies) = figures_of_honest(&crowd);
    assert!(
        first < 1.2 && copies < 1.2,
        "first copy at {first} with {copies}"
    );
    assert!(last < 1.5, "{last}");
}

#[track_caller]
fn figures_of_honest(crowd: &Crowd) -> (f64, f64, f64) {
    let mut outcome = crowd.run();
    let honest = crowd.leechers.iter().map(|leecher| !leecher.lies);
    let mut honest = honest.collect::<Vec<_>>().into_iter();
    outcome.done.retain(|_| honest.next() == Some(true));
    figures(&outcome)
}

#[test]
fn asymmetric_links_are_used() {
    let mut crowd = Crowd::flash(120, 96);
    let mut random = Random::new(5);
    for leecher in &mut crowd.leechers {
        // From a quarter to four times, and one in five gives nothing at all.
        leecher.up *= [0.25, 0.5, 1.0, 4.0, 0.0][random.below(5)];
    }
    // One run has pieces at its end that wait for a slow peer; over several it evens out.
    const RUNS: u64 = 8;
    let mut all = 0.0;
    for seed in 1..=RUNS {
        crowd.seed = seed;
        let (last, first, copies) = figures(&crowd.run());
        assert!(
            first < 1.1 && copies < 1.15 && last < 1.4,
            "first copy at {first} with {copies}, last at {last}"
        );
        all += copies;
    }
    assert!(all / (RUNS as f64) < 1.05, "{all} copies in {RUNS} runs");
}

#[test]
fn one_seed_bridges_two_worlds() {
    let mut crowd = Crowd::flash(80, 64);
    crowd
        .leechers
        .iter_mut()
        .skip(40)
        .for_each(|leecher| leecher.browser = true);
    let outcome = crowd.run();
    let (last, ..) = figures(&outcome);
    // Each world needs a first copy of its own, by one uplink.
    assert!(last < 2.3, "{last}");
    let copies = outcome.progress.last().unwrap();
    assert_eq!((copies.peers, copies.pieces, copies.out), (1.0, 1.0, 1.0));
    let of_one = |skip: usize| {
        outcome.done[skip..skip + 40]
            .iter()
            .flatten()
            .copied()
            .fold(0.0, f64::max)
    };
    let (native, browser) = (of_one(0), of_one(40));
    assert!(
        (0.8..1.25).contains(&(native / browser)),
        "{native} s and {browser} s"
    );
}

fn connected() -> Connected {
    Connected {
        n: 16,
        n_pieces: 96,
        up: 2e6,
        delay: Duration::from_millis(10),
        idle: 0,
        seed: 5,
    }
}

#[test]
fn with_real_connections_a_copy_gets_out_once_and_soon() {
    let outcome = connected().run();
    let (first, copies) = outcome.first_copy;
    let last = outcome.done.iter().copied().fold(0.0, f64::max);
    assert!(
        first < 1.06 * outcome.bound && copies < 1.03 && last < 1.35 * outcome.bound,
        "{outcome:?}"
    );
    assert!(outcome.closed.is_empty(), "{outcome:?}");
    assert_eq!(connected().run(), outcome, "the same seed is the same run");
}

#[test]
fn with_real_connections_those_who_ask_for_nothing_hold_nobody_up() {
    let crowd = Connected {
        idle: 8,
        ..connected()
    };
    let outcome = crowd.run();
    let (first, copies) = outcome.first_copy;
    let last = outcome.done.iter().copied().fold(0.0, f64::max);
    assert!(
        first < 1.15 * outcome.bound && copies < 1.03 && last < 1.4 * outcome.bound,
        "{outcome:?}"
    );
    assert!(outcome.closed.is_empty(), "{outcome:?}");
}
