//! The command line of `load tracker`.

use super::{Counts, rush::Plan};
use super::{hashes, http, rush, tls, udp, websocket};
use crate::client::Client;
use crate::process::Processes;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::error::Error;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// How a tracker is asked.
#[derive(Debug, Subcommand)]
pub enum Tracker {
    /// Announces over UDP (BEP 15), each peer from an address of its own
    Udp(Udp),
    /// Announces over HTTP
    Http(Http),
    /// Announces with offers over WebSocket, as browsers make them
    Ws(WebSocket),
    /// WebSockets that are held open and announce now and then
    Hold(Hold),
}

/// What all have in common.
#[derive(Debug, Args)]
pub struct Common {
    /// Where the tracker is
    #[arg(value_name = "ADDR:PORT")]
    tracker: SocketAddrV4,
    /// A file with an info-hash a line: the torrents that are announced
    #[arg(long, value_name = "FILE")]
    hashes: PathBuf,
    /// How long all have to come, seconds
    #[arg(long, default_value_t = 30.0, value_name = "S")]
    patience: f64,
    /// From then to the window, seconds
    #[arg(long, default_value_t = 0.5, value_name = "S")]
    warm_up: f64,
    /// The window that is reported, seconds
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    seconds: f64,
    /// The tracker's process, whose processor time and memory are reported; repeat for several
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
}

/// See [`Tracker::Udp`].
#[derive(Debug, Args)]
pub struct Udp {
    #[command(flatten)]
    common: Common,
    /// How many peers
    #[arg(long, default_value_t = 100_000)]
    peers: usize,
    /// How many addresses they have between them; as many as peers if it isn't said
    #[arg(long, value_name = "N")]
    addresses: Option<usize>,
    /// Peers wanted in an answer
    #[arg(long, default_value_t = 50)]
    want: u32,
    /// Announces in flight
    #[arg(long, default_value_t = 256)]
    window: usize,
}

/// See [`Tracker::Http`].
#[derive(Debug, Args)]
pub struct Http {
    #[command(flatten)]
    common: Common,
    /// How many peers
    #[arg(long, default_value_t = 100_000)]
    peers: usize,
    /// Peers wanted in an answer
    #[arg(long, default_value_t = 50)]
    want: u32,
    /// Connections at a time, each from an address of its own
    #[arg(long, short, default_value_t = 250)]
    connections: usize,
    /// Use a connection again, instead of a new one for each announce
    #[arg(long)]
    keep_alive: bool,
}

/// What a browser does.
#[derive(Debug, Args)]
pub struct Browsers {
    #[command(flatten)]
    common: Common,
    /// The tracker's path
    #[arg(long, default_value = "/announce")]
    path: String,
    /// Offers in each announce
    #[arg(long, default_value_t = 0)]
    offers: usize,
    /// Length of a session description, bytes
    #[arg(long, default_value_t = 1200, value_name = "BYTES")]
    offer_bytes: usize,
    /// Sockets that announce the same torrent
    #[arg(long, default_value_t = 20, value_name = "N")]
    per_torrent: usize,
    /// Answer the offers of others
    #[arg(long)]
    answer: bool,
    /// Speak TLS; any certificate is taken
    #[arg(long)]
    tls: bool,
}

/// See [`Tracker::Ws`].
#[derive(Debug, Args)]
pub struct WebSocket {
    #[command(flatten)]
    browsers: Browsers,
    /// How many sockets
    #[arg(long, short, default_value_t = 200)]
    connections: usize,
}

/// See [`Tracker::Hold`].
#[derive(Debug, Args)]
pub struct Hold {
    #[command(flatten)]
    browsers: Browsers,
    /// How many sockets
    #[arg(long, short, default_value_t = 18_000)]
    connections: usize,
    /// How often each announces, seconds
    #[arg(long, default_value_t = 120.0, value_name = "S")]
    every: f64,
}

impl Common {
    fn plan(&self, connections: usize) -> Result<Plan, Box<dyn Error>> {
        Ok(Plan {
            to: self.tracker,
            connections,
            patience: Duration::try_from_secs_f64(self.patience)?,
            warm_up: Duration::try_from_secs_f64(self.warm_up)?,
            seconds: Duration::try_from_secs_f64(self.seconds)?,
            watched: Processes(self.pid.clone()),
        })
    }
}

/// Measures; what was seen.
pub fn run(tracker: Tracker) -> Result<Value, Box<dyn Error>> {
    match tracker {
        Tracker::Udp(args) => {
            let plan = args.common.plan(0)?;
            Ok(udp::run(udp::Job {
                to: plan.to,
                hashes: hashes::read(&args.common.hashes)?,
                peers: args.peers,
                addresses: args.addresses.unwrap_or(args.peers),
                want: args.want,
                window: args.window,
                patience: plan.patience,
                warm_up: plan.warm_up,
                seconds: plan.seconds,
                watched: plan.watched,
            })?)
        }
        Tracker::Http(args) => {
            let plan = args.common.plan(args.connections)?;
            let peers_each = args.peers.div_ceil(args.connections.max(1)).max(1);
            let job = Rc::new(http::Job {
                hashes: hashes::read(&args.common.hashes)?,
                connections: args.connections,
                peers_each,
                want: args.want,
                keep_alive: args.keep_alive,
                host: plan.to.to_string(),
                counts: Counts::default(),
            });
            let of = job.clone();
            let make =
                move |id| -> Box<dyn Client> { Box::new(http::Announcer::new(of.clone(), id)) };
            let peers = peers_each as u64 * args.connections as u64;
            Ok(rush::run(&plan, Box::new(make), &job.counts, peers)?)
        }
        Tracker::Ws(args) => {
            let plan = args.browsers.common.plan(args.connections)?;
            let (job, make) = browsers(&args.browsers, args.connections, None)?;
            Ok(rush::run(
                &plan,
                make,
                &job.counts,
                args.connections as u64,
            )?)
        }
        Tracker::Hold(args) => {
            let plan = args.browsers.common.plan(args.connections)?;
            let every = Duration::try_from_secs_f64(args.every)?;
            let (job, make) = browsers(&args.browsers, args.connections, Some(every))?;
            Ok(rush::hold(&plan, make, &job.counts)?)
        }
    }
}

fn browsers(
    args: &Browsers,
    connections: usize,
    every: Option<Duration>,
) -> Result<(Rc<websocket::Job>, rush::Make), Box<dyn Error>> {
    let job = Rc::new(websocket::Job {
        hashes: hashes::read(&args.common.hashes)?,
        per_torrent: args.per_torrent,
        offers: args.offers,
        offer_bytes: args.offer_bytes,
        answer: args.answer,
        every,
        host: args.common.tracker.to_string(),
        path: args.path.clone(),
        connections,
        counts: Counts::default(),
    });
    let of = job.clone();
    let make: rush::Make = if args.tls {
        let config = tls::config()?;
        // One that fails here would fail for all of them.
        drop(rustls::ClientConnection::new(
            config.clone(),
            "localhost".try_into()?,
        )?);
        Box::new(move |id| {
            let browser = websocket::Browser::new(of.clone(), id);
            Box::new(
                tls::Tls::new(config.clone(), browser).expect("the first of its kind was made"),
            )
        })
    } else {
        Box::new(move |id| Box::new(websocket::Browser::new(of.clone(), id)))
    };
    Ok((job, make))
}
