//! What waits to be written to one socket, and all sockets by number. Anybody may add to a socket's queue; its own
//! task alone writes. A queue is bounded, and all queues together are.

use super::frames;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use swarm::tracker::SocketId;

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The browser has gone, or the network broke.
    Gone,
    /// Frames or messages that make no sense.
    Malformed,
    /// A message longer than is read.
    TooLong,
    /// Far too many messages.
    Flood,
    /// It doesn't take what is written to it, or doesn't end what it says.
    Slow,
    /// Nothing was heard for too long.
    Silent,
    /// All sockets together hold too much.
    Memory,
    /// The seeder stops.
    Stop,
}

impl Ending {
    /// The code of the close frame (RFC 6455, section 7.4.1).
    pub(super) fn code(self) -> u16 {
        match self {
            Self::Gone => 1000,
            Self::Malformed => 1007,
            Self::TooLong => 1009,
            Self::Flood | Self::Slow | Self::Silent => 1008,
            Self::Memory => 1013,
            Self::Stop => 1001,
        }
    }
}

/// Bytes held for all sockets together.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    most: usize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self {
            held: AtomicUsize::new(0),
            most,
        }
    }

    /// Whether nothing more may be held. What one socket adds at once is small beside it.
    pub(super) fn is_spent(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.most
    }

    /// Whether no more unfinished messages may be held: the other half is for what is to be written.
    pub(super) fn is_half_spent(&self) -> bool {
        self.held.load(Ordering::Relaxed) >= self.most / 2
    }

    pub(super) fn hold(&self, bytes: usize) {
        if bytes > 0 {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// The queue of one socket.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: Mutex<Queue>,
    /// When something was heard last, in seconds of the seeder's life.
    heard: AtomicU32,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Bytes that the task has taken and not written.
    unsent: usize,
    /// Since when the socket takes nothing.
    blocked: Option<u32>,
    /// Since when a message has been unfinished.
    unfinished: Option<u32>,
    /// When a ping was sent last.
    pinged: u32,
    ending: Option<Ending>,
    /// The task, unless it was woken since it looked last.
    task: Option<Waker>,
}

/// How a socket stands, to its task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Somebody has ended it.
    Ended(Ending),
    /// There is something to write.
    Waiting,
    /// There isn't.
    Empty,
}

/// When a socket counts as gone, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// After how long a silence it is asked whether it is there.
    pub(super) ping: u32,
    /// After how long a silence it is closed.
    pub(super) silent: u32,
    /// How long it may take nothing, or leave a message unfinished.
    pub(super) slow: u32,
    /// The same while all sockets together hold too much.
    pub(super) scarce: u32,
}

/// What is added to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// It can be done without.
    Light,
    /// Who reads gets it, however much the others hold.
    Heavy,
}

impl Outgoing {
    pub(super) fn new(now: u32) -> Self {
        Self {
            queue: Mutex::default(),
            heard: AtomicU32::new(now),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what `write` appends. `false`, and nothing is added: `most` bytes or more wait already, or all sockets
    /// together hold too much, or this one is ending.
    pub(super) fn push(
        &self,
        budget: &Budget,
        most: usize,
        weight: Weight,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let mut queue = self.lock();
        let waiting = queue.bytes.len() + queue.unsent;
        let scarce = budget.is_spent() && (weight == Weight::Light || waiting > 0);
        if queue.ending.is_some() || waiting >= most || scarce {
            return false;
        }
        let before = queue.bytes.len();
        write(&mut queue.bytes);
        budget.hold(queue.bytes.len() - before);
        let task = queue.task.take();
        drop(queue);
        if let Some(task) = task {
            task.wake();
        }
        true
    }

    /// Makes the task end the socket.
    pub(super) fn end(&self, ending: Ending) {
        let mut queue = self.lock();
        queue.ending.get_or_insert(ending);
        let task = queue.task.take();
        drop(queue);
        if let Some(task) = task {
            task.wake();
        }
    }

    pub(super) fn heard(&self, now: u32) {
        self.heard.store(now, Ordering::Relaxed);
    }

    /// For the task: how the socket stands; the task is woken when that changes.
    pub(super) fn look(&self, context: &Context<'_>) -> Standing {
        let mut queue = self.lock();
        if let Some(ending) = queue.ending {
            return Standing::Ended(ending);
        }
        queue.task = Some(context.waker().clone());
        if queue.bytes.is_empty() {
            Standing::Empty
        } else {
            Standing::Waiting
        }
    }

    /// For the task: takes what waits, in order to write it.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut queue = self.lock();
        queue.blocked = None;
        queue.unsent = queue.bytes.len();
        std::mem::take(&mut queue.bytes)
    }

    /// For the task: so many bytes of what it took can't be written yet.
    pub(super) fn blocked(&self, unsent: usize, now: u32) {
        let mut queue = self.lock();
        if queue.blocked.is_none() || unsent < queue.unsent {
            queue.blocked = Some(now);
        }
        queue.unsent = unsent;
    }

    /// For the task: whether a message has begun and not ended.
    pub(super) fn unfinished(&self, is: bool, now: u32) {
        let mut queue = self.lock();
        queue.unfinished = is.then(|| queue.unfinished.unwrap_or(now));
    }

    /// Asks after a socket that has been silent, and ends one that is gone.
    pub(super) fn look_after(&self, now: u32, patience: &Patience, budget: &Budget) {
        let quiet = now.saturating_sub(self.heard.load(Ordering::Relaxed));
        let queue = self.lock();
        let slow = if budget.is_half_spent() {
            patience.scarce
        } else {
            patience.slow
        };
        let slow = [queue.blocked, queue.unfinished]
            .into_iter()
            .flatten()
            .any(|since| now.saturating_sub(since) >= slow);
        let asked = now.saturating_sub(queue.pinged) < patience.ping;
        drop(queue);
        if slow {
            self.end(Ending::Slow);
        } else if quiet >= patience.silent {
            self.end(Ending::Silent);
        } else if quiet >= patience.ping && !asked {
            self.lock().pinged = now;
            // Where there is no room for a ping, what waits there is asking enough.
            self.push(budget, 1, Weight::Heavy, frames::ping);
        }
    }

    /// The task has ended: what was queued goes.
    pub(super) fn drain(&self, budget: &Budget) {
        let mut queue = self.lock();
        queue.ending.get_or_insert(Ending::Gone);
        queue.task = None;
        budget.release(queue.bytes.len());
        queue.bytes = Vec::new();
    }
}

const SHARDS: usize = 64;

/// All sockets by number.
#[derive(Debug)]
pub(super) struct Registry {
    shards: [Mutex<HashMap<u64, Arc<Outgoing>>>; SHARDS],
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    fn shard(&self, id: SocketId) -> MutexGuard<'_, HashMap<u64, Arc<Outgoing>>> {
        let shard = &self.shards[id.0 as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, id: SocketId, outgoing: Arc<Outgoing>) {
        self.shard(id).insert(id.0, outgoing);
    }

    pub(super) fn get(&self, id: SocketId) -> Option<Arc<Outgoing>> {
        self.shard(id).get(&id.0).cloned()
    }

    pub(super) fn remove(&self, id: SocketId) {
        let mut shard = self.shard(id);
        shard.remove(&id.0);
        // A crowd that has gone leaves no empty table behind.
        if shard.capacity() > 64 && shard.len() * 4 < shard.capacity() {
            shard.shrink_to_fit();
        }
    }

    /// Calls `f` with every socket.
    pub(super) fn for_each(&self, mut f: impl FnMut(&Outgoing)) {
        for shard in &self.shards {
            let sockets: Vec<_> = {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.values().cloned().collect()
            };
            sockets.iter().for_each(|socket| f(socket));
        }
    }
}
