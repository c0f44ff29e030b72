//! What a fetch says of itself: a bar for people, one JSON object a line for programs.

use crate::args::FetchArgs;
use crate::torrent::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use metainfo::{PieceIndex, Torrent};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often people without a terminal, and programs, are told how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// Where to report, and what was reported.
pub struct Report {
    json: bool,
    quiet: bool,
    bar: ProgressBar,
    started: Instant,
    told: Instant,
    name: String,
}

impl Report {
    /// Says where peers are taken.
    pub fn new(args: &FetchArgs, peers: &[SocketAddr]) -> Self {
        let report = Self {
            json: args.report.json,
            quiet: args.report.quiet,
            bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            started: Instant::now(),
            told: Instant::now(),
            name: String::new(),
        };
        let peers: Vec<String> = peers.iter().map(SocketAddr::to_string).collect();
        report.line(&json!({ "event": "ready", "peer": peers }));
        report
    }

    /// The torrent is known.
    pub fn begin(&mut self, torrent: &Torrent) {
        let info = &torrent.info;
        self.name = info.name().to_owned();
        self.line(&json!({
            "event": "begun",
            "name": self.name,
            "id": info.id(),
            "bytes": info.payload_bytes(),
            "pieces": info.geometry().n_pieces(),
        }));
        if self.quiet {
            return;
        }
        eprintln!("Fetching {} ({} bytes)", self.name, info.payload_bytes());
        if io::stderr().is_terminal() {
            let form = "{bar:30} {binary_bytes}/{binary_total_bytes} {msg}";
            let style = ProgressStyle::with_template(form);
            self.bar = ProgressBar::new(info.geometry().total_length())
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
    }

    /// So many pieces were there already.
    pub fn resumed(&self, pieces: u32) {
        if pieces > 0 {
            self.line(&json!({ "event": "resumed", "pieces": pieces }));
            if !self.quiet {
                self.bar
                    .suspend(|| eprintln!("{pieces} pieces are here already"));
            }
        }
    }

    /// These pieces are here as well.
    pub fn pieces(&self, pieces: &[PieceIndex]) {
        if self.json && !pieces.is_empty() {
            let pieces: Vec<u32> = pieces.iter().map(|piece| piece.get()).collect();
            self.line(&json!({ "event": "pieces", "pieces": pieces }));
        }
    }

    /// How far it is.
    pub fn progress(&mut self, progress: &Progress) {
        self.bar.set_position(progress.bytes);
        let sources = sources(progress);
        self.bar
            .set_message(format!("{}/s from {sources}", human(progress.rate)));
        if self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            self.line(&json!({
                "event": "progress",
                "bytes": progress.bytes,
                "of": progress.of,
                "rate": progress.rate,
                "peers": progress.peers,
                "seeds": progress.seeds,
                "web_seeds": progress.web_seeds,
                "banned": progress.banned,
            }));
            if !self.quiet && self.bar.is_hidden() {
                eprintln!(
                    "{} of {} from {sources}",
                    human(progress.bytes),
                    human(progress.of)
                );
            }
        }
    }

    /// Everything is here.
    pub fn done(&mut self, target: &Path, progress: &Progress) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        self.line(&json!({
            "event": "done",
            "done": true,
            "path": target,
            "bytes": progress.bytes,
            "seconds": seconds,
            "received": progress.received,
            "wasted": progress.wasted,
            "from_peers": progress.received - progress.received_web,
            "from_web_seeds": progress.received_web,
            "banned": progress.banned,
        }));
        if !self.quiet {
            eprintln!("{} is here, whole ({seconds:.1} s)", target.display());
        }
    }

    fn line(&self, value: &Value) {
        if self.json {
            let mut out = io::stdout().lock();
            // Whoever closed our output doesn't want to know.
            let _ = writeln!(out, "{value}").and_then(|()| out.flush());
        }
    }
}

fn sources(progress: &Progress) -> String {
    let count = |n: usize, what: &str| match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    match progress.web_seeds {
        0 => count(progress.peers, "peer"),
        n => format!(
            "{}, {}",
            count(progress.peers, "peer"),
            count(n, "web seed")
        ),
    }
}

/// Bytes as people read them.
fn human(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
