//! A swarm of a few dozen on virtual time in which every byte is said: real `wire::Connection`s on both ends of every
//! link, the real `Spread` and `Choker` at the seed, the real `Picker` and `Choker` at those who fetch.
//!
//! What is computed is the network: an uplink sends one message or block after the other, in turn to whom something
//! is to be said, and everything arrives a fixed time later. Nothing is lost, and downlinks have no end.

use super::node::{Node, Role};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A swarm to be: one seed, and some who come at once and know each other.
#[derive(Debug, Clone)]
pub struct Connected {
    /// How many fetch.
    pub n: usize,
    /// How many pieces of 64 KiB there are.
    pub n_pieces: u32,
    /// Everybody's uplink, in bytes a second.
    pub up: f64,
    /// From one end to the other.
    pub delay: Duration,
    /// How many of those who come last want nothing that the seed has: they say so, and ask for nothing.
    pub idle: usize,
    /// For every choice that is made by chance.
    pub seed: u64,
}

/// What has come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// When each had everything, in seconds.
    pub done: Vec<f64>,
    /// When the first copy was out, and how many copies of the payload the seed had sent by then.
    pub first_copy: (f64, f64),
    /// Copies of the payload that the seed sent in all.
    pub sent: f64,
    /// Nobody can be faster (Kumar and Ross 2006).
    pub bound: f64,
    /// Why connections were closed, if any were.
    pub closed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Bytes arrive at a node, from another.
    Arrive {
        at: usize,
        from: usize,
        bytes: Vec<u8>,
    },
    /// A node's uplink has sent what it was sending, to this one.
    Sent { by: usize, to: usize, bytes: usize },
    /// Clocks are looked at.
    Tick,
}

const SEED: usize = 0;
const TICK: Duration = Duration::from_millis(50);
/// When to give up.
const END: Duration = Duration::from_secs(600);

struct Swarm {
    now: Instant,
    nodes: Vec<Node>,
    up: f64,
    delay: Duration,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    n_events: u64,
}

impl Connected {
    /// Lets it happen.
    ///
    /// # Panics
    /// Where somebody isn't done in ten minutes, or has wrong bytes.
    pub fn run(&self) -> Outcome {
        #[allow(clippy::disallowed_methods, reason = "virtual time begins anywhere")]
        let start = Instant::now();
        let payload = Rc::new(super::node::payload(self.n_pieces, self.seed));
        let everybody = 0..=self.n + self.idle;
        let role = |at: usize| match at {
            SEED => Role::Seed,
            at if at <= self.n => Role::Fetch,
            _ => Role::Idle,
        };
        let nodes = everybody
            .clone()
            .map(|at| Node::new(start, role(at), &payload, self.seed + at as u64));
        let mut swarm = Swarm {
            now: start,
            nodes: nodes.collect(),
            up: self.up,
            delay: self.delay,
            events: BinaryHeap::new(),
            n_events: 0,
        };
        for a in everybody.clone() {
            for b in everybody.clone().filter(|b| *b < a) {
                swarm.nodes[a].dial(start, b);
                swarm.nodes[b].accept(start, a);
            }
        }
        swarm.schedule(start, Event::Tick);
        let mut first_copy = None;
        while let Some(Reverse((at, _, event))) = swarm.events.pop() {
            swarm.now = at;
            assert!(at - start < END, "somebody isn't done in ten minutes");
            swarm.handle(event);
            if first_copy.is_none() && swarm.nodes[SEED].first_copy() {
                first_copy = Some(((at - start).as_secs_f64(), swarm.copies_sent(&payload)));
            }
            if swarm.nodes[1..=self.n]
                .iter()
                .all(|node| node.done.is_some())
            {
                break;
            }
        }
        let bytes = payload.len() as f64;
        let done = swarm.nodes[1..=self.n].iter().map(|node| {
            assert_eq!(node.fetched(), *payload, "the right bytes");
            (node.done.expect("everybody is done") - start).as_secs_f64()
        });
        let n = self.n as f64;
        Outcome {
            done: done.collect(),
            first_copy: first_copy.expect("a copy is out"),
            sent: swarm.copies_sent(&payload),
            bound: (bytes / self.up).max(n * bytes / (self.up * (n + 1.0))),
            closed: swarm
                .nodes
                .iter()
                .flat_map(|node| node.closed.clone())
                .collect(),
        }
    }
}

impl Swarm {
    fn schedule(&mut self, at: Instant, event: Event) {
        self.n_events += 1;
        self.events.push(Reverse((at, self.n_events, event)));
    }

    fn copies_sent(&self, payload: &[u8]) -> f64 {
        self.nodes[SEED].sent() as f64 / payload.len() as f64
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive { at, from, bytes } => {
                self.nodes[at].handle_bytes(self.now, from, &bytes);
                self.send(at);
            }
            Event::Sent { by, to, bytes } => {
                self.nodes[by].handle_sent(self.now, to, bytes);
                self.send(by);
            }
            Event::Tick => {
                for at in 0..self.nodes.len() {
                    self.nodes[at].handle_timeout(self.now);
                    self.send(at);
                }
                self.schedule(self.now + TICK, Event::Tick);
            }
        }
    }

    /// A node's uplink takes up the next thing, where it is free.
    fn send(&mut self, by: usize) {
        if let Some((to, bytes)) = self.nodes[by].next_to_send(self.now) {
            let sent = self.now + Duration::from_secs_f64(bytes.len() as f64 / self.up);
            let n = bytes.len();
            self.schedule(sent, Event::Sent { by, to, bytes: n });
            let arrive = Event::Arrive {
                at: to,
                from: by,
                bytes,
            };
            self.schedule(sent + self.delay, arrive);
        }
    }
}
