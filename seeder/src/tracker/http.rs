//! The HTTP tracker: a thin shell over `wire::tracker::http`, which reads and writes, and `swarm::tracker`, which knows
//! who is where. `crate::http` takes the connections.

use crate::discover::trackers::OWN;
use crate::serve::Shared;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;
use swarm::tracker::{PackedPeers, Refusal};
use wire::tracker::SwarmCounts;
use wire::tracker::http::{self as form, Reply, RetryIn};

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `/announce`
    Announce,
    /// `/scrape`
    Scrape,
}

thread_local! {
    /// What an announce needs on its way, kept from one to the next.
    static SCRATCH: RefCell<(Vec<SocketAddr>, PackedPeers)> = RefCell::default();
}

impl Question {
    /// What a path asks for, where it is the tracker's.
    pub fn of(path: &[u8]) -> Option<Self> {
        match path {
            b"/announce" => Some(Self::Announce),
            b"/scrape" => Some(Self::Scrape),
            _ => None,
        }
    }

    /// Answers a query that came from an address to the one of ours that was reached: appends the body of the answer.
    /// Trackers say no in a 200, since clients read the reason only there.
    pub fn answer(
        self,
        shared: &Shared,
        query: &[u8],
        from: IpAddr,
        reached: IpAddr,
        into: &mut Vec<u8>,
    ) {
        match self {
            Self::Announce => announce(shared, query, from, reached, into),
            Self::Scrape => scrape(shared, query, into),
        }
    }
}

fn announce(shared: &Shared, query: &[u8], from: IpAddr, reached: IpAddr, into: &mut Vec<u8>) {
    let announce = match form::parse_announce(query) {
        Ok(announce) => announce,
        Err(error) => return refuse(shared, &error.to_string(), None, into),
    };
    if announce.peer_id == shared.settings.peer_id {
        return refuse(shared, OWN, None, into);
    }
    SCRATCH.with_borrow_mut(|(own, peers)| {
        super::own_addrs(shared, reached, from, own);
        let (now, seed) = (Instant::now(), rand::random());
        let tracker = &shared.tracker;
        let reply = match tracker.announce(now, &announce, from, own, seed, peers) {
            Ok(reply) => reply,
            Err(refusal) => {
                let retry = match refusal {
                    Refusal::Retired => Some(RetryIn::Never),
                    Refusal::TooOften { retry_in } => Some(RetryIn::After(retry_in)),
                    _ => None,
                };
                return refuse(shared, &refusal.to_string(), retry, into);
            }
        };
        shared.metrics.announces.add(1);
        if reply.arrived {
            shared.statistics.arrived(&announce.swarm, from);
        }
        let reply = Reply {
            interval: reply.interval,
            min_interval: reply.min_interval,
            counts: SwarmCounts {
                complete: reply.complete,
                incomplete: reply.incomplete,
                downloaded: reply.downloaded,
            },
            external_ip: Some(reply.external_ip),
            peers: &peers.v4,
            peers6: &peers.v6,
        };
        reply.write(into);
    });
}

fn scrape(shared: &Shared, query: &[u8], into: &mut Vec<u8>) {
    match form::parse_scrape(query) {
        Ok(swarms) => {
            shared.metrics.scrapes.add(1);
            let known = |swarm| Some((swarm, shared.tracker.scrape(&swarm)?));
            form::write_scrape(swarms.into_iter().filter_map(known), into);
        }
        Err(error) => refuse(shared, &error.to_string(), None, into),
    }
}

fn refuse(shared: &Shared, reason: &str, retry: Option<RetryIn>, into: &mut Vec<u8>) {
    shared.metrics.announces_refused.add(1);
    form::write_failure(reason, retry, into);
}
