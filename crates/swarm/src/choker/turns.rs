//! Whose turn it is at a seed. A pure function from what is known of each peer to the changes to make:
//!
//! - whoever wants something and finds a free slot gets it at once, who never had anything first;
//! - with all slots taken, whoever has had its turn (a quota of bytes and some time, or twice as long for the
//!   slow) makes place for the one that has waited longest: no ranking by speed, so slow peers aren't starved
//!   and fast ones aren't preferred;
//! - while somebody waits who never had anything, a turn is short: enough to have something to pass on;
//! - where there are more than slots, nobody is cut off: it ends with their turns;
//! - who wants nothing holds no slot, and is choked after a while.

use super::{Change, Policy};
use std::cmp::Reverse;
use std::time::Instant;

/// What is known of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PeerView {
    /// The caller's name for the peer.
    pub key: u64,
    /// Since when it has wanted something (`true`) or nothing (`false`).
    pub interest: (bool, Instant),
    /// Since when it has been choked (`true`) or unchoked (`false`).
    pub choked: (bool, Instant),
    /// Bytes sent since it was last unchoked.
    pub sent_this_turn: u64,
    /// Bytes sent in all.
    pub sent: u64,
}

/// Decides for so many slots. The order of the peers doesn't matter; ties go to the lower key.
pub(super) fn choose(
    now: Instant,
    peers: &[PeerView],
    slots: usize,
    policy: &Policy,
) -> Vec<Change> {
    let since = |at: Instant| now.saturating_duration_since(at);
    let mut changes = Vec::new();
    let mut tell = |peer: &PeerView, choke: bool| {
        changes.push(Change {
            key: peer.key,
            choke,
        });
    };
    let mut serving = Vec::new();
    let mut waiting = Vec::new();
    for peer in peers {
        match (peer.choked.0, peer.interest.0) {
            (true, true) => waiting.push(peer),
            (false, true) => serving.push(peer),
            // Requests may be under way when a peer stops wanting; it isn't cut off in the middle.
            (false, false) if since(peer.interest.1) >= policy.linger => tell(peer, true),
            (false | true, false) => {}
        }
    }
    // Waiting began when the peer was choked or became interested, whichever was later.
    waiting.sort_by_key(|peer| (peer.sent > 0, peer.interest.1.max(peer.choked.1), peer.key));
    let mut waiting = waiting.into_iter().peekable();
    for _ in serving.len()..slots {
        let Some(peer) = waiting.next() else {
            break;
        };
        tell(peer, false);
    }
    // Those who go first stand first: they have had most.
    serving.sort_by_key(|peer| (Reverse(peer.sent_this_turn), peer.key));
    let mut surplus = serving.len().saturating_sub(slots);
    for peer in serving {
        let next = waiting.peek();
        let is_needed = surplus > 0 || next.is_some();
        let for_newcomer = next.is_some_and(|next| next.sent == 0);
        if !is_needed || !turn_is_over(now, peer, for_newcomer, policy) {
            continue;
        }
        tell(peer, true);
        if surplus > 0 {
            surplus -= 1;
        } else if let Some(next) = waiting.next() {
            tell(next, false);
        }
    }
    changes
}

/// `for_newcomer`: who waits has never had anything.
fn turn_is_over(now: Instant, peer: &PeerView, for_newcomer: bool, policy: &Policy) -> bool {
    let held = now.saturating_duration_since(peer.choked.1);
    let (quota, turn) = if for_newcomer {
        (policy.first_quota, policy.first_turn)
    } else {
        (policy.quota, policy.turn)
    };
    (held >= turn && peer.sent_this_turn >= quota) || held >= 2 * policy.turn
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    const SLOTS: usize = 2;
    const POLICY: Policy = Policy {
        quota: 100,
        turn: Duration::from_secs(60),
        first_quota: 20,
        first_turn: Duration::from_secs(2),
        linger: Duration::from_secs(10),
        ..Policy::DEFAULT
    };
    const NOW: u64 = 1000;

    /// One peer in a line: key, state since how many seconds, bytes this turn, bytes in all.
    #[derive(Clone, Copy)]
    enum Is {
        Waiting(u64),
        Served(u64),
        Sated(u64),
        Idle,
    }

    fn view(start: Instant, (key, is, turn, all): (u64, Is, u64, u64)) -> PeerView {
        let ago = |seconds: u64| start + Duration::from_secs(NOW - seconds);
        let (interest, choked) = match is {
            Waiting(s) => ((true, ago(s)), (true, ago(s))),
            Served(s) => ((true, ago(s)), (false, ago(s))),
            Sated(s) => ((false, ago(s)), (false, ago(s + 1))),
            Idle => ((false, ago(50)), (true, ago(50))),
        };
        PeerView {
            key,
            interest,
            choked,
            sent_this_turn: turn,
            sent: all,
        }
    }

    #[track_caller]
    fn check(peers: &[(u64, Is, u64, u64)], choked: &[u64], unchoked: &[u64]) {
        let start = epoch();
        let views: Vec<_> = peers.iter().map(|peer| view(start, *peer)).collect();
        let changes = choose(start + Duration::from_secs(NOW), &views, SLOTS, &POLICY);
        let keys = |choke| {
            changes
                .iter()
                .filter(|c| c.choke == choke)
                .map(|c| c.key)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (keys(true), keys(false)),
            (choked.to_vec(), unchoked.to_vec())
        );
    }

    use Is::*;

    #[test]
    fn a_free_slot_goes_to_whoever_waited_longest() {
        check(&[], &[], &[]);
        check(&[(1, Idle, 0, 0)], &[], &[]);
        check(&[(1, Waiting(0), 0, 0)], &[], &[1]);
        check(
            &[
                (1, Waiting(1), 0, 0),
                (2, Waiting(9), 0, 0),
                (3, Waiting(5), 0, 0),
            ],
            &[],
            &[2, 3],
        );
        check(&[(1, Served(500), 0, 0), (2, Waiting(9), 0, 0)], &[], &[2]);
    }

    #[test]
    fn nobody_loses_a_slot_that_nobody_wants() {
        check(
            &[(1, Served(500), 900, 900), (2, Served(500), 900, 900)],
            &[],
            &[],
        );
        check(
            &[(1, Served(500), 900, 900), (2, Waiting(1), 0, 900)],
            &[],
            &[2],
        );
    }

    #[test]
    fn a_turn_ends_with_quota_and_minute_or_with_two_minutes() {
        let wait = (9, Waiting(3), 0, 70);
        check(
            &[(1, Served(59), 500, 500), (2, Served(70), 99, 500), wait],
            &[],
            &[],
        );
        check(
            &[(1, Served(61), 500, 500), (2, Served(70), 99, 500), wait],
            &[1],
            &[9],
        );
        check(
            &[(1, Served(61), 50, 500), (2, Served(121), 1, 500), wait],
            &[2],
            &[9],
        );
        // Both turns are over, one waits: who has had more goes.
        check(
            &[(1, Served(90), 500, 500), (2, Served(90), 600, 600), wait],
            &[2],
            &[9],
        );
        let two = [
            (1, Served(90), 500, 500),
            (2, Served(90), 600, 600),
            wait,
            (8, Waiting(4), 0, 70),
        ];
        check(&two, &[2, 1], &[8, 9]);
    }

    #[test]
    fn somebody_new_waits_for_a_short_turn_only() {
        let new = (9, Waiting(1), 0, 0);
        let old = (8, Waiting(30), 0, 10);
        check(
            &[(1, Served(20), 50, 500), (2, Served(30), 60, 600), old, new],
            &[2],
            &[9],
        );
        let two = [(1, Served(1), 50, 500), (2, Served(30), 10, 600)];
        check(&[two[0], two[1], old, new], &[], &[]);
        // With the newcomer in, the next turn is a whole one again.
        check(
            &[(1, Served(20), 50, 500), (2, Served(1), 5, 5), old],
            &[],
            &[],
        );
        // A free slot goes to who never had anything, whoever waited longer.
        check(&[two[0], old, new], &[], &[9]);
    }

    #[test]
    fn who_wants_nothing_holds_no_slot() {
        check(
            &[
                (1, Sated(3), 5, 5),
                (2, Served(3), 5, 5),
                (3, Waiting(1), 0, 5),
            ],
            &[],
            &[3],
        );
        check(&[(1, Sated(10), 5, 5)], &[1], &[]);
    }

    #[test]
    fn fewer_slots_than_before_cut_nobody_off() {
        let peers = [
            (1, Served(90), 500, 500),
            (2, Served(90), 900, 900),
            (3, Served(3), 7, 7),
            (4, Waiting(2), 0, 5),
        ];
        check(&peers, &[2, 1], &[4]);
        check(
            &[
                (1, Served(3), 5, 5),
                peers[2],
                (2, Served(3), 9, 9),
                peers[3],
            ],
            &[],
            &[],
        );
    }

    /// Runs a swarm of always hungry peers, each taking bytes at its own rate while unchoked.
    fn served_after(seconds: u64, rates: &[u64]) -> Vec<u64> {
        let start = epoch();
        let mut peers: Vec<_> = (0..rates.len() as u64)
            .map(|key| PeerView {
                key,
                interest: (true, start),
                choked: (true, start),
                sent_this_turn: 0,
                sent: 0,
            })
            .collect();
        for second in 0..seconds {
            let now = start + Duration::from_secs(second);
            for change in choose(now, &peers, SLOTS, &POLICY) {
                let peer = &mut peers[change.key as usize];
                assert_ne!(peer.choked.0, change.choke, "a change changes something");
                peer.choked = (change.choke, now);
                peer.sent_this_turn = 0;
            }
            assert!(peers.iter().filter(|peer| !peer.choked.0).count() <= SLOTS);
            for peer in peers.iter_mut().filter(|peer| !peer.choked.0) {
                peer.sent_this_turn += rates[peer.key as usize];
                peer.sent += rates[peer.key as usize];
            }
        }
        peers.iter().map(|peer| peer.sent).collect()
    }

    #[test]
    fn everybody_gets_in_within_seconds_and_nobody_starves() {
        let soon = served_after(80, &[10; 12]);
        assert!(soon.iter().all(|sent| *sent > 0), "{soon:?}");
        let day = served_after(4 * 3600, &[10; 12]);
        let (least, most) = (day.iter().min().unwrap(), day.iter().max().unwrap());
        assert!(most < &(2 * least), "{day:?}");
        // A slow peer has its slot twice as long, not for ever.
        let mixed = served_after(4 * 3600, &[1, 100, 100, 100]);
        assert!(mixed[0] > 1000, "{mixed:?}");
    }

    proptest! {
        #[test]
        fn slots_are_never_exceeded_and_never_left_free(
            peers in proptest::collection::vec((0u8..4, 0u64..200, 0u64..300, any::<bool>()), 0..12)
        ) {
            let start = epoch();
            let views: Vec<_> = peers.iter().zip(0u64..).map(|((is, ago, sent, new), key)| {
                let is = match is { 0 => Waiting(*ago), 1 => Served(*ago), 2 => Sated(*ago), _ => Idle };
                view(start, (key, is, *sent, if *new { 0 } else { *sent }))
            }).collect();
            let mut after = views.clone();
            for change in choose(start + Duration::from_secs(NOW), &views, SLOTS, &POLICY) {
                let peer = &mut after[change.key as usize];
                prop_assert_ne!(peer.choked.0, change.choke);
                peer.choked.0 = change.choke;
            }
            let serving = after.iter().filter(|p| p.interest.0 && !p.choked.0).count();
            let hungry = after.iter().filter(|p| p.interest.0).count();
            let before = views.iter().filter(|p| p.interest.0 && !p.choked.0).count();
            prop_assert!(serving >= hungry.min(SLOTS) && serving <= SLOTS.max(before));
        }
    }
}
