//! The figure of the flash crowd: runs it with spread mode and without, prints what came of it and draws it.
//!
//! `cargo run --release -p tests --bin crowd -- [--peers N] [--pieces N] [--seed N] [--out FILE.svg]`

#![allow(clippy::print_stdout, reason = "what it is for")]

use std::process::ExitCode;
use tests::sim::crowd::{Crowd, Outcome};
use tests::sim::picture;

fn main() -> ExitCode {
    let (mut peers, mut pieces, mut seed, mut out) = (10_000, 1024, 1, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next();
        let number = value.as_ref().and_then(|value| value.parse::<u64>().ok());
        match (name.as_str(), number) {
            ("--peers", Some(n)) => peers = n as usize,
            ("--pieces", Some(n)) => pieces = n as u32,
            ("--seed", Some(n)) => seed = n,
            ("--out", _) if value.is_some() => out = value,
            _ => {
                println!("crowd [--peers N] [--pieces N] [--seed N] [--out FILE.svg]");
                return ExitCode::from(2);
            }
        }
    }
    let mut panels = Vec::new();
    for spreads in [true, false] {
        let mut crowd = Crowd::flash(peers, pieces);
        crowd.spreads = spreads;
        crowd.seed = seed;
        let outcome = crowd.run();
        let name = if spreads {
            "spread mode"
        } else {
            "rarest first alone"
        };
        let title = format!(
            "{peers} peers, {pieces} pieces, {name}: {}",
            words(&outcome)
        );
        println!("{title}");
        panels.push((title, outcome));
    }
    if let Some(out) = out {
        let panels: Vec<_> = panels
            .iter()
            .map(|(title, outcome)| (title.clone(), outcome))
            .collect();
        if let Err(error) = std::fs::write(&out, picture::draw(&panels)) {
            println!("write {out}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn words(outcome: &Outcome) -> String {
    let bound = outcome.bound;
    let last = outcome.last().map_or("never".to_owned(), |last| {
        format!("{:.3} x the bound", last / bound)
    });
    let first = outcome
        .first_copy
        .map_or("never".to_owned(), |(at, copies)| {
            format!("{:.3} x with {copies:.3} copies sent", at / bound)
        });
    format!("last {last}; first copy out at {first}")
}
