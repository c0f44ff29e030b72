//! What holds between the lists of a swarm's browsers, whatever comes and goes.

use super::*;
use crate::tracker::exchange::Area;
use metainfo::ids::SwarmHash;
use proptest::prelude::*;
use std::collections::BTreeSet;

const KEYED_BY: u64 = 7;

fn announce(socket: u64, peer: u8, net: u8, event: Event) -> BrowserAnnounce {
    BrowserAnnounce {
        swarm: SwarmHash([1; 20]),
        peer_id: PeerId([peer; 20]),
        socket: SocketId(socket),
        from: IpAddr::from([10, 0, net, peer]),
        area: Area::default(),
        left: Some(1),
        event,
        offers: 0,
        position_ms: None,
        wants_seeder: false,
    }
}

/// Every viewer's ring holds all of its /24 and nobody else, however it was turned.
fn check(browsers: &mut Browsers, keyed: Keyed) {
    for place in 0..browsers.viewers.len() {
        let near = browsers.viewers[place].near;
        let expected: BTreeSet<u32> = (0..browsers.viewers.len() as u32)
            .filter(|other| browsers.viewers[*other as usize].near == near)
            .collect();
        let mut ring = Vec::new();
        browsers.neighbours(place, 1000, keyed, &mut ring);
        assert_eq!(ring.len(), expected.len());
        assert_eq!(ring.into_iter().collect::<BTreeSet<_>>(), expected);
        browsers.neighbours(place, 2, keyed, &mut Vec::new());
        let viewer = &browsers.viewers[place];
        assert_eq!(browsers.place_of(&viewer.peer_id, keyed), Some(place));
        assert!(
            browsers
                .of_socket(viewer.socket, keyed)
                .any(|it| it == place)
        );
    }
}

proptest! {
    #[test]
    fn rings_and_indices_follow(
        steps in proptest::collection::vec((0u64..12, 0u8..40, 0u8..4, 0u8..6), 0..200)
    ) {
        let keyed = Keyed::new(KEYED_BY);
        let limits = Limits::default();
        let mut browsers = Browsers::default();
        for (now, (socket, peer, net, step)) in steps.into_iter().enumerate() {
            let now = now as u16;
            match step {
                0 => browsers.close(SocketId(socket), &limits, keyed),
                1 => {
                    browsers.expire(|seen| now - seen > 60, (usize::MAX, 1000), &limits, keyed);
                }
                _ => {
                    let event = if step == 2 { Event::Stopped } else { Event::Regular };
                    let arrival = Arrival {
                        announce: &announce(socket, peer, net, event),
                        subscriber: u64::from(peer) << 12,
                        now,
                        waits: false,
                    };
                    browsers.enter(&arrival, &limits, keyed);
                }
            }
            check(&mut browsers, keyed);
        }
    }
}
