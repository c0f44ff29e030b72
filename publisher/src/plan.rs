//! What a run is to do: pure functions of what lies in the clips folder, of what the last run left and of
//! the time. [`survey`] says what becomes of each release; `seeding` says what to seed from then on.
//!
//! Not here: reading or writing anything.

mod seeding;

pub use seeding::{Current, next_state};

use crate::folder::FoundRelease;
use crate::ledger::{Entry, Hold, Ledger};
use jiff::Timestamp;
use metainfo::state::{SourceRecord, StatRecord, State, StateRelease};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What is decided on.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// What lies in the clips folder, each with the fingerprint of all that it would be made from.
    pub found: &'a [(FoundRelease, u64)],
    /// Sources that lie there but can't be published as they are.
    pub refused: &'a BTreeSet<String>,
    /// What is seeded.
    pub state: &'a State,
    /// What the last run left.
    pub ledger: &'a Ledger,
    /// Ids of torrents that are to be gone.
    pub withdrawn: &'a BTreeSet<String>,
    /// Whether what the ledger says of a release is still there.
    pub intact: &'a dyn Fn(&str, &Entry) -> bool,
    /// The device on which the clips folder lies.
    pub device: Option<u64>,
    /// The time.
    pub now: Timestamp,
    /// Whether many releases may go at once.
    pub allow_removals: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// For each release that was found, in the same order.
    pub steps: Vec<Step>,
    /// Sources of releases that are gone from the folder and are to be unpublished.
    pub gone: Vec<String>,
    /// Sources of releases that are gone from the folder, so many at once that they stay published.
    pub spared: Vec<String>,
}

/// What becomes of a release that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is as it was.
    Unchanged,
    /// It was not published before.
    New,
    /// It is published, and something about it is another.
    Changed(Change),
    /// It is what was published under another name.
    Renamed {
        /// The name it had.
        from: String,
    },
    /// It was withdrawn, and is still the same.
    Withdrawn,
}

/// What is another about a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its payload.
    Payload,
    /// What stands beside it, or the channel.
    Words,
    /// Something that was published is not there any more, or something was made for it.
    Output,
    /// Its date has come.
    Date,
}

impl Change {
    /// For people.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Payload => "its files changed",
            Self::Words => "its text, pictures or the channel changed",
            Self::Output => "something was made for it, or is missing",
            Self::Date => "its date has come",
        }
    }
}

/// Decides on every release.
pub fn survey(question: &Question<'_>) -> Survey {
    let Question { found, state, .. } = question;
    let known: HashMap<&str, &StateRelease> = state
        .releases
        .iter()
        .map(|release| (release.source.as_str(), release))
        .collect();
    let here: BTreeSet<&str> = found
        .iter()
        .map(|(found, _)| found.source.as_str())
        .chain(question.refused.iter().map(String::as_str))
        .collect();
    let published = |release: &&StateRelease| {
        let ids = &release.torrents;
        !ids.is_empty() && !release.withdrawn && !is_withdrawn(release, question.withdrawn)
    };
    let mut missing: BTreeMap<&str, &StateRelease> = state
        .releases
        .iter()
        .filter(published)
        .filter(|release| !here.contains(release.source.as_str()))
        .map(|release| (release.source.as_str(), release))
        .collect();

    // What is withdrawn no longer may have been renamed meanwhile.
    let undone = state.releases.iter().filter(|release| {
        release.withdrawn
            && !is_withdrawn(release, question.withdrawn)
            && !here.contains(release.source.as_str())
    });
    let mut moved = by_place(missing.values().copied().chain(undone));
    let refused = by_place(
        state
            .releases
            .iter()
            .filter(|release| is_withdrawn(release, question.withdrawn)),
    );
    let mut steps = Vec::with_capacity(found.len());
    for (found, fingerprint) in found.iter() {
        let place = found.files.first().map(|file| place(&file.stat));
        let mut refused = place
            .and_then(|place| refused.get(&place))
            .into_iter()
            .flatten();
        if refused.any(|release| has_sources(found, &release.sources)) {
            steps.push(Step::Withdrawn);
            continue;
        }
        let before = known.get(found.source.as_str()).copied();
        let entry = question.ledger.releases.get(&found.source);
        let mut step = step(question, found, *fingerprint, before, entry);
        if step == Step::New
            && let Some(candidates) = place.and_then(|place| moved.get_mut(&place))
            && let Some(at) = candidates
                .iter()
                .position(|old| is_same_under_another_name(found, old))
        {
            let from = candidates.remove(at).source.clone();
            missing.remove(from.as_str());
            step = Step::Renamed { from };
        }
        steps.push(step);
    }

    let all = state.releases.iter().filter(published).count();
    let many = missing.len() >= 2 && missing.len() * 2 > all;
    let elsewhere = missing.len() == all
        && missing
            .values()
            .flat_map(|release| &release.sources)
            .any(|source| {
                question
                    .device
                    .is_some_and(|device| device != source.stat.device)
            });
    let missing: Vec<String> = missing.into_keys().map(str::to_owned).collect();
    let spare = !question.allow_removals && (many || elsewhere);
    let (gone, spared) = if spare {
        (Vec::new(), missing)
    } else {
        (missing, Vec::new())
    };
    Survey {
        steps,
        gone,
        spared,
    }
}

fn step(
    question: &Question<'_>,
    found: &FoundRelease,
    fingerprint: u64,
    before: Option<&StateRelease>,
    entry: Option<&Entry>,
) -> Step {
    let same_files = before.is_some_and(|before| has_sources(found, &before.sources));
    let published = before.is_some_and(|before| !before.torrents.is_empty() && !before.withdrawn);
    if let Some(entry) = entry.filter(|entry| entry.fingerprint == fingerprint) {
        match &entry.hold {
            Some(Hold::Withdrawn(id)) if question.withdrawn.contains(id) => return Step::Withdrawn,
            Some(Hold::Draft) if !published => return Step::Unchanged,
            Some(Hold::Until(date)) if question.now < *date => return Step::Unchanged,
            Some(Hold::Until(_)) if published => return Step::Changed(Change::Date),
            Some(_) => {}
            None if published && (question.intact)(&found.source, entry) => return Step::Unchanged,
            None => {}
        }
        if published {
            return Step::Changed(Change::Output);
        }
    }
    match published {
        true if same_files => Step::Changed(Change::Words),
        true => Step::Changed(Change::Payload),
        false => Step::New,
    }
}

/// Whether a release is to be gone: with one of its torrents go all of them.
fn is_withdrawn(release: &StateRelease, withdrawn: &BTreeSet<String>) -> bool {
    release.torrents.iter().any(|id| withdrawn.contains(id))
}

/// Where a file lies, whatever its name: device and inode.
fn place(stat: &StatRecord) -> (u64, u64) {
    (stat.device, stat.inode)
}

/// Releases by the place of their first file.
fn by_place<'a>(
    releases: impl Iterator<Item = &'a StateRelease>,
) -> HashMap<(u64, u64), Vec<&'a StateRelease>> {
    let mut places: HashMap<_, Vec<_>> = HashMap::new();
    for release in releases {
        if let Some(first) = release.sources.first() {
            places.entry(place(&first.stat)).or_default().push(release);
        }
    }
    places
}

/// Whether a release's files are those of the records.
pub fn has_sources(found: &FoundRelease, records: &[SourceRecord]) -> bool {
    records.len() == found.files.len()
        && records.iter().zip(&found.files).all(|(record, file)| {
            record.path == file.path.join("/") && record.stat.same_content(&file.stat)
        })
}

/// The same files below another name. Its ending must stay, since torrent and seeder know the file's type by it.
fn is_same_under_another_name(found: &FoundRelease, old: &StateRelease) -> bool {
    let ending = |name: &str| {
        let ending = name
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_lowercase());
        ending.unwrap_or_default()
    };
    let is_file = found.files.iter().any(|file| file.path.is_empty());
    has_sources(found, &old.sources) && (!is_file || ending(&found.source) == ending(&old.source))
}

#[cfg(test)]
mod tests;
