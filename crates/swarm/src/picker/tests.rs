//! The picker against swarms of made-up peers: what is asked, how often, and who is blamed.

use super::choice::{OVERDUE, follows};
use super::*;
use metainfo::geometry::{BLOCK_LENGTH, PieceLength};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

/// So many pieces of four blocks, the last of them short.
fn geometry(n_pieces: u64) -> Geometry {
    let length = PieceLength::new(4 * i64::from(BLOCK_LENGTH)).unwrap();
    Geometry::new(length, n_pieces * u64::from(length.get()) - 20_000).unwrap()
}

fn picker(n_pieces: u64) -> Picker {
    let geometry = geometry(n_pieces);
    Picker::new(
        geometry,
        Bitfield::none(geometry.n_pieces()),
        BTreeMap::new(),
        7,
    )
}

fn join_seed(picker: &mut Picker, key: u64) {
    picker.handle_join(key);
    picker.handle_has_all(key);
    picker.handle_choked(key, false);
}

fn digest_of(piece: u32, block: usize, wrong: bool) -> BlockDigest {
    let mut digest = [u8::from(wrong); 20];
    digest[1..5].copy_from_slice(&piece.to_le_bytes());
    digest[5..9].copy_from_slice(&(block as u32).to_le_bytes());
    digest
}

#[test]
fn the_rarest_piece_is_begun_and_finished_first() {
    let mut picker = picker(6);
    let now = epoch();
    join_seed(&mut picker, 1);
    let pieces: Vec<PieceIndex> = picker.geometry.pieces().collect();
    // The random first piece is here, or another would be chosen whatever its rarity.
    let first = picker.choose(now, 1)[0].piece();
    for block in picker.geometry.blocks(first) {
        picker.handle_block(now, 1, block);
    }
    assert!(picker.handle_verified(first, true, &[]).is_empty());
    picker.handle_leave(1);
    let rare: Vec<PieceIndex> = pieces.iter().copied().filter(|p| *p != first).collect();
    for key in 10..13 {
        picker.handle_join(key);
        for piece in &rare[1..] {
            picker.handle_have(key, *piece);
        }
    }
    picker.handle_join(20);
    for piece in &rare {
        picker.handle_have(20, *piece);
    }
    picker.handle_choked(20, false);
    picker.handle_request_queue(20, 6);
    let chosen = picker.choose(now, 20);
    assert_eq!(chosen.len(), 6);
    assert!(chosen[..4].iter().all(|block| block.piece() == rare[0]));
    // Another peer goes on with what was begun rather than begin something else.
    picker.handle_choked(10, false);
    assert_eq!(picker.choose(now, 10)[0].piece(), chosen[4].piece());
}

#[test]
fn interest_follows_what_is_lacking() {
    let mut picker = picker(2);
    let [a, b] = [0, 1].map(|index| picker.geometry.piece(index).unwrap());
    picker.handle_join(1);
    assert!(!picker.wants(1));
    picker.handle_have(1, a);
    picker.handle_have(1, a);
    assert!(picker.wants(1));
    picker.handle_choked(1, false);
    for block in picker.choose(epoch(), 1) {
        assert_eq!(block.piece(), a);
        picker.handle_block(epoch(), 1, block);
    }
    picker.handle_verified(a, true, &[]);
    assert!(!picker.wants(1) && picker.have().has(a));
    picker.handle_have(1, b);
    assert!(picker.wants(1) && picker.is_available(b));
    picker.handle_dont_have(1, b);
    assert!(!picker.wants(1) && !picker.is_available(b));
    assert!(picker.choose(epoch(), 1).is_empty());
}

#[test]
fn a_choked_peer_is_asked_for_what_it_allows_alone() {
    let mut picker = picker(4);
    picker.handle_join(1);
    picker.handle_has_all(1);
    assert!(picker.choose(epoch(), 1).is_empty());
    let allowed = picker.geometry.piece(2).unwrap();
    picker.handle_allowed_fast(1, allowed);
    let chosen = picker.choose(epoch(), 1);
    assert!(chosen.len() == 4 && chosen.iter().all(|block| block.piece() == allowed));
    // What it refuses after all isn't asked again.
    for block in chosen {
        picker.handle_rejected(epoch(), 1, block);
    }
    assert!(picker.choose(epoch(), 1).is_empty());
}

#[test]
fn who_gives_nothing_loses_what_was_asked_of_it() {
    let mut picker = picker(1);
    let now = epoch();
    join_seed(&mut picker, 1);
    let asked = picker.choose(now, 1);
    assert_eq!(asked.len(), 3);
    assert!(
        picker
            .handle_timeout(now + Duration::from_secs(5))
            .is_empty()
    );
    let later = now + Duration::from_secs(61);
    let mut cancelled: Vec<Block> = picker
        .handle_timeout(later)
        .into_iter()
        .map(|c| c.1)
        .collect();
    cancelled.sort();
    assert_eq!(cancelled, asked);
    // One block at a time from now on, until it gives one.
    assert_eq!(picker.choose(later, 1).len(), 1);
    join_seed(&mut picker, 2);
    assert_eq!(picker.choose(later, 2).len(), 2);
    picker.handle_block(later, 1, asked[0]);
    assert_eq!(picker.n_asked(1), 0);
}

#[test]
fn what_is_late_at_the_end_is_asked_of_another_and_cancelled() {
    let mut picker = picker(1);
    let now = epoch();
    join_seed(&mut picker, 1);
    let asked = picker.choose(now, 1);
    join_seed(&mut picker, 2);
    assert!(picker.is_end_game());
    assert!(picker.choose(now, 2).is_empty(), "not at once");
    let later = now + OVERDUE;
    assert_eq!(picker.choose(later, 2), asked);
    join_seed(&mut picker, 3);
    assert!(picker.choose(later, 3).is_empty(), "two are enough");
    let received = picker.handle_block(later, 2, asked[0]);
    assert_eq!(received.cancel, [1]);
    assert!(received.is_new && !received.is_last);
    assert!(!picker.handle_block(later, 1, asked[0]).is_new);
    assert_eq!(picker.n_asked(1), 2);
}

#[test]
fn a_web_seed_is_asked_for_runs_as_long_as_it_is_fast() {
    let mut picker = picker(400);
    let (mut now, mut runs) = (epoch(), Vec::new());
    let mut queue = std::collections::VecDeque::new();
    join_seed(&mut picker, 1);
    loop {
        let run = picker.choose_run(now, 1);
        for pair in run.windows(2) {
            assert!(follows(&picker.geometry, pair[0], pair[1]));
        }
        if !run.is_empty() {
            runs.push(run.len());
        }
        queue.extend(run);
        // What it isn't known to give in a moment isn't held by it.
        assert!(queue.len() <= 128);
        let Some(block) = queue.pop_front() else {
            break;
        };
        now += Duration::from_millis(1);
        if picker.handle_block(now, 1, block).is_last {
            picker.handle_verified(block.piece(), true, &[]);
        }
    }
    assert!(picker.is_complete());
    assert!(
        runs[0] <= 8 && *runs.iter().max().unwrap() == 64,
        "{runs:?}"
    );
}

#[test]
fn a_web_seed_that_gives_nothing_holds_little() {
    let mut picker = picker(100);
    join_seed(&mut picker, 1);
    let mut held = 0;
    for _ in 0..100 {
        held += picker.choose_run(epoch(), 1).len();
    }
    assert!(held <= 8, "{held}");
}

#[test]
fn what_a_peer_shows_is_left_to_it_by_a_web_seed() {
    let mut picker = picker(100);
    let now = epoch();
    picker.handle_join(2);
    picker.handle_choked(2, false);
    // Something is here, or any piece might be the first.
    join_seed(&mut picker, 1);
    for block in picker.choose_run(now, 1) {
        if picker.handle_block(now, 1, block).is_last {
            picker.handle_verified(block.piece(), true, &[]);
        }
    }
    let lacking = |picker: &Picker, piece: &PieceIndex| {
        !picker.have().has(*piece) && !picker.open.contains_key(&piece.get())
    };
    let pieces = picker.geometry.pieces();
    let shown: Vec<PieceIndex> = pieces
        .filter(|piece| piece.get().is_multiple_of(3) && lacking(&picker, piece))
        .collect();
    for piece in &shown {
        picker.handle_have(2, *piece);
    }
    for _ in 0..30 {
        for block in picker.choose_run(now, 1) {
            assert!(!shown.contains(&block.piece()), "{block:?}");
            picker.handle_block(now, 1, block);
        }
    }
    assert!(!picker.choose(now, 2).is_empty());
}

#[test]
fn pads_are_not_asked_for() {
    let geometry = geometry(2);
    let short = BTreeMap::from([(0, 20_000)]);
    let mut picker = Picker::new(geometry, Bitfield::none(2), short, 7);
    join_seed(&mut picker, 1);
    let mut asked = picker.choose(epoch(), 1);
    asked.sort();
    let lengths: Vec<u32> = asked.iter().map(|block| block.length()).collect();
    assert_eq!(lengths, [16_384, 20_000 - 16_384, 16_384, 16_384, 12_768]);
    picker.handle_block(epoch(), 1, asked[1]);
    assert!(picker.handle_block(epoch(), 1, asked[0]).is_last);
}

#[test]
fn of_several_givers_the_liar_is_found_by_the_right_bytes() {
    let mut picker = picker(1);
    let (now, piece) = (epoch(), picker.geometry.piece(0).unwrap());
    for key in [1, 2, 3] {
        join_seed(&mut picker, key);
    }
    let blocks: Vec<Block> = picker.geometry.blocks(piece).collect();
    picker.choose(now, 1);
    let mut last = Received::default();
    for (block, giver) in blocks.iter().zip([1, 2, 1]) {
        last = picker.handle_block(now, giver, *block);
    }
    assert!(last.is_last);
    let digest = |wrong: &[bool]| -> Vec<BlockDigest> {
        let blocks = wrong.iter().enumerate();
        blocks.map(|(at, wrong)| digest_of(0, at, *wrong)).collect()
    };
    let banned = picker.handle_verified(piece, false, &digest(&[false, true, false]));
    assert!(banned.is_empty() && picker.is_suspect(piece));
    // Who had no part in it fetches it, and nobody helps.
    assert!(picker.choose(now, 1).is_empty());
    assert_eq!(picker.choose(now, 3).len(), 3);
    assert!(picker.choose(now, 2).is_empty());
    assert!(!picker.handle_block(now, 2, blocks[0]).is_new);
    for block in &blocks {
        picker.handle_block(now, 3, *block);
    }
    assert_eq!(
        picker.handle_verified(piece, true, &digest(&[false; 3])),
        [2]
    );
    assert!(picker.is_complete());
}

#[test]
fn nothing_of_a_liar_is_kept() {
    let mut picker = picker(2);
    let now = epoch();
    join_seed(&mut picker, 1);
    let asked = picker.choose(now, 1);
    picker.handle_block(now, 1, asked[0]);
    picker.handle_distrust(1);
    assert!(picker.choose(now, 1).is_empty());
    join_seed(&mut picker, 2);
    let mut again = picker.choose(now, 2);
    again.sort();
    let mut all = asked;
    all.sort();
    assert_eq!(again, all);
}

/// A peer of a made-up swarm.
#[derive(Debug, Clone)]
struct Made {
    seed: bool,
    liar: bool,
    /// Blocks it gives in a step.
    speed: usize,
}

fn made() -> impl Strategy<Value = Made> {
    (any::<bool>(), 0u8..4, 1usize..5).prop_map(|(seed, liar, speed)| Made {
        seed,
        liar: liar == 0,
        speed,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_swarm_with_an_honest_seed_ends_whole_and_blames_liars_alone(
        peers in proptest::collection::vec(made(), 0..7),
        seed in any::<u64>(),
        n_pieces in 1u64..12,
    ) {
        let geometry = geometry(n_pieces);
        let mut picker = Picker::new(geometry, Bitfield::none(geometry.n_pieces()), BTreeMap::new(), seed);
        let mut random = Random::new(seed);
        let mut swarm: BTreeMap<u64, Made> = (1..).zip(peers).collect();
        swarm.insert(0, Made { seed: true, liar: false, speed: 1 });
        for (key, made) in &swarm {
            picker.handle_join(*key);
            if made.seed {
                picker.handle_has_all(*key);
            } else {
                for piece in geometry.pieces().filter(|p| p.get() % 3 != (*key % 3) as u32) {
                    picker.handle_have(*key, piece);
                }
            }
            picker.handle_choked(*key, false);
        }
        let mut now = epoch();
        // Who wrote which block last, and whether wrongly.
        let mut disk: HashMap<Block, bool> = HashMap::new();
        let mut queues: BTreeMap<u64, Vec<Block>> = BTreeMap::new();
        for _ in 0..20_000 {
            if picker.is_complete() {
                break;
            }
            now += Duration::from_millis(50);
            for (key, block) in picker.handle_timeout(now) {
                queues.entry(key).or_default().retain(|other| *other != block);
            }
            let keys: Vec<u64> = swarm.keys().copied().collect();
            for key in keys {
                let end_game = picker.is_end_game();
                let before: usize = picker.peers.values().map(|p| p.asked.len()).sum();
                let chosen = picker.choose(now, key);
                if !end_game && !picker.is_end_game() {
                    for block in &chosen {
                        let others = queues.iter().filter(|(k, q)| **k != key && q.contains(block));
                        prop_assert_eq!(others.count(), 0, "asked twice before the end");
                    }
                }
                let after: usize = picker.peers.values().map(|p| p.asked.len()).sum();
                prop_assert_eq!(after, before + chosen.len());
                queues.entry(key).or_default().extend(chosen);
                let Some(made) = swarm.get(&key).cloned() else { continue };
                for _ in 0..made.speed {
                    let queue = queues.entry(key).or_default();
                    if queue.is_empty() { break; }
                    let block = queue.remove(random.below(queue.len()));
                    let received = picker.handle_block(now, key, block);
                    for other in &received.cancel {
                        queues.entry(*other).or_default().retain(|b| *b != block);
                    }
                    if received.is_new {
                        disk.insert(block, made.liar && random.next().is_multiple_of(2));
                    }
                    if received.is_last {
                        let piece = block.piece();
                        let digests: Vec<BlockDigest> = geometry.blocks(piece).enumerate()
                            .map(|(at, block)| digest_of(piece.get(), at, disk[&block])).collect();
                        let right = geometry.blocks(piece).all(|block| !disk[&block]);
                        for banned in picker.handle_verified(piece, right, &digests) {
                            prop_assert!(swarm.get(&banned).is_none_or(|made| made.liar), "{banned} is honest");
                            picker.handle_distrust(banned);
                            swarm.remove(&banned);
                            queues.remove(&banned);
                            picker.handle_leave(banned);
                        }
                    }
                }
            }
        }
        prop_assert!(picker.is_complete());
        prop_assert!(swarm.keys().all(|key| !picker.wants(*key)));
        prop_assert!(disk.values().all(|wrong| !wrong));
    }
}
