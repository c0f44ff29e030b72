//! What a run would do, without doing it: for `--dry-run`.

use super::look::Look;
use super::{Options, Pass, Publisher};
use crate::derive::Tools;
use crate::error::PublishError;
use crate::plan::Step;
use crate::probe::probe;
use crate::report::Reporter;
use crate::seal::RunningSeeder;
use crate::sign::Signer;
use crate::site::Out;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;

/// What would become of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Its place in URLs; empty where it has none yet.
    pub slug: String,
    /// Its file or folder in the clips folder.
    pub source: String,
    /// What would be done.
    pub action: Action,
    /// Why; may be empty.
    pub why: String,
}

/// What a run would do with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Publish it.
    New,
    /// Publish it again.
    Changed,
    /// Publish it under another name.
    Renamed,
    /// Unpublish it.
    Removed,
    /// Nothing.
    Unchanged,
    /// Nothing yet.
    Waiting,
    /// Nothing, since something is wrong.
    Problem,
}

impl Action {
    /// The word for people and machines.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Renamed => "renamed",
            Self::Removed => "removed",
            Self::Unchanged => "unchanged",
            Self::Waiting => "waiting",
            Self::Problem => "problem",
        }
    }
}

impl Publisher {
    /// What a run would do now, in the order of sources. Nothing is written, and a publisher that is at work
    /// in the same folder is not disturbed.
    pub fn preview(
        clips: &Path,
        out: &Path,
        bound: Option<RunningSeeder>,
        reporter: Reporter,
        now: Timestamp,
        mut options: Options<'_>,
    ) -> Result<Vec<Preview>, PublishError> {
        super::look::check_folder(clips)?;
        let out = Out::peek(out);
        // Where nothing was published yet, no key is made for a look.
        let is_published = out.state_path().is_file();
        let signer = is_published
            .then(|| Signer::load_or_make(&reporter))
            .transpose()?;
        let publisher = Self::with(clips, out, bound, signer, Tools::find(), reporter)?;
        let Some(mut look) = Look::at(&publisher, now, options.allow_removals)? else {
            return Ok(Vec::new());
        };
        Ok(publisher.preview_of(&mut look, now, &mut options))
    }

    pub(super) fn preview_of(
        &self,
        look: &mut Look,
        now: Timestamp,
        options: &mut Options<'_>,
    ) -> Vec<Preview> {
        let mut pass = Pass::of(look);
        let look = &*look;
        let work = self.choose(look, &mut pass, now, options);
        let slug_of = |source: &str| {
            let release = look.release(source);
            release.map_or(String::new(), |release| release.slug.clone())
        };
        let steps: BTreeMap<&str, &Step> = look
            .found
            .iter()
            .map(|(found, _)| found.source.as_str())
            .zip(&look.survey.steps)
            .collect();
        let mut all: BTreeMap<String, Preview> = BTreeMap::new();
        let mut add = |source: &str, slug: String, action: Action, why: String| {
            let preview = Preview {
                slug,
                source: source.to_owned(),
                action,
                why,
            };
            all.insert(source.to_owned(), preview);
        };
        for (source, step) in &steps {
            if **step == Step::Unchanged {
                add(source, slug_of(source), Action::Unchanged, String::new());
            }
        }
        for (source, entry) in &pass.entries {
            match &entry.hold {
                Some(crate::ledger::Hold::Until(date)) => {
                    let why = format!("to be published at {date}");
                    add(source, slug_of(source), Action::Waiting, why);
                }
                Some(crate::ledger::Hold::Draft) => {
                    let was_shown = look.release(source).is_some_and(|r| !r.torrents.is_empty());
                    let action = if was_shown {
                        Action::Removed
                    } else {
                        Action::Waiting
                    };
                    add(source, slug_of(source), action, "is a draft".into());
                }
                _ => {}
            }
        }
        for source in &look.survey.gone {
            let why = "is not in the folder any more".into();
            add(source, slug_of(source), Action::Removed, why);
        }
        for source in &look.survey.spared {
            let why =
                "vanished with more than half of all releases; --allow-removals unpublishes it";
            add(source, slug_of(source), Action::Unchanged, why.into());
        }
        for work in work {
            let source = work.found.source.clone();
            let action = match (&work.renamed_from, steps.get(source.as_str())) {
                (Some(_), _) => Action::Renamed,
                (None, Some(Step::New)) => Action::New,
                _ => Action::Changed,
            };
            match probe(work.found, work.front) {
                Ok(_) => add(&source, work.slug, action, work.why.into()),
                Err(error) => add(&source, work.slug, Action::Problem, error.to_string()),
            }
        }
        for waiting in &pass.waiting {
            let slug = slug_of(&waiting.source);
            add(&waiting.source, slug, Action::Waiting, waiting.why.clone());
        }
        for (source, error) in &pass.problems {
            add(source, slug_of(source), Action::Problem, error.to_string());
        }
        all.into_values().collect()
    }
}
