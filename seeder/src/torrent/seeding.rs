//! A torrent that is held whole: what is shown to whom while copies are scarce.

use super::member::Member;
use super::{About, Scarce};
use crate::library::figures::TorrentFigures;
use metainfo::Geometry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use swarm::divide::Standing;
use swarm::spread::{Mode, Reveal, Spread, World};
use wire::bitfield::Bitfield;
use wire::connection::{Command, Event, Own};

/// What a seed keeps of its swarm.
pub(super) struct Seeding {
    spread: Spread,
    /// It may hold pieces back.
    is_on: bool,
    geometry: Geometry,
    figures: Arc<TorrentFigures>,
    scarce: Arc<Scarce>,
    told_first_copy: bool,
}

impl Seeding {
    pub(super) fn new(about: &About, scarce: Arc<Scarce>) -> Self {
        Self {
            spread: Spread::new(Instant::now(), about.geometry, rand::random()),
            is_on: about.spread,
            geometry: about.geometry,
            figures: about.figures.clone(),
            scarce,
            told_first_copy: false,
        }
    }

    /// A peer has come; gives what it is shown at the start.
    pub(super) fn join(&mut self, now: Instant, key: u64, world: World) -> Own {
        match self.spread.handle_join(now, key, world) {
            Mode::Spreading if self.is_on => Own::Some(Bitfield::none(self.geometry.n_pieces())),
            Mode::Plain | Mode::Spreading => Own::All,
        }
    }

    pub(super) fn leave(&mut self, now: Instant, key: u64) {
        self.spread.handle_leave(now, key);
    }

    pub(super) fn handle_event(&mut self, now: Instant, key: u64, member: &Member, event: &Event) {
        let n_pieces = self.geometry.n_pieces();
        let spread = &mut self.spread;
        match event {
            Event::Interested(interested) => spread.handle_interest(now, key, *interested),
            Event::Have(piece) => {
                spread.handle_sent(now, key, member.sent());
                spread.handle_have(now, key, *piece);
            }
            Event::DontHave(piece) => spread.handle_dont_have(now, key, *piece),
            Event::Bitfield(field) => {
                spread.handle_sent(now, key, member.sent());
                spread.handle_bitfield(now, key, field);
            }
            Event::HasAll => {
                spread.handle_sent(now, key, member.sent());
                spread.handle_bitfield(now, key, &Bitfield::all(n_pieces));
            }
            Event::HasNone => spread.handle_bitfield(now, key, &Bitfield::none(n_pieces)),
            _ => {}
        }
    }

    pub(super) fn handle_choked(&mut self, now: Instant, key: u64, choked: bool) {
        self.spread.handle_choked(now, key, choked);
    }

    /// Whether a peer needs no slot, since it is shown no more than goes.
    pub(super) fn is_metered(&self, key: u64) -> bool {
        self.is_on && self.spread.metered(key)
    }

    /// So many bytes of payload have been sent to a peer in all.
    pub(super) fn handle_sent(&mut self, now: Instant, key: u64, sent: u64) {
        self.spread.handle_sent(now, key, sent);
    }

    /// Whether somebody waits for the uplink.
    pub(super) fn handle_uplink(&mut self, is_busy: bool) {
        self.spread.handle_uplink(is_busy);
    }

    /// How many times a peer had so much to come that it was shown no more.
    pub(super) fn n_withheld(&self) -> u64 {
        self.spread.n_withheld()
    }

    /// Shows what is to be shown. Says which peers have been shown everything.
    pub(super) fn reveal(&mut self, now: Instant, members: &HashMap<u64, Member>) {
        if !self.is_on {
            return;
        }
        while let Some((key, reveal)) = self.spread.poll_reveal(now) {
            if let Some(member) = members.get(&key) {
                member.command(match reveal {
                    Reveal::Piece(piece) => Command::Show(piece),
                    Reveal::All => Command::ShowAll,
                });
            }
        }
    }

    pub(super) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        self.spread.next_timeout(now).filter(|_| self.is_on)
    }

    /// What the torrent has to show for its share of the uplink.
    pub(super) fn standing(&self, interested: usize) -> Standing {
        let present = self.worlds();
        let copies = present.iter().map(|world| self.spread.copies(*world));
        let spreading = |world: &World| self.spread.mode(*world) == Mode::Spreading;
        Standing {
            copies: copies.fold(f64::INFINITY, f64::min),
            spreading: self.is_on && present.iter().any(spreading),
            interested,
            propagation: self.spread.propagation(),
        }
    }

    fn worlds(&self) -> Vec<World> {
        let has = |world: &World| self.spread.n_peers(*world) > 0;
        [World::Native, World::Browser]
            .into_iter()
            .filter(has)
            .collect()
    }

    /// Tells what is known of the swarm.
    pub(super) fn report(&mut self) {
        let present = self.worlds();
        let copies = |world| present.contains(&world).then(|| self.spread.copies(world));
        self.figures
            .set_copies(copies(World::Native), copies(World::Browser));
        let spreading = |world: &World| self.spread.mode(*world) == Mode::Spreading;
        let any = self.is_on && present.iter().any(spreading);
        self.figures.set_spreading(any);
        if let (false, Some(first)) = (self.told_first_copy, self.spread.first_copy()) {
            self.told_first_copy = true;
            self.figures.first_copy(first.sent);
        }
        self.scarce.update(any, |piece| {
            let scarce = |piece| {
                let mut worlds = present.iter();
                worlds.any(|world| self.spread.is_scarce(*world, piece))
            };
            self.geometry.piece(piece).is_some_and(scarce)
        });
    }
}
