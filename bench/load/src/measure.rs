//! The order of a measurement: everybody comes, then a warm-up, then the window that is reported.

use crate::client::Client;
use crate::crowd::{Connection, Crowd, State};
use crate::latency::Histogram;
use crate::peer::{Appetite, Peer};
use crate::process::{Processes, machine_busy};
use crate::ranges::{Ranges, Resource};
use crate::target::Target;
use serde_json::{Value, json};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How many connections are being opened at once: fewer than any listener's backlog.
const DIALLING: usize = 100;

/// When what happens, and what is watched meanwhile.
#[derive(Debug)]
pub struct Plan {
    /// How long everybody has to come, at most.
    pub patience: Duration,
    /// From then to the window.
    pub warm_up: Duration,
    /// The window.
    pub window: Duration,
    /// Whose processor time and memory are reported.
    pub watched: Processes,
}

/// Some connections of one kind.
pub struct Group {
    /// What it is called in the report.
    pub name: &'static str,
    /// How many.
    pub connections: usize,
    /// Where they go.
    pub to: SocketAddrV4,
    /// Makes the client of this index in the group, and with this identity among all.
    pub client: Box<dyn Fn(usize, u32) -> Box<dyn Client>>,
}

impl Group {
    /// Peers that ask for a torrent. They start spread over what lies beyond `skip` bytes; a `prefix` of bytes is timed.
    pub fn peers(
        name: &'static str,
        connections: usize,
        to: SocketAddrV4,
        target: Rc<Target>,
        depth: usize,
        from: Start,
    ) -> Self {
        let pieces = target.geometry.n_pieces() as usize;
        let client = move |nth: usize, id| -> Box<dyn Client> {
            let appetite = match from {
                Start::Spread { skip } => {
                    let skipped = target.geometry.pieces_of(0..skip).end as usize;
                    let first = skipped + nth * pieces.saturating_sub(skipped) / connections.max(1);
                    Appetite {
                        depth,
                        first_piece: first as u32,
                        prefix: 0,
                    }
                }
                Start::Prefix { bytes } => Appetite {
                    depth,
                    first_piece: 0,
                    prefix: bytes,
                },
            };
            Box::new(Peer::new(target.clone(), id, appetite))
        };
        Self {
            name,
            connections,
            to,
            client: Box::new(client),
        }
    }

    /// HTTP clients that ask for a file range by range.
    pub fn ranges(
        connections: usize,
        to: SocketAddrV4,
        resource: Rc<Resource>,
        prefix: Option<u64>,
    ) -> Self {
        let ranges = resource.length.div_ceil(resource.range) as usize;
        let client = move |nth: usize, id| -> Box<dyn Client> {
            let first = if prefix.is_some() {
                0
            } else {
                nth * ranges / connections.max(1)
            };
            Box::new(Ranges::new(
                resource.clone(),
                id,
                first as u64,
                prefix.unwrap_or(0),
            ))
        };
        Self {
            name: "http",
            connections,
            to,
            client: Box::new(client),
        }
    }
}

/// Where peers start.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// Evenly over the payload beyond these bytes.
    Spread {
        /// Bytes at the start that nobody begins with.
        skip: u64,
    },
    /// All at the first byte; how long these take is reported.
    Prefix {
        /// Length of the first prefix, bytes.
        bytes: u64,
    },
}

/// A loopback address of its own for each identity: 127.1.0.1 and up.
pub fn own_address(id: u32) -> Ipv4Addr {
    Ipv4Addr::from((127 << 24) | ((1 << 16) + 1 + id % 0x00fe_fffe))
}

/// Lets all groups come, warms up, measures; what was seen, as JSON.
pub fn measure(plan: &Plan, groups: &[Group]) -> io::Result<Value> {
    let mut crowd = Crowd::new()?;
    let began = Instant::now();
    let deadline = began + plan.patience;
    let mut id = 0;
    for (index, group) in groups.iter().enumerate() {
        for nth in 0..group.connections {
            dial(&mut crowd, group, index, nth, id, deadline)?;
            id += 1;
        }
    }
    crowd.run(deadline, |crowd| {
        crowd.connections.iter().all(|c| !is_coming(c))
    })?;
    let come = began.elapsed();
    crowd.run(Instant::now() + plan.warm_up, |_| false)?;

    let before: Vec<u64> = crowd
        .connections
        .iter()
        .map(|c| c.client().tally().bytes)
        .collect();
    let myself = Processes(vec![std::process::id()]);
    let (cpu, own, busy) = (plan.watched.cpu()?, myself.cpu()?, machine_busy()?);
    crowd.latencies = Some(vec![Histogram::default(); groups.len()]);
    let start = Instant::now();
    crowd.run(start + plan.window, |_| false)?;
    let seconds = start.elapsed().as_secs_f64();
    let (cpu, own) = (plan.watched.cpu()? - cpu, myself.cpu()? - own);
    let busy = machine_busy()? - busy;
    let memory = plan.watched.memory()?;

    let latencies = crowd.latencies.take().unwrap_or_default();
    let mut report = serde_json::Map::new();
    for (index, (group, latency)) in groups.iter().zip(&latencies).enumerate() {
        let members = crowd
            .connections
            .iter()
            .zip(&before)
            .filter(|(c, _)| c.group == index);
        report.insert(
            group.name.to_owned(),
            of_group(members, latency, seconds, began),
        );
    }
    let bytes: u64 = crowd
        .connections
        .iter()
        .map(|c| c.client().tally().bytes)
        .sum::<u64>()
        - before.iter().sum::<u64>();
    Ok(json!({
        "bytes": bytes,
        "seconds": seconds,
        "mb_per_s": bytes as f64 / 1e6 / seconds,
        "come_s": come.as_secs_f64(),
        "cpu_s": cpu,
        "cpu_s_per_gb": cpu / (bytes as f64 / 1e9),
        "generator_cpu_s": own,
        "other_cpu_s": (busy - cpu - own).max(0.0),
        "rss_kib": memory.rss,
        "anonymous_kib": memory.anonymous,
        "groups": report,
    }))
}

pub(crate) fn dial(
    crowd: &mut Crowd,
    group: &Group,
    index: usize,
    nth: usize,
    id: u32,
    deadline: Instant,
) -> io::Result<usize> {
    if crowd.connections.len().saturating_sub(DIALLING) > 0 {
        crowd.run(deadline, |crowd| {
            crowd.count(|state| *state == State::Dialling) < DIALLING
        })?;
    }
    crowd.dial(
        Some(own_address(id)),
        group.to,
        (group.client)(nth, id),
        index,
    )
}

/// Neither sent away yet nor served and shown all there is: a seed may show its pieces one by one at first.
fn is_coming(connection: &Connection) -> bool {
    let open = matches!(connection.state, State::Open | State::Dialling);
    let tally = connection.client().tally();
    open && (tally.bytes == 0 || !tally.shown_all)
}

fn of_group<'a>(
    members: impl Iterator<Item = (&'a Connection, &'a u64)>,
    latency: &Histogram,
    seconds: f64,
    began: Instant,
) -> Value {
    let mut bytes = Vec::new();
    let (mut refused, mut closed, mut refusals, mut checked, mut bad) = (0, 0, 0, 0, 0);
    let mut faults: Vec<&str> = Vec::new();
    let mut prefixes = Histogram::default();
    for (connection, before) in members {
        let tally = connection.client().tally();
        bytes.push(tally.bytes - before);
        match &connection.state {
            State::Dialling | State::Open => {}
            State::Closed if tally.met => closed += 1,
            State::Closed | State::Refused(_) => refused += 1,
            State::Fault(words) => faults.push(words),
        }
        refusals += tally.refusals;
        checked += tally.checked;
        bad += tally.bad;
        if let Some(at) = tally.prefix {
            prefixes.record(at - began.max(connection.dialled));
        }
    }
    let n_faults = faults.len();
    faults.sort_unstable();
    faults.dedup();
    faults.truncate(5);
    let total: u64 = bytes.iter().sum();
    json!({
        "connections": bytes.len(),
        "served": bytes.iter().filter(|b| **b > 0).count(),
        "refused": refused,
        "closed": closed,
        "faults": n_faults,
        "fault_words": faults,
        "refusals": refusals,
        "pieces_checked": checked,
        "pieces_bad": bad,
        "bytes": total,
        "mb_per_s": total as f64 / 1e6 / seconds,
        "bytes_min": bytes.iter().min(),
        "bytes_mean": total / (bytes.len() as u64).max(1),
        "bytes_max": bytes.iter().max(),
        "blocks": latency.total(),
        "latency_ms": times(latency),
        "prefixes": prefixes.total(),
        "prefix_ms": times(&prefixes),
    })
}

fn times(histogram: &Histogram) -> Value {
    let ms = |share| {
        histogram
            .quantile(share)
            .map(|time| time.as_secs_f64() * 1e3)
    };
    json!({"p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0)})
}

/// Peers that introduce themselves and want nothing; then newcomers, one after the other, whose first block is timed.
pub fn idle(plan: &Plan, idle: &Group, newcomers: usize, newcomer: &Group) -> io::Result<Value> {
    let before = plan.watched.memory()?;
    let mut crowd = Crowd::new()?;
    let began = Instant::now();
    let deadline = began + plan.patience;
    for nth in 0..idle.connections {
        dial(&mut crowd, idle, 0, nth, nth as u32, deadline)?;
    }
    let met = |c: &Connection| {
        c.client().tally().met || !matches!(c.state, State::Open | State::Dialling)
    };
    crowd.run(deadline, |crowd| crowd.connections.iter().all(met))?;
    let come = began.elapsed();
    crowd.run(Instant::now() + plan.warm_up, |_| false)?;

    let cpu = plan.watched.cpu()?;
    let start = Instant::now();
    crowd.run(start + plan.window, |_| false)?;
    let cpu = (plan.watched.cpu()? - cpu) / start.elapsed().as_secs_f64();
    let memory = plan.watched.memory()?;
    let open = crowd
        .connections
        .iter()
        .filter(|c| c.state == State::Open && c.client().tally().met)
        .count();

    let mut first_blocks = Histogram::default();
    for nth in 0..newcomers {
        let id = (idle.connections + nth) as u32;
        let key = dial(
            &mut crowd,
            newcomer,
            0,
            nth,
            id,
            Instant::now() + plan.patience,
        )?;
        crowd.run(Instant::now() + plan.patience, |crowd| {
            let connection = &crowd.connections[key];
            let over = !matches!(connection.state, State::Open | State::Dialling);
            over || connection.client().tally().first_block.is_some()
        })?;
        let connection = &crowd.connections[key];
        if let Some(at) = connection.client().tally().first_block {
            first_blocks.record(at - connection.dialled);
        }
        crowd.hang_up(key);
    }
    let each = |after: u64, before: u64| (after.saturating_sub(before)) as f64 / open.max(1) as f64;
    Ok(json!({
        "connections": idle.connections,
        "open": open,
        "come_s": come.as_secs_f64(),
        "idle_cpu": cpu,
        "rss_kib": memory.rss,
        "anonymous_kib": memory.anonymous,
        "rss_kib_each": each(memory.rss, before.rss),
        "anonymous_kib_each": each(memory.anonymous, before.anonymous),
        "newcomers": newcomers,
        "newcomers_served": first_blocks.total(),
        "first_block_ms": times(&first_blocks),
    }))
}
