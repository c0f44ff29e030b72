//! Tables of what is seen over time, and the property that nothing unfinished is ever ready.

use super::*;
use proptest::prelude::*;

const CLIP: &str = "/clips/clip.mp4";

/// What the file is like, as the inspection would find it.
#[derive(Clone)]
struct World {
    writer: Writer,
    whole: Whole,
    asked: usize,
}

impl Inspect for World {
    fn writer(&mut self, _: &Path) -> Writer {
        self.writer
    }
    fn whole(&mut self, _: &Path) -> Whole {
        self.asked += 1;
        self.whole.clone()
    }
}

fn world(writer: Writer, whole: Whole) -> World {
    World {
        writer,
        whole,
        asked: 0,
    }
}

fn cut_off() -> Whole {
    Whole::CutOff("`mdat` ends after the file".into())
}

fn sight(path: &str, bytes: u64) -> Sight {
    Sight {
        path: path.into(),
        stat: StatRecord {
            device: 1,
            inode: path.len() as u64,
            bytes,
            mtime_ns: 0,
            ctime_ns: 0,
        },
        age: None,
    }
}

/// What happens to the one file, at a time.
enum Do {
    /// It has this many bytes and was looked at.
    Seen(u64),
    /// The same, and its writer closed it.
    Closed(u64),
}
use Do::{Closed, Seen};

/// Takes in the events, in milliseconds, then asks at each of the times; gives what is answered: `ready`,
/// `waits`, or the millisecond until which it waits.
fn table(events: &[(u64, Do)], writer: Writer, whole: &Whole, asks: &[u64]) -> Vec<String> {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut settle = Settle::default();
    let mut bytes = 0;
    for (ms, event) in events {
        let (Seen(now) | Closed(now)) = event;
        bytes = *now;
        settle.observe(at(*ms), &sight(CLIP, bytes));
        if matches!(event, Closed(_)) {
            settle.closed(Path::new(CLIP));
        }
    }
    let mut inspect = world(writer, whole.clone());
    asks.iter()
        .map(
            |ms| match settle.verdict(at(*ms), &[sight(CLIP, bytes)], false, &mut inspect) {
                Verdict::Ready => "ready".into(),
                Verdict::WaitUntil(until) => (until - start).as_millis().to_string(),
                Verdict::Waiting { stuck: false, .. } => "waits".into(),
                Verdict::Waiting { stuck: true, .. } => "stuck".into(),
            },
        )
        .collect()
}

#[test]
fn a_clip_that_was_closed_needs_a_quarter_second() {
    let events = [(0, Seen(1)), (40, Seen(2)), (60, Closed(3))];
    let given = table(
        &events,
        Writer::None,
        &Whole::Yes,
        &[60, 200, 309, 310, 400],
    );
    assert_eq!(given, ["310", "310", "310", "ready", "ready"]);
}

#[test]
fn what_tells_less_rests_for_longer() {
    use Writer::{None, Unknown};
    let closed = || [(0, Closed(5))];
    let seen = || [(0, Seen(5))];
    let asks = [300, 1999, 2000];
    let two_seconds = ["2000", "2000", "ready"];
    assert_eq!(table(&seen(), None, &Whole::Yes, &asks), two_seconds);
    assert_eq!(table(&closed(), None, &Whole::Unknown, &asks), two_seconds);
    assert_eq!(table(&closed(), Unknown, &Whole::Yes, &asks), two_seconds);
    assert_eq!(table(&seen(), Unknown, &Whole::Unknown, &asks), two_seconds);
}

#[test]
fn a_writer_holds_it_up_for_as_long_as_it_is_there() {
    let asks = [100, 300, 10_000, 3_600_000];
    for whole in [Whole::Yes, Whole::Unknown, cut_off()] {
        let given = table(&[(0, Closed(5))], Writer::Present, &whole, &asks);
        assert_eq!(given, ["250", "waits", "waits", "waits"]);
    }
}

#[test]
fn a_file_that_is_cut_off_is_never_ready() {
    let asks = [300, 59_999, 60_000, 86_400_000];
    for writer in [Writer::None, Writer::Unknown] {
        let given = table(&[(0, Closed(5))], writer, &cut_off(), &asks);
        assert_eq!(given, ["waits", "waits", "stuck", "stuck"]);
    }
}

#[test]
fn a_damaged_one_is_taken_for_what_it_is_after_a_minute() {
    let damaged = Whole::Damaged("two boxes overlap".into());
    let asks = [300, 59_999, 60_000];
    let given = table(&[(0, Closed(5))], Writer::None, &damaged, &asks);
    assert_eq!(given, ["waits", "waits", "ready"]);
}

#[test]
fn a_change_after_the_close_takes_the_close_back() {
    let events = [(0, Closed(5)), (400, Seen(6))];
    let given = table(&events, Writer::None, &Whole::Yes, &[700, 2400]);
    assert_eq!(given, ["2400", "ready"]);
}

#[test]
fn each_pause_doubles_the_quiet_up_to_a_bound() {
    let mut events = Vec::new();
    let mut expected = ORDINARY;
    let mut at = 0;
    for bytes in 0..6 {
        if bytes > 0 {
            expected = (expected * 2).min(LONGEST);
        }
        events.push((at, Seen(bytes)));
        // Seen at rest, then changed again.
        events.push((at + 300, Seen(bytes)));
        let given = table(&events, Writer::Unknown, &Whole::Unknown, &[at + 1_500]);
        assert_eq!(given, [(at + expected.as_millis() as u64).to_string()]);
        at += 1_500;
    }
    assert_eq!(expected, LONGEST);
}

#[test]
fn a_steady_writer_does_not_pause_however_seldom_one_looks() {
    let events: Vec<_> = (0..20).map(|n| (n * 2_000, Seen(n))).collect();
    let given = table(&events, Writer::Unknown, &Whole::Unknown, &[38_300]);
    assert_eq!(given, ["40000"]);
}

#[test]
fn another_file_of_the_same_name_begins_anew() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut settle = Settle::default();
    let mut inspect = world(Writer::Unknown, Whole::Unknown);
    settle.observe(at(0), &sight(CLIP, 1));
    settle.observe(at(300), &sight(CLIP, 1));
    settle.observe(at(1_500), &sight(CLIP, 2));
    let mut other = sight(CLIP, 3);
    other.stat.inode = 99;
    settle.observe(at(5_000), &other);
    let verdict = settle.verdict(at(5_300), &[other], false, &mut inspect);
    assert_eq!(verdict, Verdict::WaitUntil(at(7_000)));
}

#[test]
fn the_container_is_asked_once_for_the_same_bytes() {
    let start = Instant::now();
    let mut settle = Settle::default();
    let mut inspect = world(Writer::None, cut_off());
    for second in 1..100 {
        let now = start + Duration::from_secs(second);
        settle.verdict(now, &[sight(CLIP, 7)], false, &mut inspect);
    }
    assert_eq!(inspect.asked, 1);
    let now = start + Duration::from_secs(200);
    settle.observe(now, &sight(CLIP, 8));
    settle.verdict(now + QUICK, &[sight(CLIP, 8)], false, &mut inspect);
    assert_eq!(inspect.asked, 2);
}

#[test]
fn what_has_rested_before_anybody_looked_is_ready_at_once() {
    let now = Instant::now() + Duration::from_secs(100);
    let aged = |ms| Sight {
        age: Some(Duration::from_millis(ms)),
        ..sight(CLIP, 1)
    };
    let verdict =
        |ms, inspect: &mut World| Settle::default().verdict(now, &[aged(ms)], false, inspect);
    let mut rests = world(Writer::None, Whole::Unknown);
    assert_eq!(verdict(2_000, &mut rests), Verdict::Ready);
    assert_eq!(verdict(3_600_000, &mut rests), Verdict::Ready);
    let wait = Duration::from_millis(1_000);
    assert_eq!(verdict(1_000, &mut rests), Verdict::WaitUntil(now + wait));
    let mut whole = world(Writer::None, Whole::Yes);
    assert_eq!(verdict(250, &mut whole), Verdict::Ready);
    let wait = Duration::from_millis(150);
    assert_eq!(verdict(100, &mut whole), Verdict::WaitUntil(now + wait));
    let mut written = world(Writer::Present, Whole::Yes);
    assert!(matches!(
        verdict(10_000, &mut written),
        Verdict::Waiting { .. }
    ));
}

#[test]
fn a_folder_waits_for_all_of_its_files() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut inspect = world(Writer::None, Whole::Yes);
    let mut settle = Settle::default();
    let (one, two) = (
        sight("/clips/album/01.flac", 5),
        sight("/clips/album/2.flac", 5),
    );
    settle.observe(at(0), &one);
    settle.closed(&one.path);
    let both = [one.clone(), two.clone()];
    assert_eq!(
        settle.verdict(at(1_000), &[one], true, &mut inspect),
        Verdict::WaitUntil(at(2_000)),
        "a folder with one file may gain another"
    );
    settle.observe(at(1_900), &two);
    settle.closed(&two.path);
    assert_eq!(
        settle.verdict(at(2_500), &both, true, &mut inspect),
        Verdict::WaitUntil(at(3_900)),
        "a new file restarts the clock"
    );
    assert_eq!(inspect.asked, 0, "no file is read before all are there");
    assert_eq!(
        settle.verdict(at(3_900), &both, true, &mut inspect),
        Verdict::Ready
    );
    inspect.writer = Writer::Present;
    let verdict = settle.verdict(at(9_000), &both, true, &mut inspect);
    assert_eq!(verdict.reason(), Some(WRITING));
}

#[test]
fn a_folder_that_is_renamed_to_its_place_is_there_at_once() {
    let start = Instant::now();
    let mut settle = Settle::default();
    let file = sight("/clips/album/01.flac", 5);
    settle.observe(start, &file);
    settle.came_whole(&file.path);
    let mut inspect = world(Writer::None, Whole::Yes);
    let now = start + QUICK;
    assert_eq!(
        settle.verdict(now, &[file], true, &mut inspect),
        Verdict::Ready
    );
}

#[test]
fn what_is_gone_or_published_is_forgotten() {
    let mut settle = Settle::default();
    let now = Instant::now();
    for path in ["/clips/a.mp4", "/clips/b/1", "/clips/b/2", "/clips/bb"] {
        settle.observe(now, &sight(path, 1));
    }
    settle.forget(Path::new("/clips/a.mp4"));
    settle.forget(Path::new("/clips/b"));
    assert_eq!(settle.len(), 1);
    settle.forget(Path::new("/clips/bb"));
    assert!(settle.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Write,
    Rest(u64),
    Close,
    Open,
    Complete,
    CutOff,
    Rename,
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Write),
        4 => (0..12_000u64).prop_map(Step::Rest),
        2 => Just(Step::Close),
        1 => Just(Step::Open),
        1 => Just(Step::Complete),
        1 => Just(Step::CutOff),
        1 => Just(Step::Rename),
        4 => Just(Step::Look),
    ]
}

proptest! {
    #[test]
    fn nothing_unfinished_is_ever_ready(steps in prop::collection::vec(step(), 0..80), leases in any::<bool>(), events in any::<bool>()) {
        let start = Instant::now();
        let mut settle = Settle::default();
        let (mut ms, mut written, mut bytes) = (0, 0, 0);
        let mut inspect = world(Writer::None, Whole::Yes);
        let mut open = false;
        for step in steps {
            let now = start + Duration::from_millis(ms);
            match step {
                Step::Rest(rest) => ms += rest,
                Step::Write if open => {
                    bytes += 1;
                    written = ms;
                    if events {
                        settle.observe(now, &sight(CLIP, bytes));
                    }
                }
                Step::Write => {}
                Step::Close | Step::Rename => {
                    open = open && !matches!(step, Step::Close);
                    if events {
                        settle.observe(now, &sight(CLIP, bytes));
                        settle.closed(Path::new(CLIP));
                    }
                }
                Step::Open => open = true,
                // What a container says changes with its bytes.
                Step::Complete | Step::CutOff => {
                    bytes += 1;
                    written = ms;
                    inspect.whole = if matches!(step, Step::CutOff) { cut_off() } else { Whole::Yes };
                }
                Step::Look => {
                    inspect.writer = match (leases, open) {
                        (false, _) => Writer::Unknown,
                        (true, true) => Writer::Present,
                        (true, false) => Writer::None,
                    };
                    let verdict = settle.verdict(now, &[sight(CLIP, bytes)], false, &mut inspect);
                    if verdict == Verdict::Ready {
                        prop_assert!(inspect.writer != Writer::Present, "it has a writer");
                        prop_assert!(inspect.whole == Whole::Yes, "it is not whole");
                        prop_assert!(ms - written >= 250, "it was written {} ms ago", ms - written);
                        prop_assert!(leases || ms - written >= 2_000, "nothing tells but time");
                    } else {
                        prop_assert!(verdict.again().unwrap() > now, "asking again would never end");
                    }
                }
            }
        }
        // In the end all is well, and then it is published.
        inspect.writer = Writer::None;
        inspect.whole = Whole::Yes;
        let now = start + Duration::from_millis(ms);
        let last = sight(CLIP, bytes + 1);
        settle.observe(now, &last);
        let verdict = settle.verdict(now + LONGEST, &[last], false, &mut inspect);
        prop_assert_eq!(verdict, Verdict::Ready);
    }
}
