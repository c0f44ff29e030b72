//! Whom a seed unchokes. A pure function from what is known of each peer to the changes to make:
//!
//! - whoever wants something and finds a free slot gets it at once;
//! - with all slots taken, whoever has had its turn (a quota of bytes and a minute, or twice as long for the
//!   slow) makes place for the one that has waited longest: no ranking by speed, so slow peers aren't starved
//!   and fast ones aren't preferred;
//! - somebody new, who has had nothing yet, needn't wait for that: every few seconds one of them takes the
//!   place of the peer that has had most in its turn;
//! - who wants nothing holds no slot, and is choked after a while.
//!
//! Called by the seeder's torrent task at every change of interest and every second.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

/// What is known of one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerView {
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

/// What to tell a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The peer.
    pub key: u64,
    /// Whether it is to be choked or unchoked.
    pub choke: bool,
}

/// How a seed shares itself out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many peers are served at once.
    pub slots: usize,
    /// How many bytes make a turn.
    pub quota: u64,
    /// How long a turn lasts at least, and half as long as it lasts at most.
    pub turn: Duration,
    /// How often somebody new gets in while all slots are taken.
    pub newcomer_every: Duration,
    /// How long a slot is kept for a peer that has stopped wanting.
    pub linger: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            slots: 64,
            quota: 8 * 1024 * 1024,
            turn: Duration::from_secs(60),
            newcomer_every: Duration::from_secs(5),
            linger: Duration::from_secs(10),
        }
    }
}

/// Decides. The order of the peers doesn't matter; ties go to the lower key.
pub fn choose(now: Instant, peers: &[PeerView], policy: &Policy) -> Vec<Change> {
    let since = |at: Instant| now.saturating_duration_since(at);
    let mut changes = Vec::new();
    let mut serving = Vec::new();
    let mut waiting = Vec::new();
    for peer in peers {
        match (peer.choked.0, peer.interest.0) {
            (true, true) => waiting.push(peer),
            (false, true) => serving.push(peer),
            // Requests may be under way when a peer stops wanting; it isn't cut off in the middle.
            (false, false) if since(peer.interest.1) >= policy.linger => {
                changes.push(Change {
                    key: peer.key,
                    choke: true,
                });
            }
            (false | true, false) => {}
        }
    }
    // Waiting began when the peer was choked or became interested, whichever was later.
    waiting.sort_by_key(|peer| (peer.interest.1.max(peer.choked.1), peer.key));
    // Those who go first stand first: their turn is over, and they have had most.
    serving.sort_by_key(|peer| {
        (
            Reverse(turn_is_over(now, peer, policy)),
            Reverse(peer.sent_this_turn),
            peer.key,
        )
    });
    // More than the slots, as after a change of policy: the surplus goes.
    let mut leaving = serving.len().saturating_sub(policy.slots);
    changes.extend(serving[..leaving].iter().map(|peer| Change {
        key: peer.key,
        choke: true,
    }));

    let mut waiting = waiting.into_iter();
    let mut free = policy.slots.saturating_sub(serving.len());
    for peer in waiting.by_ref().take(free) {
        changes.push(Change {
            key: peer.key,
            choke: false,
        });
        free -= 1;
    }
    if free > 0 {
        return changes;
    }
    let mut left: Vec<&PeerView> = waiting.collect();
    while let Some(peer) = serving
        .get(leaving)
        .filter(|peer| turn_is_over(now, peer, policy))
    {
        if left.is_empty() {
            return changes;
        }
        let next = left.remove(0);
        changes.push(Change {
            key: peer.key,
            choke: true,
        });
        changes.push(Change {
            key: next.key,
            choke: false,
        });
        leaving += 1;
    }
    let newcomer = left.iter().find(|peer| peer.sent == 0);
    let somebody_just_came = serving
        .iter()
        .any(|peer| since(peer.choked.1) < policy.newcomer_every);
    let richest = serving.get(leaving).filter(|peer| peer.sent_this_turn > 0);
    if let (Some(newcomer), false, Some(richest)) = (newcomer, somebody_just_came, richest) {
        changes.push(Change {
            key: richest.key,
            choke: true,
        });
        changes.push(Change {
            key: newcomer.key,
            choke: false,
        });
    }
    changes
}

fn turn_is_over(now: Instant, peer: &PeerView, policy: &Policy) -> bool {
    let held = now.saturating_duration_since(peer.choked.1);
    (held >= policy.turn && peer.sent_this_turn >= policy.quota) || held >= 2 * policy.turn
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    const POLICY: Policy = Policy {
        slots: 2,
        quota: 100,
        turn: Duration::from_secs(60),
        newcomer_every: Duration::from_secs(5),
        linger: Duration::from_secs(10),
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
        let changes = choose(start + Duration::from_secs(NOW), &views, &POLICY);
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
    fn somebody_new_takes_the_place_of_who_had_most() {
        let new = (9, Waiting(1), 0, 0);
        let old = (8, Waiting(30), 0, 10);
        check(
            &[
                (1, Served(20), 500, 500),
                (2, Served(30), 600, 600),
                old,
                new,
            ],
            &[2],
            &[9],
        );
        // One every few seconds, or newcomers would chase each other out.
        check(
            &[(1, Served(4), 500, 500), (2, Served(30), 600, 600), new],
            &[],
            &[],
        );
        // Those who have had nothing keep their place.
        check(
            &[(1, Served(20), 0, 500), (2, Served(30), 0, 600), new],
            &[],
            &[],
        );
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
    fn fewer_slots_than_before_choke_the_surplus() {
        let peers = [
            (1, Served(3), 5, 5),
            (2, Served(3), 9, 9),
            (3, Served(3), 7, 7),
            (4, Waiting(2), 0, 5),
        ];
        check(&peers, &[2], &[]);
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
            for change in choose(now, &peers, &POLICY) {
                let peer = &mut peers[change.key as usize];
                assert_ne!(peer.choked.0, change.choke, "a change changes something");
                peer.choked = (change.choke, now);
                peer.sent_this_turn = 0;
            }
            assert!(peers.iter().filter(|peer| !peer.choked.0).count() <= POLICY.slots);
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
            for change in choose(start + Duration::from_secs(NOW), &views, &POLICY) {
                let peer = &mut after[change.key as usize];
                prop_assert_ne!(peer.choked.0, change.choke);
                peer.choked.0 = change.choke;
            }
            let serving = after.iter().filter(|p| p.interest.0 && !p.choked.0).count();
            let hungry = after.iter().filter(|p| p.interest.0).count();
            prop_assert_eq!(serving, hungry.min(POLICY.slots));
        }
    }
}
