//! The link that the tests run: it lets time pass, asks for its clients and notes what each is granted.

use super::super::*;
use std::collections::BTreeMap;

pub(super) const MS: Duration = Duration::from_millis(1);

#[allow(clippy::disallowed_methods)]
pub(super) fn epoch() -> Instant {
    Instant::now()
}

/// Somebody who takes what is granted, then asks again after a while.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) release: usize,
    pub(super) class: Class,
    pub(super) want: u64,
    /// What it sends of a grant at most; the rest is given back.
    pub(super) uses: u64,
    /// Between a grant and the next ask.
    pub(super) rest: Duration,
    /// When it asks first.
    pub(super) begin: Duration,
}

pub(super) const GREEDY: Client = Client {
    release: 0,
    class: Class::Rest,
    want: 64 * 1024,
    uses: u64::MAX,
    rest: Duration::ZERO,
    begin: Duration::ZERO,
};

pub(super) struct Link {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) uplink: Uplink,
    pub(super) releases: Vec<Release>,
    pub(super) clients: Vec<(Asker, Client)>,
    /// When whom asks next.
    pub(super) asks: BTreeSet<(Instant, usize)>,
    /// How late each timer comes, over and over.
    pub(super) late: Vec<u64>,
    pub(super) timers: usize,
    /// What was granted when, to whom.
    pub(super) grants: Vec<(Instant, usize, u64)>,
}

impl Link {
    pub(super) fn new(limits: Limits, releases: usize, clients: &[Client]) -> Self {
        let start = epoch();
        let mut uplink = Uplink::new(limits);
        let releases = (0..releases).map(|_| uplink.add_release()).collect();
        let mut link = Self {
            start,
            now: start,
            uplink,
            releases,
            clients: Vec::new(),
            asks: BTreeSet::new(),
            late: vec![0],
            timers: 0,
            grants: Vec::new(),
        };
        for client in clients {
            let asker = link.uplink.join();
            link.asks.insert((start + client.begin, link.clients.len()));
            link.clients.push((asker, *client));
        }
        link
    }

    pub(super) fn total(rate: u64, clients: &[Client]) -> Self {
        let limits = Limits {
            total: Some(rate),
            ..Limits::default()
        };
        let releases = clients.iter().map(|c| c.release + 1).max().unwrap_or(1);
        Self::new(limits, releases, clients)
    }

    pub(super) fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            self.poll();
            let ask = self.asks.first().map(|(at, _)| *at);
            let late = MS * self.late[self.timers % self.late.len()] as u32;
            let timer = self.uplink.next_timeout().map(|at| at.max(self.now) + late);
            let Some(next) = ask
                .into_iter()
                .chain(timer)
                .min()
                .filter(|next| *next <= end)
            else {
                self.now = end;
                return;
            };
            self.timers += usize::from(Some(next) == timer);
            assert!(
                next > self.now || ask == Some(next),
                "nothing is polled in vain"
            );
            self.now = next;
            while let Some((at, index)) = self.asks.first().copied()
                && at <= self.now
            {
                self.asks.pop_first();
                let (asker, client) = self.clients[index];
                let release = self.releases[client.release];
                self.uplink
                    .ask(self.now, asker, release, client.class, client.want);
            }
        }
    }

    fn poll(&mut self) {
        while let Some(grant) = self.uplink.poll_grant(self.now) {
            let find = |(asker, _): &(Asker, Client)| *asker == grant.asker;
            let index = self.clients.iter().position(find).unwrap();
            let client = self.clients[index].1;
            assert!(grant.bytes <= client.want && grant.bytes >= client.want.min(LEAST_GRANT));
            let used = grant.bytes.min(client.uses);
            if used < grant.bytes {
                let release = self.releases[client.release];
                self.uplink
                    .give_back(grant.asker, release, grant.bytes - used);
            }
            self.grants.push((self.now, index, used));
            self.asks.insert((self.now + client.rest, index));
            // Who asks again at once does so before the next is granted.
            if client.rest.is_zero() {
                self.asks.remove(&(self.now, index));
                let release = self.releases[client.release];
                self.uplink
                    .ask(self.now, grant.asker, release, client.class, client.want);
            }
        }
    }

    /// Bytes by a name for each client, since a second.
    pub(super) fn by<K: Ord>(&self, since: u64, name: impl Fn(usize) -> K) -> BTreeMap<K, u64> {
        let since = self.start + Duration::from_secs(since);
        let mut sums: BTreeMap<K, u64> = (0..self.clients.len())
            .map(|index| (name(index), 0))
            .collect();
        for (at, index, bytes) in &self.grants {
            if *at >= since {
                *sums.entry(name(*index)).or_default() += bytes;
            }
        }
        sums
    }

    pub(super) fn sum(&self, since: u64) -> u64 {
        self.by(since, |_| ()).values().sum()
    }

    /// The most that was granted within any time of this length.
    pub(super) fn most_within(&self, length: Duration) -> u64 {
        let (mut most, mut sum, mut first) = (0, 0, 0);
        for (at, _, bytes) in &self.grants {
            sum += bytes;
            while *at - self.grants[first].0 > length {
                sum -= self.grants[first].2;
                first += 1;
            }
            most = most.max(sum);
        }
        most
    }
}

#[track_caller]
pub(super) fn near(value: u64, expected: u64, percent: u64) {
    let off = value.abs_diff(expected) * 100;
    assert!(off <= expected * percent, "{value} is not {expected}");
}
