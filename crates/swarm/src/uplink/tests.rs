//! A link on virtual time: askers who want bytes again and again, timers that come late, and what everybody got.

mod link;

use super::*;
use link::{Client, GREEDY, Link, MS, epoch, near};
use proptest::prelude::*;
use std::collections::HashMap;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_limit_holds_and_nothing_idles(
        rate in 500_000u64..200_000_000,
        crowd in proptest::collection::vec((0usize..4, 0u8..3, 100u64..200_000, 0u64..80), 0..60),
        late in proptest::collection::vec(0u64..60, 1..8),
    ) {
        let class = |n| [Class::FirstPrefix, Class::NotYetSpread, Class::Rest][usize::from(n)];
        // One is always there; the others come, rest and come again.
        let crowd = crowd.iter().map(|(release, n, want, rest)| Client {
            release: *release,
            class: class(*n),
            want: *want,
            uses: u64::MAX,
            rest: MS * *rest as u32,
            begin: MS * (*rest * 17) as u32,
        });
        let clients: Vec<_> = crowd.chain([GREEDY]).collect();
        let mut link = Link::total(rate, &clients);
        link.late = late;
        link.run(6);
        // However late the timers are, everything is sent that may be.
        let sent = link.sum(0);
        prop_assert!(sent * 100 >= rate * 6 * 98, "{sent} at {rate}");
        for ms in [0, 100, 1000, 5000] {
            let most = link.most_within(MS * ms as u32);
            // Never more than a tenth of a second's worth beyond, or a block where that is longer.
            let bound = rate * (ms + 100) / 1000 + LEAST_GRANT;
            prop_assert!(most <= bound, "{most} in {ms} ms at {rate}");
        }
        let tally = link.uplink.tally();
        prop_assert_eq!(tally.bytes.iter().sum::<u64>(), sent);
        let (bytes, busy) = (u128::from(tally.busy_bytes), tally.busy.as_micros());
        prop_assert!(bytes * 100_000_000 <= busy * u128::from(rate) * 103 && bytes * 100_000_000 >= busy * u128::from(rate) * 97);
        let most = link.most_within(MS * 5000);
        prop_assert!(most * 100 <= rate * 5 * 102 + 100 * LEAST_GRANT, "{most} at {rate}");
    }

    #[test]
    fn all_of_a_class_get_alike_however_they_ask(
        wants in proptest::collection::vec((1000u64..100_000, 1000u64..100_000), 2..40)
    ) {
        let client = |(want, uses): &(u64, u64)| Client { want: *want, uses: *uses, ..GREEDY };
        let clients: Vec<_> = wants.iter().map(client).collect();
        let mut link = Link::total(2_500_000, &clients);
        link.run(30);
        let got = link.by(0, |index| index);
        let (least, most) = (got.values().min().unwrap(), got.values().max().unwrap());
        // No more apart than two turns.
        prop_assert!(most - least <= 2 * link.uplink.turn(), "{got:?}");
    }

    #[test]
    fn whatever_comes_in_which_order_the_books_stay_right(
        limits in (proptest::option::of(0u64..3_000_000), proptest::option::of(0u64..1_000_000), proptest::option::of(0u64..500_000)),
        steps in proptest::collection::vec((0u8..10, 0usize..12, 0usize..3, 0u8..3, 0u64..300_000), 1..400),
    ) {
        let start = epoch();
        let limits = Limits { total: limits.0, per_release: limits.1, per_asker: limits.2 };
        let mut uplink = Uplink::new(limits);
        let releases: Vec<_> = (0..3).map(|_| uplink.add_release()).collect();
        let mut askers: Vec<_> = (0..12).map(|_| uplink.join()).collect();
        let mut asking = HashMap::new();
        let mut now = start;
        for (what, index, release, class, number) in steps {
            let release = releases[release];
            let class = [Class::FirstPrefix, Class::NotYetSpread, Class::Rest][usize::from(class)];
            match what {
                0..=4 => {
                    uplink.ask(now, askers[index], release, class, number);
                    asking.insert(askers[index], number.max(1));
                }
                5 => {
                    uplink.withdraw(askers[index]);
                    asking.remove(&askers[index]);
                }
                6 => {
                    uplink.leave(askers[index]);
                    asking.remove(&askers[index]);
                    askers[index] = uplink.join();
                }
                7 => uplink.spend(now, askers[index], release, number),
                8 => uplink.set_weight(release, Some(number as f64 / 1000.0)),
                _ if number % 5 == 0 => {
                    let total = Some(number);
                    uplink.set_limits(now, Limits { total, ..limits });
                }
                _ => uplink.set_volume(now, Some(Volume { bytes: number, then: number / 2, used: 0 })),
            }
            now += MS * (number % 40) as u32;
            while let Some(grant) = uplink.poll_grant(now) {
                let want = asking.remove(&grant.asker);
                prop_assert!(want.is_some_and(|want| grant.bytes <= want && grant.bytes >= want.min(LEAST_GRANT)));
            }
            prop_assert_eq!(uplink.waiting(), asking.len());
        }
        // Without limits, whoever still asks is granted.
        uplink.set_volume(now, None);
        uplink.set_limits(now, Limits::default());
        let left = std::iter::from_fn(|| uplink.poll_grant(now)).count();
        prop_assert_eq!(left, asking.len());
        prop_assert_eq!((uplink.waiting(), uplink.releases.iter().map(|r| r.waiting.iter().sum::<usize>()).sum()), (0, 0));
        prop_assert!(uplink.asleep.is_empty());
    }
}

#[test]
fn four_thousand_askers_all_get_their_turn() {
    let mut link = Link::total(20_000_000, &vec![GREEDY; 4000]);
    link.run(60);
    let got = link.by(0, |index| index);
    let (least, most) = (got.values().min().unwrap(), got.values().max().unwrap());
    assert!(
        *least > 0 && most - least <= 2 * 64 * 1024,
        "{least} {most}"
    );
    // Whoever comes late waits no longer than those who are there wait for their next turn.
    let late = Client {
        begin: Duration::ZERO,
        ..GREEDY
    };
    let asker = link.uplink.join();
    link.asks.insert((link.now, link.clients.len()));
    link.clients.push((asker, late));
    let before = link.now;
    link.run(20);
    let first = link.grants.iter().find(|(_, index, _)| *index == 4000);
    let round = Duration::from_secs(4000 * 64 * 1024 / 20_000_000 + 1);
    assert!(first.is_some_and(|(at, _, _)| *at - before <= round));
}

#[test]
fn first_prefixes_go_first_and_nobody_is_left_without_anything() {
    let of = |class, n| vec![Client { class, ..GREEDY }; n];
    let all = [
        of(Class::Rest, 100),
        of(Class::NotYetSpread, 10),
        of(Class::FirstPrefix, 3),
    ]
    .concat();
    let mut link = Link::total(2_500_000, &all);
    link.run(60);
    let clients = link.clients.clone();
    let got = link.by(0, |index| clients[index].1.class);
    near(got[&Class::FirstPrefix], 60 * 2_500_000 * 83 / 100, 3);
    near(got[&Class::NotYetSpread], 60 * 2_500_000 * 83 / 1000, 5);
    near(got[&Class::Rest], 60 * 2_500_000 * 9 / 100, 5);
    assert!(link.by(0, |index| index).values().all(|bytes| *bytes > 0));

    // Two classes: the lower one has its tenth, and all of it where the higher ones rest.
    let mut link = Link::total(
        2_500_000,
        &[of(Class::Rest, 5), of(Class::NotYetSpread, 5)].concat(),
    );
    link.run(20);
    let clients = link.clients.clone();
    let got = link.by(0, |index| clients[index].1.class);
    near(got[&Class::Rest] * 10, got[&Class::NotYetSpread], 5);
    let mut link = Link::total(2_500_000, &of(Class::Rest, 5));
    link.run(20);
    near(link.sum(0), 50_000_000, 2);
}

#[test]
fn turns_of_lower_classes_come_in_time_however_many_share_them() {
    let of = |class, n| vec![Client { class, ..GREEDY }; n];
    // A tenth of the link would be a turn in 34 seconds for each, and twice that for the rest.
    let all = [
        of(Class::Rest, 1000),
        of(Class::NotYetSpread, 500),
        of(Class::FirstPrefix, 100),
    ]
    .concat();
    let mut link = Link::total(2_500_000, &all);
    link.run(120);
    let clients = link.clients.clone();
    let got = link.by(60, |index| clients[index].1.class);
    // First prefixes still have the greatest part.
    let first = got[&Class::FirstPrefix] * 100 / got.values().sum::<u64>();
    assert!((44..60).contains(&first), "{got:?}");
    let mut last = vec![Duration::ZERO; clients.len()];
    let mut longest = [Duration::ZERO; CLASSES];
    for (at, index, _) in &link.grants {
        let at = *at - link.start;
        let longest = &mut longest[clients[*index].1.class as usize];
        *longest = (*longest).max(at - last[*index]);
        last[*index] = at;
    }
    // No longer than it takes to be overdue, and a round at the greater share: two and three ninths of the link.
    let round =
        |n: u64, ninths: u64| Duration::from_secs(n * LEAST_GRANT * 9 / (ninths * 2_500_000));
    assert!(longest[1] < OVERDUE + round(500, 2), "{longest:?}");
    assert!(longest[2] < OVERDUE + round(1000, 3), "{longest:?}");
    // And whoever asks is told about as long.
    let release = link.releases[0];
    let wait = link.uplink.wait(release);
    assert!(wait == Some(OVERDUE), "{wait:?}");
}

#[test]
fn a_first_prefix_waits_for_no_more_than_the_turn_under_way() {
    let mut clients = vec![GREEDY; 1000];
    clients.push(Client {
        class: Class::FirstPrefix,
        begin: Duration::from_secs(5),
        rest: Duration::from_secs(60),
        ..GREEDY
    });
    let mut link = Link::total(2_500_000, &clients);
    link.run(10);
    let first = link.grants.iter().find(|(_, index, _)| *index == 1000);
    let (at, _, _) = first.expect("a first prefix is served");
    let turn = Duration::from_millis(link.uplink.turn() * 1000 / 2_500_000 + 1);
    assert!(*at - link.start <= Duration::from_secs(5) + turn);
}

#[test]
fn releases_share_by_their_weights_and_leave_nothing_unused() {
    let of = |release, n| vec![Client { release, ..GREEDY }; n];
    let all = [of(0, 1), of(1, 30), of(2, 9)].concat();
    let clients = all.clone();
    let release = move |index: usize| clients[index].release;

    // Without weights all askers are alike.
    let mut link = Link::total(2_500_000, &all);
    link.run(60);
    let got = link.by(0, &release);
    near(got[&0] * 30, got[&1], 8);
    near(got[&2] * 30, got[&1] * 9, 3);

    let mut link = Link::total(2_500_000, &all);
    for (index, weight) in [(0, 2.0), (1, 1.0), (2, 0.5)] {
        let release = link.releases[index];
        link.uplink.set_weight(release, Some(weight));
    }
    link.run(60);
    let got = link.by(0, &release);
    near(got[&0], got[&1] * 2, 3);
    near(got[&1], got[&2] * 2, 3);
    near(link.sum(0), 150_000_000, 2);

    // Without a weight among others that have one: an average one.
    let mut link = Link::total(2_500_000, &all);
    for (index, weight) in [(0, 2.0), (1, 1.0)] {
        let release = link.releases[index];
        link.uplink.set_weight(release, Some(7.0));
        link.uplink.set_weight(release, Some(weight));
    }
    link.run(60);
    let got = link.by(0, &release);
    near(got[&2] * 2, got[&1] * 3, 3);

    // A share that isn't wanted is the others': the first release asks now and then only.
    let mut all = all;
    all[0].rest = Duration::from_secs(1);
    let mut link = Link::total(2_500_000, &all);
    let first = link.releases[0];
    link.uplink.set_weight(first, Some(1e9));
    link.run(60);
    near(link.sum(0), 150_000_000, 2);
    near(link.by(0, &release)[&0], 59 * link.uplink.turn(), 3);
}

#[test]
fn limits_of_releases_and_askers_hold_within_the_one_over_all() {
    let of = |release, n| vec![Client { release, ..GREEDY }; n];
    let all = [of(0, 3), of(1, 1)].concat();
    let release = |index: usize| usize::from(index == 3);
    let limits = Limits {
        total: Some(2_500_000),
        per_release: Some(1_500_000),
        per_asker: Some(400_000),
    };
    let mut link = Link::new(limits, 2, &all);
    link.late = vec![0, 7];
    link.run(30);
    let got = link.by(0, release);
    near(got[&0], 30 * 1_200_000, 2);
    near(got[&1], 30 * 400_000, 2);

    let mut link = Link::new(
        Limits {
            per_asker: None,
            ..limits
        },
        2,
        &all,
    );
    link.run(30);
    let got = link.by(0, release);
    near(got[&0], 30 * 1_500_000, 2);
    near(got[&1], 30 * 1_000_000, 2);

    // Without a limit over all.
    let limits = Limits {
        per_release: Some(1_000_000),
        ..Limits::default()
    };
    let mut link = Link::new(limits, 2, &all);
    link.run(30);
    let got = link.by(0, release);
    near(got[&0], 30_000_000, 2);
    near(got[&1], 30_000_000, 2);
}

#[test]
fn another_limit_holds_from_the_moment_it_is_set() {
    let mut link = Link::total(2_500_000, &[GREEDY; 20]);
    for (rate, since) in [(250_000, 10), (25_000_000, 20), (2_500_000, 30)] {
        link.run(10);
        let limits = Limits {
            total: Some(rate),
            ..Limits::default()
        };
        let now = link.now;
        link.uplink.set_limits(now, limits);
        let _ = since;
    }
    link.run(10);
    for (since, rate) in [
        (0, 2_500_000),
        (10, 250_000),
        (20, 25_000_000),
        (30, 2_500_000),
    ] {
        let sum = link.sum(since) - link.sum(since + 10);
        near(sum, rate * 10, 2);
    }
}

#[test]
fn a_spent_volume_slows_down_or_stops() {
    let volume = |then| {
        Some(Volume {
            bytes: 20_000_000,
            then,
            used: 5_000_000,
        })
    };
    let mut link = Link::total(2_500_000, &[GREEDY; 5]);
    let start = link.start;
    link.uplink.set_volume(start, volume(100_000));
    assert_eq!(link.uplink.rate(), Some(2_500_000));
    link.run(100);
    // Six seconds at the limit, then a trickle.
    near(link.sum(0), 15_000_000 + 94 * 100_000, 2);
    assert_eq!(link.uplink.rate(), Some(100_000));
    assert_eq!(
        link.uplink.volume().map(|volume| volume.used),
        Some(5_000_000 + link.sum(0))
    );

    let mut link = Link::total(2_500_000, &[GREEDY; 5]);
    let start = link.start;
    link.uplink.set_volume(start, volume(0));
    link.run(100);
    near(link.sum(0), 15_000_000, 1);
    let release = link.releases[0];
    assert!(link.uplink.is_saturated(release) && link.uplink.wait(release).is_none());
    // A new month begins.
    let now = link.now;
    let fresh = volume(0).map(|volume| Volume { used: 0, ..volume });
    link.uplink.set_volume(now, fresh);
    link.run(4);
    near(link.sum(100), 10_000_000, 2);

    // Without a limit, the volume alone slows down.
    let mut link = Link::new(Limits::default(), 1, &[Client { rest: MS, ..GREEDY }]);
    let start = link.start;
    link.uplink.set_volume(start, volume(100_000));
    assert!(!link.uplink.is_limited());
    link.run(20);
    assert!(link.uplink.is_limited());
    near(link.sum(10), 1_000_000, 5);
}

#[test]
fn what_is_sent_without_asking_and_what_is_not_sent_go_into_the_account() {
    let mut link = Link::total(1_000_000, &[GREEDY]);
    let (asker, release) = (link.clients[0].0, link.releases[0]);
    for _ in 0..10 {
        link.run(1);
        let now = link.now;
        link.uplink.spend(now, asker, release, 150_000);
        link.uplink.count(now, 50_000);
    }
    link.run(1);
    near(link.sum(0), 11_000_000 - 2_000_000, 2);
    for _ in 0..10 {
        link.run(1);
        link.uplink.give_back(asker, release, 200_000);
    }
    link.run(1);
    near(link.sum(11), 11_000_000 + 2_000_000, 2);
}

#[test]
fn saturated_is_what_would_keep_a_newcomer_waiting() {
    let limits = Limits {
        total: Some(2_500_000),
        per_release: Some(500_000),
        ..Limits::default()
    };
    let start = epoch();
    let mut uplink = Uplink::new(limits);
    let (small, large) = (uplink.add_release(), uplink.add_release());
    assert!(!uplink.is_saturated(small));
    for _ in 0..40 {
        let asker = uplink.join();
        uplink.ask(start, asker, large, Class::Rest, 1 << 20);
    }
    // The other release has room of its own, and the link as well.
    assert!(uplink.is_saturated(large) && !uplink.is_saturated(small));
    for _ in 0..120 {
        let asker = uplink.join();
        uplink.ask(start, asker, large, Class::Rest, 1 << 20);
    }
    assert!(uplink.is_saturated(small));
    uplink.set_limits(start, Limits::default());
    assert!(!uplink.is_saturated(large));
}

#[test]
fn nobody_saves_up_for_a_burst() {
    // A timer that comes three seconds late: they are lost.
    let mut link = Link::total(2_500_000, &[GREEDY; 50]);
    link.late = vec![0, 0, 0, 3000];
    link.run(60);
    let most = link.most_within(Duration::ZERO);
    assert!(most <= 250_000 + LEAST_GRANT, "{most} at once");

    // A release that rested for long goes on at its limit, not faster; an asker alike.
    let first = Client {
        rest: Duration::from_secs(1000),
        ..GREEDY
    };
    let later = Client {
        begin: Duration::from_secs(20),
        ..GREEDY
    };
    let rate = Some(1_000_000);
    let by_release = Limits {
        per_release: rate,
        ..Limits::default()
    };
    let mut link = Link::new(by_release, 1, &[first, later]);
    link.run(30);
    near(link.sum(20), 10_000_000, 2);
    let by_asker = Limits {
        per_asker: rate,
        ..Limits::default()
    };
    let slow = Client {
        rest: Duration::from_secs(10),
        want: 1 << 20,
        ..GREEDY
    };
    let mut link = Link::new(by_asker, 1, &[slow]);
    link.run(35);
    assert!(link.most_within(Duration::from_secs(1)) <= 1_100_000);
    assert_eq!(link.grants.len(), 4);
}
