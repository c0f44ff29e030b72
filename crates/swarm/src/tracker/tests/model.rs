//! The store against naive models: a map, and nothing clever.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const PER_ADDRESS: usize = 2;
const PER_SWARM: usize = 6;

fn limits() -> Limits {
    Limits {
        peers_per_address: PER_ADDRESS,
        peers_per_swarm: PER_SWARM,
        peers_per_socket: 2,
        address_rate: 0,
        offer_rate: 0,
        ..Limits::default()
    }
}

struct Native {
    id: u8,
    complete: bool,
    seen: u64,
}

/// One step: who, where, as what, and how long after the last.
type Step = (u8, u16, u8, u64, u8, u64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0u8..5, 0u16..3, 0u8..8, 0u64..2, 0u8..8, 0u64..400);
    proptest::collection::vec(step, 0..150)
}

proptest! {
    #[test]
    fn native_peers_are_a_map_by_address(steps in steps()) {
        let mut story = Story::new(limits());
        // From its first call on the tracker counts time.
        story.tracker.expire(story.now);
        let mut model: BTreeMap<(u8, u16), Native> = BTreeMap::new();
        let (mut time, mut completions) = (0, BTreeSet::new());
        for (host, port, id, left, event, wait) in steps {
            time += wait;
            story.pass(wait);
            // One in eight comes under another id.
            let id = id / 7;
            let tick = time / 4;
            let key = (host, port);
            let event = match event {
                0 => Event::Stopped,
                1 => Event::Completed,
                _ => Event::Regular,
            };
            let left = if event == Event::Completed { 0 } else { left };
            let addr = format!("1.1.1.{host}:{}", port + 2000);
            let (reply, peers) = story.announce_as(&addr, &format!("id {id}"), left, event);
            let full = model.len() >= PER_SWARM
                || model.keys().filter(|(h, _)| *h == host).count() >= PER_ADDRESS;
            let mut arrived = false;
            match model.get_mut(&key) {
                None if event == Event::Stopped || full => {}
                None => {
                    arrived = true;
                    let complete = left == 0;
                    model.insert(key, Native { id, complete, seen: tick });
                }
                // 750 seconds are 187.5 ticks.
                Some(it) if it.id != id && (event == Event::Stopped || tick - it.seen <= 188) => {}
                Some(_) if event == Event::Stopped => {
                    model.remove(&key);
                }
                Some(it) => {
                    if event == Event::Completed && !it.complete {
                        // Of one address once, whoever it is.
                        completions.insert(key);
                    }
                    (it.id, it.complete, it.seen) = (id, left == 0, tick);
                }
            }
            prop_assert_eq!(reply.arrived, arrived);
            if event != Event::Stopped {
                let fits = |(other, it): &(&(u8, u16), &Native)| {
                    **other != key && (left > 0 || !it.complete)
                };
                let at = |host: u8, port: u16| format!("1.1.1.{host}:{}", port + 2000);
                let others: Vec<_> = model.iter().filter(fits).collect();
                let near = others.iter().filter(|(other, it)| other.0 == host && it.id != id).count();
                let far: Vec<String> = others
                    .iter()
                    .filter(|(other, _)| other.0 != host)
                    .map(|(other, _)| at(other.0, other.1))
                    .collect();
                let expected = 1 + far.len() + if far.is_empty() { near } else { near.min(1) };
                prop_assert_eq!(peers.len(), expected);
                let given: Vec<String> = peers.iter().map(SocketAddr::to_string).collect();
                prop_assert!(far.iter().all(|addr| given.contains(addr)));
            } else {
                prop_assert!(peers.is_empty());
            }
            story.tracker.expire(story.now);
            model.retain(|_, it| tick - it.seen <= 1500 / 4);
            let complete = model.values().filter(|it| it.complete).count() as u32;
            let incomplete = model.len() as u32 - complete;
            prop_assert_eq!(story.scrape(), (complete + 1, incomplete, completions.len() as u32));
        }
    }

    #[test]
    fn browsers_are_a_map_by_peer_id(steps in steps()) {
        let mut story = Story::introducing(limits());
        story.tracker.expire(story.now);
        // Peer id to socket, address, completeness, tick.
        let mut model: BTreeMap<u8, (u16, u8, bool, u64)> = BTreeMap::new();
        let mut time = 0;
        for (host, socket, peer, left, event, wait) in steps {
            time += wait / 4;
            story.pass(wait / 4);
            let tick = time / 4;
            let from = IpAddr::from([1, 1, 1, host]);
            if event == 1 {
                story.tracker.close_socket(story.now, SocketId(socket.into()), &[SWARM]);
                model.retain(|_, it| it.0 != socket);
            } else {
                let event = if event == 0 { Event::Stopped } else { Event::Regular };
                let announce = BrowserAnnounce {
                    peer_id: id(&format!("peer {peer}")),
                    from,
                    left: Some(left),
                    event,
                    ..browser(socket.into())
                };
                let full = model.len() >= PER_SWARM
                    || model.values().filter(|it| it.0 == socket).count() >= 2
                    || model.values().filter(|it| it.1 == host).count() >= PER_ADDRESS;
                let reply = story.try_browse(&announce);
                match model.get_mut(&peer) {
                    Some(it) if it.0 != socket => {
                        prop_assert_eq!(reply, Err(Refusal::PeerIdTaken));
                    }
                    Some(_) if event == Event::Stopped => {
                        prop_assert!(reply.unwrap().1.is_empty());
                        model.remove(&peer);
                    }
                    Some(it) => {
                        prop_assert!(!reply.unwrap().0.arrived);
                        (it.2, it.3) = (left == 0, tick);
                    }
                    None if event == Event::Stopped || full => {
                        prop_assert!(!reply.unwrap().0.arrived);
                    }
                    None => {
                        let (reply, targets) = reply.unwrap();
                        prop_assert!(reply.arrived);
                        for socket_of_target in sockets(&targets) {
                            prop_assert_ne!(socket_of_target, u64::from(socket));
                            let of_target = |it: &&(u16, u8, bool, u64)| u64::from(it.0) == socket_of_target;
                            prop_assert!(model.values().any(|it| of_target(&it)));
                        }
                        model.insert(peer, (socket, host, left == 0, tick));
                    }
                }
            }
            story.tracker.expire(story.now);
            model.retain(|_, it| tick - it.3 <= 300 / 4);
            let complete = model.values().filter(|it| it.2).count() as u32;
            let incomplete = model.len() as u32 - complete;
            prop_assert_eq!(story.scrape(), (complete + 1, incomplete, 0));
        }
    }
}
