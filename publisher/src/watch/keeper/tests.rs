//! The keeper over real files in its caller's time: what makes it run, and what does not.

use super::*;
use crate::folder;
use crate::report::Mode;
use crate::watch::settle::Whole;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use store::lease::Writer;

/// Files of which the test says who writes them and whether they are whole; by name.
#[derive(Default)]
struct Said {
    written: HashSet<String>,
    cut_off: HashSet<String>,
    asked: usize,
}

struct Answers(Rc<RefCell<Said>>);

impl Inspect for Answers {
    fn writer(&mut self, path: &Path) -> Writer {
        let mut said = self.0.borrow_mut();
        said.asked += 1;
        match said
            .written
            .contains(&*path.file_name().unwrap().to_string_lossy())
        {
            true => Writer::Present,
            false => Writer::None,
        }
    }

    fn whole(&mut self, path: &Path) -> Whole {
        let name = path.file_name().unwrap().to_string_lossy();
        match self.0.borrow().cut_off.contains(&*name) {
            true => Whole::CutOff("half".into()),
            false => Whole::Yes,
        }
    }
}

/// Releases with their files as they were published.
type Published = Vec<(String, Vec<FoundFile>)>;

struct Bench {
    folder: tempfile::TempDir,
    keeper: Keeper<Answers>,
    said: Rc<RefCell<Said>>,
    start: Instant,
    /// What each run found ready, and what not, among what was not published.
    runs: Vec<Vec<String>>,
    published: Published,
    whole: bool,
}

fn bench(files: &[&str]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for file in files {
        put(&root, file, 1);
    }
    let said = Rc::new(RefCell::new(Said::default()));
    let start = Instant::now() + Duration::from_secs(1000);
    let own = root.join(".groundswell");
    let withdrawn = own.join("withdrawn.json");
    let ground = Arc::new(Ground::new(root.clone(), own, false));
    let reporter = Reporter::new(Mode::Quiet);
    let keeper = Keeper::new(start, ground, withdrawn, Answers(said.clone()), reporter);
    Bench {
        folder,
        keeper,
        said,
        start,
        runs: Vec::new(),
        published: folder::list(&root, &[])
            .unwrap()
            .releases
            .into_iter()
            .map(content)
            .collect(),
        whole: true,
    }
}

fn content(found: FoundRelease) -> (String, Vec<FoundFile>) {
    (found.source, found.files)
}

fn put(root: &Path, file: &str, bytes: usize) {
    let path = root.join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, vec![1; bytes]).unwrap();
}

impl Bench {
    fn put(&self, file: &str, bytes: usize) {
        put(self.folder.path(), file, bytes);
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// A step at this time after these events; gives when the next one is due, in ms.
    fn step(&mut self, ms: u64, paths: &[(&str, bool)]) -> u64 {
        let root = self.root();
        let paths = paths
            .iter()
            .map(|(path, closed)| (root.join(path), *closed));
        self.hear(
            ms,
            Hints {
                paths: paths.collect::<HashMap<_, _>>(),
                ..Hints::default()
            },
        )
    }

    fn hear(&mut self, ms: u64, hints: Hints) -> u64 {
        let (now, start, root) = (self.at(ms), self.start, self.root());
        let (runs, published, whole) = (&mut self.runs, &mut self.published, self.whole);
        let again = self.keeper.step(now, hints, &mut |ready| {
            let mut shown = Vec::new();
            for found in folder::list(&root, &[]).unwrap().releases {
                let content = content(found.clone());
                if published.contains(&content) {
                    continue;
                }
                let is_ready = ready(&found).is_ok();
                let mark = if is_ready { '+' } else { '-' };
                shown.push(format!("{mark}{}", found.source));
                if is_ready {
                    published.push(content);
                }
            }
            runs.push(shown);
            Outcome { whole, next: None }
        });
        again.saturating_duration_since(start).as_millis() as u64
    }

    /// Steps at the times that are asked for, until then.
    fn until(&mut self, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            at = self.step(at, &[]).max(at + 1);
        }
    }
}

#[test]
fn a_clip_that_is_closed_is_published_after_a_quarter_second() {
    let mut bench = bench(&[]);
    bench.put("a.mp4", 5);
    let next = bench.step(100, &[("a.mp4", true)]);
    assert_eq!(next, 350);
    bench.step(349, &[]);
    assert!(bench.runs.is_empty());
    bench.step(350, &[]);
    assert_eq!(bench.runs, [["+a.mp4"]]);
    bench.until(351, 8_000);
    assert_eq!(bench.runs.len(), 1, "nothing else has happened");
}

#[test]
fn a_writer_is_waited_for_however_long_it_takes() {
    let mut bench = bench(&["old.mp4"]);
    bench.said.borrow_mut().written.insert("a.mp4".into());
    bench.put("a.mp4", 5);
    bench.step(0, &[("a.mp4", false)]);
    bench.until(1, 60_000);
    assert!(bench.runs.is_empty());
    assert_eq!(bench.keeper.rests_at(), None, "it waits for more than rest");
    bench.put("a.mp4", 10);
    bench.said.borrow_mut().written.clear();
    bench.step(60_000, &[("a.mp4", true)]);
    bench.until(60_001, 61_000);
    assert_eq!(bench.runs, [["+a.mp4"]]);
}

#[test]
fn what_is_cut_off_waits_while_others_are_published() {
    let mut bench = bench(&[]);
    bench.said.borrow_mut().cut_off.insert("a.mp4".into());
    bench.put("a.mp4", 5);
    bench.put("b.mp4", 5);
    bench.step(0, &[("a.mp4", true), ("b.mp4", true)]);
    bench.until(1, 3_600);
    assert_eq!(bench.runs, [["-a.mp4", "+b.mp4"]]);
    // Appended in silence: the look at everything finds it.
    bench.put("a.mp4", 10);
    bench.said.borrow_mut().cut_off.clear();
    bench.until(3_600, 14_000);
    assert_eq!(bench.runs.last().unwrap(), &["+a.mp4"]);
    assert_eq!(bench.runs.len(), 2);
}

#[test]
fn what_was_not_ready_in_a_run_is_published_when_it_is() {
    let mut bench = bench(&["a.mp4"]);
    let root = bench.root();
    let now = bench.at(0);
    bench.keeper.run(now, &[], &mut |ready| {
        let found = folder::list(&root, &[]).unwrap();
        assert!(
            ready(&found.releases[0]).is_err(),
            "it has not rested in our eyes"
        );
        Outcome {
            whole: true,
            next: None,
        }
    });
    let rests_at = bench.keeper.rests_at().unwrap();
    assert!(rests_at <= bench.at(2_500), "it waits for nothing but rest");
    bench.published.clear();
    bench.until(1, 3_000);
    assert_eq!(bench.runs, [["+a.mp4"]]);
}

#[test]
fn events_without_a_change_cause_no_run() {
    let mut bench = bench(&["a.mp4", "album/01.flac"]);
    bench.step(
        0,
        &[
            ("a.mp4", false),
            ("album/01.flac", true),
            ("album", false),
            ("gone.mp4", false),
        ],
    );
    bench.until(1, 9_000);
    assert!(bench.runs.is_empty(), "{:?}", bench.runs);
}

#[test]
fn sidecars_come_along_and_never_wait() {
    let mut bench = bench(&[]);
    bench
        .said
        .borrow_mut()
        .written
        .extend(["a.md".into(), "b.jpg".into()]);
    bench.put("a.mp4", 5);
    bench.step(0, &[("a.mp4", true)]);
    bench.put("a.md", 5);
    bench.step(30, &[("a.md", true)]);
    bench.until(31, 5_000);
    assert_eq!(bench.runs, [["+a.mp4"]], "one run for both");
    bench.put("a.md", 50);
    bench.step(5_000, &[("a.md", false)]);
    bench.until(5_001, 6_000);
    assert_eq!(bench.runs.len(), 2);
}

#[test]
fn a_folder_is_published_when_it_gains_no_more() {
    let mut bench = bench(&[]);
    for (n, at) in [(1, 0), (2, 1_500), (3, 3_000)] {
        bench.put(&format!("album/0{n}.flac"), 5);
        bench.step(at, &[("album", false), (&format!("album/0{n}.flac"), true)]);
        bench.until(at + 1, at + 1_499);
    }
    assert!(bench.runs.is_empty());
    bench.until(4_500, 5_100);
    assert_eq!(bench.runs, [["+album"]]);
}

#[test]
fn a_folder_that_is_moved_in_is_published_at_once() {
    let mut bench = bench(&[]);
    bench.put("album/cd1/01.flac", 5);
    bench.step(0, &[("album", true)]);
    bench.until(1, 260);
    assert_eq!(bench.runs, [["+album"]]);
}

#[test]
fn removal_is_seen_with_and_without_events() {
    let mut bench = bench(&["a.mp4", "b.mp4"]);
    std::fs::remove_file(bench.root().join("a.mp4")).unwrap();
    bench.step(0, &[("a.mp4", false)]);
    bench.until(1, 499);
    assert!(bench.runs.is_empty());
    bench.until(499, 600);
    assert_eq!(bench.runs.len(), 1);
    std::fs::remove_file(bench.root().join("b.mp4")).unwrap();
    bench.until(600, 11_000);
    assert_eq!(bench.runs.len(), 2);
}

#[test]
fn a_rename_is_one_run() {
    let mut bench = bench(&["a.mp4"]);
    std::fs::rename(bench.root().join("a.mp4"), bench.root().join("b.mp4")).unwrap();
    bench.step(0, &[("a.mp4", false), ("b.mp4", true)]);
    bench.until(1, 400);
    assert_eq!(bench.runs, [["+b.mp4"]]);
    bench.until(400, 9_000);
    assert!(
        bench.runs.len() <= 2,
        "the old name's absence is confirmed at most"
    );
}

#[test]
fn lost_events_cause_a_look_at_everything() {
    let mut bench = bench(&[]);
    bench.put("a.mp4", 5);
    let rescan = Hints {
        rescan: true,
        ..Hints::default()
    };
    bench.hear(0, rescan);
    bench.until(1, 2_500);
    assert_eq!(bench.runs, [["+a.mp4"]]);
}

#[test]
fn without_events_it_looks_every_two_seconds() {
    let mut bench = bench(&[]);
    bench.keeper.probe_by = Some(bench.at(2_000));
    bench.step(0, &[]);
    bench.until(1, 2_001);
    assert_eq!(bench.keeper.every, POLL);
    bench.put("a.mp4", 5);
    bench.until(2_001, 6_500);
    assert_eq!(bench.runs, [["+a.mp4"]]);
}

#[test]
fn a_self_test_that_is_heard_leaves_it_to_events() {
    let mut bench = bench(&[]);
    bench.keeper.probe_by = Some(bench.at(2_000));
    let heard = Hints {
        probe: true,
        ..Hints::default()
    };
    bench.hear(1_000, heard);
    bench.until(1_001, 3_000);
    assert_eq!(bench.keeper.every, LOOK);
}

#[test]
fn too_many_folders_mean_polling() {
    let mut bench = bench(&[]);
    let limit = Hints {
        limit: true,
        ..Hints::default()
    };
    bench.hear(0, limit);
    assert_eq!(bench.keeper.every, POLL);
}

#[test]
fn a_request_to_withdraw_is_obeyed_at_the_next_look() {
    let mut bench = bench(&["a.mp4"]);
    bench.step(0, &[]);
    bench.put(".groundswell/withdrawn.json", 5);
    bench.until(1, 501);
    assert_eq!(bench.runs.len(), 1);
    bench.until(501, 5_000);
    assert_eq!(bench.runs.len(), 1);
}

#[test]
fn what_was_derived_is_shown_soon_and_not_for_each_piece() {
    let mut bench = bench(&["a.mp4"]);
    for n in 0..10 {
        let derived = Hints {
            derived: true,
            ..Hints::default()
        };
        bench.hear(n * 10, derived);
    }
    bench.until(100, 5_000);
    assert_eq!(bench.runs.len(), 1);
}

#[test]
fn what_failed_is_tried_again() {
    let mut bench = bench(&[]);
    bench.whole = false;
    bench.put("a.mp4", 5);
    bench.step(0, &[("a.mp4", true)]);
    bench.until(1, 9_000);
    assert_eq!(bench.runs.len(), 1);
    bench.whole = true;
    bench.until(9_000, 60_000);
    assert_eq!(bench.runs.len(), 2);
}

#[test]
fn another_folder_in_its_place_is_watched_anew() {
    let mut bench = bench(&["a.mp4"]);
    let root = bench.root();
    let aside = root.with_extension("aside");
    std::fs::rename(&root, &aside).unwrap();
    std::fs::create_dir(&root).unwrap();
    bench.put("b.mp4", 5);
    bench.until(1, 13_000);
    assert!(bench.keeper.take_rewatch() && !bench.keeper.take_rewatch());
    assert_eq!(bench.runs.last().unwrap(), &["+b.mp4"]);
    std::fs::remove_dir_all(aside).unwrap();
}

#[test]
fn a_release_that_changed_since_it_was_listed_waits() {
    let mut bench = bench(&["a.mp4"]);
    let root = bench.root();
    let listed = folder::list(&root, &[]).unwrap();
    bench.put("a.mp4", 50);
    let now = bench.at(5_000);
    let mut refused = None;
    bench.keeper.run(now, &[], &mut |ready| {
        refused = Some(ready(&listed.releases[0]));
        Outcome {
            whole: true,
            next: None,
        }
    });
    assert!(refused.unwrap().is_err());
    assert_eq!(bench.said.borrow().asked, 0);
}

#[cfg(unix)]
#[test]
fn the_folder_may_go_by_another_name() {
    let mut bench = bench(&[]);
    let beside = tempfile::tempdir().unwrap();
    let link = beside.path().join("clips");
    std::os::unix::fs::symlink(bench.root(), &link).unwrap();
    for (at, bytes) in [(0, 5), (10_000, 50)] {
        bench.put("a.mp4", bytes);
        bench.step(at, &[("a.mp4", true)]);
        let (now, mut answer) = (bench.at(at + 250), None);
        bench.keeper.run(now, &[], &mut |ready| {
            answer = Some(ready(&folder::list(&link, &[]).unwrap().releases[0]));
            Outcome {
                whole: true,
                next: None,
            }
        });
        assert_eq!(answer, Some(Ok(())));
        assert!(
            bench.keeper.settle.is_empty(),
            "what is published is forgotten"
        );
    }
}
