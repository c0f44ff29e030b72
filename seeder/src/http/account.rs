//! A connection's account with the one upload limit: bodies ask before each step, and whatever else goes over the
//! connection (heads, the tracker's answers) is accounted for as it is written.

use crate::uplink::{Class, Slot, Tap, Uplink, class_at};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::ready;

/// The release that pages and the tracker's answers count for.
pub const SITE: &str = "site";

/// How much of a page is sent at once under a limit.
const STEP: usize = 64 * 1024;

/// The account of one connection.
#[derive(Debug, Clone)]
pub struct Account {
    uplink: Arc<Uplink>,
    /// `None` where nothing is ever limited.
    ledger: Option<Arc<Mutex<Ledger>>>,
}

#[derive(Debug)]
struct Ledger {
    tap: Tap,
    /// Bytes that may be sent and were not written yet.
    ahead: usize,
}

impl Account {
    /// The account of a new connection.
    pub fn new(uplink: Arc<Uplink>) -> Self {
        let ledger = uplink.may_limit().then(|| {
            let tap = uplink.tap(SITE);
            Arc::new(Mutex::new(Ledger { tap, ahead: 0 }))
        });
        Self { uplink, ledger }
    }

    /// An answer begins, from this place in a file of a release. Where the uplink is busy and this is no player's
    /// first look: the seconds after which to ask again.
    pub fn begin(&self, release: &str, offset: u64, length: u64) -> Result<Option<Slot>, u64> {
        let Some(mut ledger) = self.ledger() else {
            return Ok(None);
        };
        ledger.tap.set_release(release);
        drop(ledger);
        self.uplink.admit(release, offset, length)
    }

    /// Waits until the next step of a file of this length may be sent: 1 to `want` bytes from this place on.
    pub async fn acquire(&self, offset: u64, length: u64, want: u64) -> u64 {
        // What is asked for at once is a step, far below what an address holds.
        let want = want as usize;
        let granted = poll_fn(|context| {
            let Some(mut ledger) = self.ledger() else {
                return std::task::Poll::Ready(want);
            };
            let class = || class_at(offset, length, false);
            let granted = ready!(ledger.tap.poll_acquire(context, class, want));
            ledger.ahead += granted;
            std::task::Poll::Ready(granted)
        });
        granted.await as u64
    }

    /// A page's body, sent as the limit allows. Pages go with first prefixes, and on where a month's volume is spent.
    pub fn page(&self, bytes: Bytes) -> Body {
        if self.ledger.is_none() {
            return Body::from(bytes);
        }
        let account = self.clone();
        Body::from_stream(stream::unfold(bytes, move |mut rest| {
            let account = account.clone();
            async move {
                if rest.is_empty() {
                    return None;
                }
                let step = account.acquire_page(rest.len().min(STEP)).await;
                let step = rest.split_to(step);
                Some((Ok::<_, Infallible>(step), rest))
            }
        }))
    }

    /// Waits until a step of a page may be sent.
    pub async fn acquire_page(&self, want: usize) -> usize {
        if self.ledger.is_none() || self.uplink.is_stopped() {
            return want;
        }
        let granted = poll_fn(|context| {
            let Some(mut ledger) = self.ledger() else {
                return std::task::Poll::Ready(want);
            };
            ledger.tap.set_release(SITE);
            let class = || Class::FirstPrefix;
            let granted = ready!(ledger.tap.poll_acquire(context, class, want));
            ledger.ahead += granted;
            std::task::Poll::Ready(granted)
        });
        granted.await
    }

    /// Bytes were written, granted or not.
    pub fn wrote(&self, bytes: usize) {
        if let Some(mut ledger) = self.ledger() {
            let granted = ledger.ahead.min(bytes);
            ledger.ahead -= granted;
            ledger.tap.spend(bytes - granted);
        }
    }

    fn ledger(&self) -> Option<MutexGuard<'_, Ledger>> {
        let ledger = self.ledger.as_ref()?;
        Some(ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let ahead = std::mem::take(&mut self.ahead);
        self.tap.settle(ahead, 0);
    }
}
