//! From arguments to work to exit code.

use crate::args::{Args, Command, Folders, Talk};
use crate::publish::{Publisher, Summary};
use crate::report::{Mode, Reporter};
use crate::summary::tell_summary;
use crate::watch::Watch;
use crate::{build, check, manual, new, torrent, up, withdraw};
use anyhow::{Context, Result};
use serde_json::json;
use std::process::ExitCode;

/// Does what was typed. 0 is done, 1 failed; clap gives 2 for what can't be understood.
pub fn run(args: Args) -> Result<ExitCode> {
    let reporter = Reporter::new(mode(args.talk)).verbose(args.talk.verbose > 0);
    start_log(args.talk);
    match args.command {
        Command::Build(args) => build::build(&args, reporter).map(code),
        Command::Watch(folders) => {
            reporter.start("watch");
            watch(&folders, reporter)
        }
        Command::Up(args) => {
            reporter.start("up");
            let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
            runtime.block_on(up::up(*args, reporter))
        }
        Command::Torrent(args) => torrent::create(&args, reporter).map(|()| ExitCode::SUCCESS),
        Command::Show { torrent } => torrent::show(&torrent, reporter).map(|()| ExitCode::SUCCESS),
        Command::Verify { torrent, path } => torrent::verify(&torrent, &path, reporter).map(code),
        Command::New { dir } => new::new(&dir, reporter).map(|()| ExitCode::SUCCESS),
        Command::Withdraw(args) => {
            reporter.start("withdraw");
            let out = args.out.as_deref();
            withdraw::withdraw(&args.folder, out, &args.slug, args.undo, reporter)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(args) => {
            reporter.start("check");
            check::check(&args, reporter).map(code)
        }
        Command::Man { dir } => manual::write(&dir, reporter).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut command = <Args as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "publisher", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Command::DecodeKeyFrame => {
            crate::derive::serve_decoder().context("decode")?;
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
    // That crate warns of socket buffers that nobody here needs to be that large.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("{level},librqbit_utp=error")));
    let colour = std::env::var_os("NO_COLOR").is_none()
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A second subscriber in one process is a test's; the first one stays.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_writer(|| crate::report::BesideBars)
        .without_time()
        .with_target(false)
        .try_init();
}

fn watch(build: &Folders, reporter: Reporter) -> Result<ExitCode> {
    let mut publisher = Publisher::open(&build.clips, &build.out, None, reporter)?;
    let mut watch = Watch::start(&build.clips, &build.out, build.allow_removals, reporter)?;
    let stop = watch.stopper();
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    runtime.spawn(async move {
        up::asked_to_stop().await;
        stop.stop();
    });
    let summary = watch.first(&mut publisher)?;
    tell_summary(reporter, build, &summary);
    reporter.line("watching; Ctrl-C ends it");
    reporter.event(|| json!({"event": "ready", "out": build.out, "releases": summary.releases}));
    watch.run(&mut publisher, |summary| match summary {
        Ok(summary) => tell_run(reporter, build, summary),
        Err(error) => reporter.problem("error", "", &error.to_string()),
    });
    Ok(ExitCode::SUCCESS)
}

/// Tells of one run of a watch. People hear of what waits from the watch itself, and don't want to hear that
/// pages have followed what was made behind them.
fn tell_run(reporter: Reporter, folders: &Folders, mut summary: Summary) {
    if reporter.mode() == Mode::Human {
        summary.waiting.clear();
        if summary.published + summary.renamed + summary.removed + summary.problems == 0 {
            return;
        }
    }
    tell_summary(reporter, folders, &summary);
}
