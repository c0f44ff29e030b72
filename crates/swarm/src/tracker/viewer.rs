//! Announces, answers and departures of browsers, which come over WebSocket.

use super::Tracker;
use super::browsers::{Arrival, Entered};
use super::counters::Count;
use super::exchange::{
    BrowserAnnounce, BrowserReply, Introduction, Member, Refusal, SocketId, Target,
};
use super::interval::{tick, ticks};
use super::introduce::{Asker, introduce};
use super::native::about;
use super::swarm::Swarm;
use crate::random::Random;
use metainfo::ids::{PeerId, SwarmHash};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// In a swarm of fewer browsers, and while they aren't introduced, the seeder takes an offer of one that doesn't know
/// that it can ask for that.
const THIN: usize = 4;

impl Tracker {
    /// Enters, refreshes or removes a browser, and says to whom its offers go: offer i to `targets[i]`, the rest to
    /// nobody. [`Target::Seeder`] comes last; where the browser brought an offer marked for the seeder it is that
    /// one's, otherwise an offer like the others is. `targets` is cleared and filled. `seed` as in
    /// [`announce`](Self::announce).
    ///
    /// A browser for which there is no room is answered, but in no swarm: it is given no target, and nobody is
    /// given it.
    pub fn announce_browser(
        &self,
        now: Instant,
        announce: &BrowserAnnounce,
        seed: u64,
        targets: &mut Vec<Target>,
    ) -> Result<BrowserReply, Refusal> {
        targets.clear();
        let since = self.since(now);
        let subscriber = self.keyed.subscriber(announce.from.to_canonical());
        self.admit(subscriber, since)?;
        let swarms = self.swarms.load();
        let swarm = self.find(&swarms, &announce.swarm, subscriber)?;
        let mut random = Random::new(seed);
        let (entered, p2p, n) = {
            let mut browsers = swarm.browsers_for_entry().lock();
            // Under the lock, so that whoever is told to wait is found by those who wake.
            let p2p = swarm.introduction(self.load());
            let arrival = Arrival {
                announce,
                subscriber,
                now: tick(since),
                waits: p2p == Introduction::Wait,
            };
            let before = browsers.size();
            let entered = browsers.enter(&arrival, &self.limits, self.keyed);
            let after = browsers.size();
            if before != after {
                swarm.note_browsers(before, after);
            }
            if let Entered::Arrived(place) | Entered::Known { place, .. } = entered {
                let others = after.len() - 1;
                let alone = p2p == Introduction::Wait || others < THIN;
                let seeder = self.seeder_takes(announce, swarm, alone);
                let brought = announce.offers - usize::from(seeder && !announce.wants_seeder);
                let most = if p2p == Introduction::Go {
                    self.grant(brought.min(others), subscriber, since)
                } else {
                    0
                };
                let asker = Asker {
                    place,
                    most,
                    most_received: self.limits.offers_per_announce,
                    window: ticks(self.limits.offer_window),
                    now: arrival.now,
                };
                introduce(&mut browsers, &asker, self.keyed, &mut random, targets);
                let viewers = targets.len() as u64;
                self.counted.add(subscriber, Count::Offers, viewers);
                if seeder {
                    self.counted.add(subscriber, Count::SeederOffers, 1);
                    targets.push(Target::Seeder);
                }
            }
            (entered, p2p, after.len())
        };
        let bites = match entered {
            Entered::PeerIdTaken => {
                self.counted.add(subscriber, Count::PeerIdTaken, 1);
                return Err(Refusal::PeerIdTaken);
            }
            Entered::SwarmFull => Some(Count::SwarmFull),
            Entered::SocketFull => Some(Count::SocketFull),
            Entered::AddressFull => Some(Count::AddressFull),
            Entered::Arrived(_) => {
                swarm.note_arrival();
                None
            }
            Entered::Known { completion, .. } => {
                let peer = self.keyed.peer_id(&announce.peer_id);
                if completion && self.is_first_of(swarm, peer) {
                    swarm.note_completion();
                }
                None
            }
            Entered::Gone => None,
        };
        if let Some(count) = bites {
            self.counted.add(subscriber, count, 1);
        }
        self.counted.add(subscriber, Count::BrowserAnnounces, 1);
        let is_in = matches!(entered, Entered::Arrived(_) | Entered::Known { .. });
        let counts = swarm.counts();
        Ok(BrowserReply {
            interval: about(self.browser_interval.now(), &mut random),
            complete: counts.complete,
            incomplete: counts.incomplete,
            downloaded: counts.downloaded,
            p2p,
            offers_wanted: if is_in && p2p == Introduction::Go {
                let others = u32::try_from(n - 1).unwrap_or(u32::MAX);
                self.offers_wanted.load(Ordering::Relaxed).min(others)
            } else {
                0
            },
            arrived: matches!(entered, Entered::Arrived(_)),
        })
    }

    /// Where the answer of `from` to an offer of `to` goes; `None` unless such an offer was handed to that socket in
    /// this swarm, as one of the last dozen. What `from` calls itself is not looked at: libtorrent takes another peer id
    /// for each answer.
    pub fn answer(&self, swarm: &SwarmHash, from: Member, to: PeerId) -> Option<SocketId> {
        let to = self
            .swarms
            .load()
            .get(swarm)
            .and_then(|swarm| swarm.browsers())
            .and_then(|browsers| browsers.lock().answer(from.socket, &to, self.keyed));
        let count = if to.is_some() {
            Count::Answers
        } else {
            Count::AnswersRefused
        };
        self.counted.add(self.keyed.number(from.socket.0), count, 1);
        to
    }

    /// A socket is gone: takes its peers out of the swarms it announced to.
    pub fn close_socket(&self, _now: Instant, socket: SocketId, swarms: &[SwarmHash]) {
        let all = self.swarms.load();
        for swarm in swarms.iter().filter_map(|swarm| all.get(swarm)) {
            if let Some(browsers) = swarm.browsers() {
                let mut browsers = browsers.lock();
                let before = browsers.size();
                browsers.close(socket, &self.limits, self.keyed);
                swarm.note_browsers(before, browsers.size());
            }
        }
    }

    /// Whether the seeder takes an offer, which then is one less that it takes. `alone` says that there are no viewers to
    /// speak of that it could go to.
    fn seeder_takes(&self, announce: &BrowserAnnounce, swarm: &Swarm, alone: bool) -> bool {
        let asked = announce.wants_seeder || (announce.offers > 0 && alone);
        let needed = announce.left != Some(0);
        asked
            && needed
            && swarm.is_seeded()
            && self
                .seeder_room
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                    room.checked_sub(1)
                })
                .is_ok()
    }

    /// How many of so many offers may be passed on now.
    fn grant(&self, offers: usize, subscriber: u64, since: Duration) -> usize {
        let now = since.as_micros() as u64;
        let asked = offers.min(self.limits.offers_per_announce);
        let granted = match self.rate.take(subscriber, asked as u32, now) {
            Ok(()) => self.offers.take(asked, now),
            Err(_) => 0,
        };
        if granted < asked {
            let refused = (asked - granted) as u64;
            self.counted.add(subscriber, Count::OffersRefused, refused);
        }
        granted
    }
}
