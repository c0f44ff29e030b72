//! A torrent that is held whole: what is shown to whom while copies are scarce.

use super::Scarce;
use super::member::Member;
use crate::library::figures::TorrentFigures;
use metainfo::Geometry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use swarm::spread::{Mode, Reveal, Spread, World};
use wire::bitfield::Bitfield;
use wire::connection::{Command, Event, Own};

/// What a seed keeps of its swarm.
pub(super) struct Seeding {
    spread: Spread,
    geometry: Geometry,
    figures: Arc<TorrentFigures>,
    scarce: Arc<Scarce>,
    told_first_copy: bool,
}

impl Seeding {
    pub(super) fn new(
        geometry: Geometry,
        figures: Arc<TorrentFigures>,
        scarce: Arc<Scarce>,
    ) -> Self {
        Self {
            spread: Spread::new(Instant::now(), geometry, rand::random()),
            geometry,
            figures,
            scarce,
            told_first_copy: false,
        }
    }

    /// A peer has come; gives what it is shown at the start.
    pub(super) fn join(&mut self, now: Instant, key: u64, world: World) -> Own {
        match self.spread.handle_join(now, key, world) {
            Mode::Plain => Own::All,
            Mode::Spreading => Own::Some(Bitfield::none(self.geometry.n_pieces())),
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
        self.spread.metered(key)
    }

    /// So many bytes of payload have been sent to a peer in all.
    pub(super) fn handle_sent(&mut self, now: Instant, key: u64, sent: u64) {
        self.spread.handle_sent(now, key, sent);
    }

    /// The peers that have come to be metered, or are no longer.
    pub(super) fn metered_news(&self, members: &mut HashMap<u64, Member>) -> Vec<(u64, bool)> {
        let news = members.iter_mut().filter_map(|(key, member)| {
            let is_metered = self.is_metered(*key);
            let was = std::mem::replace(&mut member.is_metered, is_metered);
            (was != is_metered).then_some((*key, is_metered))
        });
        news.collect()
    }

    /// Shows what is to be shown. Says which peers have been shown everything.
    pub(super) fn reveal(&mut self, now: Instant, members: &HashMap<u64, Member>) {
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
        self.spread.next_timeout(now)
    }

    /// Tells what is known of the swarm.
    pub(super) fn report(&mut self, members: &HashMap<u64, Member>) {
        let has = |world| members.values().any(|member| member.joining.world == world);
        let copies = |world| has(world).then(|| self.spread.copies(world));
        let worlds = [World::Native, World::Browser];
        let spreading = |world: &World| has(*world) && self.spread.mode(*world) == Mode::Spreading;
        self.figures
            .set_copies(copies(World::Native), copies(World::Browser));
        self.figures.set_spreading(worlds.iter().any(spreading));
        if let (false, Some(first)) = (self.told_first_copy, self.spread.first_copy()) {
            self.told_first_copy = true;
            self.figures.first_copy(first.sent);
        }
        let any = worlds.iter().any(spreading);
        self.scarce.update(any, |piece| {
            let Some(piece) = self.geometry.piece(piece) else {
                return false;
            };
            worlds
                .iter()
                .any(|world| has(*world) && self.spread.is_scarce(*world, piece))
        });
    }
}
