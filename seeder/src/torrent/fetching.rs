//! A torrent that is being fetched: what is asked of whom, what comes of it, and whom to connect to.

use super::Joining;
use super::dial::{Dial, Dialer};
use super::disk::{self, Done, Work};
use super::member::Member;
use crate::library::figures::TorrentFigures;
use metainfo::geometry::Block;
use metainfo::{Geometry, PieceIndex};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use store::Incoming;
use store::incoming::short_pieces;
use swarm::picker::Picker;
use swarm::rates::Rate;
use tokio::sync::{mpsc, watch};
use wire::bitfield::Bitfield;
use wire::connection::{CloseReason, Command, Event, Own};

/// How many of those that have left are remembered, in case it turns out what they gave.
const REMEMBERED: usize = 256;

/// Where the blocks of a web seed are asked for.
pub type Runs = std::sync::mpsc::Sender<Vec<Block>>;

/// How far a fetch has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Bytes that are here and verified.
    pub bytes: u64,
    /// Bytes in all.
    pub of: u64,
    /// Pieces that are here.
    pub pieces: u32,
    /// Bytes a second that come in.
    pub rate: u64,
    /// Peers that are connected.
    pub peers: usize,
    /// Those of them that have everything.
    pub seeds: usize,
    /// Web seeds that are asked.
    pub web_seeds: usize,
    /// Peers and web seeds that were sent away for wrong bytes.
    pub banned: usize,
    /// Bytes that came in since the start, and of these those from web seeds and those that were of no use.
    pub received: u64,
    /// See [`Self::received`].
    pub received_web: u64,
    /// See [`Self::received`].
    pub wasted: u64,
    /// Where it stands.
    pub state: State,
}

impl Progress {
    /// Nothing yet.
    pub fn new(geometry: &Geometry) -> Self {
        Self {
            bytes: 0,
            of: geometry.total_length(),
            pieces: 0,
            rate: 0,
            peers: 0,
            seeds: 0,
            web_seeds: 0,
            banned: 0,
            received: 0,
            received_web: 0,
            wasted: 0,
            state: State::Fetching,
        }
    }

    /// Everything is here, and was before.
    pub fn whole(geometry: &Geometry) -> Self {
        Self {
            bytes: geometry.total_length(),
            pieces: geometry.n_pieces(),
            state: State::Whole,
            ..Self::new(geometry)
        }
    }
}

/// Where a fetch stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Fetching,
    /// Everything is here, and in its place.
    Whole,
    /// It can't go on.
    Failed(String),
}

/// What is needed to fetch.
pub struct Fetch {
    /// Where it is written to.
    pub incoming: Arc<Incoming>,
    /// The pieces that are there already.
    pub have: Bitfield,
    /// Connects to peers.
    pub dial: Dial,
    /// Our port.
    pub port: u16,
    /// Told about once a second, and at the end.
    pub progress: watch::Sender<Progress>,
    /// Told each piece that has come to be here.
    pub verified: mpsc::UnboundedSender<PieceIndex>,
    /// Called once everything is in its place: what is served is to be read from there.
    pub placed: Box<dyn FnOnce() + Send>,
}

#[derive(Debug, Default)]
struct Counts {
    banned: usize,
    received: u64,
    received_web: u64,
    wasted: u64,
}

pub(super) struct Fetching {
    picker: Picker,
    geometry: Geometry,
    disk: mpsc::Sender<Work>,
    figures: Arc<TorrentFigures>,
    webs: BTreeMap<u64, Runs>,
    dialer: Dialer,
    banned: HashSet<SocketAddr>,
    past: VecDeque<(u64, SocketAddr)>,
    counts: Counts,
    rate: Rate,
    verified: mpsc::UnboundedSender<PieceIndex>,
    progress: watch::Sender<Progress>,
    state: State,
    /// Blocks have become free: everybody is to be asked.
    ask_all: bool,
}

type Members = HashMap<u64, Member>;

impl Fetching {
    pub(super) fn new(
        fetch: Fetch,
        figures: Arc<TorrentFigures>,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Done>)> {
        let info = &fetch.incoming.torrent().info;
        let (geometry, short) = (info.geometry(), short_pieces(info));
        let (disk, done) = disk::start(fetch.incoming.clone(), fetch.placed)?;
        let fetching = Self {
            picker: Picker::new(geometry, fetch.have, short, rand::random()),
            geometry,
            disk,
            figures,
            webs: BTreeMap::new(),
            dialer: Dialer::new(fetch.dial, fetch.port),
            banned: HashSet::new(),
            past: VecDeque::new(),
            counts: Counts::default(),
            verified: fetch.verified,
            rate: Rate::new(Instant::now()),
            progress: fetch.progress,
            state: State::Fetching,
            ask_all: false,
        };
        if fetching.picker.is_complete() {
            // Nothing waits for the disk yet.
            let _ = fetching.disk.try_send(Work::Finish);
        }
        Ok((fetching, done))
    }

    /// Whether everything is here.
    pub(super) fn is_complete(&self) -> bool {
        self.picker.is_complete()
    }

    /// A peer has come; gives what it is shown at the start.
    pub(super) fn join(&mut self, key: u64, joining: &Joining) -> Result<Own, CloseReason> {
        if self.banned.contains(&mark(joining.remote)) {
            return Err(CloseReason::BadData);
        }
        self.picker.handle_join(key);
        if joining.outgoing {
            self.dialer.handle_connected(joining.remote);
        }
        Ok(if self.picker.is_complete() {
            Own::All
        } else {
            Own::Some(self.picker.have().clone())
        })
    }

    pub(super) fn leave(&mut self, key: u64, member: &Member) {
        self.picker.handle_leave(key);
        self.past.push_back((key, member.joining.remote));
        if self.past.len() > REMEMBERED {
            self.past.pop_front();
        }
        self.ask_all = true;
    }

    /// A web seed is ready to be asked.
    pub(super) fn add_web_seed(
        &mut self,
        now: Instant,
        key: u64,
        runs: Runs,
        members: &mut Members,
    ) {
        self.picker.handle_join(key);
        self.picker.handle_has_all(key);
        self.picker.handle_choked(key, false);
        self.webs.insert(key, runs);
        self.ask(now, key, members);
    }

    /// A web seed is of no use any more.
    pub(super) fn remove_web_seed(&mut self, key: u64) {
        if self.webs.remove(&key).is_some() {
            self.picker.handle_leave(key);
            self.ask_all = true;
        }
    }

    /// Peers that may be worth a connection.
    pub(super) fn add_candidates(
        &mut self,
        now: Instant,
        addresses: Vec<SocketAddr>,
        members: &Members,
    ) {
        let banned = &self.banned;
        let welcome = addresses
            .into_iter()
            .filter(|at| !banned.contains(&mark(*at)));
        self.dialer.add(now, welcome);
        self.dial(now, members);
    }

    /// A connection that we wanted is over.
    pub(super) fn handle_undialled(&mut self, now: Instant, address: SocketAddr) {
        self.dialer.handle_ended(now, address);
    }

    pub(super) async fn handle_event(
        &mut self,
        now: Instant,
        key: u64,
        event: Event,
        members: &mut Members,
    ) {
        let picker = &mut self.picker;
        match event {
            Event::Choked(choked) => {
                picker.handle_choked(key, choked);
                self.ask_all |= choked;
            }
            Event::Have(piece) => picker.handle_have(key, piece),
            Event::HasAll => picker.handle_has_all(key),
            Event::HasNone => picker.handle_has_none(key),
            Event::Bitfield(field) => picker.handle_bitfield(key, field),
            Event::DontHave(piece) => picker.handle_dont_have(key, piece),
            Event::Block { block, bytes } => {
                self.handle_block(now, key, block, bytes, members).await;
            }
            Event::Rejected(block) => {
                picker.handle_rejected(now, key, block);
                self.ask_all = true;
            }
            Event::AllowedFast(piece) => picker.handle_allowed_fast(key, piece),
            Event::Introduced(introduced) => {
                if let Some(queue) = introduced.request_queue {
                    picker.handle_request_queue(key, queue);
                }
                if let Some(ip) = introduced.your_ip {
                    self.dialer.handle_own(ip);
                }
            }
            Event::Pex(message) => {
                let added = message.added.into_iter().map(|peer| peer.address).collect();
                self.add_candidates(now, added, members);
            }
            Event::Interested(_)
            | Event::Suggested(_)
            | Event::Metadata { .. }
            | Event::MetadataRejected(_)
            | Event::Hashes { .. }
            | Event::HashesRejected(_) => return,
        }
        self.ask(now, key, members);
    }

    async fn handle_block(
        &mut self,
        now: Instant,
        key: u64,
        block: Block,
        bytes: bytes::Bytes,
        members: &mut Members,
    ) {
        let length = u64::from(block.length());
        self.figures.received(length);
        self.rate.add(now, length);
        if let Some(member) = members.get_mut(&key) {
            member.received += length;
        } else {
            self.counts.received_web += length;
        }
        self.counts.received += length;
        let received = self.picker.handle_block(now, key, block);
        if !received.is_new {
            self.waste(length);
            return;
        }
        for other in received.cancel {
            if let Some(member) = members.get(&other) {
                member.command(Command::Cancel(block));
            }
        }
        // What can't be written any more has been reported.
        let _ = self.disk.send(Work::Write { block, bytes }).await;
        if received.is_last {
            let piece = block.piece();
            let suspect = self.picker.is_suspect(piece);
            let _ = self.disk.send(Work::Verify { piece, suspect }).await;
        }
    }

    /// The disk has something to tell.
    pub(super) async fn handle_done(&mut self, done: Done, members: &mut Members) {
        match done {
            Done::Verified {
                piece,
                right,
                digests,
            } => {
                if !right {
                    let wasted = self.geometry.piece_len(piece);
                    self.waste(wasted.into());
                    tracing::debug!("piece {} failed its hash", piece.get());
                }
                for liar in self.picker.handle_verified(piece, right, &digests) {
                    self.ban(liar, members);
                }
                if right {
                    // Whoever reports has an end of his own.
                    let _ = self.verified.send(piece);
                    for member in members.values() {
                        member.command(Command::Show(piece));
                    }
                    if self.picker.is_complete() {
                        let _ = self.disk.send(Work::Finish).await;
                    }
                }
                self.ask_all = true;
            }
            Done::Finished => {
                self.state = State::Whole;
                self.webs.clear();
                for member in members.values() {
                    member.command(Command::Interested(false));
                    member.command(Command::UploadOnly);
                }
                self.report(Instant::now(), members);
            }
            Done::Failed(error) => {
                self.state = State::Failed(error.to_string());
                self.report(Instant::now(), members);
            }
        }
    }

    fn waste(&mut self, bytes: u64) {
        self.counts.wasted += bytes;
        self.figures.wasted(bytes);
    }

    /// Asks everybody, where something has become free.
    pub(super) fn ask_around(&mut self, now: Instant, members: &mut Members) {
        if !std::mem::take(&mut self.ask_all) {
            return;
        }
        let keys: Vec<u64> = members.keys().chain(self.webs.keys()).copied().collect();
        for key in keys {
            self.ask(now, key, members);
        }
    }

    /// About once a second.
    pub(super) fn tick(&mut self, now: Instant, members: &mut Members) {
        for (key, block) in self.picker.handle_timeout(now) {
            if let Some(member) = members.get(&key) {
                member.command(Command::Cancel(block));
            }
        }
        self.ask_all = true;
        self.ask_around(now, members);
        self.dial(now, members);
        self.report(now, members);
    }

    fn dial(&mut self, now: Instant, members: &Members) {
        if self.state != State::Fetching {
            return;
        }
        let incoming = members
            .values()
            .filter(|member| !member.joining.outgoing)
            .count();
        self.dialer.dial(now, incoming, |address| {
            members
                .values()
                .any(|member| member.listens_at() == Some(*address))
        });
    }

    fn ask(&mut self, now: Instant, key: u64, members: &mut Members) {
        if self.state != State::Fetching {
            return;
        }
        if let Some(runs) = self.webs.get(&key) {
            loop {
                let run = self.picker.choose_run(now, key);
                if run.is_empty() {
                    return;
                }
                if runs.send(run).is_err() {
                    return self.remove_web_seed(key);
                }
            }
        }
        let Some(member) = members.get_mut(&key) else {
            return;
        };
        let wants = self.picker.wants(key);
        if member.wanted != wants {
            member.wanted = wants;
            member.command(Command::Interested(wants));
        }
        let blocks = self.picker.choose(now, key);
        if !blocks.is_empty() {
            member.command(Command::Request(blocks));
        }
    }

    fn ban(&mut self, key: u64, members: &mut Members) {
        // Nothing else that came from there is believed either.
        self.picker.handle_distrust(key);
        if self.webs.contains_key(&key) {
            self.counts.banned += 1;
            tracing::warn!("a web seed gave wrong bytes and is not asked again");
            return self.remove_web_seed(key);
        }
        let past = self.past.iter().find(|(past, _)| *past == key);
        let member = members.get(&key).map(|member| member.joining.remote);
        let Some(remote) = member.or(past.map(|(_, remote)| *remote)) else {
            return;
        };
        if !self.banned.insert(mark(remote)) {
            return;
        }
        self.counts.banned += 1;
        tracing::warn!("{remote} gave wrong bytes and is sent away");
        self.dialer.forget(&remote);
        for member in members.values() {
            if mark(member.joining.remote) == mark(remote) {
                member.command(Command::Close(CloseReason::BadData));
            }
        }
    }

    fn report(&mut self, now: Instant, members: &Members) {
        let have = self.picker.have();
        let pieces = self.geometry.pieces().filter(|piece| have.has(*piece));
        let progress = Progress {
            bytes: pieces
                .map(|piece| u64::from(self.geometry.piece_len(piece)))
                .sum(),
            of: self.geometry.total_length(),
            pieces: have.count(),
            rate: self.rate.per_second(now),
            peers: members.len(),
            seeds: members.values().filter(|member| member.is_seed).count(),
            web_seeds: self.webs.len(),
            banned: self.counts.banned,
            received: self.counts.received,
            received_web: self.counts.received_web,
            wasted: self.counts.wasted,
            state: self.state.clone(),
        };
        self.progress.send_replace(progress);
    }
}

/// What is remembered of who was sent away: the address, and on this machine, where many live behind one, the port.
fn mark(remote: SocketAddr) -> SocketAddr {
    let ip = remote.ip().to_canonical();
    let port = if ip.is_loopback() { remote.port() } else { 0 };
    SocketAddr::new(ip, port)
}
