//! One member of a [`super::connected`] swarm: its connections, and the machines that decide for it, put together as the
//! seeder's task for a torrent does.

use bytes::Bytes;
use metainfo::geometry::{Block, Geometry, PieceLength};
use metainfo::{PeerId, PieceIndex, SwarmHash};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;
use swarm::choker::{Choker, Kind, Policy};
use swarm::picker::Picker;
use swarm::spread::{Mode, Reveal, Spread, World};
use wire::bitfield::Bitfield;
use wire::connection::{Command, Connection, Event, Output, Own, Served, Settings};
use wire::message::piece_header;

const PIECE: u32 = 64 * 1024;
const SWARM: SwarmHash = SwarmHash([7; 20]);

/// What a node is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has everything.
    Seed,
    /// It wants everything.
    Fetch,
    /// It says that it wants what it is shown, and asks for nothing.
    Idle,
}

/// The payload of a swarm.
pub fn payload(n_pieces: u32, seed: u64) -> Vec<u8> {
    let mut random = super::leecher::Random::new(seed);
    let words = u64::from(n_pieces) * u64::from(PIECE) / 8;
    (0..words)
        .flat_map(|_| random.next_number().to_le_bytes())
        .collect()
}

/// One connection's end.
struct End {
    connection: Connection,
    /// Encoded messages that wait for the uplink.
    unsent: VecDeque<Bytes>,
    wanted: bool,
}

/// One member.
pub struct Node {
    role: Role,
    geometry: Geometry,
    settings: Settings,
    payload: Rc<Vec<u8>>,
    /// What has come, by piece.
    here: Vec<u8>,
    ends: BTreeMap<usize, End>,
    spread: Spread,
    choker: Choker,
    picker: Picker,
    /// To whom the uplink turns next, and whether it is busy.
    turn: usize,
    is_sending: bool,
    /// When everything was here.
    pub done: Option<Instant>,
    /// Why connections were closed.
    pub closed: Vec<String>,
}

impl Node {
    pub(super) fn new(now: Instant, role: Role, payload: &Rc<Vec<u8>>, seed: u64) -> Self {
        let length = PieceLength::power_of_two(i64::from(PIECE)).expect("64 KiB is one");
        let geometry = Geometry::new(length, payload.len() as u64).expect("whole pieces");
        let n_pieces = geometry.n_pieces();
        let kind = match role {
            Role::Seed => Kind::Seed,
            Role::Fetch | Role::Idle => Kind::Fetch,
        };
        let (here, have) = match role {
            Role::Seed => (payload.to_vec(), Bitfield::all(n_pieces)),
            Role::Fetch | Role::Idle => (vec![0; payload.len()], Bitfield::none(n_pieces)),
        };
        let mut id = [0; 20];
        id[12..].copy_from_slice(&seed.to_le_bytes());
        Self {
            role,
            geometry,
            settings: Settings::new(PeerId(id), "sim"),
            payload: payload.clone(),
            here,
            ends: BTreeMap::new(),
            spread: Spread::new(now, geometry, seed),
            choker: Choker::new(now, kind, Policy::DEFAULT, seed),
            picker: Picker::new(geometry, have, BTreeMap::new(), seed),
            turn: 0,
            is_sending: false,
            done: None,
            closed: Vec::new(),
        }
    }

    pub(super) fn dial(&mut self, now: Instant, to: usize) {
        let connection = Connection::connect(now, self.settings, SWARM, None);
        self.open(to, connection);
        self.drain(now, to);
    }

    pub(super) fn accept(&mut self, now: Instant, from: usize) {
        let connection = Connection::accept(now, self.settings);
        self.open(from, connection);
    }

    fn open(&mut self, other: usize, connection: Connection) {
        let end = End {
            connection,
            unsent: VecDeque::new(),
            wanted: false,
        };
        self.ends.insert(other, end);
    }

    /// Whether the first copy is out, as the seed sees it.
    pub(super) fn first_copy(&self) -> bool {
        self.spread.first_copy().is_some()
    }

    /// Payload bytes sent.
    pub(super) fn sent(&self) -> u64 {
        let ends = self.ends.values();
        ends.map(|end| end.connection.tally().block_bytes).sum()
    }

    /// What has come.
    pub(super) fn fetched(&self) -> &[u8] {
        &self.here
    }

    pub(super) fn handle_bytes(&mut self, now: Instant, from: usize, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = self.ends.get_mut(&from)
            && !rest.is_empty()
        {
            let taken = end.connection.handle_bytes(now, rest);
            rest = &rest[taken..];
            self.drain(now, from);
        }
        self.decide(now);
    }

    pub(super) fn handle_sent(&mut self, now: Instant, to: usize, bytes: usize) {
        self.is_sending = false;
        if let Some(end) = self.ends.get_mut(&to) {
            end.connection.handle_sent(now, bytes);
        }
        self.drain(now, to);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let others: Vec<usize> = self.ends.keys().copied().collect();
        for other in &others {
            if let Some(end) = self.ends.get_mut(other) {
                end.connection.handle_timeout(now);
            }
            self.drain(now, *other);
        }
        for (other, end) in &self.ends {
            let (key, sent) = (*other as u64, end.connection.tally().block_bytes);
            self.choker.handle_sent(now, key, sent);
            self.spread.handle_sent(now, key, sent);
            if self.role == Role::Seed {
                self.choker.handle_metered(key, self.spread.metered(key));
            }
        }
        for (key, block) in self.picker.handle_timeout(now) {
            self.command(now, key as usize, Command::Cancel(block));
        }
        self.decide(now);
        self.ask_all(now);
    }

    /// The next thing that the uplink sends, where it is free: messages, or else one block.
    pub(super) fn next_to_send(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        if self.is_sending {
            return None;
        }
        let others: Vec<usize> = self.ends.keys().copied().collect();
        let n = others.len().max(1);
        for step in 0..others.len() {
            let at = (self.turn + step) % n;
            let end = self.ends.get_mut(&others[at])?;
            let mut bytes = Vec::new();
            if let Some(messages) = end.unsent.pop_front() {
                bytes.extend_from_slice(&messages);
            } else {
                let mut blocks = Vec::new();
                end.connection.take_blocks(now, 1, &mut blocks);
                for block in blocks {
                    let range = self.geometry.block_range(block);
                    bytes.extend_from_slice(&piece_header(block));
                    bytes.extend_from_slice(&self.here[range.start as usize..range.end as usize]);
                }
            }
            if !bytes.is_empty() {
                self.turn = at + 1;
                self.is_sending = true;
                return Some((others[at], bytes));
            }
        }
        None
    }

    fn command(&mut self, now: Instant, other: usize, command: Command) {
        if let Some(end) = self.ends.get_mut(&other) {
            end.connection.handle_command(now, command);
        }
        self.drain(now, other);
    }

    fn drain(&mut self, now: Instant, other: usize) {
        while let Some(end) = self.ends.get_mut(&other)
            && let Some(output) = end.connection.poll_output(now)
        {
            match output {
                Output::Send(bytes) => end.unsent.push_back(bytes),
                Output::Identify(_) => self.admit(now, other),
                Output::FindHashes(range) => end.connection.send_hashes(range, None),
                Output::Event(event) => self.handle_event(now, other, event),
                Output::Close(reason) => {
                    self.closed.push(reason.kind().to_owned());
                    self.ends.remove(&other);
                    self.leave(now, other);
                }
            }
        }
    }

    fn admit(&mut self, now: Instant, other: usize) {
        let (key, n_pieces) = (other as u64, self.geometry.n_pieces());
        let own = match self.role {
            Role::Seed => match self.spread.handle_join(now, key, World::Native) {
                Mode::Spreading => Own::Some(Bitfield::none(n_pieces)),
                Mode::Plain => Own::All,
            },
            Role::Fetch | Role::Idle => {
                self.picker.handle_join(key);
                Own::Some(self.picker.have().clone())
            }
        };
        self.choker.handle_join(now, key, None);
        if self.role == Role::Seed {
            self.choker.handle_metered(key, self.spread.metered(key));
        }
        let served = Served {
            geometry: Some(self.geometry),
            metadata: None,
            v2: None,
            own,
            upload_only: false,
            private: false,
            port: None,
        };
        if let Some(end) = self.ends.get_mut(&other) {
            end.connection.admit(now, served, None);
        }
    }

    fn leave(&mut self, now: Instant, other: usize) {
        let key = other as u64;
        self.choker.handle_leave(now, key);
        match self.role {
            Role::Seed => self.spread.handle_leave(now, key),
            Role::Fetch | Role::Idle => self.picker.handle_leave(key),
        }
    }

    fn handle_event(&mut self, now: Instant, other: usize, event: Event) {
        let key = other as u64;
        if let Event::Interested(interested) = event {
            self.choker.handle_interest(now, key, interested);
            self.spread.handle_interest(now, key, interested);
        } else if self.role == Role::Seed {
            let sent = self
                .ends
                .get(&other)
                .map(|end| end.connection.tally().block_bytes);
            self.spread.handle_sent(now, key, sent.unwrap_or_default());
            match event {
                Event::Have(piece) => self.spread.handle_have(now, key, piece),
                Event::Bitfield(field) => self.spread.handle_bitfield(now, key, &field),
                Event::HasAll => {
                    let all = Bitfield::all(self.geometry.n_pieces());
                    self.spread.handle_bitfield(now, key, &all);
                }
                _ => {}
            }
        } else {
            self.fetch(now, other, event);
        }
    }

    fn fetch(&mut self, now: Instant, other: usize, event: Event) {
        let (key, picker) = (other as u64, &mut self.picker);
        match event {
            Event::Choked(choked) => picker.handle_choked(key, choked),
            Event::Have(piece) => picker.handle_have(key, piece),
            Event::HasAll => picker.handle_has_all(key),
            Event::HasNone => picker.handle_has_none(key),
            Event::Bitfield(field) => picker.handle_bitfield(key, field),
            Event::Rejected(block) => picker.handle_rejected(now, key, block),
            Event::Introduced(introduced) => {
                if let Some(queue) = introduced.request_queue {
                    picker.handle_request_queue(key, queue);
                }
            }
            Event::Block { block, bytes } => self.take(now, key, block, &bytes),
            _ => {}
        }
        self.ask(now, other);
    }

    fn take(&mut self, now: Instant, key: u64, block: Block, bytes: &[u8]) {
        let range = self.geometry.block_range(block);
        let received = self.picker.handle_block(now, key, block);
        if received.is_new {
            self.here[range.start as usize..range.end as usize].copy_from_slice(bytes);
        }
        for other in received.cancel {
            self.command(now, other as usize, Command::Cancel(block));
        }
        if received.is_last {
            self.verify(now, block.piece());
        }
    }

    fn verify(&mut self, now: Instant, piece: PieceIndex) {
        let range = self.geometry.piece_range(piece);
        let range = range.start as usize..range.end as usize;
        let right = self.here[range.clone()] == self.payload[range];
        self.picker.handle_verified(piece, right, &[]);
        let others: Vec<usize> = self.ends.keys().copied().collect();
        for other in others {
            self.command(now, other, Command::Show(piece));
        }
        if self.picker.is_complete() {
            self.done = Some(now);
            self.choker.handle_kind(Kind::Seed);
        }
        self.ask_all(now);
    }

    fn ask_all(&mut self, now: Instant) {
        let others: Vec<usize> = self.ends.keys().copied().collect();
        for other in others {
            self.ask(now, other);
        }
    }

    fn ask(&mut self, now: Instant, other: usize) {
        let wants = self.picker.wants(other as u64);
        let Some(end) = self.ends.get_mut(&other) else {
            return;
        };
        if self.role != Role::Seed && end.wanted != wants {
            end.wanted = wants;
            self.command(now, other, Command::Interested(wants));
        }
        if self.role == Role::Fetch {
            let blocks = self.picker.choose(now, other as u64);
            if !blocks.is_empty() {
                self.command(now, other, Command::Request(blocks));
            }
        }
    }

    fn decide(&mut self, now: Instant) {
        while let Some(change) = self.choker.poll_change(now) {
            self.command(now, change.key as usize, Command::Choke(change.choke));
            self.spread.handle_choked(now, change.key, change.choke);
        }
        while self.role == Role::Seed
            && let Some((key, reveal)) = self.spread.poll_reveal(now)
        {
            let command = match reveal {
                Reveal::Piece(piece) => Command::Show(piece),
                Reveal::All => Command::ShowAll,
            };
            self.command(now, key as usize, command);
        }
    }
}
