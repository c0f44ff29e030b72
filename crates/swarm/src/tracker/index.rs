//! Where an entry of a dense list stands, by a hash of what it is: four bytes a slot and no keys, since the list has
//! them. Open addressing with linear probing; a removal closes the gap, so that nothing piles up over months.
//!
//! The list is the caller's: places are looked at through closures, and the list must still hold what the index says
//! when they are called.

/// Slots hold so many bits of place, and the rest of the 32 is of the hash.
const PLACE_BITS: u32 = 20;
const PLACE: u32 = (1 << PLACE_BITS) - 1;

/// The most entries an index can tell apart.
pub(super) const MOST: usize = PLACE as usize;

/// An index of places by hash.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// 0 where it is free; else some bits of the hash above the place plus one.
    slots: Vec<u32>,
    len: usize,
}

impl Index {
    /// Places that may be of this hash.
    pub(super) fn matching(&self, hash: u64) -> impl Iterator<Item = usize> + '_ {
        let mark = mark(hash);
        self.run(hash)
            .map(|(_, entry)| entry)
            .filter(move |entry| entry & !PLACE == mark)
            .map(place)
    }

    /// The place of this hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, is: impl Fn(usize) -> bool) -> Option<usize> {
        self.matching(hash).find(|place| is(*place))
    }

    /// Enters a place. `hash_of` gives the hashes of those that are in.
    pub(super) fn insert(&mut self, hash: u64, place: usize, hash_of: impl Fn(usize) -> u64) {
        debug_assert!(place < MOST);
        if (self.len + 1) * 6 > self.slots.len() * 5 {
            self.grow(hash_of);
        }
        self.put(mark(hash) | (place as u32 + 1), hash);
        self.len += 1;
    }

    /// Takes a place out. `hash_of` gives the hashes of all that are in.
    pub(super) fn remove(&mut self, hash: u64, place: usize, hash_of: impl Fn(usize) -> u64) {
        let Some(mut hole) = self.slot_of(hash, place) else {
            return;
        };
        self.len -= 1;
        let n = self.slots.len();
        let mut next = hole;
        loop {
            next = (next + 1) % n;
            let entry = self.slots[next];
            if entry == 0 {
                break;
            }
            // What stands behind the hole and would have liked to stand at it or before moves into it.
            let home = home(hash_of(self::place(entry)), n);
            if (next + n - home) % n >= (next + n - hole) % n {
                self.slots[hole] = entry;
                hole = next;
            }
        }
        self.slots[hole] = 0;
    }

    /// Puts an entry's new place where its old one stood.
    pub(super) fn relocate(&mut self, hash: u64, from: usize, to: usize) {
        if let Some(slot) = self.slot_of(hash, from) {
            self.slots[slot] = mark(hash) | (to as u32 + 1);
        }
    }

    /// Exchanges the places of two entries.
    pub(super) fn exchange(&mut self, one: (u64, usize), other: (u64, usize)) {
        let slots = (self.slot_of(one.0, one.1), self.slot_of(other.0, other.1));
        if let (Some(slot), Some(other_slot)) = slots {
            self.slots[slot] = mark(one.0) | (other.1 as u32 + 1);
            self.slots[other_slot] = mark(other.0) | (one.1 as u32 + 1);
        }
    }

    /// Gives back what an emptier list doesn't need.
    pub(super) fn shrink(&mut self, hash_of: impl Fn(usize) -> u64) {
        // One slot is always free.
        self.resize(self.len + self.len / 2 + 1, hash_of);
    }

    /// Bytes it occupies on the heap.
    pub(super) fn heap(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    fn grow(&mut self, hash_of: impl Fn(usize) -> u64) {
        self.resize(self.slots.len() + self.slots.len() * 2 / 5 + 8, hash_of);
    }

    fn resize(&mut self, n: usize, hash_of: impl Fn(usize) -> u64) {
        let old = std::mem::replace(&mut self.slots, vec![0; n]);
        for entry in old.into_iter().filter(|entry| *entry != 0) {
            self.put(entry, hash_of(place(entry)));
        }
    }

    fn put(&mut self, entry: u32, hash: u64) {
        let n = self.slots.len();
        let mut slot = home(hash, n);
        while self.slots[slot] != 0 {
            slot = if slot + 1 == n { 0 } else { slot + 1 };
        }
        self.slots[slot] = entry;
    }

    fn slot_of(&self, hash: u64, place: usize) -> Option<usize> {
        let sought = mark(hash) | (place as u32 + 1);
        self.run(hash)
            .find(|(_, entry)| *entry == sought)
            .map(|(slot, _)| slot)
    }

    /// The slots that are taken and what is in them, from the hash's own to the first that is free. There always is a
    /// free one.
    fn run(&self, hash: u64) -> impl Iterator<Item = (usize, u32)> + '_ {
        let mut slot = home(hash, self.slots.len());
        std::iter::from_fn(move || {
            let entry = *self.slots.get(slot)?;
            let here = slot;
            slot = if slot + 1 == self.slots.len() {
                0
            } else {
                slot + 1
            };
            (entry != 0).then_some((here, entry))
        })
    }
}

/// Where a hash would like to stand: scaled from its upper half, so that any number of slots will do.
fn home(hash: u64, slots: usize) -> usize {
    (((hash >> 32) * slots as u64) >> 32) as usize
}

fn mark(hash: u64) -> u32 {
    (hash as u32) & !PLACE
}

fn place(entry: u32) -> usize {
    (entry & PLACE) as usize - 1
}
