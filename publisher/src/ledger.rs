//! What the last run left of each release: `out/ledger.json`, the publisher's own. It is written last, so
//! that what it says was done has been done; where it is missing or a run was killed, the next run finds
//! that out by looking. A release that is as the ledger says costs a few `stat`s and nothing else.

use crate::derive::Job;
use crate::page::SitemapEntry;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the document. Another one counts as none.
pub const VERSION: u32 = 1;

/// What the last run left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// [`VERSION`].
    pub version: u32,
    /// Releases by source: the name of their file or folder in the clips folder.
    pub releases: BTreeMap<String, Entry>,
    /// Pages over several releases, with the key of what they show.
    pub sheets: BTreeMap<String, u64>,
    /// Files of the site that belong to no release: catalog, assets, logo.
    pub fixed: BTreeSet<String>,
    /// Serial of the catalog.
    pub serial: u64,
    /// Files that are no more but that pages which are still open may ask for, and until when (Unix seconds).
    pub retired: BTreeMap<String, i64>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Of everything that it was made from.
    pub fingerprint: u64,
    /// Its place in URLs.
    pub slug: String,
    /// Why it is not published as it lies there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What is shown of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<Shown>,
}

/// Why a release is not published as it lies there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Its publisher says that it is a draft.
    Draft,
    /// It has a date to come.
    Until(Timestamp),
    /// The torrent of this id was withdrawn, and these are the same bytes.
    Withdrawn(String),
}

/// What is shown of a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its date, RFC 3339: its place among the others.
    pub published: String,
    /// Has a page, but stands in no list.
    pub unlisted: bool,
    /// Fingerprint of its view.
    pub view: u64,
    /// What the sitemap says of it.
    pub sitemap: SitemapEntry,
    /// Its files below `site/`.
    pub files: Vec<String>,
    /// What it wants to have derived.
    pub jobs: Vec<Asked>,
}

/// A job, and whether it was still to be done when the release was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The job.
    pub job: Job,
    /// Not made yet.
    pub open: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            version: VERSION,
            releases: BTreeMap::new(),
            sheets: BTreeMap::new(),
            fixed: BTreeSet::new(),
            serial: 0,
            retired: BTreeMap::new(),
        }
    }
}

impl Ledger {
    /// Reads the document. One that can't be used costs time, nothing else.
    pub fn parse(bytes: &[u8]) -> Self {
        serde_json::from_slice(bytes)
            .ok()
            .filter(|ledger: &Self| ledger.version == VERSION)
            .unwrap_or_default()
    }

    /// The document's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("maps with text keys always serialise")
    }

    /// Every file of `site/` that is ours.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let shown = self
            .releases
            .values()
            .filter_map(|entry| entry.shown.as_ref());
        shown
            .flat_map(|shown| &shown.files)
            .chain(self.sheets.keys())
            .chain(&self.fixed)
            .chain(self.retired.keys())
            .map(String::as_str)
    }

    /// Every derived file that releases want.
    pub fn jobs(&self) -> impl Iterator<Item = &Asked> {
        let shown = self
            .releases
            .values()
            .filter_map(|entry| entry.shown.as_ref());
        shown.flat_map(|shown| &shown.jobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_read_counts_as_nothing() {
        let mut ledger = Ledger::default();
        let entry = Entry {
            fingerprint: u64::MAX,
            slug: "a".into(),
            hold: Some(Hold::Draft),
            shown: None,
        };
        ledger.releases.insert("a.mp4".into(), entry.clone());
        ledger.fixed.insert("catalog.json".into());
        let read = Ledger::parse(&ledger.to_bytes());
        assert_eq!(read.releases["a.mp4"], entry);
        assert_eq!(read.files().collect::<Vec<_>>(), ["catalog.json"]);
        for bytes in [&b""[..], b"{", b"{\"version\":9}", b"[]"] {
            assert_eq!(Ledger::parse(bytes), Ledger::default());
        }
    }
}
