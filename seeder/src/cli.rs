//! The program around the library: logging, signals, what is printed, exit codes. Humans read the standard
//! error stream; with `--json` the standard output has one object a line.

use crate::args::{Args, Command, ReportFlags, ServeArgs, StatusArgs};
use crate::config::ServeConfig;
use crate::error::ServeError;
use crate::fetch;
use crate::serve::{Bound, Loaded};
use crate::status::{self, Showing};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Runs the program to its end: 0 done, 1 failed. (Wrong usage ends with 2 before this.)
pub fn run(args: Args) -> ExitCode {
    match args.command {
        Command::Serve(args) => {
            start_log(&args.report);
            end(on_all_cores(async {
                serve(&args).await.map_err(anyhow::Error::from)
            }))
        }
        Command::Fetch(args) => {
            start_log(&args.report);
            end(on_all_cores(async {
                let shutdown = CancellationToken::new();
                tokio::spawn(on_signal(shutdown.clone())?);
                Ok(fetch::run(&args, shutdown).await?)
            }))
        }
        Command::Status(args) => end(show_status(args)),
    }
}

fn on_all_cores(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    take_descriptors();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(work);
            // A read from a disk that hangs mustn't keep the program.
            runtime.shutdown_background();
            outcome
        })
}

/// Takes as many descriptors as the system allows: each connection needs one, and most systems begin with few.
fn take_descriptors() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let wanted = Rlimit {
            current: maximum,
            maximum,
        };
        // What is refused here shows as failed accepts, which are counted.
        let _ = setrlimit(Resource::Nofile, wanted);
    }
}

fn end(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Each of our errors tells its cause itself.
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show_status(args: StatusArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let showing = Showing {
        json: args.json,
        once: args.once,
    };
    runtime.block_on(async {
        if let Some(release) = &args.history {
            let release = Some(&**release).filter(|release| !release.is_empty());
            return Ok(status::show_history(args.place, release, args.json)?);
        }
        let shutdown = CancellationToken::new();
        tokio::spawn(on_signal(shutdown.clone())?);
        Ok(status::show(args.place, showing, shutdown).await?)
    })
}

async fn serve(args: &ServeArgs) -> Result<(), ServeError> {
    let config = args.flags.apply(ServeConfig::new(args.source()?))?;
    let bound = Bound::bind(config).await?;
    let ready = Ready {
        http: bound.http_url(),
        https: bound.https_url(),
        peers: bound.peer_addrs(),
        dht: bound.dht_addr(),
        udp_tracker: bound.udp_tracker_addr(),
        stun: bound.stun_addr(),
        control: bound.control(),
        report: args.report.clone(),
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(ready.report_when_loaded(bound.loaded()));
    tokio::spawn(on_signal(shutdown.clone())?);
    bound.run(shutdown).await
}

/// Everything at `warn` unless told otherwise; `RUST_LOG` says it in full.
fn start_log(report: &ReportFlags) {
    let level = match (report.quiet, report.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, 2) => "seeder=debug,info",
        (false, _) => "trace",
    };
    // uTP's crate warns of a socket buffer smaller than it dreams of, which is every system's default.
    let words = format!("{level},librqbit_utp=error");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(words));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && io::IsTerminal::is_terminal(&io::stderr());
    // A second start in the same process keeps the first one's log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colour)
        .with_target(false)
        .with_writer(io::stderr)
        .try_init();
}

/// Resolves at SIGINT or SIGTERM by cancelling.
fn on_signal(shutdown: CancellationToken) -> Result<impl Future<Output = ()>, ServeError> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signal)?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            shutdown.cancel();
        })
    }
    #[cfg(not(unix))]
    Ok(async move {
        let _ = tokio::signal::ctrl_c().await;
        shutdown.cancel();
    })
}

struct Ready {
    http: String,
    https: Option<String>,
    peers: Vec<SocketAddr>,
    dht: Option<SocketAddr>,
    udp_tracker: Option<SocketAddr>,
    stun: Option<SocketAddr>,
    control: Vec<String>,
    report: ReportFlags,
}

impl Ready {
    async fn report_when_loaded(self, mut loaded: watch::Receiver<Option<Loaded>>) {
        let Ok(Loaded { torrents, .. }) = loaded
            .wait_for(Option::is_some)
            .await
            .map(|l| l.clone().unwrap_or_default())
        else {
            return;
        };
        if self.report.json {
            let peers: Vec<String> = self.peers.iter().map(SocketAddr::to_string).collect();
            let line = serde_json::json!({
                "event": "ready", "http": self.http, "https": self.https, "peer": peers, "torrents": torrents,
                "dht": self.dht, "udp_tracker": self.udp_tracker, "stun": self.stun, "control": self.control,
            });
            let mut out = io::stdout().lock();
            // Whoever closed our output doesn't want to know.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
        if !self.report.quiet {
            let ports: Vec<String> = self.peers.iter().map(SocketAddr::to_string).collect();
            let torrents = if torrents == 1 {
                "1 torrent".to_owned()
            } else {
                format!("{torrents} torrents")
            };
            eprintln!(
                "Serving {torrents} at {} and to peers at {}. Ctrl-C stops.",
                self.http,
                ports.join(", ")
            );
        }
    }
}
