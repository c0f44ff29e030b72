//! Every way a release can go between two looks at the folder.

use super::*;
use crate::folder::{FoundFile, Kind, Sidecars};

const GB: u64 = 1 << 30;

fn stat(device: u64, inode: u64) -> StatRecord {
    StatRecord {
        device,
        inode,
        bytes: GB,
        mtime_ns: 1,
        ctime_ns: 1,
    }
}

/// A file of this name; its fingerprint is its inode.
fn found(source: &str, inode: u64) -> (FoundRelease, u64) {
    let found = FoundRelease {
        source: source.into(),
        kind: Kind::Clip,
        files: vec![FoundFile {
            path: Vec::new(),
            location: source.into(),
            stat: stat(1, inode),
        }],
        sidecars: Sidecars::default(),
    };
    (found, inode)
}

/// What is left of releases that were published, by name and inode.
fn left(releases: &[(&str, u64)]) -> (State, Ledger) {
    let mut state = State::default();
    let mut ledger = Ledger::default();
    for (source, inode) in releases {
        state.releases.push(StateRelease {
            slug: (*source).into(),
            source: (*source).into(),
            first_published: "2026-01-01T00:00:00Z".into(),
            torrents: vec![format!("id of {source}")],
            sources: vec![SourceRecord {
                path: String::new(),
                stat: stat(1, *inode),
            }],
            guid: None,
            former: Vec::new(),
            withdrawn: false,
        });
        let entry = Entry {
            fingerprint: *inode,
            slug: (*source).into(),
            hold: None,
            shown: None,
        };
        ledger.releases.insert((*source).into(), entry);
    }
    (state, ledger)
}

static NONE: BTreeSet<String> = BTreeSet::new();

fn decide<'a>(
    found: &'a [(FoundRelease, u64)],
    (state, ledger): &'a (State, Ledger),
    change: impl FnOnce(&mut Question<'a>),
) -> Survey {
    let mut question = Question {
        found,
        refused: &NONE,
        state,
        ledger,
        withdrawn: &NONE,
        intact: &|_, _| true,
        device: Some(1),
        now: Timestamp::UNIX_EPOCH,
        allow_removals: false,
    };
    change(&mut question);
    survey(&question)
}

#[test]
fn what_is_as_it_was_is_left_alone() {
    let before = left(&[("a.mp4", 1), ("b.mp4", 2)]);
    let now = [found("a.mp4", 1), found("b.mp4", 2)];
    let survey = decide(&now, &before, |_| {});
    assert_eq!(survey.steps, [Step::Unchanged, Step::Unchanged]);
    let survey = decide(&now, &before, |question| {
        question.intact = &|source, _| source != "b.mp4";
    });
    assert_eq!(
        survey.steps,
        [Step::Unchanged, Step::Changed(Change::Output)]
    );
}

#[test]
fn changes_are_told_apart() {
    let before = left(&[("a.mp4", 1)]);
    let edited = [found("a.mp4", 9), found("new.mp4", 3)];
    assert_eq!(
        decide(&edited, &before, |_| {}).steps,
        [Step::Changed(Change::Payload), Step::New]
    );
    let retitled = [(found("a.mp4", 1).0, 77)];
    assert_eq!(
        decide(&retitled, &before, |_| {}).steps,
        [Step::Changed(Change::Words)]
    );
    // A lost ledger costs a look at everything, and nothing else.
    let lost = (before.0, Ledger::default());
    assert_eq!(
        decide(&[found("a.mp4", 1)], &lost, |_| {}).steps,
        [Step::Changed(Change::Words)]
    );
}

#[test]
fn a_file_that_moved_keeps_its_torrent() {
    let before = left(&[("a.mp4", 1), ("b.mp4", 2), ("c.mp4", 3)]);
    let check = |now: &[(FoundRelease, u64)], step: Step, gone: &[&str]| {
        let survey = decide(now, &before, |_| {});
        assert_eq!(survey.steps[0], step);
        assert_eq!(survey.gone, gone);
    };
    let rest = || [found("b.mp4", 2), found("c.mp4", 3)];
    let with = |first| [&[first][..], &rest()].concat();
    let from_a = || Step::Renamed {
        from: "a.mp4".into(),
    };
    check(&with(found("new.mp4", 1)), from_a(), &[]);
    check(&with(found("new.MP4", 1)), from_a(), &[]);
    // Another ending is another type, and other bytes are another file.
    check(&with(found("new.mkv", 1)), Step::New, &["a.mp4"]);
    check(&with(found("new.mp4", 8)), Step::New, &["a.mp4"]);
    // A copy of what is still there is new.
    let copied = [
        found("a.mp4", 1),
        found("z.mp4", 1),
        found("b.mp4", 2),
        found("c.mp4", 3),
    ];
    assert_eq!(decide(&copied, &before, |_| {}).steps[1], Step::New);
    // Two names for one file: the first takes it.
    let twice = [&with(found("new.mp4", 1))[..], &[found("other.mp4", 1)]].concat();
    assert_eq!(decide(&twice, &before, |_| {}).steps[3], Step::New);
}

#[test]
fn a_folder_that_empties_at_once_unpublishes_nothing() {
    let before = left(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
    let check = |now: &[(FoundRelease, u64)], allow, gone: &[&str], spared: &[&str]| {
        let survey = decide(now, &before, |question| question.allow_removals = allow);
        assert_eq!(survey.gone, gone);
        assert_eq!(survey.spared, spared);
    };
    check(&[found("a", 1), found("b", 2)], false, &["c", "d"], &[]);
    check(&[found("a", 1)], false, &[], &["b", "c", "d"]);
    check(&[found("a", 1)], true, &["b", "c", "d"], &[]);
    check(&[], false, &[], &["a", "b", "c", "d"]);
    // What can't be published now is there all the same.
    let refused = ["b", "c"].map(str::to_owned).into();
    let here = [found("a", 1)];
    let survey = decide(&here, &before, |question| question.refused = &refused);
    assert_eq!(
        (survey.gone, survey.spared.len()),
        (vec!["d".to_owned()], 0)
    );
}

#[test]
fn one_release_may_go_but_not_with_its_disk() {
    let before = left(&[("a", 1)]);
    assert_eq!(decide(&[], &before, |_| {}).gone, ["a"]);
    let survey = decide(&[], &before, |question| question.device = Some(2));
    assert_eq!(survey.spared, ["a"]);
}

#[test]
fn drafts_and_dates_wait_until_something_changes() {
    let (state, mut ledger) = left(&[("a", 1), ("b", 2)]);
    let date: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    ledger.releases.get_mut("a").unwrap().hold = Some(Hold::Until(date));
    ledger.releases.get_mut("b").unwrap().hold = Some(Hold::Draft);
    let (mut unpublished, before) = (state.clone(), (state, ledger));
    unpublished.releases.clear();
    let now = [found("a", 1), found("b", 2)];
    let steps = |before: &(State, Ledger), at: Timestamp| {
        decide(&now, before, |question| question.now = at).steps
    };
    let early = Timestamp::UNIX_EPOCH;
    let new = (unpublished, before.1.clone());
    assert_eq!(steps(&new, early), [Step::Unchanged, Step::Unchanged]);
    assert_eq!(steps(&new, date), [Step::New, Step::Unchanged]);
    assert_eq!(steps(&before, early)[0], Step::Unchanged);
    assert_eq!(steps(&before, date)[0], Step::Changed(Change::Date));
}

#[test]
fn what_was_withdrawn_stays_so_until_it_is_another_file() {
    let before = left(&[("a", 1), ("b", 2)]);
    let ids = ["id of a".to_owned()].into();
    fn steps(
        now: &[(FoundRelease, u64)],
        before: &(State, Ledger),
        ids: &BTreeSet<String>,
    ) -> Vec<Step> {
        decide(now, before, |question| question.withdrawn = ids).steps
    }
    assert_eq!(steps(&[found("a", 1)], &before, &ids), [Step::Withdrawn]);
    assert_eq!(
        steps(&[found("a", 9)], &before, &ids),
        [Step::Changed(Change::Payload)]
    );
    assert_eq!(steps(&[found("a", 1)], &before, &NONE), [Step::Unchanged]);
    // Another name makes it no other file.
    assert_eq!(steps(&[found("z", 1)], &before, &ids), [Step::Withdrawn]);
    // It is not missed either.
    let here = [found("b", 2)];
    let survey = decide(&here, &before, |question| question.withdrawn = &ids);
    assert!(survey.gone.is_empty() && survey.spared.is_empty());
}
