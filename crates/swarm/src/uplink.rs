//! One upload limit over everything that is sent, whatever the transport: who may send how much, and when.
//!
//! - The limit holds over all connections together, and further ones over each release and each asker. Bytes are
//!   taken from token buckets when they are granted; what is sent without asking goes into the same account.
//! - Nothing idles: as long as anybody waits who may send, the next grant comes at the very moment the limit allows.
//!   Nothing bursts: what may be made up for is less than a tenth of a second.
//! - Order: by [`Class`], with a small share for each lower class so that everybody goes on; in a class, releases in the
//!   ratio of their weights; in a release, all askers alike, by bytes (see `uplink/queue.rs`).
//! - A month's volume: once it is spent, another rate holds, or nothing is granted.
//!
//! Each asker has at most one ask under way. An ask is entered by [`Uplink::ask`]; then, and at [`Uplink::next_timeout`],
//! [`Uplink::poll_grant`] is called until it has no more. Every step costs `O(log n)` of the askers.
//!
//! Called by the seeder's `uplink`, which has the clock, the tasks that wait and the file of the month's volume.

pub mod admission;
mod bucket;
mod queue;
pub mod schedule;
mod terms;
#[cfg(test)]
mod tests;

use bucket::Bucket;
pub use terms::{Asker, Class, Grant, Limits, Release, Tally, Volume};

use queue::{Askers, ONE, Place, Releases};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use terms::CLASSES;

/// What is granted at least to who wants so much: a block of 16 KiB with its header and what encryption or HTTP add.
pub const LEAST_GRANT: u64 = 16 * 1024 + 256;
/// What is granted at least to who takes bytes by any number and wants so much: less costs more than it brings.
pub const LEAST_STEP: u64 = 4 * 1024;
/// What is granted at once at most, however fast the link: turns stay short.
pub const MOST_GRANT: u64 = 256 * 1024;
/// A grant is what goes within this time, between the bounds above: some hundred grants a second cost next to nothing,
/// and of hundreds who share a tenth of a small link each has its turn within seconds.
const TURN: Duration = Duration::from_millis(2);
/// What may be sent at once after a rest.
const RESTED: Duration = Duration::from_millis(25);
/// What is made up for where a grant came late although somebody waited: timers are late on a busy machine.
const LATE: Duration = Duration::from_millis(75);
/// Hundredths of what the classes above send that each lower class gets while it waits.
const SHARE: u64 = 10;
/// After waiting so long a turn of a lower class is overdue: many share its little part.
const OVERDUE: Duration = Duration::from_secs(10);
/// Hundredths instead of [`SHARE`] while its next turn is.
const OVERDUE_SHARE: u64 = 50;
/// Bytes a second: a new asker who could count on less, about what sound alone takes, finds the link saturated.
const USEFUL: u64 = 32 * 1024;

/// The one limit.
#[derive(Debug)]
pub struct Uplink {
    limits: Limits,
    volume: Option<Volume>,
    total: Option<Bucket>,
    askers: Vec<Member>,
    /// Places of askers who have left.
    free: Vec<usize>,
    releases: Vec<Shared>,
    /// The sum of the weights that were set, and how many they are.
    weights: (u64, u64),
    classes: [Releases; CLASSES],
    /// Who waits for a limit of its own.
    asleep: BTreeSet<(Instant, Sleeper)>,
    /// How many wait, by class.
    waiting: [usize; CLASSES],
    tally: Tally,
    /// When the accounts were last brought up to date.
    at: Option<Instant>,
    /// Whether somebody waited until then.
    busy: bool,
}

#[derive(Debug, Default)]
struct Member {
    bucket: Option<Bucket>,
    /// The class of its last grant.
    granted: usize,
    /// What it gave back of that: its next turn comes so much earlier.
    returned: u64,
    ask: Option<Ask>,
}

#[derive(Debug, Clone, Copy)]
struct Ask {
    release: usize,
    class: usize,
    bytes: u64,
    /// Since when it waits.
    since: Instant,
    wait: Wait,
}

#[derive(Debug, Clone, Copy)]
enum Wait {
    Queued(Place),
    /// Until the asker's own limit lets it on.
    Asleep(Instant),
}

/// What is known of a release.
#[derive(Debug, Default)]
struct Shared {
    bucket: Option<Bucket>,
    weight: Option<u64>,
    asleep: Option<Instant>,
    /// How many wait, by class, those among them who wait for a limit of their own.
    waiting: [usize; CLASSES],
    askers: [Askers; CLASSES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sleeper {
    Asker(usize),
    Release(usize),
}

impl Uplink {
    /// Nobody asks yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            volume: None,
            total: None,
            askers: Vec::new(),
            free: Vec::new(),
            releases: Vec::new(),
            weights: (0, 0),
            classes: Default::default(),
            asleep: BTreeSet::new(),
            waiting: [0; CLASSES],
            tally: Tally::default(),
            at: None,
            busy: false,
        }
    }

    /// Names a new release.
    pub fn add_release(&mut self) -> Release {
        self.releases.push(Shared::default());
        Release(self.releases.len() - 1)
    }

    /// Names a new asker.
    pub fn join(&mut self) -> Asker {
        let index = self.free.pop().unwrap_or_else(|| {
            self.askers.push(Member::default());
            self.askers.len() - 1
        });
        self.askers[index] = Member::default();
        Asker(index)
    }

    /// An asker has gone; its name is given to others.
    pub fn leave(&mut self, asker: Asker) {
        self.withdraw(asker);
        self.free.push(asker.0);
    }

    /// Asks for leave to send so many bytes. An ask that still waits is replaced, so no more wait than have joined.
    pub fn ask(&mut self, now: Instant, asker: Asker, release: Release, class: Class, want: u64) {
        self.withdraw(asker);
        // What came in while nobody waited is bounded more tightly than what a late timer left.
        self.refill(now);
        let bytes = want.clamp(1, self.turn());
        let ask = |wait| Ask {
            release: release.0,
            class: class as usize,
            bytes,
            since: now,
            wait,
        };
        self.waiting[class as usize] += 1;
        self.releases[release.0].waiting[class as usize] += 1;
        let member = &mut self.askers[asker.0];
        if let Some(rate) = self.limits.per_asker {
            let bucket = member
                .bucket
                .get_or_insert_with(|| Bucket::new(now, rate, RESTED));
            bucket.refill(now, RESTED);
            if !bucket.is_open() {
                let until = bucket.opens_at().unwrap_or_else(|| far(now));
                member.ask = Some(ask(Wait::Asleep(until)));
                self.asleep.insert((until, Sleeper::Asker(asker.0)));
                return;
            }
        }
        let due = bytes.saturating_sub(std::mem::take(&mut member.returned));
        let place = self.releases[release.0].askers[class as usize].push(asker.0, due);
        self.askers[asker.0].ask = Some(ask(Wait::Queued(place)));
        self.enter(release.0, class as usize);
    }

    /// An asker wants nothing any more.
    pub fn withdraw(&mut self, asker: Asker) {
        let Some(ask) = self.askers[asker.0].ask.take() else {
            return;
        };
        self.forget(&ask);
        match ask.wait {
            Wait::Asleep(until) => {
                self.asleep.remove(&(until, Sleeper::Asker(asker.0)));
            }
            Wait::Queued(place) => {
                let askers = &mut self.releases[ask.release].askers[ask.class];
                askers.remove(asker.0, place);
                if askers.len() == 0
                    && let Some(place) = askers.place.take()
                {
                    self.classes[ask.class].remove(ask.release, place);
                }
            }
        }
    }

    /// The next who may send; `None` until [`Self::next_timeout`].
    pub fn poll_grant(&mut self, now: Instant) -> Option<Grant> {
        self.refill(now);
        self.wake(now);
        if self.total.as_ref().is_some_and(|total| !total.is_open()) {
            return None;
        }
        let class = self.choose()?;
        let release = self.classes[class].pop()?;
        let askers = &mut self.releases[release].askers[class];
        let weight = askers.len() as u64 * ONE;
        askers.place = None;
        let asker = askers.pop()?;
        let ask = self.askers[asker].ask.take()?;
        self.forget(&ask);
        for lower in class + 1..CLASSES {
            let credit = ask.bytes * self.share(now, lower);
            let lower = &mut self.classes[lower];
            lower.credit = (lower.credit + credit).min(2 * MOST_GRANT * 100);
        }
        self.tally.bytes[class] += ask.bytes;
        self.askers[asker].granted = class;
        self.spend(now, Asker(asker), Release(release), ask.bytes);
        self.enter_as(release, class, weight);
        Some(Grant {
            asker: Asker(asker),
            bytes: ask.bytes,
        })
    }

    /// Accounts for bytes that are sent, asked for or not.
    pub fn spend(&mut self, now: Instant, asker: Asker, release: Release, bytes: u64) {
        let (asker, release) = (asker.0, release.0);
        if let Some(bucket) = &mut self.askers[asker].bucket {
            bucket.take(bytes);
        }
        if let Some(rate) = self.limits.per_release {
            let shared = &mut self.releases[release];
            let bucket = shared
                .bucket
                .get_or_insert_with(|| Bucket::new(now, rate, RESTED));
            bucket.refill(now, LATE);
            bucket.take(bytes);
            if !bucket.is_open() && shared.asleep.is_none() {
                let until = bucket.opens_at().unwrap_or_else(|| far(now));
                shared.asleep = Some(until);
                self.asleep.insert((until, Sleeper::Release(release)));
                for (askers, class) in shared.askers.iter_mut().zip(&mut self.classes) {
                    if let Some(place) = askers.place.take() {
                        class.remove(release, place);
                    }
                }
            }
        }
        self.count(now, bytes);
    }

    /// Accounts for bytes that are sent outside of every release, as pages and answers of the tracker are.
    pub fn count(&mut self, now: Instant, bytes: u64) {
        self.tally.busy_bytes += if self.busy { bytes } else { 0 };
        if let Some(total) = &mut self.total {
            total.take(bytes);
        }
        if let Some(volume) = &mut self.volume {
            let was_spent = volume.is_spent();
            volume.used = volume.used.saturating_add(bytes);
            if volume.is_spent() != was_spent {
                self.retune(now);
            }
        }
    }

    /// Bytes of a grant that were not sent after all.
    pub fn give_back(&mut self, asker: Asker, release: Release, bytes: u64) {
        let member = &mut self.askers[asker.0];
        let granted = &mut self.tally.bytes[member.granted];
        *granted = granted.saturating_sub(bytes);
        member.returned = bytes;
        if self.busy {
            self.tally.busy_bytes = self.tally.busy_bytes.saturating_sub(bytes);
        }
        let own = member.bucket.as_mut();
        let shared = self.releases[release.0].bucket.as_mut();
        for bucket in own.into_iter().chain(shared).chain(self.total.as_mut()) {
            bucket.give_back(bytes);
        }
        if let Some(volume) = &mut self.volume {
            volume.used = volume.used.saturating_sub(bytes);
        }
    }

    /// When [`Self::poll_grant`] has something again, if nothing changes before.
    pub fn next_timeout(&self) -> Option<Instant> {
        let woken = self.asleep.first().map(|(until, _)| *until);
        let queued = self.classes.iter().any(|class| class.first().is_some());
        let open = match &self.total {
            Some(total) if queued => total.opens_at(),
            // Without a limit over all, whoever is queued was granted at the last poll.
            _ => None,
        };
        woken.into_iter().chain(open).min()
    }

    /// Changes the limits from now on.
    pub fn set_limits(&mut self, now: Instant, limits: Limits) {
        if limits == self.limits {
            return;
        }
        self.limits = limits;
        for member in &mut self.askers {
            change(&mut member.bucket, now, limits.per_asker);
        }
        for shared in &mut self.releases {
            change(&mut shared.bucket, now, limits.per_release);
        }
        // Who waited for an old limit looks at the new one.
        self.wake(far(now));
        self.retune(now);
    }

    /// Sets the month's volume and what of it is used, or takes it away.
    pub fn set_volume(&mut self, now: Instant, volume: Option<Volume>) {
        self.volume = volume;
        self.retune(now);
    }

    /// The month's volume.
    pub fn volume(&self) -> Option<&Volume> {
        self.volume.as_ref()
    }

    /// A release's share of the uplink among the releases that are asked for, as a ratio to others' weights. Without a
    /// weight a release counts as the others do on average; where none has one, as many as it has askers.
    pub fn set_weight(&mut self, release: Release, weight: Option<f64>) {
        // As a whole number of thousandths, about: neither nothing nor so much that others drown.
        let weight =
            weight.map(|weight| (weight * ONE as f64).clamp(1.0, (ONE << 20) as f64) as u64);
        let before = std::mem::replace(&mut self.releases[release.0].weight, weight);
        self.weights.0 = self.weights.0 - before.unwrap_or(0) + weight.unwrap_or(0);
        self.weights.1 = self.weights.1 - u64::from(before.is_some()) + u64::from(weight.is_some());
    }

    /// Whether anything is limited now: where nothing is, nobody need ask.
    pub fn is_limited(&self) -> bool {
        self.rate().is_some()
            || self.limits.per_asker.is_some()
            || self.limits.per_release.is_some()
    }

    /// Bytes a second that may be sent in all now; `None` for no limit.
    pub fn rate(&self) -> Option<u64> {
        let after = self
            .volume
            .filter(Volume::is_spent)
            .map(|volume| volume.then);
        self.limits.total.into_iter().chain(after).min()
    }

    /// How long a new asker of the lowest class would wait for its first [`Self::step`], about; `None` for ever.
    pub fn wait(&self, release: Release) -> Option<Duration> {
        let mut longest = Duration::ZERO;
        for (rate, waiting) in self.crowds(release) {
            let (above, own) = (&waiting[..CLASSES - 1], waiting[CLASSES - 1] as u64);
            let alone = ((own + 1) * self.step() * 1000).checked_div(rate)?;
            let below = |share| Duration::from_millis(alone * (100 + share) / share);
            let wait = match above.iter().any(|n| *n > 0) {
                true if below(SHARE) > OVERDUE => below(OVERDUE_SHARE).max(OVERDUE),
                true => below(SHARE),
                false => Duration::from_millis(alone),
            };
            longest = longest.max(wait);
        }
        Some(longest)
    }

    /// Whether a new asker's fair part would be of little use to it: others should rather bring it what it wants.
    pub fn is_saturated(&self, release: Release) -> bool {
        self.crowds(release).any(|(rate, waiting)| {
            let waiting = waiting.iter().sum::<usize>() as u64;
            rate == 0 || (waiting > 0 && rate / (waiting + 1) < USEFUL)
        })
    }

    /// The limits that a release's askers share with others, and how many wait at each.
    fn crowds(&self, release: Release) -> impl Iterator<Item = (u64, [usize; CLASSES])> {
        let shared = &self.releases[release.0];
        let total = self.rate().map(|rate| (rate, self.waiting));
        let own = self.limits.per_release.map(|rate| (rate, shared.waiting));
        total.into_iter().chain(own)
    }

    /// What was granted so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.iter().sum()
    }

    /// What one turn grants at most to who takes bytes by any number, and for whom less is better than late.
    pub fn step(&self) -> u64 {
        let rates = [self.rate(), self.limits.per_release, self.limits.per_asker];
        let slowest = rates.into_iter().flatten().min().unwrap_or(u64::MAX);
        (slowest / 1000)
            .saturating_mul(TURN.as_millis() as u64)
            .clamp(LEAST_STEP, MOST_GRANT)
    }

    /// What one turn grants at most.
    fn turn(&self) -> u64 {
        self.step().max(LEAST_GRANT)
    }

    fn refill(&mut self, now: Instant) {
        let waited = self.waiting() > 0;
        let passed = self.at.map(|at| now.saturating_duration_since(at));
        if let Some(passed) = passed.filter(|passed| !passed.is_zero()) {
            self.busy = waited;
            self.tally.busy += if waited { passed } else { Duration::ZERO };
        }
        self.at = self.at.max(Some(now));
        let depth = if waited { LATE } else { RESTED };
        match (self.rate(), &mut self.total) {
            (Some(_), Some(total)) => total.refill(now, depth),
            (Some(rate), total) => *total = Some(Bucket::new(now, rate, RESTED)),
            (None, total) => *total = None,
        }
    }

    /// The rate may have changed.
    fn retune(&mut self, now: Instant) {
        let rate = self.rate();
        change(&mut self.total, now, rate);
    }

    /// Who goes next: the highest class that waits, unless a lower one is owed its share.
    fn choose(&mut self) -> Option<usize> {
        for class in (1..CLASSES).rev() {
            let Some(release) = self.classes[class].first() else {
                continue;
            };
            let due = self.head(release, class).map_or(0, |ask| ask.bytes) * 100;
            let above = self.classes[..class].iter();
            if self.classes[class].credit >= due && above.clone().any(|c| c.first().is_some()) {
                self.classes[class].credit -= due;
                return Some(class);
            }
        }
        self.classes
            .iter()
            .position(|class| class.first().is_some())
    }

    /// What the first asker of a release wants.
    fn head(&self, release: usize, class: usize) -> Option<Ask> {
        let first = self.releases[release].askers[class].first()?;
        self.askers[first].ask
    }

    /// Hundredths of what goes above it that a class gets now.
    fn share(&self, now: Instant, class: usize) -> u64 {
        let first = self.classes[class].first();
        match first.and_then(|release| self.head(release, class)) {
            Some(ask) if now.saturating_duration_since(ask.since) > OVERDUE => OVERDUE_SHARE,
            Some(_) => SHARE,
            None => 0,
        }
    }

    /// Gives a release a place in its class where it has none and somebody asks.
    fn enter(&mut self, release: usize, class: usize) {
        let waiting = self.releases[release].askers[class].len() as u64;
        self.enter_as(release, class, waiting * ONE);
    }

    fn enter_as(&mut self, release: usize, class: usize, askers: u64) {
        let usual = self.weights.0.checked_div(self.weights.1).unwrap_or(askers);
        let shared = &self.releases[release];
        let askers = &shared.askers[class];
        if askers.place.is_some() || askers.len() == 0 || shared.asleep.is_some() {
            return;
        }
        let weight = shared.weight.unwrap_or(usual).max(1);
        let bytes = self.head(release, class).map_or(0, |ask| ask.bytes);
        let place = self.classes[class].push(release, bytes, weight);
        self.releases[release].askers[class].place = Some(place);
    }

    /// Lets those go on whose own limits allow it again.
    fn wake(&mut self, now: Instant) {
        while let Some((until, sleeper)) = self.asleep.first().copied()
            && until <= now
        {
            self.asleep.pop_first();
            match sleeper {
                Sleeper::Asker(asker) => {
                    if let Some(ask) = &mut self.askers[asker].ask {
                        let (release, class) = (ask.release, ask.class);
                        let askers = &mut self.releases[release].askers[class];
                        ask.wait = Wait::Queued(askers.push(asker, ask.bytes));
                        ask.since = until;
                        self.enter(release, class);
                    }
                }
                Sleeper::Release(release) => {
                    self.releases[release].asleep = None;
                    for class in 0..CLASSES {
                        self.enter(release, class);
                    }
                }
            }
        }
    }

    fn forget(&mut self, ask: &Ask) {
        self.waiting[ask.class] -= 1;
        self.releases[ask.release].waiting[ask.class] -= 1;
    }
}

/// Changes a bucket's rate, keeping its debt.
fn change(bucket: &mut Option<Bucket>, now: Instant, rate: Option<u64>) {
    match (bucket.as_mut(), rate) {
        (Some(bucket), Some(rate)) if rate != bucket.rate() => {
            bucket.set_rate(now, rate, RESTED);
        }
        (_, Some(_)) => {}
        (_, None) => *bucket = None,
    }
}

/// A time that doesn't come.
fn far(now: Instant) -> Instant {
    now + Duration::from_secs(365 * 24 * 60 * 60)
}
