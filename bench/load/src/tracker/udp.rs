//! Announces over UDP (BEP 15): a window of them in flight, each from the address of its peer, all by one socket.

use super::batch::Batch;
use super::counts::add;
use super::{Counts, InfoHash, Numbers, Window, each};
use crate::latency::Histogram;
use crate::measure::own_address;
use crate::process::Processes;
use serde_json::{Value, json};
use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// What BEP 15 begins with.
const PROTOCOL: u64 = 0x0417_2710_1980;
/// A connection id may be used for a minute, but trackers take it for two.
const CONNECTION_LIFE: Duration = Duration::from_secs(100);
/// After this an announce counts as lost and goes out again.
const LOST: Duration = Duration::from_millis(500);
/// How often it is looked for lost ones.
const LOOK: Duration = Duration::from_millis(50);
/// Share of the peers that come before memory is looked at: code and tables are touched by then.
const FIRST: usize = 100;
const STARTED: u32 = 2;

/// What is announced.
#[derive(Debug)]
pub(super) struct Job {
    /// Where the tracker is.
    pub to: SocketAddrV4,
    /// The torrents; peers are dealt out to them in turn.
    pub hashes: Vec<InfoHash>,
    /// How many peers there are.
    pub peers: usize,
    /// How many addresses they have between them.
    pub addresses: usize,
    /// Peers wanted in an answer.
    pub want: u32,
    /// Announces in flight.
    pub window: usize,
    /// How long all have to come.
    pub patience: Duration,
    /// From then to the window that is reported, and its length.
    pub warm_up: Duration,
    /// The window that is reported.
    pub seconds: Duration,
    /// Whose processor time and memory are reported.
    pub watched: Processes,
}

/// Lets all peers come, then announces them in random order; what was seen.
pub(super) fn run(job: Job) -> io::Result<Value> {
    let (peers, addresses, window) = (
        job.peers,
        job.addresses.max(1),
        job.window.clamp(1, 1 << 16),
    );
    let (warm_up, seconds, patience) = (job.warm_up, job.seconds, job.patience);
    let watched = job.watched.clone();
    let mut load = Load {
        batch: Batch::new(job.to)?,
        slots: vec![Slot::default(); window],
        free: (0..window).rev().collect(),
        connections: vec![None; addresses],
        counts: Counts::default(),
        latency: Histogram::default(),
        looked: Instant::now(),
        event: STARTED,
        job,
    };
    let deadline = Instant::now() + patience;
    let mut newcomers = 0..peers;
    let mut first = newcomers.by_ref().take(peers / FIRST);
    load.announce(deadline, || first.next())?;
    let (before, already) = (watched.memory()?, load.counts.answers.get());
    let began = Instant::now();
    load.announce(deadline, || newcomers.next())?;
    let came = load.counts.answers.get();
    let memory = each(before, watched.memory()?, (came - already) as usize);
    let come_s = began.elapsed().as_secs_f64();
    let in_coming = load.counts.report();

    load.event = 0;
    let mut numbers = Numbers::new(5);
    // Who announces again has come before: in a slow tracker not all have.
    let present = (came as usize).clamp(1, peers);
    let mut any = || Some(numbers.below(present));
    load.announce(Instant::now() + warm_up, &mut any)?;
    load.latency = Histogram::default();
    let before = load.counts.clone();
    let window = Window::open(&watched)?;
    load.announce(Instant::now() + seconds, &mut any)?;
    let counts = load.counts.since(&before);
    let mut report = window.close(counts.answers.get(), &load.latency)?;
    report.insert("peers".into(), json!(came));
    report.insert("come_s".into(), json!(come_s));
    report.insert("memory".into(), memory);
    report.insert("counts".into(), counts.report());
    report.insert("coming".into(), in_coming);
    Ok(report.into())
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    peer: usize,
    asked: Option<Asked>,
    /// Told apart from late answers by this.
    generation: u16,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Instant,
    announced: bool,
}

struct Load {
    job: Job,
    batch: Batch,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Of each address: its connection id, and since when.
    connections: Vec<Option<(u64, Instant)>>,
    counts: Counts,
    latency: Histogram,
    looked: Instant,
    event: u32,
}

impl Load {
    /// Announces what `next` gives until then, or until there is no more and all is answered.
    fn announce(
        &mut self,
        until: Instant,
        mut next: impl FnMut() -> Option<usize>,
    ) -> io::Result<()> {
        loop {
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            while let Some(slot) = self.free.pop() {
                let Some(peer) = next() else {
                    self.free.push(slot);
                    break;
                };
                self.slots[slot].peer = peer;
                self.ask(slot, now)?;
            }
            if self.free.len() == self.slots.len() {
                return Ok(());
            }
            self.batch.flush()?;
            let came = self.batch.receive(LOOK)?;
            let now = Instant::now();
            for at in 0..came {
                self.take(at, now)?;
            }
            if now - self.looked > LOOK {
                self.looked = now;
                self.ask_again(now)?;
            }
        }
    }

    fn address(&self, peer: usize) -> usize {
        peer % self.connections.len()
    }

    /// Sends what a slot's peer needs next: a connection id, or its announce.
    fn ask(&mut self, slot: usize, now: Instant) -> io::Result<()> {
        let peer = self.slots[slot].peer;
        let address = self.address(peer);
        let connection =
            self.connections[address].filter(|(_, since)| now - *since < CONNECTION_LIFE);
        let generation = self.slots[slot].generation.wrapping_add(1);
        self.slots[slot].generation = generation;
        self.slots[slot].asked = Some(Asked {
            at: now,
            announced: connection.is_some(),
        });
        let transaction = u32::from(generation) << 16 | slot as u32;
        let mut datagram = [0; 98];
        let length = match connection {
            None => {
                datagram[..8].copy_from_slice(&PROTOCOL.to_be_bytes());
                datagram[12..16].copy_from_slice(&transaction.to_be_bytes());
                16
            }
            Some((connection, _)) => {
                self.write_announce(&mut datagram, connection, transaction, peer);
                98
            }
        };
        self.batch
            .push(own_address(address as u32), &datagram[..length])
    }

    fn write_announce(&self, out: &mut [u8; 98], connection: u64, transaction: u32, peer: usize) {
        out[..8].copy_from_slice(&connection.to_be_bytes());
        out[8..12].copy_from_slice(&1_u32.to_be_bytes());
        out[12..16].copy_from_slice(&transaction.to_be_bytes());
        out[16..36].copy_from_slice(&self.job.hashes[peer % self.job.hashes.len()]);
        out[36..56].copy_from_slice(&peer_id(peer));
        // Downloaded, left, uploaded.
        let left = left(peer);
        out[64..72].copy_from_slice(&left.to_be_bytes());
        out[80..84].copy_from_slice(&self.event.to_be_bytes());
        out[88..92].copy_from_slice(&(peer as u32).to_be_bytes());
        out[92..96].copy_from_slice(&self.job.want.to_be_bytes());
        out[96..98].copy_from_slice(&port(peer / self.connections.len()).to_be_bytes());
    }

    fn take(&mut self, at: usize, now: Instant) -> io::Result<()> {
        let datagram = self.batch.came(at);
        let word = |at: usize| -> Option<u32> {
            Some(u32::from_be_bytes(
                datagram.get(at..at + 4)?.try_into().ok()?,
            ))
        };
        let (Some(action), Some(transaction)) = (word(0), word(4)) else {
            add(&self.counts.failures, 1);
            return Ok(());
        };
        let slot = (transaction & 0xffff) as usize;
        let generation = (transaction >> 16) as u16;
        let asked = self
            .slots
            .get(slot)
            .filter(|slot| slot.generation == generation);
        // What comes a second time, or late, was counted as lost.
        let Some(asked) = asked.and_then(|slot| slot.asked) else {
            return Ok(());
        };
        let peer = self.slots[slot].peer;
        let (length, high, low) = (datagram.len(), word(8), word(12));
        let address = self.address(peer);
        match (action, asked.announced, high, low) {
            (0, false, Some(high), Some(low)) => {
                self.connections[address] = Some((u64::from(high) << 32 | u64::from(low), now));
                return self.ask(slot, now);
            }
            (1, true, Some(_), Some(_)) if length >= 20 && (length - 20).is_multiple_of(6) => {
                add(&self.counts.answers, 1);
                add(&self.counts.bytes, length as u64);
                add(&self.counts.peers, (length as u64 - 20) / 6);
                self.latency.record(now - asked.at);
            }
            _ => {
                add(&self.counts.failures, 1);
                self.connections[address] = None;
            }
        }
        self.slots[slot].asked = None;
        self.free.push(slot);
        Ok(())
    }

    fn ask_again(&mut self, now: Instant) -> io::Result<()> {
        for slot in 0..self.slots.len() {
            if self.slots[slot]
                .asked
                .is_some_and(|asked| now - asked.at > LOST)
            {
                add(&self.counts.lost, 1);
                let address = self.address(self.slots[slot].peer);
                self.connections[address] = None;
                self.ask(slot, now)?;
            }
        }
        Ok(())
    }
}

/// The port of the so-maniest peer of an address.
pub(super) fn port(nth: usize) -> u16 {
    10_000 + (nth % 50_000) as u16
}

/// Bytes a peer still needs: one in eight has everything, in each torrent about as many.
pub(super) fn left(peer: usize) -> u64 {
    let mixed = (peer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    if mixed >> 61 == 0 { 0 } else { 1 << 20 }
}

/// A peer's id.
pub(super) fn peer_id(peer: usize) -> [u8; 20] {
    let mut id = *b"-LD0001-000000000000";
    let mut rest = peer;
    for digit in id[8..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    id
}
