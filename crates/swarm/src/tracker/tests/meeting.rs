//! Who is introduced to whom: the near before the far, and everybody about as often.

use super::*;
use std::collections::BTreeMap;

/// Enters viewers without offers.
fn enter(story: &mut Story, viewers: impl IntoIterator<Item = BrowserAnnounce>) {
    for viewer in viewers {
        let quiet = BrowserAnnounce {
            offers: 0,
            ..viewer
        };
        story.browse(&quiet);
    }
}

fn unbounded() -> Limits {
    Limits {
        offer_rate: 0,
        address_rate: 0,
        ..Limits::default()
    }
}

#[test]
fn the_same_24_or_48_comes_first() {
    let at = |number, from: &str| BrowserAnnounce {
        from: from.parse().unwrap(),
        ..browser(number)
    };
    for (asker, near, far) in [
        ("100.2.3.4", "100.2.3.99", "100.2.4.4"),
        ("2001:db8:1:2::1", "2001:db8:1:9::7", "2001:db8:2:2::1"),
    ] {
        let mut story = Story::introducing(unbounded());
        enter(&mut story, (0..1000).map(browser));
        enter(&mut story, [at(2001, near), at(2002, near), at(2003, far)]);
        let (_, targets) = story.browse(&at(2000, asker));
        let met = sockets(&targets);
        assert!(met.contains(&2001) && met.contains(&2002), "{met:?}");
        assert_eq!(met.len(), 5);
    }
}

#[test]
fn neighbours_have_their_turns() {
    let mut story = Story::introducing(unbounded());
    enter(&mut story, (0..5000).map(browser));
    let near = |number: u64| BrowserAnnounce {
        from: IpAddr::from([100, 2, 3, number as u8]),
        ..browser(10_000 + number)
    };
    enter(&mut story, (0..100).map(near));
    let mut met: BTreeMap<u64, u32> = BTreeMap::new();
    for number in 100..200 {
        let (_, targets) = story.browse(&near(number));
        for socket in sockets(&targets) {
            *met.entry(socket).or_default() += 1;
        }
    }
    let neighbours = met.range(10_000..10_100);
    let counts: Vec<u32> = neighbours.map(|(_, n)| *n).collect();
    assert!(counts.len() > 90, "{} of 100 had a turn", counts.len());
    assert!(counts.iter().all(|n| *n <= 8), "{counts:?}");
}

#[test]
fn then_the_same_autonomous_system() {
    let mut story = Story::introducing(unbounded());
    let of = |number: u64, asn| BrowserAnnounce {
        area: Area {
            asn,
            country: *b"DE",
        },
        ..browser(number)
    };
    // A tenth are of one system.
    enter(
        &mut story,
        (0..1000).map(|number| of(number, 1 + (number % 10) as u32)),
    );
    let mut same = 0;
    let mut all = 0;
    for number in 1000..1050 {
        for socket in sockets(&story.browse(&of(number, 3)).1) {
            all += 1;
            same += u32::from(socket >= 1000 || socket % 10 == 2);
        }
    }
    // Two of three are chosen by nearness; by chance it would be one in ten.
    assert_eq!(all, 250);
    assert!(same > 130, "{same} of {all}");
}

#[test]
fn then_who_plays_the_same_even_if_it_said_so_a_while_ago() {
    let mut story = Story::introducing(unbounded());
    let plays = |number: u64, second: u64| BrowserAnnounce {
        position_ms: Some(second * 1000),
        ..browser(number)
    };
    // One a second over ten minutes, and then a minute goes by.
    enter(&mut story, (0..600).map(|number| plays(number, number)));
    story.pass(60);
    let mut apart: Vec<u64> = Vec::new();
    for number in 0..40 {
        let second = 200 + number;
        let (_, targets) = story.browse(&plays(1000 + number, second));
        let others = sockets(&targets).into_iter().filter(|socket| *socket < 600);
        apart.extend(others.map(|socket| (socket + 60).abs_diff(second)));
    }
    apart.sort_unstable();
    // Of 48 by chance the nearest are within half a minute; strangers would be 200 seconds apart.
    let median = apart[apart.len() / 2];
    assert!(median <= 30, "{median} seconds");
}

#[test]
fn nobody_gets_many_more_or_fewer_offers_than_others() {
    let mut story = Story::introducing(unbounded());
    let n = 400;
    let mut received: BTreeMap<u64, u32> = BTreeMap::new();
    for round in 0..20 {
        for turn in 0..n {
            let number = turn * 7 % n;
            // They play ten minutes, half of them near the beginning.
            let start = number * number * 600 / (n * n);
            let announce = BrowserAnnounce {
                position_ms: Some((start + round * 120) * 1000),
                area: Area {
                    asn: (number % 7) as u32,
                    ..Area::default()
                },
                ..browser(number)
            };
            for socket in sockets(&story.browse(&announce).1) {
                *received.entry(socket).or_default() += 1;
            }
        }
        story.pass(120);
    }
    let mean = received.values().sum::<u32>() as f64 / n as f64;
    assert!(mean > 90.0, "{mean}");
    assert_eq!(received.len(), n as usize);
    let most = f64::from(*received.values().max().unwrap());
    let least = f64::from(*received.values().min().unwrap());
    assert!(most < 2.0 * mean, "{most} where {mean} is usual");
    assert!(least > 0.3 * mean, "{least} where {mean} is usual");
}

#[test]
fn two_are_not_introduced_in_both_directions_at_once() {
    let mut story = Story::introducing(unbounded());
    enter(&mut story, [browser(1)]);
    assert_eq!(sockets(&story.browse(&browser(2)).1), [1]);
    assert_eq!(sockets(&story.browse(&browser(1)).1), [0; 0]);
    // A minute later that was either done or it failed.
    story.pass(68);
    assert_eq!(sockets(&story.browse(&browser(1)).1), [2]);
    // Where that is not wanted it is not done.
    let limits = Limits {
        offer_window: Duration::ZERO,
        ..unbounded()
    };
    let mut story = Story::introducing(limits);
    enter(&mut story, [browser(1)]);
    for _ in 0..20 {
        assert_eq!(sockets(&story.browse(&browser(2)).1), [1]);
        assert_eq!(sockets(&story.browse(&browser(1)).1), [2]);
    }
}

#[test]
fn those_who_have_everything_are_not_introduced_to_each_other() {
    let mut story = Story::introducing(unbounded());
    let seed = |number| BrowserAnnounce {
        left: Some(0),
        ..browser(number)
    };
    enter(&mut story, [seed(1), seed(2), browser(3)]);
    assert_eq!(sockets(&story.browse(&seed(4)).1), [3]);
    let mut met = sockets(&story.browse(&browser(5)).1);
    met.sort_unstable();
    assert_eq!(met, [1, 2, 3, 4]);
}

#[test]
fn nobody_meets_itself_or_another_of_its_own_socket() {
    let mut story = Story::introducing(unbounded());
    let other = BrowserAnnounce {
        peer_id: id("other"),
        ..browser(1)
    };
    enter(&mut story, [browser(1), other]);
    assert_eq!(story.browse(&browser(1)).1, []);
    assert_eq!(sockets(&story.browse(&browser(2)).1).len(), 2);
}
