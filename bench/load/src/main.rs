//! `load`: drives a seed, a web server or a tracker and prints one JSON object. See `load --help`.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitCode;

/// Neutral load for BitTorrent seeds, web servers and trackers; prints one JSON object.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// BEP 3 peers that own nothing, each from an address of its own, that ask for one block after the other
    Peers(Peers),
    /// HTTP clients that ask for one range after the other
    Ranges(Http),
    /// Peers that introduce themselves and want nothing; then a few new ones whose first block is timed
    Idle(Idle),
    /// Peers that announce to a tracker
    #[cfg(target_os = "linux")]
    #[command(subcommand)]
    Tracker(load::tracker::arguments::Tracker),
}

#[derive(Debug, Args)]
struct Peers {
    /// Where the seed is
    #[arg(value_name = "ADDR:PORT")]
    seed: SocketAddrV4,
    /// What is asked for (v1 or hybrid)
    torrent: PathBuf,
    /// How many peers
    #[arg(long, short, default_value_t = 8)]
    connections: usize,
    /// Requests of 16 KiB that each keeps in flight
    #[arg(long, default_value_t = 128)]
    depth: usize,
    /// This share of the peers (0 to 1) begins with the first prefix, the others behind it
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    newcomers: f64,
    /// Length of the first prefix, bytes
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    prefix: u64,
    /// Another torrent of the same seed, for further peers, reported apart
    #[arg(long, value_name = "TORRENT", requires = "other_connections")]
    other: Option<PathBuf>,
    /// How many peers ask for the other torrent
    #[arg(long, default_value_t = 0, value_name = "N")]
    other_connections: usize,
    #[command(flatten)]
    times: Times,
}

#[derive(Debug, Args)]
struct Http {
    /// Where the server is
    #[arg(value_name = "ADDR:PORT")]
    server: SocketAddrV4,
    /// The file's path in its URL
    path: String,
    /// The file's length, bytes
    #[arg(long, value_name = "BYTES")]
    length: u64,
    /// How many clients
    #[arg(long, short, default_value_t = 8)]
    connections: usize,
    /// Length of a range, bytes
    #[arg(long, default_value_t = 1 << 20, value_name = "BYTES")]
    range: u64,
    /// All begin at the start; how long they take to this many bytes is reported
    #[arg(long, value_name = "BYTES")]
    prefix: Option<u64>,
    /// Check a sample of ranges against this torrent of the file, whose pieces are as long as a range
    #[arg(long)]
    torrent: Option<PathBuf>,
    #[command(flatten)]
    times: Times,
}

#[derive(Debug, Args)]
struct Idle {
    /// Where the seed is
    #[arg(value_name = "ADDR:PORT")]
    seed: SocketAddrV4,
    /// What the new ones ask for (v1 or hybrid)
    torrent: PathBuf,
    /// How many idle peers
    #[arg(long, short, default_value_t = 10_000)]
    connections: usize,
    /// How many new ones, one after the other
    #[arg(long, default_value_t = 20)]
    newcomers: usize,
    #[command(flatten)]
    times: Times,
}

#[derive(Debug, Args)]
struct Times {
    /// How long everybody has to come, seconds
    #[arg(long, default_value_t = 10.0, value_name = "S")]
    patience: f64,
    /// From then to the window, seconds
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    warm_up: f64,
    /// The window that is reported, seconds
    #[arg(long, default_value_t = 2.0, value_name = "S")]
    seconds: f64,
    /// A process whose processor time and memory are reported; repeat for several
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().kind) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn run(_: Kind) -> Result<(), Box<dyn std::error::Error>> {
    Err("this runs on Linux alone".into())
}

#[cfg(target_os = "linux")]
fn run(kind: Kind) -> Result<(), Box<dyn std::error::Error>> {
    use load::measure::{Group, Plan, Start, idle, measure};
    use load::process::Processes;
    use load::ranges::Resource;
    use load::target::Target;
    use std::io::Write;
    use std::rc::Rc;
    use std::time::Duration;

    let plan = |times: Times| -> Result<Plan, std::time::TryFromFloatSecsError> {
        Ok(Plan {
            patience: Duration::try_from_secs_f64(times.patience)?,
            warm_up: Duration::try_from_secs_f64(times.warm_up)?,
            window: Duration::try_from_secs_f64(times.seconds)?,
            watched: Processes(times.pid),
        })
    };
    let report = match kind {
        Kind::Peers(peers) => {
            let target = Rc::new(Target::read(&peers.torrent)?);
            let newcomers =
                (peers.connections as f64 * peers.newcomers.clamp(0.0, 1.0)).round() as usize;
            let (prefix, skip) = if newcomers > 0 {
                (peers.prefix, peers.prefix)
            } else {
                (0, 0)
            };
            let group = |name, count, from| {
                Group::peers(name, count, peers.seed, target.clone(), peers.depth, from)
            };
            let mut groups = vec![group(
                "peers",
                peers.connections - newcomers,
                Start::Spread { skip },
            )];
            if newcomers > 0 {
                groups.push(group(
                    "newcomers",
                    newcomers,
                    Start::Prefix { bytes: prefix },
                ));
            }
            if let Some(other) = &peers.other {
                let (n, target) = (peers.other_connections, Rc::new(Target::read(other)?));
                let from = Start::Spread { skip: 0 };
                groups.push(Group::peers(
                    "others",
                    n,
                    peers.seed,
                    target,
                    peers.depth,
                    from,
                ));
            }
            measure(&plan(peers.times)?, &groups)?
        }
        Kind::Ranges(http) => {
            let resource = Rc::new(Resource {
                host: http.server.to_string(),
                path: http.path,
                length: http.length,
                range: http.range,
                target: http.torrent.map(|path| Target::read(&path)).transpose()?,
            });
            let group = Group::ranges(http.connections, http.server, resource, http.prefix);
            measure(&plan(http.times)?, &[group])?
        }
        Kind::Tracker(tracker) => load::tracker::arguments::run(tracker)?,
        Kind::Idle(args) => {
            let target = Rc::new(Target::read(&args.torrent)?);
            let from = Start::Spread { skip: 0 };
            let asleep = Group::peers("idle", args.connections, args.seed, target.clone(), 0, from);
            let newcomer = Group::peers("new", 1, args.seed, target, 16, from);
            idle(&plan(args.times)?, &asleep, args.newcomers, &newcomer)?
        }
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
