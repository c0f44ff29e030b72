//! A crowd that wants the same torrent from one seed, in events of whole pieces.
//!
//! What is as in life: the seed's machines are our own and see only its own neighbours; each leecher knows only its
//! neighbours, takes the rarest among them, and gives to one at a time, in turn, whoever lacks something it has; nobody
//! gets more at once than its downlink carries.
//!
//! What is idealised: control messages take no time, a piece is asked for when its sender is free, an uplink is
//! never shared between two pieces, and leechers choke nobody, as our own fetchers do with so few neighbours.

use super::bits::Bits;
use super::first_seed::FirstSeed;
use super::leecher::{Behaviour, Leecher, Random};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::{Duration, Instant};

/// A crowd to be.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// Who comes.
    pub leechers: Vec<Behaviour>,
    /// How many pieces there are.
    pub n_pieces: u32,
    /// How many neighbours each has at most, the seed included.
    pub neighbours: usize,
    /// The seed's uplink, in pieces a second.
    pub seed_up: f64,
    /// Whether it has spread mode.
    pub spreads: bool,
    /// For every choice that is made by chance.
    pub seed: u64,
    /// When to give up, in seconds.
    pub until: f64,
}

/// What a crowd has come to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// When each leecher had everything.
    pub done: Vec<Option<f64>>,
    /// When the leechers together first had a full copy, and how many copies the seed had sent by then.
    pub first_copy: Option<(f64, f64)>,
    /// Copies that the seed sent in all.
    pub seed_sent: f64,
    /// How it went on.
    pub progress: Vec<Progress>,
    /// Nobody can be faster (Kumar and Ross 2006).
    pub bound: f64,
}

/// One moment of a crowd.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Seconds since the start.
    pub at: f64,
    /// Which part of all pieces of all leechers is there.
    pub pieces: f64,
    /// Which part of the leechers has everything.
    pub peers: f64,
    /// Which part of the pieces is with at least one leecher.
    pub out: f64,
}

impl Outcome {
    /// When the last leecher had everything; `None` where one never had.
    pub fn last(&self) -> Option<f64> {
        let done: Option<Vec<f64>> = self.done.iter().copied().collect();
        done?.into_iter().reduce(f64::max)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Join(u32),
    Arrive { from: u32, to: u32, piece: u32 },
    Tick,
    Sample,
}

const SEED: u32 = u32::MAX;
/// What a slot should have: a piece here is a block to the machines, and stands for sixteen.
const SLOT_RATE: u64 = 20 * 1024 / 16;
/// How often the seed's machines are asked.
const TICK: u64 = 50_000;

impl Crowd {
    /// So many equal leechers at once: a flash crowd.
    pub fn flash(n: usize, n_pieces: u32) -> Self {
        let up = 16e6 / 8.0 / 262_144.0;
        let leecher = Behaviour {
            up,
            down: 4.0 * up,
            joins: 0.0,
            leaves: false,
            lies: false,
            browser: false,
        };
        Self {
            leechers: vec![leecher; n],
            n_pieces,
            neighbours: 50,
            seed_up: up,
            spreads: true,
            seed: 1,
            until: 1e5,
        }
    }

    /// The least time that anybody could need: max(F/u_s, F/d_min, N F / (u_s + sum u_i)).
    pub fn bound(&self) -> f64 {
        let pieces = f64::from(self.n_pieces);
        let honest = || self.leechers.iter().filter(|leecher| !leecher.lies);
        let up: f64 = honest().map(|leecher| leecher.up).sum();
        let slowest = honest()
            .map(|leecher| leecher.down)
            .fold(f64::MAX, f64::min);
        let n = honest().count() as f64;
        (pieces / self.seed_up)
            .max(pieces / slowest)
            .max(n * pieces / (self.seed_up + up))
    }

    /// Lets it happen.
    pub fn run(&self) -> Outcome {
        let mut swarm = Swarm::new(self);
        swarm.run();
        swarm.outcome
    }
}

struct Swarm<'a> {
    crowd: &'a Crowd,
    random: Random,
    start: Instant,
    /// Microseconds since the start.
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    n_events: u64,
    leechers: Vec<Leecher>,
    /// The seed's neighbours among them.
    fed: Vec<bool>,
    seed: FirstSeed,
    /// How many have each piece.
    holders: Vec<u32>,
    n_out: u32,
    n_held: u64,
    n_done: usize,
    n_honest: usize,
    outcome: Outcome,
}

impl<'a> Swarm<'a> {
    fn new(crowd: &'a Crowd) -> Self {
        #[allow(clippy::disallowed_methods, reason = "virtual time begins anywhere")]
        let start = Instant::now();
        let mut random = Random::new(crowd.seed);
        let mut leechers: Vec<Leecher> = crowd
            .leechers
            .iter()
            .map(|behaviour| Leecher::new(*behaviour, crowd.n_pieces))
            .collect();
        let fed = connect(&mut leechers, crowd.neighbours, &mut random);
        let n_honest = crowd
            .leechers
            .iter()
            .filter(|leecher| !leecher.lies)
            .count();
        let seed = FirstSeed::new(start, crowd.n_pieces, crowd.spreads, SLOT_RATE, crowd.seed);
        let mut swarm = Self {
            crowd,
            random,
            start,
            now: 0,
            events: BinaryHeap::new(),
            n_events: 0,
            fed,
            seed,
            holders: vec![0; crowd.n_pieces as usize],
            n_out: 0,
            n_held: 0,
            n_done: 0,
            n_honest,
            outcome: Outcome {
                done: vec![None; leechers.len()],
                first_copy: None,
                seed_sent: 0.0,
                progress: Vec::new(),
                bound: crowd.bound(),
            },
            leechers,
        };
        for (peer, behaviour) in (0..).zip(&crowd.leechers) {
            swarm.schedule((behaviour.joins * 1e6) as u64, Event::Join(peer));
        }
        swarm.schedule(1, Event::Tick);
        swarm.schedule(0, Event::Sample);
        swarm
    }

    fn schedule(&mut self, at: u64, event: Event) {
        self.n_events += 1;
        self.events.push(Reverse((at, self.n_events, event)));
    }

    fn instant(&self) -> Instant {
        self.start + Duration::from_micros(self.now)
    }

    fn run(&mut self) {
        let end = (self.crowd.until * 1e6) as u64;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            if at > end || self.n_done == self.n_honest {
                break;
            }
            self.now = at;
            match event {
                Event::Join(peer) => self.join(peer),
                Event::Arrive { from, to, piece } => self.arrive(from, to, piece),
                Event::Tick => {
                    self.feed();
                    self.schedule(at + TICK, Event::Tick);
                }
                Event::Sample => {
                    self.sample();
                    let step = (self.outcome.bound * 1e6 / 200.0) as u64 + 1;
                    self.schedule(at + step, Event::Sample);
                }
            }
        }
        self.sample();
        self.outcome.seed_sent = self.seed.sent as f64 / f64::from(self.crowd.n_pieces);
    }

    fn sample(&mut self) {
        let all = self.n_honest as f64 * f64::from(self.crowd.n_pieces);
        self.outcome.progress.push(Progress {
            at: self.now as f64 / 1e6,
            pieces: self.n_held as f64 / all,
            peers: self.n_done as f64 / self.n_honest as f64,
            out: f64::from(self.n_out) / f64::from(self.crowd.n_pieces),
        });
    }

    fn join(&mut self, peer: u32) {
        let leecher = &mut self.leechers[peer as usize];
        leecher.online = true;
        let behaviour = leecher.behaviour;
        if behaviour.lies {
            for other in leecher.neighbours.clone() {
                let counts = &mut self.leechers[other as usize].counts;
                counts.iter_mut().for_each(|count| *count += 1);
            }
        }
        if self.fed[peer as usize] {
            let now = self.instant();
            let claims = if behaviour.lies {
                Bits::all
            } else {
                Bits::none
            };
            let claims = claims(self.crowd.n_pieces);
            self.seed.join(now, peer, behaviour.browser, &claims);
            self.feed();
        }
        self.offer_to(peer);
    }

    fn arrive(&mut self, from: u32, to: u32, piece: u32) {
        let flow = self.uplink(from);
        let is_whole = from == SEED || self.leechers[from as usize].online;
        let leecher = &mut self.leechers[to as usize];
        leecher.inflow -= flow;
        leecher.coming.unset(piece);
        let arrived = is_whole && leecher.online && leecher.have.set(piece);
        if from == SEED {
            self.seed.is_sending = false;
            self.seed.sent += 1;
        } else {
            self.leechers[from as usize].is_sending = false;
        }
        if arrived {
            self.show(from, to, piece);
        }
        if from == SEED || self.fed[to as usize] {
            self.feed();
        }
        if from != SEED {
            self.give(from);
        }
        self.give(to);
        self.offer_to(to);
    }

    /// A leecher has one piece more, and tells.
    fn show(&mut self, from: u32, to: u32, piece: u32) {
        self.n_held += 1;
        self.holders[piece as usize] += 1;
        if self.holders[piece as usize] == 1 {
            self.n_out += 1;
            if self.n_out == self.crowd.n_pieces && self.outcome.first_copy.is_none() {
                let copies = self.seed.sent as f64 / f64::from(self.crowd.n_pieces);
                self.outcome.first_copy = Some((self.now as f64 / 1e6, copies));
            }
        }
        if self.fed[to as usize] {
            let now = self.instant();
            self.seed.handle_have(now, to, piece, from == SEED);
        }
        let neighbours = std::mem::take(&mut self.leechers[to as usize].neighbours);
        for other in &neighbours {
            self.leechers[*other as usize].counts[piece as usize] += 1;
        }
        let leecher = &mut self.leechers[to as usize];
        leecher.neighbours = neighbours;
        if leecher.have.count() == self.crowd.n_pieces {
            let at = self.now as f64 / 1e6;
            leecher.done_at = Some(at);
            self.outcome.done[to as usize] = Some(at);
            self.n_done += 1;
            if self.leechers[to as usize].behaviour.leaves {
                self.leave(to);
            }
        }
    }

    fn leave(&mut self, peer: u32) {
        let leecher = &mut self.leechers[peer as usize];
        leecher.online = false;
        let none = Bits::none(self.crowd.n_pieces);
        let had: Vec<u32> = leecher.have.without(&none, &none).collect();
        let neighbours = leecher.neighbours.clone();
        for piece in had {
            self.holders[piece as usize] -= 1;
            for other in &neighbours {
                self.leechers[*other as usize].counts[piece as usize] -= 1;
            }
        }
        if self.fed[peer as usize] {
            let now = self.instant();
            self.seed.leave(now, peer);
        }
    }

    fn uplink(&self, from: u32) -> f64 {
        match from {
            SEED => self.crowd.seed_up,
            peer => self.leechers[peer as usize].behaviour.up,
        }
    }

    fn send(&mut self, from: u32, to: u32, piece: u32) {
        let flow = self.uplink(from);
        let leecher = &mut self.leechers[to as usize];
        leecher.coming.set(piece);
        leecher.inflow += flow;
        let takes = (1e6 / flow) as u64;
        self.schedule(self.now + takes, Event::Arrive { from, to, piece });
    }

    /// The seed's machines decide, and its uplink takes up what they allow.
    fn feed(&mut self) {
        let now = self.instant();
        self.seed.drain(now);
        if self.seed.is_sending {
            return;
        }
        let found = self.seed.in_turn().find_map(|(at, to, shown)| {
            let leecher = &self.leechers[to as usize];
            let has_room = leecher.has_room(self.crowd.seed_up);
            let piece = has_room.then(|| leecher.pick(shown, &mut self.random))??;
            Some((at, to, piece))
        });
        if let Some((at, to, piece)) = found {
            self.seed.turn = at + 1;
            self.seed.is_sending = true;
            self.send(SEED, to, piece);
        }
    }

    /// A leecher's uplink is free, or may be: it gives to the next of its neighbours that lacks something.
    fn give(&mut self, from: u32) {
        let leecher = &self.leechers[from as usize];
        let n = leecher.neighbours.len();
        let up = leecher.behaviour.up;
        if leecher.is_sending || !leecher.online || up == 0.0 || leecher.behaviour.lies {
            return;
        }
        for step in 0..n {
            let at = (leecher.turn + step) % n;
            let to = leecher.neighbours[at];
            let other = &self.leechers[to as usize];
            if !other.has_room(up) || other.behaviour.lies {
                continue;
            }
            if let Some(piece) = other.pick(&leecher.have, &mut self.random) {
                let leecher = &mut self.leechers[from as usize];
                leecher.turn = at + 1;
                leecher.is_sending = true;
                self.send(from, to, piece);
                return;
            }
        }
    }

    /// A leecher has room again: neighbours that had nobody to give to may give to it.
    fn offer_to(&mut self, to: u32) {
        for at in 0..self.leechers[to as usize].neighbours.len() {
            let from = self.leechers[to as usize].neighbours[at];
            if !self.leechers[from as usize].is_sending {
                self.give(from);
            }
        }
    }
}

/// Makes neighbours of leechers, within each world; gives who has the seed for a neighbour: as many of each world
/// as the seed may have.
fn connect(leechers: &mut [Leecher], most: usize, random: &mut Random) -> Vec<bool> {
    let mut fed = vec![false; leechers.len()];
    for browser in [false, true] {
        let members: Vec<u32> = (0..leechers.len() as u32)
            .filter(|peer| leechers[*peer as usize].behaviour.browser == browser)
            .collect();
        let n = members.len();
        let mut order = members.clone();
        for at in (1..n).rev() {
            order.swap(at, random.below(at + 1));
        }
        for peer in order.iter().take(most) {
            fed[*peer as usize] = true;
        }
        // Everybody looks for half as many as it may have, and is found by others.
        let mut pairs: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut degree = vec![0usize; leechers.len()];
        let room = |peer: u32| most - usize::from(fed[peer as usize]);
        let wanted = (most / 2).min(n.saturating_sub(1));
        for peer in &order {
            for _ in 0..wanted * 4 {
                if degree[*peer as usize] >= room(*peer) {
                    break;
                }
                let other = members[random.below(n)];
                let pair = (other.min(*peer), other.max(*peer));
                let fits = other != *peer && degree[other as usize] < room(other);
                if fits && pairs.insert(pair) {
                    degree[*peer as usize] += 1;
                    degree[other as usize] += 1;
                }
            }
        }
        for (one, other) in pairs {
            leechers[one as usize].neighbours.push(other);
            leechers[other as usize].neighbours.push(one);
        }
    }
    fed
}
