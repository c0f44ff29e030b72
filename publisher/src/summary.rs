//! What a run did, told at its end, and what to do next.

use crate::args::Folders;
use crate::channel::Channel;
use crate::publish::Summary;
use crate::report::{Reporter, one_line};
use serde_json::{Value, json};
use std::path::Path;

/// How many waiting files are named.
const NAMED: usize = 5;

/// Tells what a run did.
pub fn tell_summary(reporter: Reporter, folders: &Folders, summary: &Summary) {
    reporter.line(&line(folders, summary));
    for waiting in summary.waiting.iter().take(NAMED) {
        let (source, why) = (one_line(&waiting.source), one_line(&waiting.why));
        reporter.line(&format!("  waiting    {source}: {why}"));
    }
    if summary.waiting.len() > NAMED {
        reporter.line(&format!(
            "  waiting    and {} more",
            summary.waiting.len() - NAMED
        ));
    }
    if summary.published > 0 {
        // What is wrong with it was told by the run.
        if let Ok(channel) = Channel::read(&folders.clips) {
            for next in next_steps(folders, &channel) {
                reporter.line(&format!("  next       {next}"));
            }
        }
    }
    reporter.event(|| event(summary, &folders.out));
}

/// What machines are told of a run.
pub fn event(summary: &Summary, out: &Path) -> Value {
    let waiting = summary.waiting.iter();
    let waiting: Vec<Value> = waiting
        .map(|waiting| json!({"source": waiting.source, "why": waiting.why}))
        .collect();
    json!({"event": "done", "releases": summary.releases, "published": summary.published,
           "renamed": summary.renamed, "removed": summary.removed, "problems": summary.problems,
           "waiting": waiting, "written": summary.written,
           "next": summary.next.map(|next| next.to_string()), "out": out})
}

fn line(folders: &Folders, summary: &Summary) -> String {
    let releases = summary.releases;
    let word = if releases == 1 { "release" } else { "releases" };
    let site = folders.out.join("site");
    let mut line = format!("{releases} {word} in {}", site.display());
    for (count, what) in [
        (summary.published, "new or changed"),
        (summary.renamed, "renamed"),
        (summary.removed, "removed"),
        (summary.waiting.len(), "waiting"),
        (summary.problems, "with problems, named above"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line
}

/// What brings these pages to an audience.
fn next_steps(folders: &Folders, channel: &Channel) -> Vec<String> {
    let site = folders.out.join("site");
    let serve = format!("run `seeder serve {}`", folders.out.display());
    let Some(seeder) = &channel.seeder_url else {
        return vec![
            format!("{serve} and look at http://127.0.0.1:8080/"),
            "to go public, set base_url and seeder_url in channel.toml: torrents name no tracker yet"
                .into(),
        ];
    };
    let mut steps = vec![format!("{serve} where {seeder} leads")];
    match &channel.base_url {
        Some(base) => {
            steps.push(format!("copy {} to {base}", site.display()));
            steps.push(format!("then `publisher check {base}`"));
        }
        None => steps.push(format!(
            "copy {} to any web host; name its address as base_url in channel.toml, for feeds and previews",
            site.display()
        )),
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Waiting;
    use std::path::PathBuf;

    fn folders(toml: &str) -> (tempfile::TempDir, Folders, Channel) {
        let clips = tempfile::tempdir().unwrap();
        std::fs::write(clips.path().join(crate::channel::FILE_NAME), toml).unwrap();
        let folders = Folders {
            clips: clips.path().to_owned(),
            out: PathBuf::from("out"),
            allow_removals: false,
        };
        let channel = Channel::read(clips.path()).unwrap();
        (clips, folders, channel)
    }

    #[test]
    fn the_summary_names_what_is_not_nothing() {
        let (_clips, folders, _) = folders("");
        let summary = Summary {
            releases: 1,
            waiting: vec![Waiting {
                source: "a.mp4".into(),
                why: "is still being written".into(),
            }],
            problems: 2,
            ..Summary::default()
        };
        assert_eq!(
            line(&folders, &summary),
            "1 release in out/site, 1 waiting, 2 with problems, named above"
        );
    }

    #[test]
    fn the_next_step_depends_on_the_addresses() {
        for (toml, expected) in [
            (
                "",
                "look at http://127.0.0.1:8080/|set base_url and seeder_url",
            ),
            (
                "seeder_url = \"https://s.example\"",
                "where https://s.example/ leads|any web host",
            ),
            (
                "seeder_url = \"https://s.example\"\nbase_url = \"https://v.example\"",
                "where https://s.example/ leads|copy out/site to https://v.example/|publisher check https://v.example/",
            ),
        ] {
            let (_clips, folders, channel) = folders(toml);
            let steps = next_steps(&folders, &channel);
            let parts: Vec<&str> = expected.split('|').collect();
            assert_eq!(steps.len(), parts.len(), "{steps:?}");
            for (step, part) in steps.iter().zip(parts) {
                assert!(step.contains(part), "{step}");
            }
        }
    }
}
