//! Measurements over connections: as many announces as are answered ([`run`]), and sockets held open ([`hold`]).

use super::{Counts, Window, each};
use crate::client::Client;
use crate::crowd::{Crowd, State};
use crate::latency::Histogram;
use crate::measure::{Group, dial};
use crate::process::Processes;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// What is measured when.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where the tracker is.
    pub to: SocketAddrV4,
    /// How many connections.
    pub connections: usize,
    /// How long all have to come.
    pub patience: Duration,
    /// From then to the window.
    pub warm_up: Duration,
    /// The window that is reported.
    pub seconds: Duration,
    /// Whose processor time and memory are reported.
    pub watched: Processes,
}

/// Makes the client of a number.
pub(super) type Make = Box<dyn Fn(u32) -> Box<dyn Client>>;

/// Dials all, waits until `peers` announces are answered, then measures; what was seen.
pub(super) fn run(plan: &Plan, make: Make, counts: &Counts, peers: u64) -> io::Result<Value> {
    let mut crowd = Crowd::new()?;
    let before = plan.watched.memory()?;
    let began = Instant::now();
    come(plan, make, &mut crowd, began + plan.patience, || {
        counts.answers.get() >= peers
    })?;
    let come_s = began.elapsed().as_secs_f64();
    let came = counts.answers.get().min(peers);
    let memory = each(before, plan.watched.memory()?, came as usize);
    let in_coming = counts.report();
    crowd.run(Instant::now() + plan.warm_up, |_| false)?;
    let before = counts.clone();
    crowd.latencies = Some(vec![Histogram::default()]);
    let window = Window::open(&plan.watched)?;
    crowd.run(Instant::now() + plan.seconds, |_| false)?;
    let latency = crowd.latencies.take().unwrap_or_default().remove(0);
    let counts = counts.since(&before);
    let mut report = window.close(counts.answers.get(), &latency)?;
    report.insert("come_s".into(), json!(come_s));
    report.insert("peers".into(), json!(came));
    report.insert("memory".into(), memory);
    report.insert("coming".into(), in_coming);
    report.insert("counts".into(), counts.report());
    report.insert("connections".into(), connections(&crowd));
    Ok(report.into())
}

/// Dials all and lets them be; memory for each, and what their announces now and then cost.
pub(super) fn hold(plan: &Plan, make: Make, counts: &Counts) -> io::Result<Value> {
    let mut crowd = Crowd::new()?;
    let before = plan.watched.memory()?;
    let began = Instant::now();
    let all = plan.connections as u64;
    come(plan, make, &mut crowd, began + plan.patience, || {
        counts.answers.get() >= all
    })?;
    let come_s = began.elapsed().as_secs_f64();
    crowd.run(Instant::now() + plan.warm_up, |_| false)?;
    let open = crowd
        .connections
        .iter()
        .filter(|c| c.state == State::Open && c.client().tally().met);
    let open = open.count();
    let memory = each(before, plan.watched.memory()?, open);
    let before = counts.clone();
    crowd.latencies = Some(vec![Histogram::default()]);
    let window = Window::open(&plan.watched)?;
    crowd.run(Instant::now() + plan.seconds, |_| false)?;
    let latency = crowd.latencies.take().unwrap_or_default().remove(0);
    let counts = counts.since(&before);
    let mut report = window.close(counts.answers.get(), &latency)?;
    report.insert("come_s".into(), json!(come_s));
    report.insert("memory".into(), memory);
    report.insert("counts".into(), counts.report());
    report.insert("connections".into(), connections(&crowd));
    Ok(report.into())
}

fn come(
    plan: &Plan,
    make: Make,
    crowd: &mut Crowd,
    deadline: Instant,
    enough: impl Fn() -> bool,
) -> io::Result<()> {
    let group = Group {
        name: "announces",
        connections: plan.connections,
        to: plan.to,
        client: Box::new(move |_, id| make(id)),
    };
    for nth in 0..plan.connections {
        dial(crowd, &group, 0, nth, nth as u32, deadline)?;
    }
    crowd.run(deadline, |_| enough())
}

fn connections(crowd: &Crowd) -> Value {
    let mut words: Vec<&str> = Vec::new();
    for connection in &crowd.connections {
        match &connection.state {
            State::Fault(fault) | State::Refused(fault) => words.push(fault),
            _ => {}
        }
    }
    words.sort_unstable();
    words.dedup();
    words.truncate(5);
    json!({
        "all": crowd.connections.len(),
        "open": crowd.count(|state| *state == State::Open),
        "words": words,
    })
}
