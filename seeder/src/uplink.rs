//! The one upload limit of the process: peers of every transport and HTTP ask here before they send. Who may send how
//! much is decided by [`swarm::uplink`]; here are the clock, the tasks that wait, the schedule's time of the week and
//! the month's file.
//!
//! Each connection holds a [`Tap`]. Without a limit a tap costs one relaxed load. With one, the state has a mutex that
//! is held for a decision at a time and never across a wait; [`run`] is the task that looks when time has passed.

mod door;
mod month;
pub mod rate;
pub mod settings;
mod tap;
#[cfg(test)]
mod tests;

pub use door::{Busy, STOPPED, Slot, is_first_look};
pub use month::MonthError;
pub use settings::UplinkConfig;
pub use swarm::uplink::Class;
pub use tap::Tap;

use crate::config::ServeConfig;
use crate::metrics::Metrics;
use jiff::Zoned;
use metainfo::{Block, Info};
use month::Month;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};
use swarm::uplink::admission::Admission;
use swarm::uplink::schedule::DAY;
use swarm::uplink::{Asker, Limits, Release, Volume};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// A file's first prefix is its beginning up to one part of so many ([`first_prefix`]).
const PREFIX_PART: u64 = 128;
/// How long a first prefix is at least, and at most.
const PREFIX_BOUNDS: (u64, u64) = (256 << 10, 2 << 20);
/// How often the time of the week is looked at, and what was sent without a limit is added to the month.
const LOOK: Duration = Duration::from_secs(1);
/// How often the month's file is written.
const SAVE: Duration = Duration::from_secs(15);

/// Nothing is limited and nothing counted.
const FREE: u8 = 0;
/// Nothing is limited, and what is sent counts for the month.
const COUNTED: u8 = 1;
/// Who wants to send asks.
const LIMITED: u8 = 2;

/// The uplink of this process.
#[derive(Debug)]
pub struct Uplink {
    config: UplinkConfig,
    mode: AtomicU8,
    /// Bytes sent while nothing was limited that the month doesn't know of yet.
    uncounted: AtomicI64,
    state: Mutex<State>,
    /// Whether nothing goes any more, told to who waits.
    stopped: watch::Sender<bool>,
    /// Something is to be done earlier than the task knows.
    earlier: Notify,
    month_file: Option<PathBuf>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct State {
    uplink: swarm::uplink::Uplink,
    door: Admission,
    releases: HashMap<String, Release>,
    /// Who waits, or was granted something it hasn't fetched.
    waiting: HashMap<Asker, Waiting>,
    /// When the task looks next.
    armed: Option<Instant>,
    /// The month that is counted.
    month: Option<Month>,
}

#[derive(Debug)]
enum Waiting {
    Asking(Waker),
    Granted(u64),
}

/// What an operator sees of the uplink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkFigures {
    /// Bytes a second that may be sent now; `None` for no limit.
    pub limit: Option<u64>,
    /// Bytes granted by class: first prefixes, not yet spread, the rest. Without a limit nothing is counted.
    pub granted: [u64; 3],
    /// How many wait now.
    pub waiting: usize,
    /// Bytes sent this month, and how many may be.
    pub month: Option<(u64, u64)>,
}

impl Uplink {
    /// Reads what was sent this month, where that counts. Blocking, for a moment.
    pub fn new(config: &ServeConfig, metrics: Arc<Metrics>) -> Result<Arc<Self>, MonthError> {
        let state_dir = config.state_dir.as_deref();
        let config = config.uplink.clone();
        let mut month = None;
        let mut month_file = None;
        if let Some(volume) = &config.volume {
            let usual = || Some(state_dir?.join("month.json"));
            let path = volume.file.clone().or_else(usual);
            let path = path.ok_or(MonthError::NoPlace)?;
            let since = month::begin(Zoned::now().date(), volume.first_day);
            let read = month::read(&path, since)?;
            // Whether it can be written shows now, not when the month's end is near.
            month::write(&path, &read)?;
            (month, month_file) = (Some(read), Some(path));
        }
        let state = State {
            uplink: swarm::uplink::Uplink::new(Limits::default()),
            door: Admission::default(),
            releases: HashMap::new(),
            waiting: HashMap::new(),
            armed: None,
            month,
        };
        let this = Self {
            config,
            mode: AtomicU8::new(FREE),
            uncounted: AtomicI64::new(0),
            state: Mutex::new(state),
            stopped: watch::Sender::new(false),
            earlier: Notify::new(),
            month_file,
            metrics,
        };
        this.look(&mut this.state(), now());
        Ok(Arc::new(this))
    }

    /// A connection's part, for one release at first: its id, or anything else that is shared by who asks for it.
    pub fn tap(self: &Arc<Self>, release: &str) -> Tap {
        Tap::new(self.clone(), release)
    }

    /// Bytes a second that may be sent now; `None` for no limit.
    pub fn rate(&self) -> Option<u64> {
        if self.mode() != LIMITED {
            return None;
        }
        self.state().uplink.rate()
    }

    /// A release's share of the uplink, as a ratio to the others' weights; see [`swarm::uplink::Uplink::set_weight`].
    pub fn set_weight(&self, release: &str, weight: Option<f64>) {
        if self.config.is_limiting() {
            let mut state = self.state();
            let release = state.release(release);
            state.uplink.set_weight(release, weight);
        }
    }

    /// Whether anything may ever be limited, or counted.
    pub fn may_limit(&self) -> bool {
        self.config.is_limiting()
    }

    /// Whether nothing goes any more this month.
    pub fn is_stopped(&self) -> bool {
        self.rate() == Some(0)
    }

    /// Waits until nothing goes any more this month.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.subscribe();
        // The sender is ours: it outlives this.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// What an operator sees.
    pub fn figures(&self) -> UplinkFigures {
        let state = self.state();
        let uncounted = self.uncounted.load(Ordering::Relaxed);
        let month = state.uplink.volume().map(|volume| {
            let used = volume.used.saturating_add_signed(uncounted);
            (used, volume.bytes)
        });
        UplinkFigures {
            limit: state.uplink.rate(),
            granted: state.uplink.tally().bytes,
            waiting: state.uplink.waiting(),
            month,
        }
    }

    fn mode(&self) -> u8 {
        self.mode.load(Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings limits and month up to date with the time.
    fn look(&self, state: &mut State, now: Instant) {
        let time = Zoned::now();
        let weekday = time.weekday().to_monday_zero_offset().unsigned_abs();
        let minute = time.hour().unsigned_abs() as u16 * 60 + time.minute().unsigned_abs() as u16;
        let minute = u16::from(weekday) * DAY + minute;
        let usual = self.config.limits;
        let limits = Limits {
            total: self.config.schedule.rate_at(minute, usual.total),
            ..usual
        };
        state.uplink.set_limits(now, limits);
        if let Some(volume) = &self.config.volume {
            let uncounted = self.uncounted.swap(0, Ordering::Relaxed);
            let since = month::begin(time.date(), volume.first_day);
            let month = state.month.get_or_insert(Month { since, bytes: 0 });
            let known = state.uplink.volume().map(|volume| volume.used);
            month.bytes = known
                .unwrap_or(month.bytes)
                .saturating_add_signed(uncounted);
            if month.since != since {
                *month = Month { since, bytes: 0 };
            }
            let used = month.bytes;
            let volume = Volume {
                bytes: volume.bytes,
                then: volume.then,
                used,
            };
            state.uplink.set_volume(now, Some(volume));
            self.metrics.uplink_month_bytes_now.set(used);
        }
        let mode = match state.uplink.is_limited() {
            true => LIMITED,
            false if self.config.volume.is_some() => COUNTED,
            false => FREE,
        };
        self.mode.store(mode, Ordering::Relaxed);
        let stops = state.uplink.rate() == Some(0);
        self.stopped
            .send_if_modified(|stopped| std::mem::replace(stopped, stops) != stops);
        self.hand_out(state, now);
    }

    /// Hands out what may be sent now, and sees to it that the task looks in time for more.
    fn deliver(&self, state: &mut State, now: Instant) {
        self.hand_out(state, now);
        let next = state.uplink.next_timeout();
        if next.is_some_and(|next| state.armed.is_none_or(|armed| next < armed)) {
            state.armed = next;
            self.earlier.notify_one();
        }
    }

    fn hand_out(&self, state: &mut State, now: Instant) {
        while let Some(grant) = state.uplink.poll_grant(now) {
            let granted = Waiting::Granted(grant.bytes);
            if let Some(Waiting::Asking(waker)) = state.waiting.insert(grant.asker, granted) {
                waker.wake();
            }
        }
        let tally = state.uplink.tally();
        self.metrics
            .uplink_bytes
            .set(tally.bytes.iter().sum::<u64>());
        self.metrics
            .uplink_busy_milliseconds
            .set(tally.busy.as_millis() as u64);
        self.metrics.uplink_busy_bytes.set(tally.busy_bytes);
        self.metrics
            .uplink_waiting_now
            .set(state.uplink.waiting() as u64);
    }
}

impl State {
    fn release(&mut self, id: &str) -> Release {
        if let Some(release) = self.releases.get(id) {
            return *release;
        }
        let release = self.uplink.add_release();
        self.releases.insert(id.to_owned(), release);
        release
    }
}

/// Looks whenever time lets somebody go on, until the seeder stops. Without any limit it ends at once.
pub async fn run(uplink: Arc<Uplink>, stop: CancellationToken) {
    if !uplink.config.is_limiting() {
        return;
    }
    tracing::info!("upload limit: {}", rate::describe(uplink.rate()));
    let watches = uplink.config.volume.is_some() || !uplink.config.schedule.0.is_empty();
    let (mut looked, mut saved) = (now(), now());
    let mut told = uplink.rate();
    loop {
        let next = {
            let (mut state, now) = (uplink.state(), now());
            if watches && now - looked >= LOOK {
                looked = now;
                uplink.look(&mut state, now);
            }
            uplink.hand_out(&mut state, now);
            state.armed = state.uplink.next_timeout();
            state.armed
        };
        if told != uplink.rate() {
            told = uplink.rate();
            tracing::info!("upload limit: {}", rate::describe(told));
        }
        if now() - saved >= SAVE {
            saved = now();
            uplink.save().await;
        }
        let look = watches.then(|| looked + LOOK);
        let wake = async {
            match next.into_iter().chain(look).min() {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wake => {}
            () = uplink.earlier.notified() => {}
            () = stop.cancelled() => break,
        }
    }
    uplink.look(&mut uplink.state(), now());
    uplink.save().await;
}

impl Uplink {
    /// Writes the month's file.
    async fn save(&self) {
        let month = self.state().month;
        if let (Some(month), Some(path)) = (month, self.month_file.clone()) {
            let written = tokio::task::spawn_blocking(move || month::write(&path, &month)).await;
            if let Ok(Err(error)) = written {
                self.metrics.uplink_month_unsaved.add(1);
                tracing::warn!("{error}");
            }
        }
    }
}

/// The class of a block that a peer asks for, by where it lies in its file.
pub fn class_of_block(info: &Info, block: Block, not_yet_spread: bool) -> Class {
    let files = info.file_map();
    let mut spans = files.spans(info.geometry().block_range(block));
    let (offset, length) = match spans.next() {
        Some(span) => {
            let file = files.file_range(span.file);
            (span.offset, file.end - file.start)
        }
        None => (u64::MAX, 0),
    };
    class_at(offset, length, not_yet_spread)
}

/// How much of the beginning of a file goes before everything else: the index of a film, which grows with it, and its
/// first seconds. 256 KiB of a short one, 2 MiB of a long one.
pub fn first_prefix(length: u64) -> u64 {
    let (least, most) = PREFIX_BOUNDS;
    (length / PREFIX_PART).clamp(least, most)
}

/// The class of what lies so far into a file of this length.
pub fn class_at(offset: u64, length: u64, not_yet_spread: bool) -> Class {
    match (offset < first_prefix(length), not_yet_spread) {
        (true, _) => Class::FirstPrefix,
        (false, true) => Class::NotYetSpread,
        (false, false) => Class::Rest,
    }
}

/// The time, as the runtime sees it: tests let it pass by hand.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
