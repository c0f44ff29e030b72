//! Two connections that talk to each other, through a line that cuts the stream anywhere.

use super::story::{epoch, geometry, settings};
use super::*;
use crate::bitfield::Bitfield;
use crate::extended::metadata::n_pieces;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;

/// One end: a connection, what it is admitted to and what it has said.
struct End {
    connection: Connection,
    served: Served,
    /// What it has sent and the other hasn't got.
    line: VecDeque<u8>,
    events: Vec<Event>,
    closed: Option<CloseReason>,
    identified: Option<SwarmHash>,
}

impl End {
    fn new(connection: Connection, served: Served) -> Self {
        Self {
            connection,
            served,
            line: VecDeque::new(),
            events: Vec::new(),
            closed: None,
            identified: None,
        }
    }

    /// Says what it has to say. Payload is what the block's place says: see [`payload`].
    fn speak(&mut self, now: Instant) -> bool {
        let before = (self.line.len(), self.events.len());
        let mut blocks = Vec::new();
        self.connection.take_blocks(now, 32 * 1024, &mut blocks);
        for block in blocks {
            self.line.extend(piece_header(block));
            self.line.extend(payload(block));
            let bytes = PIECE_HEADER + block.length() as usize;
            self.connection.handle_sent(now, bytes);
        }
        while let Some(output) = self.connection.poll_output(now) {
            match output {
                Output::Identify(swarm) => {
                    self.identified = Some(swarm);
                    self.connection.admit(now, self.served.clone(), None);
                }
                Output::Send(bytes) => {
                    self.line.extend(&bytes);
                    self.connection.handle_sent(now, bytes.len());
                }
                Output::FindHashes(range) => {
                    let hashes = (range.index == 0).then(|| Bytes::from_static(&[7; 64]));
                    self.connection.send_hashes(range, hashes);
                }
                Output::Event(event) => self.events.push(event),
                Output::Close(reason) => self.closed = Some(reason),
            }
        }
        before != (self.line.len(), self.events.len())
    }

    fn command(&mut self, command: Command) {
        self.connection.handle_command(epoch(), command);
    }

    fn blocks(&self) -> BTreeSet<Block> {
        let block = |event: &Event| match event {
            Event::Block { block, bytes } => {
                assert_eq!(bytes[..], payload(*block)[..]);
                Some(*block)
            }
            _ => None,
        };
        self.events.iter().filter_map(block).collect()
    }
}

fn payload(block: Block) -> Vec<u8> {
    let seed = block.piece().get() as usize + block.begin() as usize;
    (0..block.length() as usize)
        .map(|n| (seed + n) as u8)
        .collect()
}

/// Two ends and their clock.
struct Pair {
    opener: End,
    other: End,
    now: Instant,
    cuts: Vec<usize>,
    n_cuts: usize,
}

impl Pair {
    fn new(opener: Served, other: Served, cuts: Vec<usize>) -> Self {
        let now = epoch();
        let settings = |peer_id| Settings {
            peer_id,
            ..settings()
        };
        Self {
            opener: End::new(
                Connection::connect(now, settings(US), SWARM, opener.v2),
                opener,
            ),
            other: End::new(Connection::accept(now, settings(THEM)), other),
            now,
            cuts,
            n_cuts: 0,
        }
    }

    /// Lets both talk until both are silent.
    fn settle(&mut self) {
        loop {
            let mut moved = self.opener.speak(self.now) | self.other.speak(self.now);
            for to_other in [true, false] {
                let (from, to) = if to_other {
                    (&mut self.opener, &mut self.other)
                } else {
                    (&mut self.other, &mut self.opener)
                };
                self.n_cuts += 1;
                let cut = self.cuts[self.n_cuts % self.cuts.len()].min(from.line.len());
                let part = &from.line.make_contiguous()[..cut];
                let taken = to.connection.handle_bytes(self.now, part);
                from.line.drain(..taken);
                moved |= taken > 0;
            }
            if !moved {
                return;
            }
        }
    }

    /// Both have introduced themselves.
    fn open(opener: Served, other: Served, cuts: Vec<usize>) -> Self {
        let mut pair = Self::new(opener, other, cuts);
        pair.settle();
        pair.now += Duration::from_secs(1);
        pair.opener.connection.handle_timeout(pair.now);
        pair.other.connection.handle_timeout(pair.now);
        pair.settle();
        pair
    }
}

fn seed() -> Served {
    served(10, 40_000)
}

fn fetcher() -> Served {
    Served {
        metadata: None,
        own: Own::Some(Bitfield::none(10)),
        upload_only: false,
        port: Some(6881),
        ..seed()
    }
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1usize..60_000, 1..6)
}

fn all_blocks() -> Vec<Block> {
    let geometry = geometry(10);
    let pieces = geometry.pieces();
    pieces.flat_map(|piece| geometry.blocks(piece)).collect()
}

proptest! {
    #[test]
    fn everything_is_fetched_whoever_calls(cuts in cuts(), fetcher_calls: bool, in_two: bool) {
        let (opener, other) = if fetcher_calls { (fetcher(), seed()) } else { (seed(), fetcher()) };
        let mut pair = Pair::open(opener, other, cuts);
        let (fetching, serving) = if fetcher_calls {
            (&mut pair.opener, &mut pair.other)
        } else {
            (&mut pair.other, &mut pair.opener)
        };
        prop_assert!(fetching.events.contains(&Event::HasAll));
        prop_assert!(serving.events.contains(&Event::HasNone));
        fetching.command(Command::Interested(true));
        serving.command(Command::Choke(false));
        pair.settle();
        let (fetching, serving) = if fetcher_calls {
            (&mut pair.opener, &mut pair.other)
        } else {
            (&mut pair.other, &mut pair.opener)
        };
        prop_assert!(fetching.events.contains(&Event::Choked(false)));
        prop_assert!(serving.events.contains(&Event::Interested(true)));
        let blocks = all_blocks();
        let at = if in_two { 5 } else { 0 };
        fetching.command(Command::Request(blocks[..at].to_vec()));
        fetching.command(Command::Request(blocks[at..].to_vec()));
        pair.settle();
        let (fetching, serving) = if fetcher_calls {
            (&mut pair.opener, &mut pair.other)
        } else {
            (&mut pair.other, &mut pair.opener)
        };
        prop_assert_eq!(fetching.blocks(), blocks.iter().copied().collect());
        prop_assert_eq!(fetching.connection.tally().blocks_received, serving.connection.tally().blocks);
        for piece in geometry(10).pieces() {
            fetching.command(Command::Show(piece));
        }
        fetching.command(Command::Interested(false));
        fetching.command(Command::UploadOnly);
        pair.settle();
        prop_assert_eq!(pair.opener.closed.or(pair.other.closed), Some(CloseReason::BothSeeds));
    }

    #[test]
    fn metadata_comes_by_magnet(cuts in cuts(), size in 1usize..100_000) {
        let without = Served { geometry: None, ..fetcher() };
        let mut pair = Pair::open(without, served(10, size), cuts);
        let introduced = pair.opener.connection.introduced().unwrap();
        prop_assert_eq!(introduced.metadata_size, Some(size as u32));
        prop_assert!(introduced.speaks_metadata());
        let n = n_pieces(size) as u32;
        for piece in 0..=n {
            pair.opener.command(Command::RequestMetadata(piece));
        }
        pair.settle();
        let mut metadata = Vec::new();
        let mut rejected = Vec::new();
        for event in &pair.opener.events {
            match event {
                Event::Metadata { total, bytes, .. } => {
                    prop_assert_eq!(*total as usize, size);
                    metadata.extend_from_slice(bytes);
                }
                Event::MetadataRejected(piece) => rejected.push(*piece),
                Event::Introduced(_) => {}
                event => panic!("{event:?}: nothing is known of pieces"),
            }
        }
        prop_assert_eq!(Some(Bytes::from(metadata)), served(10, size).metadata);
        prop_assert_eq!(rejected, [n]);
        prop_assert_eq!(pair.opener.closed, None);
    }
}

#[test]
fn what_is_not_shown_is_not_given() {
    let geometry = geometry(10);
    let piece = |n| geometry.piece(n).unwrap();
    let mut shown = Bitfield::none(10);
    shown.set(piece(3));
    let spreading = Served {
        own: Own::Some(shown.clone()),
        ..seed()
    };
    let mut pair = Pair::open(fetcher(), spreading, vec![1000]);
    assert!(pair.opener.events.contains(&Event::Bitfield(shown)));
    let introduced = pair.opener.connection.introduced().unwrap();
    assert!(!introduced.upload_only, "it has more to give than it shows");
    pair.other.command(Command::Choke(false));
    pair.settle();
    pair.opener.events.clear();
    let block = |n| geometry.blocks(piece(n)).next().unwrap();
    pair.opener
        .command(Command::Request(vec![block(3), block(4), block(5)]));
    pair.settle();
    assert_eq!(pair.opener.blocks(), [block(3)].into());
    assert!(pair.opener.events.contains(&Event::Rejected(block(4))));
    assert_eq!(pair.other.connection.tally().hidden_requests, 2);
    pair.other.command(Command::Show(piece(4)));
    pair.other.command(Command::Show(piece(4)));
    pair.other.command(Command::Hide(piece(3)));
    pair.settle();
    let haves =
        |pair: &Pair, event: Event| pair.opener.events.iter().filter(|e| **e == event).count();
    assert_eq!(haves(&pair, Event::Have(piece(4))), 1);
    assert_eq!(haves(&pair, Event::DontHave(piece(3))), 1);
    pair.opener.events.clear();
    pair.opener
        .command(Command::Request(vec![block(3), block(4)]));
    pair.settle();
    assert_eq!(pair.opener.blocks(), [block(4)].into());
    pair.other.command(Command::ShowAll);
    pair.settle();
    for n in [0, 3, 9] {
        assert_eq!(haves(&pair, Event::Have(piece(n))), 1, "{n}");
    }
    assert_eq!(pair.opener.connection.peer_pieces(), 10);
}

#[test]
fn pieces_allowed_fast_are_given_to_who_is_choked() {
    let geometry = geometry(10);
    let piece = |n| geometry.piece(n).unwrap();
    let mut pair = Pair::open(fetcher(), seed(), vec![1000]);
    pair.other
        .command(Command::AllowFast(vec![piece(2), piece(7), piece(2)]));
    pair.other.command(Command::Suggest(piece(9)));
    pair.settle();
    let hints: Vec<_> = pair.opener.events.iter().rev().take(3).rev().collect();
    assert_eq!(
        hints,
        [
            &Event::AllowedFast(piece(2)),
            &Event::AllowedFast(piece(7)),
            &Event::Suggested(piece(9))
        ]
    );
    let two: Vec<_> = geometry.blocks(piece(2)).collect();
    let mut blocks = two.clone();
    blocks.extend(geometry.blocks(piece(3)));
    pair.opener.command(Command::Request(blocks.clone()));
    pair.settle();
    assert_eq!(pair.opener.blocks(), two.into_iter().collect());
    let rejected = |block| pair.opener.events.contains(&Event::Rejected(block));
    assert!(rejected(blocks[2]) && rejected(blocks[3]));
}

#[test]
fn a_choke_answers_every_request() {
    let mut pair = Pair::open(fetcher(), seed(), vec![100_000]);
    pair.other.command(Command::Choke(false));
    pair.settle();
    pair.opener.events.clear();
    pair.opener.command(Command::Request(all_blocks()));
    pair.opener.speak(pair.now);
    pair.other.command(Command::Choke(true));
    pair.settle();
    let mut answered = pair.opener.blocks();
    for event in &pair.opener.events {
        if let Event::Rejected(block) = event {
            assert!(answered.insert(*block));
        }
    }
    assert_eq!(answered, all_blocks().into_iter().collect());
    assert!(pair.opener.events.contains(&Event::Choked(true)));
}

#[test]
fn peers_are_exchanged_unless_private() {
    let message = || PexMessage {
        added: vec![PexPeer {
            address: "10.0.0.1:6881".parse().unwrap(),
            flags: PexFlags::SEED,
        }],
        dropped: vec!["[2001:db8::1]:6881".parse().unwrap()],
    };
    let mut pair = Pair::open(fetcher(), seed(), vec![1000]);
    let introduced = pair.other.connection.introduced().unwrap();
    assert_eq!(introduced.port, Some(6881));
    assert!(introduced.speaks_pex());
    pair.opener.command(Command::Pex(message()));
    // The second comes too soon to be sent.
    pair.opener.command(Command::Pex(message()));
    pair.settle();
    let told = |pair: &Pair| {
        pair.other
            .events
            .iter()
            .filter(|event| matches!(event, Event::Pex(_)))
            .count()
    };
    assert_eq!(told(&pair), 1);
    assert_eq!(pair.other.events.last(), Some(&Event::Pex(message())));

    let private = Served {
        private: true,
        ..fetcher()
    };
    let mut pair = Pair::open(private, seed(), vec![1000]);
    assert!(!pair.other.connection.introduced().unwrap().speaks_pex());
    pair.opener.command(Command::Pex(message()));
    pair.other.command(Command::Pex(message()));
    pair.settle();
    assert_eq!(told(&pair), 0);
    assert!(
        !pair
            .opener
            .events
            .iter()
            .any(|event| matches!(event, Event::Pex(_)))
    );
}

#[test]
fn a_hybrid_is_fetched_under_its_v2_hash_with_its_hashes() {
    let hybrid = |served: Served| Served {
        v2: Some(V2_SWARM),
        ..served
    };
    let mut pair = Pair::open(hybrid(fetcher()), hybrid(seed()), vec![1000]);
    assert_eq!(pair.other.identified, Some(SWARM));
    assert_eq!(pair.opener.identified, Some(V2_SWARM), "upgraded");
    let range = |index| HashRange {
        root: metainfo::ids::MerkleHash([1; 32]),
        base_layer: 1,
        index,
        length: 2,
        proof_layers: 0,
    };
    pair.opener.command(Command::RequestHashes(range(0)));
    pair.opener.command(Command::RequestHashes(range(2)));
    pair.settle();
    let hashes = Event::Hashes {
        range: range(0),
        hashes: Bytes::from_static(&[7; 64]),
    };
    assert!(pair.opener.events.contains(&hashes));
    assert!(
        pair.opener
            .events
            .contains(&Event::HashesRejected(range(2)))
    );

    let mut pair = Pair::open(fetcher(), seed(), vec![1000]);
    assert_eq!(pair.opener.identified, Some(SWARM));
    pair.opener.command(Command::RequestHashes(range(0)));
    pair.settle();
    assert!(
        pair.opener
            .events
            .contains(&Event::HashesRejected(range(0)))
    );
}
