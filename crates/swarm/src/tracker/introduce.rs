//! Who is introduced to whom: of a bounded number of candidates the nearest, by network first, then by what they play;
//! and one in three by whom the fewest offers reached, so that nobody is overrun or left out, and neighbourhoods stay
//! joined to the rest of the swarm.

use super::browsers::{Browsers, REMEMBERED, Viewer, tag};
use super::exchange::{Member, Target};
use super::interval;
use super::keyed::Keyed;
use crate::random::Random;

/// Candidates of the asker's own /24 or /48.
const NEIGHBOURS: usize = 16;
/// Candidates from anywhere.
const STRANGERS: usize = 48;
/// Playback positions within so many milliseconds are the same.
const SAME_POSITION: u32 = 4000;

/// A viewer that an offer may go to. Lower is better throughout.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    place: u32,
    /// The asker's offer reached it a moment ago already.
    again: bool,
    /// 0 in the same /24 or /48, 1 in the same autonomous system, 2 elsewhere.
    class: u8,
    /// How far apart they play.
    distance: u32,
    /// Offers that reached it lately.
    received: u8,
    lot: u32,
}

/// Whose offers are to be handed on, and within what bounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub(super) place: usize,
    /// How many of its offers may be handed on.
    pub(super) most: usize,
    /// So many offers may reach a viewer lately.
    pub(super) most_received: usize,
    /// What lately is, in coarse ticks.
    pub(super) window: u16,
    pub(super) now: u16,
}

/// Adds the viewers to whom offers of the asker go.
pub(super) fn introduce(
    browsers: &mut Browsers,
    asker: &Asker,
    keyed: Keyed,
    random: &mut Random,
    targets: &mut Vec<Target>,
) {
    let Asker {
        most, window, now, ..
    } = *asker;
    let mut places = Vec::with_capacity(NEIGHBOURS + STRANGERS);
    let n = browsers.viewers.len();
    if n <= NEIGHBOURS + STRANGERS {
        places.extend(0..n as u32);
    } else {
        browsers.neighbours(asker.place, NEIGHBOURS, keyed, &mut places);
        places.extend((0..STRANGERS).map(|_| random.below(n) as u32));
        places.sort_unstable();
        places.dedup();
    }
    let own_tag = tag(&browsers.viewers[asker.place].peer_id, keyed);
    let most_received = asker.most_received.min(REMEMBERED) as u8;
    let viewers = &browsers.viewers;
    let mut candidates: Vec<Candidate> = places
        .into_iter()
        .filter_map(|place| {
            let (one, other) = (&viewers[asker.place], &viewers[place as usize]);
            let fits = one.socket != other.socket
                && !(one.complete && other.complete)
                && other.received < most_received
                // Not the other way round what was just done: both would connect twice, or not at all.
                && !one.has_lately(tag(&other.peer_id, keyed), now, window);
            fits.then(|| Candidate {
                place,
                again: other.has_lately(own_tag, now, window),
                class: match () {
                    () if one.near == other.near => 0,
                    () if one.asn != 0 && one.asn == other.asn => 1,
                    () => 2,
                },
                distance: distance(one, other, now),
                received: other.received,
                lot: random.next() as u32,
            })
        })
        .collect();
    let phase = random.below(3);
    for turn in phase..phase + most {
        let best = candidates.iter().enumerate().min_by_key(|(_, it)| {
            let nearness = if turn % 3 == 2 {
                (0, 0)
            } else {
                (it.class, it.distance)
            };
            (it.again, nearness, it.received, it.lot)
        });
        let Some((at, _)) = best else {
            return;
        };
        let viewer = &mut browsers.viewers[candidates.swap_remove(at).place as usize];
        viewer.receive(own_tag, now);
        targets.push(Target::Viewer(Member {
            socket: viewer.socket,
            peer_id: viewer.peer_id,
        }));
    }
}

/// How far apart two play, the other having gone on playing since it said so.
fn distance(asker: &Viewer, other: &Viewer, now: u16) -> u32 {
    if asker.position == u32::MAX || other.position == u32::MAX {
        return u32::MAX;
    }
    let since = interval::milliseconds(now.wrapping_sub(other.seen));
    asker
        .position
        .abs_diff(other.position.saturating_add(since))
        / SAME_POSITION
}
