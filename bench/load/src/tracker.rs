//! Load for trackers: announces over UDP (`udp`), HTTP (`http`) and WebSocket (`websocket`), from many addresses
//! of 127.0.0.0/8, as fast as answers come; and websockets that are held open (`rush`).
//!
//! Not here: anything of a tracker. What comes back is read as far as it must be to be counted.

pub mod arguments;
mod counts;
mod hashes;
mod http;
mod rush;
mod tls;
mod websocket;

mod batch;
mod udp;

pub use counts::Counts;
pub use hashes::InfoHash;

use crate::latency::Histogram;
use crate::process::{Memory, Processes, machine_busy};
use serde_json::{Map, Value, json};
use std::io;
use std::time::Instant;

/// A cheap generator of numbers (xorshift64*), the same in each run.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// What `/proc` said when a window began.
struct Window {
    watched: Processes,
    myself: Processes,
    cpu: f64,
    own: f64,
    busy: f64,
    start: Instant,
}

impl Window {
    fn open(watched: &Processes) -> io::Result<Self> {
        let myself = Processes(vec![std::process::id()]);
        Ok(Self {
            cpu: watched.cpu()?,
            own: myself.cpu()?,
            busy: machine_busy()?,
            start: Instant::now(),
            watched: watched.clone(),
            myself,
        })
    }

    /// The window's end: what was answered in it, `answers` of them, for whom and at what cost.
    fn close(self, answers: u64, latency: &Histogram) -> io::Result<Map<String, Value>> {
        let seconds = self.start.elapsed().as_secs_f64();
        let cpu = self.watched.cpu()? - self.cpu;
        let own = self.myself.cpu()? - self.own;
        let busy = machine_busy()? - self.busy;
        let memory = self.watched.memory()?;
        let ms = |share| latency.quantile(share).map(|t| t.as_secs_f64() * 1e3);
        let report = json!({
            "seconds": seconds,
            "answers": answers,
            "answers_per_s": answers as f64 / seconds,
            "answers_per_cpu_s": if cpu > 0.0 { Some(answers as f64 / cpu) } else { None },
            "cpu_s": cpu,
            "generator_cpu_s": own,
            "other_cpu_s": (busy - cpu - own).max(0.0),
            "rss_kib": memory.rss,
            "anonymous_kib": memory.anonymous,
            "latency_ms": {"p50": ms(0.5), "p99": ms(0.99), "max": ms(1.0)},
        });
        match report {
            Value::Object(map) => Ok(map),
            _ => Ok(Map::new()),
        }
    }
}

/// Bytes of memory that each of `count` took, resident and without what is backed by files.
fn each(before: Memory, after: Memory, count: usize) -> Value {
    let each =
        |before: u64, after: u64| (after as f64 - before as f64) * 1024.0 / count.max(1) as f64;
    json!({
        "count": count,
        "rss_bytes_each": each(before.rss, after.rss),
        "anonymous_bytes_each": each(before.anonymous, after.anonymous),
    })
}
