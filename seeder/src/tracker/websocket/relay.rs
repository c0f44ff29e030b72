//! What a browser's message does: the store is asked, the browser is answered, offers and answers are passed on to
//! the sockets that the store names. Bytes come as whole messages and go out into queues; no socket is touched here.

use super::outgoing::{Ending, Outgoing, Weight};
use super::{Sockets, frames};
use metainfo::SwarmHash;
use std::net::IpAddr;
use std::sync::Arc;
use swarm::tracker::{Area, BrowserAnnounce, BrowserReply, Introduction, Member, SocketId, Target};
use tokio::time::Instant;
use wire::tracker::websocket::{
    Action, Announce, Answer, BadMessage, Offer, P2p, Reply, Request, parse, write_answer,
    write_failure, write_offer, write_reply, write_scrape,
};
use wire::tracker::{Event, SwarmCounts};

/// How many torrents one socket may announce.
const MAX_SWARMS: usize = 1024;

/// One browser, as what it says is judged.
pub(super) struct Browser {
    pub(super) sockets: Arc<Sockets>,
    pub(super) id: SocketId,
    pub(super) outgoing: Arc<Outgoing>,
    from: IpAddr,
    area: Area,
    /// Where it is a member: what it leaves when the socket closes.
    swarms: Vec<SwarmHash>,
    allowance: Allowance,
}

impl Browser {
    pub(super) fn new(
        sockets: Arc<Sockets>,
        id: SocketId,
        outgoing: Arc<Outgoing>,
        from: IpAddr,
        now: Instant,
    ) -> Self {
        let area = sockets.statistics.area(from);
        let allowance = Allowance::new(&sockets, now);
        Self {
            sockets,
            id,
            outgoing,
            from,
            area,
            swarms: Vec::new(),
            allowance,
        }
    }

    /// Counts one frame against what a socket may send. `Ok(false)`: too many, pass it over.
    pub(super) fn allow(&mut self, now: Instant) -> Result<bool, Ending> {
        self.allowance.refill(&self.sockets, now);
        self.allowance.messages -= 1.0;
        if self.allowance.messages >= 0.0 {
            return Ok(true);
        }
        self.sockets.metrics.ws_messages_dropped.add(1);
        let burst = f64::from(self.sockets.limits.messages_per_second) * BURST_SECONDS;
        if self.allowance.messages < -burst {
            return Err(Ending::Flood);
        }
        Ok(false)
    }

    /// Does what a message asks for.
    pub(super) fn message(
        &mut self,
        now: Instant,
        message: &[u8],
        targets: &mut Vec<Target>,
    ) -> Result<(), Ending> {
        self.sockets.metrics.ws_messages.add(1);
        match parse(message) {
            Ok(Request::Announce(announce)) => self.announce(now, &announce, targets),
            Ok(Request::Answer(answer)) => {
                self.answer(&answer);
                Ok(())
            }
            Ok(Request::Scrape(swarms)) => self.scrape(&swarms),
            Err(error) => {
                let told = self.say(|out| {
                    write_failure(out, Action::Announce, None, &error.to_string());
                });
                told?;
                Err(match error {
                    BadMessage::TooLong | BadMessage::DescriptionTooLong => Ending::TooLong,
                    _ => Ending::Malformed,
                })
            }
        }
    }

    fn announce(
        &mut self,
        now: Instant,
        announce: &Announce<'_>,
        targets: &mut Vec<Target>,
    ) -> Result<(), Ending> {
        let sockets = self.sockets.clone();
        let metrics = &sockets.metrics;
        let is_new = !self.swarms.contains(&announce.swarm);
        if is_new && self.swarms.len() >= MAX_SWARMS {
            metrics.ws_swarms_refused.add(1);
            return self.say(|out| {
                let reason = "too many torrents over one connection";
                write_failure(out, Action::Announce, Some(&announce.swarm), reason);
            });
        }
        let marked = announce.offers.iter().filter(|offer| offer.to_seeder);
        let n_marked = marked.clone().count();
        let asked = BrowserAnnounce {
            swarm: announce.swarm,
            peer_id: announce.peer_id,
            socket: self.id,
            from: self.from,
            area: self.area,
            left: announce.left,
            event: announce.event,
            offers: announce.offers.len() - n_marked,
            position_ms: announce.position_ms,
            wants_seeder: n_marked > 0,
        };
        let reply =
            sockets
                .tracker
                .announce_browser(now.into_std(), &asked, rand::random(), targets);
        let reply = match reply {
            Ok(reply) => reply,
            Err(refusal) => {
                metrics.announces_refused.add(1);
                return self.say(|out| {
                    let reason = refusal.to_string();
                    write_failure(out, Action::Announce, Some(&announce.swarm), &reason);
                });
            }
        };
        metrics.announces.add(1);
        if reply.arrived {
            sockets.statistics.arrived(&announce.swarm, self.from);
        }
        // Kept when it stops: another peer of the same socket may still be there.
        if is_new && announce.event != Event::Stopped {
            self.swarms.push(announce.swarm);
        }
        let mut unmarked = announce.offers.iter().filter(|offer| !offer.to_seeder);
        let mut marked = marked;
        let mut placed = 0;
        for target in targets.iter() {
            match target {
                Target::Viewer(member) => {
                    let Some(offer) = unmarked.next() else { break };
                    placed += 1;
                    self.pass_on(announce, offer, member.socket);
                }
                Target::Seeder => {
                    let Some(offer) = marked.next().or_else(|| unmarked.next()) else {
                        break;
                    };
                    placed += 1;
                    sockets.to_seeder(announce, offer, self.id);
                }
            }
        }
        let unplaced = announce.offers.len() - placed;
        metrics.ws_offers_unplaced.add(unplaced as u64);
        metrics.ws_offers_surplus.add(announce.surplus as u64);
        self.say(|out| write_reply(out, &announce.swarm, &reply_of(&reply)))
    }

    fn pass_on(&mut self, announce: &Announce<'_>, offer: &Offer<'_>, to: SocketId) {
        let metrics = &self.sockets.metrics;
        if !self.allowance.spend(offer.sdp.json().len()) {
            return metrics.ws_descriptions_dropped.add(1);
        }
        // Offers are dropped first: the other half of the queue is for answers and replies.
        let most = self.sockets.limits.queue / 2;
        let passed = self.sockets.registry.get(to).is_some_and(|other| {
            other.push(&self.sockets.budget, most, Weight::Light, |out| {
                frames::text(out, |out| {
                    write_offer(out, &announce.swarm, &announce.peer_id, offer);
                });
            })
        });
        match passed {
            true => metrics.ws_offers_relayed.add(1),
            false => metrics.ws_offers_dropped_slow.add(1),
        }
    }

    fn answer(&mut self, answer: &Answer<'_>) {
        let sockets = &self.sockets;
        let metrics = &sockets.metrics;
        if !self.allowance.spend(answer.sdp.json().len()) {
            return metrics.ws_descriptions_dropped.add(1);
        }
        let from = Member {
            socket: self.id,
            peer_id: answer.peer_id,
        };
        // The other may have left meanwhile, which is nobody's fault.
        let to = sockets.tracker.answer(&answer.swarm, from, answer.to);
        let Some(other) = to.and_then(|id| sockets.registry.get(id)) else {
            return metrics.ws_answers_unplaced.add(1);
        };
        let most = sockets.limits.queue;
        let passed = other.push(&sockets.budget, most, Weight::Heavy, |out| {
            frames::text(out, |out| write_answer(out, answer));
        });
        if passed {
            metrics.ws_answers_relayed.add(1);
        } else {
            other.end(Ending::Slow);
        }
    }

    fn scrape(&mut self, swarms: &[SwarmHash]) -> Result<(), Ending> {
        let sockets = self.sockets.clone();
        let counts: Vec<_> = swarms
            .iter()
            .filter_map(|swarm| Some((*swarm, sockets.tracker.scrape(swarm)?)))
            .collect();
        sockets.metrics.scrapes.add(1);
        self.say(|out| write_scrape(out, &counts))
    }

    /// Answers the browser itself. One that doesn't even take the answers it asks for is closed.
    fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Ending> {
        self.queue(|out| frames::text(out, write))
    }

    /// Queues frames for the browser itself.
    pub(super) fn queue(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Ending> {
        let (budget, most) = (&self.sockets.budget, self.sockets.limits.queue);
        match self.outgoing.push(budget, most, Weight::Heavy, write) {
            true => Ok(()),
            false if budget.is_spent() => Err(Ending::Memory),
            false => Err(Ending::Slow),
        }
    }

    /// The socket is closed.
    pub(super) fn leave(&mut self, now: Instant) {
        self.sockets.registry.remove(self.id);
        self.outgoing.drain(&self.sockets.budget);
        self.sockets
            .tracker
            .close_socket(now.into_std(), self.id, &self.swarms);
    }
}

/// The store's reply as it stands on the wire.
fn reply_of(reply: &BrowserReply) -> Reply {
    Reply {
        interval: Some(reply.interval),
        counts: SwarmCounts {
            complete: reply.complete,
            incomplete: reply.incomplete,
            downloaded: reply.downloaded,
        },
        p2p: match reply.p2p {
            Introduction::Go => P2p::Go,
            Introduction::Wait => P2p::Wait,
        },
        offers_wanted: reply.offers_wanted,
    }
}

/// How many seconds' worth may come at once: a page that knows many releases announces all of them when it opens.
const BURST_SECONDS: f64 = 30.0;

/// What a socket may still send: a token bucket for messages, one for descriptions.
struct Allowance {
    messages: f64,
    bytes: f64,
    at: Instant,
}

impl Allowance {
    fn new(sockets: &Sockets, now: Instant) -> Self {
        Self {
            messages: f64::from(sockets.limits.messages_per_second) * BURST_SECONDS,
            bytes: f64::from(sockets.limits.description_bytes_per_second) * BURST_SECONDS,
            at: now,
        }
    }

    fn refill(&mut self, sockets: &Sockets, now: Instant) {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let fill = |level: &mut f64, rate: u32| {
            let rate = f64::from(rate);
            *level = (*level + seconds * rate).min(rate * BURST_SECONDS);
        };
        fill(&mut self.messages, sockets.limits.messages_per_second);
        fill(&mut self.bytes, sockets.limits.description_bytes_per_second);
    }

    /// Takes so many bytes of descriptions, if anything is left.
    fn spend(&mut self, bytes: usize) -> bool {
        let may = self.bytes > 0.0;
        if may {
            self.bytes -= bytes as f64;
        }
        may
    }
}
