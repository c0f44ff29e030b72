//! One run: the clips folder as it is now → `out/` as it should be. The same run serves `build`,
//! `watch` and `up`; what is unchanged costs a few `stat`s and no read.
//!
//! `look` gathers what there is and has [`crate::plan`] decide, `choose` sorts out, `release` brings one release from its
//! files to its pages, `commit` writes: library, torrents, state, catalog, pages; then what is stale goes.
//! A kill anywhere leaves pages whose every link works, and loses nothing that was published.

mod choose;
mod commit;
mod look;
mod preview;
mod release;

pub use preview::{Action, Preview};

use crate::derive::{Derived, Job, Tools};
use crate::error::{PublishError, ReleaseError};
use crate::folder::FoundRelease;
use crate::ledger::{Entry, Hold};
use crate::page::Renderer;
use crate::report::{Reporter, one_line};
use crate::seal::RunningSeeder;
use crate::sign::Signer;
use crate::site::Out;
use choose::Work;
use commit::Batches;
use jiff::Timestamp;
use look::Look;
use release::{Made, Refused};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long releases are made before what is done is published: in a folder of a hundred films the first ones
/// don't wait for the last.
const PORTION: Duration = Duration::from_secs(20);

/// Publishes one clips folder into one `out/`, as often as asked.
pub struct Publisher {
    clips: PathBuf,
    out: Out,
    bound: Option<RunningSeeder>,
    renderer: Renderer,
    /// None for those who only look.
    signer: Option<Signer>,
    derived: Arc<Derived>,
    tools: String,
    reporter: Reporter,
    told: BTreeSet<String>,
}

/// How a run goes about it.
pub struct Options<'a> {
    /// Releases may go even where more than half of them are gone at once.
    pub allow_removals: bool,
    /// Nobody will look again soon: what is not ready is a problem.
    pub once: bool,
    /// Whether what was found may be published now, or why it has to wait. Without one: nobody writes to
    /// it, and its container is whole.
    pub ready: Option<Ready<'a>>,
}

/// Says whether a release may be published now, or why it has to wait.
pub type Ready<'a> = &'a mut dyn FnMut(&FoundRelease) -> Result<(), String>;

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            allow_removals: false,
            once: true,
            ready: None,
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Releases with a page now.
    pub releases: usize,
    /// Releases with a torrent that is new or changed.
    pub published: usize,
    /// Releases that have another name than before.
    pub renamed: usize,
    /// Releases whose page went away.
    pub removed: usize,
    /// Releases that could not be published.
    pub problems: usize,
    /// Files of the site that were written.
    pub written: usize,
    /// Releases that are not ready to be published, and why.
    pub waiting: Vec<Waiting>,
    /// When there is something to do without anybody changing anything: a date comes, a grace is over.
    pub next: Option<Timestamp>,
    /// What is to be made behind publication.
    pub jobs: Vec<Job>,
}

/// A release that is not ready to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its file or folder in the clips folder.
    pub source: String,
    /// Why it waits.
    pub why: String,
}

/// What a pass over the folder found out and did.
#[derive(Default)]
struct Pass {
    /// What the ledger says afterwards.
    entries: BTreeMap<String, Entry>,
    /// Sources that stay as they were.
    kept: BTreeSet<String>,
    problems: BTreeMap<String, ReleaseError>,
    waiting: Vec<Waiting>,
    made: Vec<Made>,
    told: BTreeSet<String>,
    /// How many releases were left for the next portion.
    left: usize,
}

impl Publisher {
    /// Takes the folders. `bound` is the seeder that runs in this process, if one does.
    pub fn open(
        clips: &Path,
        out: &Path,
        bound: Option<RunningSeeder>,
        reporter: Reporter,
    ) -> Result<Self, PublishError> {
        look::check_folder(clips)?;
        let out = Out::open(out)?;
        let signer = Signer::load_or_make(&reporter)?;
        Self::with(clips, out, bound, Some(signer), Tools::find(), reporter)
    }

    fn with(
        clips: &Path,
        out: Out,
        bound: Option<RunningSeeder>,
        signer: Option<Signer>,
        tools: Tools,
        reporter: Reporter,
    ) -> Result<Self, PublishError> {
        Ok(Self {
            clips: clips.to_owned(),
            bound,
            renderer: Renderer::new()?,
            signer,
            tools: format!("{tools:?}"),
            derived: Arc::new(Derived::open(&out.derived(), tools)),
            out,
            reporter,
            told: BTreeSet::new(),
        })
    }

    /// The cache of what is made behind publication.
    pub fn derived(&self) -> Arc<Derived> {
        Arc::clone(&self.derived)
    }

    /// Brings `out/` in step with the clips folder.
    pub fn run(
        &mut self,
        now: Timestamp,
        mut options: Options<'_>,
    ) -> Result<Summary, PublishError> {
        let mut total = Summary::default();
        let mut last = usize::MAX;
        loop {
            let (summary, left) = self.pass(now, &mut options)?;
            total = Summary {
                published: total.published + summary.published,
                renamed: total.renamed + summary.renamed,
                removed: total.removed + summary.removed,
                written: total.written + summary.written,
                ..summary
            };
            // A portion that brings the end no nearer is none.
            if left == 0 || left >= last {
                return Ok(total);
            }
            last = left;
        }
    }

    /// One portion of a run, and how many releases are left for the next.
    fn pass(
        &mut self,
        now: Timestamp,
        options: &mut Options<'_>,
    ) -> Result<(Summary, usize), PublishError> {
        let Some(mut look) = Look::at(self, now, options.allow_removals)? else {
            return self.nothing_to_see();
        };
        let mut pass = Pass::of(&mut look);
        self.tell_listing(&look, &mut pass);
        let work = self.choose(&look, &mut pass, now, options);
        let site = self
            .renderer
            .site(look.channel_view.clone(), look::GENERATOR);
        let mut batches = Batches::default();
        self.make_all(work, &look, &site, &mut batches, &mut pass, now)?;
        for (source, error) in &pass.problems {
            tell(
                &mut pass.told,
                &self.told,
                &self.reporter,
                ("error", source, &error.to_string()),
            );
        }
        self.told = std::mem::take(&mut pass.told);
        let left = pass.left;
        let summary = self.commit(look, &site, batches, pass, now)?;
        Ok((summary, left))
    }

    /// The clips folder is gone, or empties at once: what is published stays.
    fn nothing_to_see(&mut self) -> Result<(Summary, usize), PublishError> {
        let ledger = self.out.read_ledger();
        let shown = ledger
            .releases
            .values()
            .filter(|entry| entry.shown.is_some());
        let releases = shown.count();
        let mut told = BTreeSet::new();
        let message = format!(
            "{} is not there, or is empty at once; all that is published stays. Bring it back, or unpublish with \
             --allow-removals",
            self.clips.display()
        );
        tell(
            &mut told,
            &self.told,
            &self.reporter,
            ("warning", "", &message),
        );
        self.told = told;
        let summary = Summary {
            releases,
            ..Summary::default()
        };
        Ok((summary, 0))
    }

    fn tell_listing(&self, look: &Look, pass: &mut Pass) {
        let mut warn = |source: &str, message: &str| {
            let what = ("warning", source, message);
            tell(&mut pass.told, &self.told, &self.reporter, what);
        };
        for orphan in &look.orphans {
            let message = format!(
                "{}: belongs to no release (a sidecar bears its name)",
                orphan.display()
            );
            warn(&orphan.to_string_lossy(), &message);
        }
        if let [first, ..] = look.survey.spared.as_slice() {
            let count = look.survey.spared.len();
            let message = format!(
                "{first} and {} more vanished from {} at once: more than half of all, so they stay published. Bring \
                 them back, or unpublish them with --allow-removals",
                count - 1,
                self.clips.display()
            );
            warn(first, &message);
        }
    }

    /// Makes one release after the other, and stages what is written of each.
    fn make_all(
        &self,
        work: Vec<Work>,
        look: &Look,
        site: &crate::page::Site<'_>,
        batches: &mut Batches,
        pass: &mut Pass,
        now: Timestamp,
    ) -> Result<(), PublishError> {
        let started = Instant::now();
        if !work.is_empty() {
            self.out.mark()?;
        }
        let kept = pass.entries.values().map(|entry| &entry.slug);
        let live: BTreeSet<String> = work
            .iter()
            .map(|work| &work.slug)
            .chain(kept)
            .cloned()
            .collect();
        for work in work {
            if started.elapsed() > PORTION && !pass.made.is_empty() {
                pass.keep(work.known_as(), look);
                pass.left += 1;
                continue;
            }
            let source = work.found.source.clone();
            let known_as = work.known_as().to_owned();
            self.reporter.reason(&source, work.why);
            let maker = release::Maker {
                publisher: self,
                look,
                site,
                live: &live,
                now,
            };
            match maker.make(work, batches)? {
                Ok(made) => {
                    for warning in &made.warnings {
                        let what = ("warning", source.as_str(), warning.as_str());
                        tell(&mut pass.told, &self.told, &self.reporter, what);
                    }
                    pass.entries.insert(source, made.entry.clone());
                    pass.made.push(made);
                }
                Err(Refused::Withdrawn(entry)) => {
                    self.tell_withdrawn(&source, pass);
                    pass.entries.insert(source, *entry);
                }
                Err(Refused::Problem(error)) => {
                    pass.keep(&known_as, look);
                    pass.problems.insert(source, error);
                }
            }
        }
        Ok(())
    }

    fn tell_published(&self, made: &[Made]) {
        for made in made.iter().filter(|made| !made.unchanged) {
            let (slug, title) = (&made.current.slug, &made.title);
            self.reporter
                .line(&format!("  published  {}  r/{slug}/", one_line(title)));
            self.reporter.event(|| {
                json!({
                    "event": "published", "slug": slug, "title": title, "page": format!("r/{slug}/"),
                    "id": made.current.torrents.first().map(|torrent| &torrent.id),
                })
            });
        }
    }
}

impl Pass {
    /// What stays as it was whatever else is done: what can't be published as it lies there, and what is
    /// spared.
    fn of(look: &mut Look) -> Self {
        let mut pass = Self {
            problems: std::mem::take(&mut look.refused),
            ..Self::default()
        };
        let sources: Vec<String> = pass.problems.keys().cloned().collect();
        for source in sources.iter().chain(&look.survey.spared) {
            pass.keep(source, look);
        }
        pass
    }

    /// Leaves a release as it was.
    fn keep(&mut self, source: &str, look: &Look) {
        self.kept.insert(source.to_owned());
        self.keep_entry(source, look);
    }

    fn keep_entry(&mut self, source: &str, look: &Look) {
        if let Some(entry) = look.ledger.releases.get(source) {
            self.entries.insert(source.to_owned(), entry.clone());
        }
    }

    /// Leaves a release for a later day. A draft is not shown any more; what has a date to come is shown as
    /// it was.
    fn hold(
        &mut self,
        found: &FoundRelease,
        fingerprint: u64,
        hold: Hold,
        known_as: &str,
        look: &Look,
    ) {
        let before = look.ledger.releases.get(known_as);
        let shown = before.and_then(|entry| entry.shown.clone());
        let shown = shown.filter(|_| hold != Hold::Draft);
        if shown.is_some() {
            self.kept.insert(known_as.to_owned());
        }
        let slug = before.map(|entry| entry.slug.clone()).unwrap_or_default();
        let entry = Entry {
            fingerprint,
            slug,
            hold: Some(hold),
            shown,
        };
        // What is still shown keeps the name under which it is, until it is published under the new one.
        let source = if entry.shown.is_some() {
            known_as
        } else {
            &found.source
        };
        self.entries.insert(source.to_owned(), entry);
    }
}

/// Tells something once for as long as it stays so.
fn tell(
    told: &mut BTreeSet<String>,
    before: &BTreeSet<String>,
    reporter: &Reporter,
    (kind, source, message): (&str, &str, &str),
) {
    if told.insert(message.to_owned()) && !before.contains(message) {
        reporter.problem(kind, source, message);
    }
}

#[cfg(test)]
mod tests;
