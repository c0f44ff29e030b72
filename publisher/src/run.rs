//! From arguments to work to exit code.

use crate::args::{Args, Build, Command, Talk};
use crate::publish::{Publisher, Summary};
use crate::report::{Mode, Reporter};
use crate::watch::Watch;
use crate::{new, torrent, up};
use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::json;
use std::process::ExitCode;

/// Does what was typed. 0 is done, 1 failed; clap gives 2 for what can't be understood.
pub fn run(args: Args) -> Result<ExitCode> {
    let reporter = Reporter::new(mode(args.talk));
    start_log(args.talk);
    match args.command {
        Command::Build(build) => {
            let mut publisher = Publisher::open(&build.clips, &build.out, None, reporter)?;
            let summary = publisher.run(Timestamp::now())?;
            tell_summary(reporter, &build, &summary);
            Ok(code(summary.problems == 0))
        }
        Command::Watch(build) => watch(&build, reporter),
        Command::Up(args) => {
            let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
            runtime.block_on(up::up(args, reporter))
        }
        Command::Torrent(args) => torrent::create(&args, reporter).map(|()| ExitCode::SUCCESS),
        Command::Show { torrent } => torrent::show(&torrent, reporter).map(|()| ExitCode::SUCCESS),
        Command::Verify { torrent, path } => torrent::verify(&torrent, &path, reporter).map(code),
        Command::New { dir } => new::new(&dir, reporter).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut command = <Args as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "publisher", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn code(success: bool) -> ExitCode {
    if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn mode(talk: Talk) -> Mode {
    match talk {
        Talk { json: true, .. } => Mode::Json,
        Talk { quiet: true, .. } => Mode::Quiet,
        _ => Mode::Human,
    }
}

fn start_log(talk: Talk) {
    use tracing_subscriber::EnvFilter;
    let level = match talk.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let colour = std::env::var_os("NO_COLOR").is_none()
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second subscriber in one process is a test's; the first one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .try_init();
}

fn tell_summary(reporter: Reporter, build: &Build, summary: &Summary) {
    let Summary {
        releases,
        published,
        removed,
        problems,
        written,
    } = summary;
    let releases_word = if *releases == 1 {
        "release"
    } else {
        "releases"
    };
    let mut line = format!(
        "{releases} {releases_word} in {}",
        build.out.join("site").display()
    );
    for (count, what) in [
        (published, "new or changed"),
        (removed, "removed"),
        (problems, "with problems"),
    ] {
        if *count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    reporter.line(&line);
    if *published > 0 {
        reporter.line(&format!(
            "next: put that folder on any web host, and run `seeder serve {}`",
            build.out.display()
        ));
    }
    reporter.event(|| {
        json!({"event": "done", "releases": releases, "published": published, "removed": removed,
               "problems": problems, "written": written, "out": build.out})
    });
}

fn watch(build: &Build, reporter: Reporter) -> Result<ExitCode> {
    let mut publisher = Publisher::open(&build.clips, &build.out, None, reporter)?;
    let watch = Watch::start(&build.clips, &build.out)?;
    let stop = watch.stopper();
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.spawn(async move {
        up::asked_to_stop().await;
        stop.stop();
    });
    let summary = publisher.run(Timestamp::now())?;
    tell_summary(reporter, build, &summary);
    reporter.line("watching; Ctrl-C ends it");
    reporter.event(|| json!({"event": "ready", "out": build.out, "releases": summary.releases}));
    watch.run(&mut publisher, |summary| match summary {
        Ok(summary) => tell_summary(reporter, build, &summary),
        Err(error) => reporter.problem("error", "", &error.to_string()),
    });
    Ok(ExitCode::SUCCESS)
}
