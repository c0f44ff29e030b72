//! What is counted, kept and forgotten.

use super::*;

/// A Sunday, at midnight.
const DAY: u64 = 20_000 * 86_400;

fn id(n: u32) -> SwarmHash {
    let mut id = [0; 20];
    id[16..].copy_from_slice(&n.to_be_bytes());
    SwarmHash(id)
}

fn sample(browsers: u32, natives: u32, arrivals: u64) -> Sample {
    let mut sample = Sample {
        arrivals,
        ..Sample::default()
    };
    sample.by_client[Client::Browser as usize] = browsers;
    sample.by_client[Client::QBittorrent as usize] = natives;
    sample
}

#[test]
fn totals_are_summed_over_restarts_and_who_is_there_is_of_now() {
    let bounds = Bounds::default();
    let mut statistics = Statistics::new(DAY);
    let first = Sample {
        completions: 1,
        sent: 1000,
        ..sample(2, 1, 3)
    };
    statistics.sample(
        DAY,
        &bounds,
        [(id(1), "clip", first), (id(2), "idle", Sample::default())],
    );
    statistics.sample(DAY + 30, &bounds, [(id(1), "clip", sample(4, 1, 7))]);
    assert!(statistics.release(&id(2)).is_none());
    let release = statistics.release(&id(1)).unwrap();
    assert_eq!(
        (release.record.arrivals, release.record.completions),
        (7, 1)
    );
    assert_eq!(release.now().audience(), 5);

    // Another process: its counters begin at nothing.
    let text = serde_json::to_string(&statistics).unwrap();
    let mut statistics: Statistics = serde_json::from_str(&text).unwrap();
    statistics.check().unwrap();
    assert_eq!(statistics.release(&id(1)).unwrap().now().audience(), 0);
    statistics.sample(DAY + 60, &bounds, [(id(1), "clip", sample(1, 0, 2))]);
    let release = statistics.release(&id(1)).unwrap();
    assert_eq!((release.record.arrivals, release.record.sent), (9, 1000));
    assert_eq!(statistics.total().arrivals, 9);
    let minutes: Vec<_> = release.record.history.points(Span::Minutes).collect();
    assert_eq!((minutes[0].max, minutes[0].mean_tenths), (5, 40));
    assert_eq!((minutes[0].viewers_tenths, minutes[1].max), (30, 1));
    let names: Vec<_> = statistics.clients().map(|(name, _)| name).collect();
    assert_eq!(names, ["browser", "qBittorrent"]);

    // Taken off and put back on: it counts from nothing as well.
    statistics.sample(DAY + 90, &bounds, []);
    statistics.sample(DAY + 120, &bounds, [(id(1), "clip", sample(0, 3, 3))]);
    assert_eq!(statistics.release(&id(1)).unwrap().record.arrivals, 12);
}

#[test]
fn a_client_that_announces_both_hashes_of_a_hybrid_counts_once() {
    // Transmission and a browser know the first hash alone, two of qBittorrent both, which it tells anew in each.
    let mut first = sample(1, 2, 4);
    first.by_client[Client::Transmission as usize] = 1;
    let second = sample(0, 2, 2);
    first.merge(&second);
    assert_eq!(
        (first.audience(), first.viewers(), first.arrivals),
        (4, 1, 4)
    );
}

#[test]
fn countries_are_letters_and_counts() {
    let mut statistics = Statistics::new(DAY);
    statistics.sample(DAY, &Bounds::default(), [(id(1), "clip", sample(1, 0, 1))]);
    let (de, fr) = (Country::new(*b"DE"), Country::new(*b"FR"));
    statistics.arrived(&id(1), de, 3);
    statistics.arrived(&id(1), fr, 5);
    statistics.arrived(&id(1), Country::UNKNOWN, 1);
    // Not known yet: it counts in the total.
    statistics.arrived(&id(2), de, 1);
    let text = serde_json::to_string(&statistics).unwrap();
    assert!(
        text.contains(r#""countries":{"unknown":1,"DE":3,"FR":5}"#),
        "{text}"
    );
    let again: Statistics = serde_json::from_str(&text).unwrap();
    let release = again.release(&id(1)).unwrap();
    assert_eq!(
        release.record.top_countries(),
        [(fr, 5), (de, 3), (Country::UNKNOWN, 1)]
    );
    assert_eq!(again.total().countries[&de], 4);
}

#[test]
fn memory_has_an_end() {
    // What a release costs before it has had anybody: nothing. Then less than 4 KiB for its first hours.
    let small = size_of::<Release>() + size_of::<SwarmHash>();
    assert!(small < 1024, "{small}");

    let bounds = Bounds {
        releases: 20,
        points: 500,
        gone: 5 * 86_400,
    };
    let mut statistics = Statistics::new(DAY);
    for hour in 0..60 {
        let listed = (0..15).map(|n| (id(n), "clip", sample(1, 0, u64::from(n))));
        statistics.sample(DAY + hour * 3600, &bounds, listed);
    }
    let points: usize = statistics
        .releases()
        .map(|(_, release)| release.record.history.n_points())
        .sum();
    assert!((300..=500).contains(&points), "{points}");
    assert!(statistics.dropped().points > 0);
    // The finest slots go first, days never had to.
    for (_, release) in statistics.releases() {
        assert_eq!(release.record.history.points(Span::Days).count(), 3);
    }
    assert_eq!(statistics.dropped().releases, 0);

    // New ones take the place of those that are gone, not of those that are listed.
    let now = DAY + 61 * 3600;
    let listed = (0..30).filter(|n| *n != 3 && *n != 4);
    let listed = listed.map(|n| (id(n), "clip", sample(1, 0, 1)));
    statistics.sample(now, &bounds, listed.clone());
    statistics.sample(now + 60, &bounds, listed.clone());
    assert!(statistics.releases().count() <= 20);
    assert!(statistics.release(&id(3)).is_none() && statistics.release(&id(5)).is_some());
    assert!(statistics.dropped().releases > 0);

    // Gone for good after a while.
    statistics.sample(now + 6 * 86_400, &bounds, []);
    assert_eq!(statistics.releases().count(), 0);
    assert!(statistics.total().arrivals > 0);
}

#[test]
fn a_long_name_is_cut_and_another_version_is_refused() {
    let mut statistics = Statistics::new(DAY);
    let name = "ü".repeat(500);
    statistics.sample(DAY, &Bounds::default(), [(id(1), &*name, sample(1, 0, 1))]);
    assert_eq!(statistics.release(&id(1)).unwrap().slug, "ü".repeat(100));
    statistics.version = 7;
    assert_eq!(statistics.check(), Err(Unsound::Version(7)));
}
