//! Rings of viewers of one /24 or /48, linked through their entries; the index holds one of each ring.

use super::{Browsers, Viewer};
use crate::tracker::keyed::Keyed;

impl Browsers {
    /// Others of a viewer's /24 or /48, at most so many; next time it will be those who stand behind them.
    pub(in crate::tracker) fn neighbours(
        &mut self,
        place: usize,
        most: usize,
        keyed: Keyed,
        into: &mut Vec<u32>,
    ) {
        let near = self.viewers[place].near;
        let Some(head) = self.ring(near, keyed) else {
            return;
        };
        let mut at = head;
        for _ in 0..most {
            into.push(at as u32);
            at = self.viewers[at].next as usize;
            if at == head {
                return;
            }
        }
        self.by_near.relocate(keyed.number(near), head, at);
    }

    /// Puts a viewer into the ring of its neighbours, where it has its turn last.
    pub(super) fn link(&mut self, place: usize, keyed: Keyed) {
        let near = self.viewers[place].near;
        let Some(head) = self.ring(near, keyed) else {
            let viewers = &self.viewers;
            self.by_near.insert(keyed.number(near), place, |place| {
                keyed.number(viewers[place].near)
            });
            return;
        };
        let before = self.viewers[head].previous;
        self.viewers[place].next = head as u32;
        self.viewers[place].previous = before;
        self.viewers[before as usize].next = place as u32;
        self.viewers[head].previous = place as u32;
    }

    pub(super) fn unlink(&mut self, place: usize, keyed: Keyed) {
        let Viewer {
            near,
            next,
            previous,
            ..
        } = self.viewers[place];
        let hash = keyed.number(near);
        if next as usize == place {
            let viewers = &self.viewers;
            self.by_near
                .remove(hash, place, |place| keyed.number(viewers[place].near));
        } else {
            self.viewers[previous as usize].next = next;
            self.viewers[next as usize].previous = previous;
            self.by_near.relocate(hash, place, next as usize);
        }
    }

    /// Tells the ring that a viewer will stand at another place.
    pub(super) fn move_in_ring(&mut self, from: usize, to: usize, keyed: Keyed) {
        let Viewer {
            near,
            next,
            previous,
            ..
        } = self.viewers[from];
        if next as usize == from {
            self.viewers[from].next = to as u32;
            self.viewers[from].previous = to as u32;
        } else {
            self.viewers[previous as usize].next = to as u32;
            self.viewers[next as usize].previous = to as u32;
        }
        self.by_near.relocate(keyed.number(near), from, to);
    }

    fn ring(&self, near: u64, keyed: Keyed) -> Option<usize> {
        let hash = keyed.number(near);
        self.by_near
            .find(hash, |place| self.viewers[place].near == near)
    }
}
