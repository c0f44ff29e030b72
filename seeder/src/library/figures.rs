//! What is known of one torrent's swarm and of what was sent to it: totals since the start, and what holds now. Written
//! where things happen, one relaxed add each; read by status and metrics, which make rates of two readings.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Stands for "not known" where copies are counted.
const UNKNOWN: u64 = u64::MAX;
/// Copies are kept in thousandths.
const THOUSAND: f64 = 1000.0;

/// How a peer is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// uTP (BEP 29).
    Utp,
    /// WebRTC: a browser.
    Browser,
}

/// One torrent's figures. They outlive its parsed form and end with its place in the library.
#[derive(Debug)]
pub struct TorrentFigures {
    length: u64,
    tcp: AtomicU64,
    utp: AtomicU64,
    browser: AtomicU64,
    encrypted: AtomicU64,
    joined: AtomicU64,
    seeds: AtomicU64,
    interested: AtomicU64,
    unchoked: AtomicU64,
    sent: AtomicU64,
    sent_http: AtomicU64,
    received: AtomicU64,
    wasted: AtomicU64,
    gained: AtomicU64,
    copies: [AtomicU64; 2],
    spreading: AtomicBool,
    first_peer: OnceLock<Instant>,
    first_copy: OnceLock<FirstCopy>,
}

/// What the first full copy took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstCopy {
    /// Payload bytes that peers had been sent when it was out.
    pub sent: u64,
    /// Time since the first peer joined.
    pub after: Duration,
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reading {
    /// Payload bytes of the torrent.
    pub length: u64,
    /// Peers over TCP.
    pub tcp: u64,
    /// Peers over uTP.
    pub utp: u64,
    /// Peers over WebRTC.
    pub browser: u64,
    /// How many of them are encrypted by message stream encryption.
    pub encrypted: u64,
    /// Peers that have joined since the start.
    pub joined: u64,
    /// Peers that have everything.
    pub seeds: u64,
    /// Peers that want something.
    pub interested: u64,
    /// Peers that are served.
    pub unchoked: u64,
    /// Payload bytes sent to peers.
    pub sent: u64,
    /// Payload bytes sent over HTTP.
    pub sent_http: u64,
    /// Payload bytes taken from peers and web seeds.
    pub received: u64,
    /// Of these, bytes that were of no use.
    pub wasted: u64,
    /// Bytes of pieces that peers have come to show since they joined.
    pub gained: u64,
    /// Copies among TCP and uTP peers, without ours: the rarest piece's, and which part of the pieces has more.
    pub copies: Option<f64>,
    /// The same among browsers.
    pub copies_browser: Option<f64>,
    /// Whether pieces are revealed one by one, since copies are scarce.
    pub spreading: bool,
    /// What the first full copy took.
    pub first_copy: Option<FirstCopy>,
}

impl TorrentFigures {
    /// Of a torrent of this many payload bytes.
    pub fn new(length: u64) -> Self {
        let zero = AtomicU64::default;
        Self {
            length,
            tcp: zero(),
            utp: zero(),
            browser: zero(),
            encrypted: zero(),
            joined: zero(),
            seeds: zero(),
            interested: zero(),
            unchoked: zero(),
            sent: zero(),
            sent_http: zero(),
            received: zero(),
            wasted: zero(),
            gained: zero(),
            copies: [AtomicU64::new(UNKNOWN), AtomicU64::new(UNKNOWN)],
            spreading: AtomicBool::new(false),
            first_peer: OnceLock::new(),
            first_copy: OnceLock::new(),
        }
    }

    /// Counts a peer until the guard goes. The first one starts the clock of the first copy.
    pub fn joined(self: &std::sync::Arc<Self>, transport: Transport, encrypted: bool) -> Joined {
        self.first_peer.get_or_init(Instant::now);
        add(&self.joined, 1);
        add(self.of(transport), 1);
        add(&self.encrypted, u64::from(encrypted));
        Joined {
            figures: self.clone(),
            transport,
            encrypted,
        }
    }

    fn of(&self, transport: Transport) -> &AtomicU64 {
        match transport {
            Transport::Tcp => &self.tcp,
            Transport::Utp => &self.utp,
            Transport::Browser => &self.browser,
        }
    }

    /// Payload bytes went to a peer.
    pub fn sent(&self, bytes: u64) {
        add(&self.sent, bytes);
    }

    /// Payload bytes went out over HTTP.
    pub fn sent_http(&self, bytes: u64) {
        add(&self.sent_http, bytes);
    }

    /// Payload bytes came in.
    pub fn received(&self, bytes: u64) {
        add(&self.received, bytes);
    }

    /// Bytes that came in were of no use: we had them, or they were wrong.
    pub fn wasted(&self, bytes: u64) {
        add(&self.wasted, bytes);
    }

    /// A peer shows pieces of so many bytes that it hadn't when it joined, whoever sent them.
    pub fn gained(&self, bytes: u64) {
        add(&self.gained, bytes);
    }

    /// How many copies there are among TCP and uTP peers, and among browsers; `None` where nobody can say.
    pub fn set_copies(&self, native: Option<f64>, browser: Option<f64>) {
        for (place, copies) in self.copies.iter().zip([native, browser]) {
            let thousandths = copies.map_or(UNKNOWN, |copies| (copies * THOUSAND) as u64);
            place.store(thousandths, Ordering::Relaxed);
        }
    }

    /// Whether pieces are revealed one by one now.
    pub fn set_spreading(&self, spreading: bool) {
        self.spreading.store(spreading, Ordering::Relaxed);
    }

    /// How many peers have everything, want something, are served.
    pub fn set_swarm(&self, seeds: u64, interested: u64, unchoked: u64) {
        self.seeds.store(seeds, Ordering::Relaxed);
        self.interested.store(interested, Ordering::Relaxed);
        self.unchoked.store(unchoked, Ordering::Relaxed);
    }

    /// The first full copy is out, after so many payload bytes to peers. Only the first call counts.
    pub fn first_copy(&self, sent: u64) {
        let since = self.first_peer.get().copied();
        let after = since.map_or(Duration::ZERO, |since| since.elapsed());
        let _ = self.first_copy.set(FirstCopy { sent, after });
    }

    /// Everything now.
    pub fn read(&self) -> Reading {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let copies = |world: usize| {
            let thousandths = get(&self.copies[world]);
            (thousandths != UNKNOWN).then(|| thousandths as f64 / THOUSAND)
        };
        Reading {
            length: self.length,
            tcp: get(&self.tcp),
            utp: get(&self.utp),
            browser: get(&self.browser),
            encrypted: get(&self.encrypted),
            joined: get(&self.joined),
            seeds: get(&self.seeds),
            interested: get(&self.interested),
            unchoked: get(&self.unchoked),
            sent: get(&self.sent),
            sent_http: get(&self.sent_http),
            received: get(&self.received),
            wasted: get(&self.wasted),
            gained: get(&self.gained),
            copies: copies(0),
            copies_browser: copies(1),
            spreading: self.spreading.load(Ordering::Relaxed),
            first_copy: self.first_copy.get().copied(),
        }
    }
}

impl Reading {
    /// Of a torrent of so many bytes that nobody has asked for.
    pub fn of(length: u64) -> Self {
        Self {
            length,
            ..Self::default()
        }
    }

    /// Peers now.
    pub fn peers(&self) -> u64 {
        self.tcp + self.utp + self.browser
    }

    /// Payload bytes that were of use to somebody, as far as is known: what peers have come to show (or were sent by
    /// us, if that is more: a piece is shown when it is whole), and what went out over HTTP. Whoever fetches by HTTP
    /// and is a peer at the same time counts twice.
    pub fn useful(&self) -> u64 {
        self.gained.max(self.sent) + self.sent_http
    }

    /// `1 − HTTP bytes ÷ useful bytes`, once there are any.
    pub fn web_offload(&self) -> Option<f64> {
        let useful = self.useful();
        (useful > 0).then(|| 1.0 - self.sent_http as f64 / useful as f64)
    }

    /// Which part of the useful bytes peers had from each other, once there are any.
    pub fn swarm_share(&self) -> Option<f64> {
        let useful = self.useful();
        (useful > 0).then(|| self.gained.saturating_sub(self.sent) as f64 / useful as f64)
    }

    /// Payload copies that peers were sent until the first full copy was out.
    pub fn first_copy_ratio(&self) -> Option<f64> {
        let first = self.first_copy?;
        (self.length > 0).then(|| first.sent as f64 / self.length as f64)
    }
}

/// Counts a peer as long as it lives.
#[derive(Debug)]
pub struct Joined {
    figures: std::sync::Arc<TorrentFigures>,
    transport: Transport,
    encrypted: bool,
}

impl Drop for Joined {
    fn drop(&mut self) {
        let take = |number: &AtomicU64, n| number.fetch_sub(n, Ordering::Relaxed);
        take(self.figures.of(self.transport), 1);
        take(&self.figures.encrypted, u64::from(self.encrypted));
    }
}

fn add(number: &AtomicU64, n: u64) {
    if n > 0 {
        number.fetch_add(n, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn peers_come_and_go_and_the_first_copy_is_told_once() {
        let figures = Arc::new(TorrentFigures::new(1000));
        assert_eq!(figures.read().web_offload(), None);
        let first = figures.joined(Transport::Tcp, false);
        let second = figures.joined(Transport::Utp, true);
        let reading = figures.read();
        assert_eq!((reading.tcp, reading.utp, reading.peers()), (1, 1, 2));
        assert_eq!((reading.encrypted, reading.copies), (1, None));
        drop((first, second));
        figures.sent(1050);
        figures.first_copy(1050);
        figures.sent(950);
        figures.first_copy(2000);
        figures.sent_http(500);
        figures.gained(4500);
        figures.set_copies(Some(1.25), None);
        let reading = figures.read();
        assert_eq!(
            (reading.peers(), reading.encrypted, reading.joined),
            (0, 0, 2)
        );
        assert_eq!(reading.first_copy_ratio(), Some(1.05));
        assert_eq!(reading.web_offload(), Some(0.9));
        assert_eq!(reading.swarm_share(), Some(0.5));
        assert_eq!((reading.copies, reading.copies_browser), (Some(1.25), None));
    }
}
