//! `publisher build`: publish once, then make what follows publication and publish that as well. With
//! `--dry-run`: tell what would be done.

use crate::args::{Build, Folders};
use crate::derive::{self, Cancel, DeriveError, Job};
use crate::publish::{Action, Options, Preview, Publisher, Summary};
use crate::report::{Mode, Reporter, one_line};
use crate::summary::tell_summary;
use anyhow::Result;
use jiff::Timestamp;
use serde_json::json;

/// Publishes a folder of clips; gives whether all of it could be published.
pub fn build(args: &Build, reporter: Reporter) -> Result<bool> {
    reporter.start("build");
    let folders = &args.folders;
    if args.dry_run {
        return plan(folders, reporter);
    }
    let mut publisher = Publisher::open(&folders.clips, &folders.out, None, reporter)?;
    let mut summary = run(&mut publisher, folders)?;
    let mut tried = Vec::new();
    while try_jobs(&publisher, &mut summary, &mut tried, reporter) {
        let later = run(&mut publisher, folders)?;
        summary = Summary {
            // What follows publication concerns releases that were counted then.
            published: summary.published.max(later.published),
            renamed: summary.renamed + later.renamed,
            removed: summary.removed + later.removed,
            written: summary.written + later.written,
            ..later
        };
    }
    tell_summary(reporter, folders, &summary);
    Ok(summary.problems == 0)
}

fn run(publisher: &mut Publisher, folders: &Folders) -> Result<Summary> {
    let options = Options {
        allow_removals: folders.allow_removals,
        ..Options::default()
    };
    Ok(publisher.run(Timestamp::now(), options)?)
}

/// Makes what is missing, each thing once; gives whether another run has something new to show.
fn try_jobs(
    publisher: &Publisher,
    summary: &mut Summary,
    tried: &mut Vec<Job>,
    reporter: Reporter,
) -> bool {
    let mut jobs = std::mem::take(&mut summary.jobs);
    jobs.retain(|job| !tried.contains(job));
    derive::cheap_first(&mut jobs);
    let derived = publisher.derived();
    for job in &jobs {
        let about = format!("{}: its {}", job.name, job.recipe.word());
        match derived.make(job, &reporter, &Cancel::default()) {
            Ok(()) => reporter.reason(&job.name, &format!("its {} is made", job.recipe.word())),
            Err(DeriveError::Failed(why)) => {
                reporter.problem(
                    "warning",
                    &job.name,
                    &format!("{about} can't be made: {why}"),
                );
            }
            Err(error) => {
                reporter.problem(
                    "warning",
                    &job.name,
                    &format!("{about} is not made: {error}"),
                );
            }
        }
    }
    let more = !jobs.is_empty();
    tried.extend(jobs);
    more
}

/// Tells what a build would do.
fn plan(folders: &Folders, reporter: Reporter) -> Result<bool> {
    let options = Options {
        allow_removals: folders.allow_removals,
        ..Options::default()
    };
    let (clips, out) = (&folders.clips, &folders.out);
    let previews = Publisher::preview(clips, out, None, reporter, Timestamp::now(), options)?;
    for preview in &previews {
        reporter.event(|| {
            json!({"event": "plan", "action": preview.action.word(), "source": preview.source,
                   "slug": preview.slug, "why": preview.why})
        });
    }
    if reporter.mode() != Mode::Json {
        reporter.result(&table(&previews), || json!({}));
    }
    let count = |action: Action| previews.iter().filter(|p| p.action == action).count();
    reporter.event(|| {
        json!({"event": "done", "dry_run": true, "new": count(Action::New), "changed": count(Action::Changed),
               "renamed": count(Action::Renamed), "removed": count(Action::Removed),
               "unchanged": count(Action::Unchanged), "waiting": count(Action::Waiting),
               "problems": count(Action::Problem)})
    });
    Ok(count(Action::Problem) == 0)
}

/// One line for each release that would not stay as it is.
fn table(previews: &[Preview]) -> String {
    let shown: Vec<(&str, String, String, String)> = previews
        .iter()
        .filter(|preview| preview.action != Action::Unchanged || !preview.why.is_empty())
        .map(|preview| {
            let page = match preview.slug.as_str() {
                "" => String::new(),
                slug => format!("r/{slug}/"),
            };
            let word = preview.action.word();
            (
                word,
                one_line(&preview.source),
                page,
                one_line(&preview.why),
            )
        })
        .collect();
    let width = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0).min(48);
    let source = width(&mut shown.iter().map(|row| row.1.chars().count()));
    let page = width(&mut shown.iter().map(|row| row.2.chars().count()));
    let mut lines: Vec<String> = shown
        .iter()
        .map(|row| {
            let line = format!(
                "{:<9}  {:<source$}  {:<page$}  {}",
                row.0, row.1, row.2, row.3
            );
            line.trim_end().to_owned()
        })
        .collect();
    let unchanged = previews.len() - shown.len();
    match (unchanged, lines.is_empty()) {
        (0, true) => lines.push("nothing to publish: the folder is empty".into()),
        (0, false) => {}
        (1, _) => lines.push("1 release stays as it is".into()),
        (count, _) => lines.push(format!("{count} releases stay as they are")),
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_table() {
        let preview = |source: &str, slug: &str, action, why: &str| Preview {
            source: source.into(),
            slug: slug.into(),
            action,
            why: why.into(),
        };
        let previews = [
            preview("a.mp4", "a", Action::New, ""),
            preview(
                "long-name\n.mp4",
                "long-name",
                Action::Changed,
                "its text changed",
            ),
            preview("b.mp4", "b", Action::Unchanged, ""),
            preview("c.mp4", "", Action::Problem, "c.mp4 is cut off"),
        ];
        assert_eq!(
            table(&previews),
            "new        a.mp4           r/a/\n\
             changed    long-name\u{fffd}.mp4  r/long-name/  its text changed\n\
             problem    c.mp4                         c.mp4 is cut off\n\
             1 release stays as it is"
        );
        assert_eq!(table(&[]), "nothing to publish: the folder is empty");
    }
}
