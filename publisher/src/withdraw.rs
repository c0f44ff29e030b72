//! `publisher withdraw`: a release is gone now, on every layer, and kept gone. The command writes which
//! torrents are to be gone (`out/withdrawn.json`); the run that follows takes away page, feeds, catalog entry,
//! torrent file and payload, and tells the seeder to refuse. Whoever publishes into the folder at that moment
//! makes that run; where nobody does, the command makes it itself.

use crate::error::PublishError;
use crate::publish::{Options, Publisher};
use crate::report::Reporter;
use crate::site::{Origin, Out};
use jiff::Timestamp;
use metainfo::state::{DocumentError, State, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a publisher that is at work may take to obey.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is to be gone: `out/withdrawn.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// In the order in which it was asked for.
    pub releases: Vec<WithdrawnRelease>,
}

/// A release that is to be gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawnRelease {
    /// Its place in URLs.
    pub slug: String,
    /// Its torrents, those in grace included: another file that takes its place later is another thing.
    pub ids: Vec<String>,
}

/// Why nothing was withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum WithdrawError {
    /// Neither a clips folder that was published nor a folder that was published to.
    #[error("nothing was published at {}; name the folder given to --out", .0.display())]
    NotPublished(PathBuf),
    /// No release of that name.
    #[error("no release has the slug `{slug}`{}", .near.as_ref().map(|near| format!("; is it `{near}`?")).unwrap_or_default())]
    NoSuchRelease {
        /// What was asked for.
        slug: String,
        /// The one that was meant, perhaps.
        near: Option<String>,
    },
    /// The publisher that is at work there did not obey.
    #[error("the publisher at work in {} has not done it yet; it will, once it is able to look", .0.display())]
    StillBusy(PathBuf),
    /// It can't be written down, or the run failed.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl From<store::WriteError> for WithdrawError {
    fn from(error: store::WriteError) -> Self {
        Self::Publish(error.into())
    }
}

impl Withdrawn {
    /// Reads the document.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Every torrent that is to be gone.
    pub fn ids(&self) -> BTreeSet<String> {
        let ids = self.releases.iter().flat_map(|release| &release.ids);
        ids.cloned().collect()
    }

    /// With this release gone, as the state knows it; `None` where the state knows no torrent of it.
    fn with(mut self, slug: &str, state: &State) -> Option<Self> {
        let torrents = state.torrents.iter();
        let ids: Vec<String> = torrents
            .filter(|torrent| torrent.slug == slug)
            .map(|torrent| torrent.id.clone())
            .collect();
        if ids.is_empty() {
            return None;
        }
        self.releases.retain(|release| release.slug != slug);
        self.releases.push(WithdrawnRelease {
            slug: slug.to_owned(),
            ids,
        });
        Some(self)
    }

    fn without(mut self, slug: &str) -> Self {
        self.releases.retain(|release| release.slug != slug);
        self
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts always serialise");
        bytes.push(b'\n');
        bytes
    }
}

/// Takes a release away, or lets it be published again. `path` is the clips folder or the folder that is
/// published to; `out` names the latter where it lies elsewhere.
///
/// # Errors
/// See [`WithdrawError`].
pub fn withdraw(
    path: &Path,
    out: Option<&Path>,
    slug: &str,
    undo: bool,
    reporter: Reporter,
) -> Result<(), WithdrawError> {
    let root = published_at(path, out)?;
    let peek = Out::peek(&root);
    let state = peek.read_state()?;
    let before = peek.read_withdrawn()?;
    let is_listed = before.releases.iter().any(|release| release.slug == slug);
    let unknown = || {
        let known = state.releases.iter().map(|release| &release.slug);
        let near = known
            .filter(|known| known.contains(slug) || slug.contains(known.as_str()))
            .min_by_key(|known| known.len().abs_diff(slug.len()));
        WithdrawError::NoSuchRelease {
            slug: slug.to_owned(),
            near: near.cloned(),
        }
    };
    let after = match undo {
        true if !is_listed => return Err(unknown()),
        true => before.without(slug),
        false => before.with(slug, &state).ok_or_else(unknown)?,
    };
    let ids = after.ids();
    store::write_if_changed(&peek.withdrawn_path(), &after.to_bytes())?;
    let done = |state: &State| {
        let mut torrents = state.torrents.iter();
        if undo {
            !torrents
                .any(|torrent| torrent.status == Status::Withdrawn && !ids.contains(&torrent.id))
        } else {
            torrents
                .all(|torrent| torrent.status == Status::Withdrawn || !ids.contains(&torrent.id))
        }
    };
    let started = Instant::now();
    loop {
        match run(path, &root, reporter) {
            Ok(()) => break,
            Err(PublishError::Busy(_)) => {
                // The state says it first; pages and feeds follow in the same run.
                if peek.read_state().is_ok_and(|state| done(&state)) && !peek.is_being_written() {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
        if started.elapsed() > PATIENCE {
            return Err(WithdrawError::StillBusy(root));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let word = if undo { "published again" } else { "withdrawn" };
    reporter.line(&format!("  {word}  {slug}"));
    reporter.event(
        || serde_json::json!({"event": "withdrawn", "slug": slug, "undo": undo, "out": root}),
    );
    Ok(())
}

/// One run of a publisher of our own.
fn run(path: &Path, root: &Path, reporter: Reporter) -> Result<(), PublishError> {
    let origin = std::fs::read(Out::peek(root).origin_path()).unwrap_or_default();
    let origin = serde_json::from_slice::<Origin>(&origin).ok();
    let clips = origin.map_or_else(|| path.to_owned(), |origin| origin.clips);
    let mut publisher = Publisher::open(&clips, root, None, reporter)?;
    publisher.run(Timestamp::now(), Options::default())?;
    Ok(())
}

/// The folder that is published to.
fn published_at(path: &Path, out: Option<&Path>) -> Result<PathBuf, WithdrawError> {
    let inside = path.join(".groundswell");
    let candidates = match out {
        Some(out) => vec![out],
        None => vec![path, inside.as_path()],
    };
    candidates
        .into_iter()
        .find(|candidate| Out::peek(candidate).state_path().is_file())
        .map(Path::to_owned)
        .ok_or_else(|| WithdrawError::NotPublished(out.unwrap_or(path).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_torrent_of_a_release_is_named_and_undone_together() {
        let text = br#"{"version": 1, "torrents": [
            {"id": "1", "slug": "a", "title": "A", "status": "grace", "torrent": "t", "data": "d", "files": []},
            {"id": "2", "slug": "a", "title": "A", "status": "public", "torrent": "t", "data": "d", "files": []},
            {"id": "3", "slug": "b", "title": "B", "status": "public", "torrent": "t", "data": "d", "files": []}
        ], "releases": []}"#;
        let state = State::parse(text).unwrap();
        let withdrawn = Withdrawn::default().with("a", &state).unwrap();
        assert_eq!(withdrawn.ids(), ["1", "2"].map(str::to_owned).into());
        assert_eq!(Withdrawn::parse(&withdrawn.to_bytes()).unwrap(), withdrawn);
        assert_eq!(withdrawn.clone().with("a", &state).unwrap(), withdrawn);
        assert!(withdrawn.clone().with("c", &state).is_none());
        assert_eq!(withdrawn.without("a"), Withdrawn::default());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let reporter = Reporter::new(crate::report::Mode::Quiet);
        let error = withdraw(folder.path(), None, "a", false, reporter).unwrap_err();
        assert!(matches!(error, WithdrawError::NotPublished(_)), "{error}");
        let state = State {
            releases: vec![metainfo::state::StateRelease {
                slug: "test-drive".into(),
                source: "test-drive.mp4".into(),
                first_published: String::new(),
                torrents: Vec::new(),
                sources: Vec::new(),
                guid: None,
                former: Vec::new(),
                withdrawn: false,
            }],
            ..State::default()
        };
        std::fs::write(folder.path().join("state.json"), state.to_bytes()).unwrap();
        let error = withdraw(folder.path(), None, "drive", false, reporter).unwrap_err();
        assert!(error.to_string().contains("is it `test-drive`?"), "{error}");
        assert!(!folder.path().join("withdrawn.json").exists());
    }
}
