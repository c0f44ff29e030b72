//! `publisher up`: the five-minute path. The seeder's ports are bound first, so that torrents can name
//! them; then the folder is published, seeded and watched. The one place where publisher meets seeder,
//! and even here they share nothing but the files in `out/`.

use crate::channel::Channel;
use crate::publish::Publisher;
use crate::report::Reporter;
use crate::seal::RunningSeeder;
use crate::summary;
use crate::watch::{Watch, is_empty};
use anyhow::{Context, Result};
use seeder::{Bound, ServeConfig, ServeFlags, Source};
use serde_json::json;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// `publisher up`.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// The folder of clips.
    pub clips: PathBuf,
    /// Where to publish to [default: .groundswell in the folder of clips].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Take what is gone from the folder off the site, even if that is most of it.
    #[arg(long)]
    pub allow_removals: bool,
    /// Every flag of `seeder serve`; unlike there, only this machine is served until told otherwise.
    #[command(flatten)]
    pub serve: ServeFlags,
}

/// Publishes, seeds, shows and watches until it is told to stop.
pub async fn up(args: Up, reporter: Reporter) -> Result<ExitCode> {
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.clips.join(".groundswell"));
    let mut config = args
        .serve
        .apply(ServeConfig::loopback(Source::Out(out.clone())))?;
    // Whoever shows the page to others means the peers as well.
    if args.serve.bind.is_none() && !config.http.ip().is_loopback() {
        config.bind = Some(config.http.ip()).filter(|ip| !ip.is_unspecified());
    }
    if !args.clips.is_dir() {
        anyhow::bail!(
            "{} is not a folder; `publisher new` makes one",
            args.clips.display()
        );
    }
    let bound = Bound::bind(config).await?;
    let http = bound.http_addr();
    let outside = format!(
        "http://{}/",
        SocketAddr::new(reachable(http.ip()), http.port())
    );
    let running = RunningSeeder {
        url: outside.clone(),
        udp_tracker_port: bound.udp_tracker_addr().map(|addr| addr.port()),
    };
    let seeder = Channel::read(&args.clips)?.seeder_url.unwrap_or(outside);
    let mut publisher = Publisher::open(&args.clips, &out, Some(running), reporter)?;
    let mut watch = Watch::start(&args.clips, &out, args.allow_removals, reporter)?;
    let (watch, publisher, summary) = tokio::task::spawn_blocking(move || {
        let summary = watch.first(&mut publisher);
        (watch, publisher, summary)
    })
    .await
    .context("publishing stopped short")?;
    let summary = summary?;

    let shutdown = CancellationToken::new();
    let served = Served {
        tracker: format!("{seeder}announce"),
        url: bound.http_url(),
        https: bound.https_url(),
        peers: bound.peer_addrs(),
        udp_tracker: bound.udp_tracker_addr(),
        stun: bound.stun_addr(),
    };
    let mut loaded = bound.loaded();
    let nudge = bound.nudge();
    let serving = tokio::spawn(bound.run(shutdown.clone()));
    let loaded_or_ended = loaded.wait_for(Option::is_some).await.is_ok();
    if loaded_or_ended {
        tell_ready(reporter, &args.clips, &out, &served, summary.releases);
    }
    let stop = watch.stopper();
    let watching =
        tokio::task::spawn_blocking(move || watch_on(watch, publisher, &out, reporter, nudge));
    let mut serving = serving;
    let ended = tokio::select! {
        () = asked_to_stop() => None,
        ended = &mut serving => Some(ended),
    };
    stop.stop();
    shutdown.cancel();
    let ended = match ended {
        Some(ended) => ended,
        None => serving.await,
    };
    ended.context("the seeder stopped short")??;
    watching.await.context("the watcher stopped short")?;
    Ok(ExitCode::SUCCESS)
}

fn watch_on(
    watch: Watch,
    mut publisher: Publisher,
    out: &Path,
    reporter: Reporter,
    nudge: impl Fn(),
) {
    watch.run(&mut publisher, |result| {
        nudge();
        match result {
            Ok(result) => {
                if result.removed > 0 {
                    reporter.line(&format!("  removed    {} release(s)", result.removed));
                }
                reporter.event(|| summary::event(&result, out));
            }
            Err(error) => reporter.problem("error", "", &error.to_string()),
        }
    });
}

/// Where what is published is reached.
struct Served {
    tracker: String,
    url: String,
    https: Option<String>,
    peers: Vec<SocketAddr>,
    udp_tracker: Option<SocketAddr>,
    stun: Option<SocketAddr>,
}

fn tell_ready(reporter: Reporter, clips: &Path, out: &Path, served: &Served, releases: usize) {
    let Served {
        tracker,
        url,
        https,
        peers,
        udp_tracker,
        stun,
    } = served;
    let peer = peers.first().map_or(0, SocketAddr::port);
    reporter.line("");
    reporter.line(&format!("  Your page     {url}"));
    reporter.line(&format!("  Peers         port {peer}, tracker {tracker}"));
    reporter.line(&format!(
        "  Drop clips    into {}; they appear by themselves",
        clips.display()
    ));
    reporter.line(&format!("  Static site   {}", out.join("site").display()));
    if releases == 0 && is_empty(clips) {
        reporter.line("  The folder is empty so far.");
    }
    reporter.line("");
    reporter.line("  Ctrl-C ends it.");
    reporter.event(|| {
        json!({
            "event": "ready", "http": url, "https": https, "peer": peer, "peers": peers,
            "udp_tracker": udp_tracker, "stun": stun, "out": out, "releases": releases,
        })
    });
}

/// The address others reach this machine by, where it listens on all of them. No packet is sent: a
/// connected datagram socket only asks the routing table.
fn reachable(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let (here, there) = match ip {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let routed = || {
        let socket = UdpSocket::bind(here).ok()?;
        socket.connect(there).ok()?;
        socket.local_addr().ok()
    };
    let loopback = match ip {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    routed().map_or(loopback, |address| address.ip())
}

/// Ctrl-C, or the signal that service managers send.
pub async fn asked_to_stop() {
    let interrupt = async {
        // Without a handler the signal ends the process, which is what was asked.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// The seeder's command line, for its man pages.
pub fn seeder_command() -> clap::Command {
    <seeder::args::Args as clap::CommandFactory>::command()
}
