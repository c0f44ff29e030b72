//! Native peers of one swarm and address family: one shard while there are few, many once there are many, so that one
//! swarm that everybody asks for keeps every core busy. Peers of one subscriber share a shard: that is where their
//! number is bounded.

use super::draw::Draw;
use super::keyed::Keyed;
use super::lock::Lock;
use super::peers::{Entered, Entry, Peers, Room};
use super::quota::UNBOUNDED;
use super::statistics::Client;
use crate::random::Random;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{MutexGuard, OnceLock};

/// Shards of a large swarm.
const SHARDS: usize = 16;
/// From so many peers on a swarm is divided, and stays so.
const DIVIDED_FROM: usize = 2048;

/// The peers of a swarm in one address family. `N` is 6 or 18.
#[derive(Debug, Default)]
pub(super) struct Family<const N: usize> {
    whole: Lock<Peers<N>>,
    divided: OnceLock<Box<Divided<N>>>,
}

#[derive(Debug)]
struct Divided<const N: usize> {
    /// How many peers of each shard need something, and how many don't, in the upper and lower half: read without a
    /// lock, to choose among shards by their size.
    sizes: [AtomicU64; SHARDS],
    shards: [Shard<N>; SHARDS],
}

/// On lines of its own, so that cores that work on two shards don't disturb each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard<const N: usize>(Lock<Peers<N>>);

/// How many peers need something, and how many don't.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) incomplete: usize,
    pub(super) complete: usize,
}

/// For whom a sample is drawn.
pub(super) struct Asker<const N: usize> {
    pub(super) addr: [u8; N],
    pub(super) tag: u16,
    /// Who has everything has no use for another who has.
    pub(super) complete: bool,
    pub(super) wanted: usize,
}

impl<const N: usize> Family<N> {
    /// Carries out an announce; gives what became of it, and the peers of the shard before and after.
    pub(super) fn enter(
        &self,
        entry: &Entry<N>,
        limit: Room,
        keyed: Keyed,
        random: &mut Random,
    ) -> (Entered, Size, Size) {
        let divided = match self.parts() {
            Parts::Whole(mut peers) => {
                let before = size(&peers);
                let entered = peers.enter(entry, limit, keyed, random);
                let after = size(&peers);
                if peers.len() >= DIVIDED_FROM {
                    let counted = limit.per_address < UNBOUNDED;
                    // Nobody else sets it, since that is done under this lock.
                    self.divided
                        .get_or_init(|| Box::new(Divided::of(&mut peers, counted, keyed, random)));
                }
                return (entered, before, after);
            }
            Parts::Divided(divided) => divided,
        };
        let at = shard_of(entry.subscriber);
        let mut peers = divided.shards[at].0.lock();
        let before = size(&peers);
        let mine = before.incomplete + before.complete;
        let elsewhere = divided.total().len().saturating_sub(mine);
        let room = Room {
            peers: limit.peers.saturating_sub(elsewhere),
            ..limit
        };
        let entered = peers.enter(entry, room, keyed, random);
        let after = size(&peers);
        if before != after {
            divided.sizes[at].store(after.packed(), Ordering::Relaxed);
        }
        (entered, before, after)
    }

    /// Adds up to `asker.wanted` different peers to `out`, every one as likely as any other, but for the asker itself
    /// and whoever is in `out` already. Of the asker's own address one is taken at the most, unless there are no
    /// others: it can be reached from there rarely, and by other means.
    pub(super) fn sample(&self, asker: &Asker<N>, random: &mut Random, out: &mut Vec<u8>) {
        let mut draw = Draw::new(asker, out);
        match self.parts() {
            Parts::Whole(peers) => {
                let ring = size(&peers).ring(asker.complete);
                draw.runs(ring, random, |draw, from, to| draw.take(&peers, from..to));
            }
            Parts::Divided(divided) => {
                let sizes = divided
                    .sizes
                    .each_ref()
                    .map(|size| Size::unpack(size.load(Ordering::Relaxed)).ring(asker.complete));
                draw.runs(sizes.iter().sum(), random, |draw, from, to| {
                    let mut begin = 0;
                    for (shard, n) in divided.shards.iter().zip(sizes) {
                        if from < begin + n && begin < to && !draw.is_enough() {
                            let peers = shard.0.lock();
                            // It may have changed since its size was read.
                            let end = size(&peers)
                                .ring(asker.complete)
                                .min(to.min(begin + n) - begin);
                            draw.take(&peers, from.max(begin) - begin..end);
                        }
                        begin += n;
                    }
                });
            }
        }
        draw.finish();
    }

    /// Forgets who is overdue, looking at no more than `most` peers from `cursor` on. Gives the cursor for the next
    /// time, `None` at the end, how many it looked at, and the size before and after.
    pub(super) fn expire(
        &self,
        overdue: impl Fn(u16) -> bool,
        cursor: Cursor,
        most: usize,
        limit: Room,
        keyed: Keyed,
    ) -> (Option<Cursor>, usize, Size, Size) {
        let shard = cursor.shard.min(SHARDS - 1);
        let (divided, mut peers) = match self.parts() {
            Parts::Whole(peers) => (None, peers),
            Parts::Divided(divided) => (Some(divided), divided.shards[shard].0.lock()),
        };
        let before = size(&peers);
        let below = cursor.below.min(peers.len());
        let whose = |addr: &[u8; N]| keyed.subscriber(ip(addr));
        let end = peers.expire(overdue, whose, (below, most), limit, keyed);
        let after = size(&peers);
        if let Some(divided) = divided
            && before != after
        {
            divided.sizes[shard].store(after.packed(), Ordering::Relaxed);
        }
        let next = if end > 0 {
            Some(Cursor { shard, below: end })
        } else if divided.is_some() && shard + 1 < SHARDS {
            let shard = shard + 1;
            Some(Cursor {
                shard,
                below: usize::MAX,
            })
        } else {
            None
        };
        (next, below - end, before, after)
    }

    /// Counts peers by kind of client.
    pub(super) fn count_clients(&self, counts: &mut [u32; Client::COUNT]) {
        match self.parts() {
            Parts::Whole(peers) => peers.count_clients(counts),
            Parts::Divided(divided) => {
                for shard in &divided.shards {
                    shard.0.lock().count_clients(counts);
                }
            }
        }
    }

    /// Bytes that its peers occupy on the heap.
    pub(super) fn heap(&self) -> usize {
        match self.parts() {
            Parts::Whole(peers) => peers.heap(),
            Parts::Divided(divided) => {
                let shards = divided.shards.iter().map(|shard| shard.0.lock().heap());
                size_of::<Divided<N>>() + shards.sum::<usize>()
            }
        }
    }
}

impl<const N: usize> Family<N> {
    /// Where the peers are. Who divides the swarm does so under the lock of the whole.
    fn parts(&self) -> Parts<'_, N> {
        if self.divided.get().is_none() {
            let whole = self.whole.lock();
            if self.divided.get().is_none() {
                return Parts::Whole(whole);
            }
        }
        Parts::Divided(self.divided.get().expect("seen to be there just now"))
    }
}

/// Where the peers of a swarm are.
enum Parts<'a, const N: usize> {
    Whole(MutexGuard<'a, Peers<N>>),
    Divided(&'a Divided<N>),
}

/// Where the search for overdue peers goes on: which shard, and below which place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    shard: usize,
    pub(super) below: usize,
}

impl Cursor {
    /// The same list below this place; `None` at its end.
    pub(super) fn at(self, below: usize) -> Option<Self> {
        (below > 0).then_some(Self { below, ..self })
    }

    /// Whether it is where a list begins.
    pub(super) fn is_start(self) -> bool {
        self.shard == 0 && self.below == usize::MAX
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            shard: 0,
            below: usize::MAX,
        }
    }
}

impl<const N: usize> Divided<N> {
    fn of(peers: &mut Peers<N>, counted: bool, keyed: Keyed, random: &mut Random) -> Self {
        let mut parts: [Peers<N>; SHARDS] = std::array::from_fn(|_| Peers::default());
        let whose = |addr: &[u8; N]| keyed.subscriber(ip(addr));
        peers.deal(counted, keyed, random, whose, &mut parts, shard_of);
        Self {
            sizes: parts.each_ref().map(|part| size(part).packed().into()),
            shards: parts.map(|part| Shard(Lock::new(part))),
        }
    }

    fn total(&self) -> Size {
        self.sizes.iter().fold(Size::default(), |sum, size| {
            let size = Size::unpack(size.load(Ordering::Relaxed));
            Size {
                incomplete: sum.incomplete + size.incomplete,
                complete: sum.complete + size.complete,
            }
        })
    }
}

impl Size {
    pub(super) fn len(self) -> usize {
        self.incomplete + self.complete
    }

    /// How many an asker may be handed.
    fn ring(self, asker_complete: bool) -> usize {
        self.incomplete + if asker_complete { 0 } else { self.complete }
    }

    fn packed(self) -> u64 {
        (self.incomplete as u64) << 32 | self.complete as u64
    }

    fn unpack(packed: u64) -> Self {
        Self {
            incomplete: (packed >> 32) as usize,
            complete: (packed & 0xffff_ffff) as usize,
        }
    }
}

fn size<const N: usize>(peers: &Peers<N>) -> Size {
    Size {
        incomplete: peers.n_incomplete(),
        complete: peers.len() - peers.n_incomplete(),
    }
}

fn shard_of(subscriber: u64) -> usize {
    // Four bits that the counts by address don't use.
    (subscriber >> 60) as usize
}

/// The address of a packed address and port.
fn ip<const N: usize>(packed: &[u8; N]) -> IpAddr {
    let ip = &packed[..N - 2];
    match <[u8; 4]>::try_from(ip) {
        Ok(v4) => v4.into(),
        Err(_) => <[u8; 16]>::try_from(ip).unwrap_or_default().into(),
    }
}
