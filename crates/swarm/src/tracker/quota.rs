//! How many entries each address has: four bytes an address. Addresses are known by 20 bits of a keyed hash; two that
//! share them share their count, which among ten thousand addresses happens to one in a hundred.

/// Slots hold so many bits of count below those of the hash.
const COUNT_BITS: u32 = 12;
const COUNT: u32 = (1 << COUNT_BITS) - 1;
const KEY_BITS: u32 = 32 - COUNT_BITS;

/// From this bound on nothing is counted.
pub(super) const UNBOUNDED: usize = COUNT as usize;

/// Counts by address. Linear probing as in [`Index`](super::index::Index).
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// 0 where it is free, since no count is 0.
    slots: Vec<u32>,
    len: usize,
}

impl Quota {
    /// How many an address has.
    pub(super) fn count(&self, subscriber: u64) -> usize {
        self.slot(key(subscriber))
            .map_or(0, |slot| (self.slots[slot] & COUNT) as usize)
    }

    /// Counts one more; the caller has seen that there are less than [`UNBOUNDED`].
    pub(super) fn add(&mut self, subscriber: u64) {
        if let Some(slot) = self.slot(key(subscriber)) {
            self.slots[slot] += u32::from(self.slots[slot] & COUNT < COUNT);
            return;
        }
        if (self.len + 1) * 6 > self.slots.len() * 5 {
            self.resize(self.slots.len() + self.slots.len() * 2 / 5 + 8);
        }
        self.put(key(subscriber) << COUNT_BITS | 1);
        self.len += 1;
    }

    /// Counts one less.
    pub(super) fn take(&mut self, subscriber: u64) {
        let Some(mut hole) = self.slot(key(subscriber)) else {
            return;
        };
        self.slots[hole] -= 1;
        if self.slots[hole] & COUNT > 0 {
            return;
        }
        self.len -= 1;
        let n = self.slots.len();
        let mut next = hole;
        loop {
            next = (next + 1) % n;
            let entry = self.slots[next];
            if entry == 0 {
                break;
            }
            let home = home(entry >> COUNT_BITS, n);
            if (next + n - home) % n >= (next + n - hole) % n {
                self.slots[hole] = entry;
                hole = next;
            }
        }
        self.slots[hole] = 0;
    }

    /// Gives back what fewer addresses don't need.
    pub(super) fn shrink(&mut self) {
        // One slot is always free.
        self.resize(self.len + self.len / 2 + 1);
    }

    /// Bytes it occupies on the heap.
    pub(super) fn heap(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    fn slot(&self, key: u32) -> Option<usize> {
        let mut slot = home(key, self.slots.len());
        loop {
            match *self.slots.get(slot)? {
                0 => return None,
                entry if entry >> COUNT_BITS == key => return Some(slot),
                _ => {
                    slot = if slot + 1 == self.slots.len() {
                        0
                    } else {
                        slot + 1
                    }
                }
            }
        }
    }

    fn resize(&mut self, n: usize) {
        let old = std::mem::replace(&mut self.slots, vec![0; n]);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            self.put(entry);
        }
    }

    fn put(&mut self, entry: u32) {
        let n = self.slots.len();
        let mut slot = home(entry >> COUNT_BITS, n);
        while self.slots[slot] != 0 {
            slot = if slot + 1 == n { 0 } else { slot + 1 };
        }
        self.slots[slot] = entry;
    }
}

fn key(subscriber: u64) -> u32 {
    // The upper bits choose the shard.
    (subscriber as u32) >> COUNT_BITS
}

fn home(key: u32, slots: usize) -> usize {
    ((u64::from(key) * slots as u64) >> KEY_BITS) as usize
}
