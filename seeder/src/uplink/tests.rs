//! Taps on the runtime's paused clock: time passes by hand, and the task looks when it should.

use super::*;
use crate::config::Source;
use std::task::{Context, Poll};
use swarm::uplink::schedule::{Entry, Schedule};
use tokio::task::JoinSet;

const BLOCK: usize = 16 * 1024 + 13;
/// A film's length, and a place in it that nobody looks at first.
const FILM: u64 = 1 << 30;
const FAR: u64 = FILM / 2;

fn address(n: u8) -> std::net::IpAddr {
    [10, 0, 0, n].into()
}

fn config(total: Option<u64>) -> ServeConfig {
    let mut config = ServeConfig::new(Source::Out("out".into()));
    config.uplink.limits.total = total;
    config
}

fn start(config: &ServeConfig) -> (Arc<Uplink>, Arc<Metrics>, CancellationToken) {
    let metrics: Arc<Metrics> = Arc::default();
    let uplink = Uplink::new(config, metrics.clone()).unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(run(uplink.clone(), stop.clone()));
    (uplink, metrics, stop)
}

/// Sends for a while, a few blocks at a time; gives the bytes.
async fn send(mut tap: Tap, class: Class, seconds: u64) -> u64 {
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut sent = 0;
    let sending = async {
        loop {
            let want = 4 * BLOCK;
            let granted = tap.acquire(|| class, want).await;
            assert!((BLOCK..=want).contains(&granted));
            // Whole blocks only, and the rest is given back.
            let used = granted - granted % BLOCK;
            tap.settle(granted, used);
            tap.spend(17);
            sent += used as u64 + 17;
        }
    };
    let _ = tokio::time::timeout_at(end, sending).await;
    sent
}

#[tokio::test(start_paused = true)]
async fn many_taps_share_one_limit_and_none_idles_it() {
    let (uplink, metrics, _stop) = start(&config(Some(2_500_000)));
    let mut senders = JoinSet::new();
    for n in 0..50 {
        let tap = uplink.tap(if n % 2 == 0 { "even" } else { "odd" });
        senders.spawn(send(tap, Class::Rest, 60));
    }
    let sent = senders.join_all().await;
    let (sum, least, most) = (
        sent.iter().sum::<u64>(),
        *sent.iter().min().unwrap(),
        *sent.iter().max().unwrap(),
    );
    assert!(sum.abs_diff(150_000_000) < 3_000_000, "{sum}");
    assert!(most - least < 300_000, "{least} {most}");
    assert_eq!(uplink.figures().waiting, 0);
    assert!(metrics.uplink_waits.get() > 100);
    // What was measured on the way says the same.
    let rate = metrics.uplink_busy_bytes.get() * 1000 / metrics.uplink_busy_milliseconds.get();
    assert!(rate.abs_diff(2_500_000) < 50_000, "{rate}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_keeps_its_place_and_a_dropped_tap_gives_it_back() {
    let (uplink, _, _stop) = start(&config(Some(100_000)));
    let mut first = uplink.tap("a");
    assert_eq!(first.acquire(|| Class::Rest, BLOCK).await, BLOCK);
    let mut second = uplink.tap("a");
    let mut noop = Context::from_waker(Waker::noop());
    let rest = || Class::Rest;
    assert!(second.poll_acquire(&mut noop, rest, BLOCK).is_pending());
    assert_eq!(uplink.figures().waiting, 1);
    // Nobody waits on it, and yet it is granted in time, once.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(uplink.figures().waiting, 0);
    assert_eq!(
        second.poll_acquire(&mut noop, rest, BLOCK),
        Poll::Ready(BLOCK)
    );
    let granted = uplink.figures().granted;
    assert_eq!(granted, [0, 0, 2 * BLOCK as u64]);
    // Whoever goes leaves nothing behind, waiting or granted.
    let mut third = uplink.tap("a");
    let mut fourth = uplink.tap("b");
    let _ = third.poll_acquire(&mut noop, rest, BLOCK);
    let _ = fourth.poll_acquire(&mut noop, rest, BLOCK);
    drop((first, second, third));
    fourth.withdraw();
    assert_eq!(uplink.figures().waiting, 0);
    assert!(uplink.state().waiting.is_empty());
    // The other class is asked in anew.
    let _ = fourth.poll_acquire(&mut noop, rest, BLOCK);
    let _ = fourth.poll_acquire(&mut noop, || Class::FirstPrefix, BLOCK);
    fourth.acquire(|| Class::FirstPrefix, BLOCK).await;
    assert!(uplink.figures().granted[0] > 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_nobody_asks() {
    let (uplink, metrics, _stop) = start(&config(None));
    let mut tap = uplink.tap("a");
    assert_eq!(tap.acquire(|| unreachable!(), 1 << 30).await, 1 << 30);
    tap.settle(1 << 30, 5);
    tap.spend(1 << 20);
    tap.pay(Class::Rest, 1 << 20).await;
    assert_eq!(uplink.rate(), None);
    assert!(uplink.admit(address(1), "a", FAR, FILM).unwrap().is_none());
    assert!(uplink.state().releases.is_empty());
    assert_eq!(metrics.uplink_waits.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn on_a_busy_link_a_few_are_taken_up_and_whoever_comes_back() {
    let (uplink, metrics, _stop) = start(&config(Some(100_000)));
    let mut noop = Context::from_waker(Waker::noop());
    let mut taps: Vec<Tap> = (0..20).map(|_| uplink.tap("a")).collect();
    assert!(uplink.admit(address(1), "a", FAR, FILM).unwrap().is_none());
    for tap in &mut taps {
        let _ = tap.poll_acquire(&mut noop, || Class::Rest, BLOCK);
    }
    let place = uplink.admit(address(1), "b", FAR, FILM).unwrap();
    assert!(place.is_some());
    let busy = uplink.admit(address(2), "b", FAR, FILM).unwrap_err();
    assert!((4..=11).contains(&busy.seconds) && !busy.early, "{busy:?}");
    let again = uplink.admit(address(2), "b", FAR, FILM).unwrap_err();
    assert!(again.seconds == busy.seconds && again.early, "{again:?}");
    assert_eq!(metrics.http_busy.get(), 2);
    // A player's first look is taken up, and where it goes on.
    assert!(uplink.admit(address(3), "b", 0, FILM).unwrap().is_none());
    assert!(uplink.admit(address(3), "b", FAR, FILM).unwrap().is_none());
    // A place that is left is another's.
    drop(place);
    let place = uplink.admit(address(4), "b", FAR, FILM).unwrap();
    assert!(place.is_some());
    // Who comes back as it was told needs none, however busy the link still is.
    tokio::time::sleep(Duration::from_secs(busy.seconds)).await;
    for tap in &mut taps {
        let granted = tap.poll_acquire(&mut noop, || Class::Rest, BLOCK);
        assert_eq!(granted, Poll::Ready(BLOCK));
        let _ = tap.poll_acquire(&mut noop, || Class::Rest, BLOCK);
    }
    assert!(uplink.admit(address(5), "b", FAR, FILM).is_err());
    assert!(uplink.admit(address(2), "b", FAR, FILM).unwrap().is_none());
    drop((place, taps));
    assert!(uplink.admit(address(6), "b", FAR, FILM).unwrap().is_none());
}

/// The least and the most that one of them got.
async fn spread(senders: JoinSet<u64>) -> (u64, u64) {
    let sent = senders.join_all().await;
    (*sent.iter().min().unwrap(), *sent.iter().max().unwrap())
}

#[tokio::test(start_paused = true)]
async fn below_first_prefixes_hundreds_go_on_within_half_a_minute() {
    let (uplink, _, _stop) = start(&config(Some(2_500_000)));
    let (mut prefixes, mut blocks, mut steps) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for _ in 0..100 {
        prefixes.spawn(send(uplink.tap("a"), Class::FirstPrefix, 30));
    }
    for _ in 0..200 {
        blocks.spawn(send(uplink.tap("a"), Class::Rest, 30));
        steps.spawn(step(uplink.tap("a").in_steps(), 30));
    }
    let (least, most) = spread(prefixes).await;
    assert!(least > 600_000 && most < least * 5 / 4, "{least} {most}");
    // 400 share an eleventh of the link, and more where a turn would take longer than ten seconds.
    let (least, most) = spread(steps).await;
    assert!(least >= 15_000 && most < least * 2, "{least} {most}");
    let (least, most) = spread(blocks).await;
    assert!(
        least >= BLOCK as u64 && most <= 3 * BLOCK as u64,
        "{least} {most}"
    );
}

/// Sends as HTTP does, any number of bytes at a time.
async fn step(mut tap: Tap, seconds: u64) -> u64 {
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut sent = 0;
    let sending = async {
        loop {
            sent += tap.acquire(|| Class::Rest, 128 << 10).await as u64;
        }
    };
    let _ = tokio::time::timeout_at(end, sending).await;
    sent
}

#[tokio::test(start_paused = true)]
async fn the_month_is_kept_and_ends_in_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("month.json");
    let mut config = config(None);
    config.uplink.volume = Some(settings::MonthlyVolume {
        bytes: 1_000_000,
        then: 0,
        first_day: 1,
        file: Some(file.clone()),
    });
    let (uplink, _, stop) = start(&config);
    let mut tap = uplink.tap("a");
    // Before it is spent, nothing is limited and everything is counted.
    assert_eq!(tap.acquire(|| unreachable!(), 700_000).await, 700_000);
    tap.settle(700_000, 500_000);
    tap.spend(100_000);
    assert_eq!(uplink.figures().month, Some((600_000, 1_000_000)));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(uplink.rate(), None);
    stop.cancel();
    let written = async {
        let text = loop {
            match std::fs::read_to_string(&file) {
                Ok(text) if text.contains("600000") => break text,
                _ => tokio::task::yield_now().await,
            }
        };
        assert!(text.contains("\"since\""), "{text}");
    };
    tokio::time::timeout(Duration::from_secs(600), written)
        .await
        .unwrap();
    drop((tap, uplink));

    // The next start goes on from there.
    let (uplink, _, _stop) = start(&config);
    let mut tap = uplink.tap("a");
    tap.acquire(|| Class::Rest, 400_000).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(uplink.rate(), Some(0));
    // Over HTTP everybody is sent away, first looks as well, and whoever was taken up before hears of it.
    for offset in [0, FAR] {
        let busy = uplink.admit(address(1), "a", offset, FILM).unwrap_err();
        assert_eq!((busy.seconds, busy.early), (STOPPED, false));
    }
    uplink.stopped().await;
    let asked = tokio::time::timeout(
        Duration::from_secs(1000),
        tap.acquire(|| Class::FirstPrefix, BLOCK),
    );
    assert!(asked.await.is_err(), "nothing is sent any more");

    std::fs::write(&file, "nonsense").unwrap();
    let error = Uplink::new(&config, Arc::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("month.json") && error.contains("remove it"),
        "{error}"
    );
    config.uplink.volume.as_mut().unwrap().file = None;
    let error = Uplink::new(&config, Arc::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("file ="), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_schedule_goes_over_the_usual_limit() {
    let mut config = config(Some(1_000_000));
    config.uplink.schedule = Schedule(vec![Entry {
        days: [true; 7],
        from: 0,
        to: 0,
        rate: Some(50_000),
    }]);
    let (uplink, _, _stop) = start(&config);
    assert_eq!(uplink.rate(), Some(50_000));
    // And its places: one. Whoever waits makes the link a busy one.
    let mut noop = Context::from_waker(Waker::noop());
    let mut waits: Vec<Tap> = (0..5).map(|_| uplink.tap("a")).collect();
    for tap in &mut waits {
        let _ = tap.poll_acquire(&mut noop, || Class::Rest, BLOCK);
    }
    let place = uplink.admit(address(1), "a", FAR, FILM).unwrap();
    assert!(place.is_some() && uplink.admit(address(2), "a", FAR, FILM).is_err());
    drop((place, waits));
    let sent = send(uplink.tap("a"), Class::Rest, 60).await;
    assert!(sent.abs_diff(3_000_000) < 90_000, "{sent}");
}

#[test]
fn a_players_first_look_is_the_beginning_and_the_end_of_a_file() {
    for (length, prefix) in [
        (128 << 20, 1 << 20),
        (10 << 20, 256 << 10),
        (8 << 30, 2 << 20),
    ] {
        assert!(is_first_look(0, length) && is_first_look(prefix - 1, length));
        assert!(is_first_look(length - 1, length) && is_first_look(length - prefix, length));
        assert!(!is_first_look(prefix, length) && !is_first_look(length - prefix - 1, length));
        assert_eq!(class_at(0, length, false), Class::FirstPrefix);
        assert_eq!(class_at(prefix, length, true), Class::NotYetSpread);
        assert_eq!(class_at(prefix, length, false), Class::Rest);
    }
    // A short file is all of it.
    assert!(is_first_look(100_000, 200_000));
}

#[tokio::test(start_paused = true)]
async fn limits_of_releases_and_peers_alone_know_a_busy_link_by_what_is_shared() {
    let mut config = config(None);
    config.uplink.limits.per_release = Some(100_000);
    config.uplink.limits.per_asker = Some(10_000);
    let (uplink, _, _stop) = start(&config);
    let mut noop = Context::from_waker(Waker::noop());
    // Alone on a release, a peer's own limit is no reason to send anybody away.
    let admit = |n, release| uplink.admit(address(n), release, FAR, FILM);
    assert!(admit(1, "a").unwrap().is_none());
    let mut taps: Vec<Tap> = (0..20).map(|_| uplink.tap("a")).collect();
    for tap in &mut taps {
        let _ = tap.poll_acquire(&mut noop, || Class::Rest, BLOCK);
    }
    let place = admit(1, "a").unwrap();
    assert!(place.is_some() && admit(2, "a").is_err());
    assert!(admit(2, "b").unwrap().is_none());
}
