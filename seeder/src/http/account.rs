//! A connection's account with the one upload limit: bodies ask before each step, and whatever else goes over the
//! connection (heads, the tracker's answers) is accounted for as it is written.

use crate::uplink::{Busy, Class, Slot, Tap, Uplink, class_at};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
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
            let tap = uplink.tap(SITE).in_steps();
            Arc::new(Mutex::new(Ledger { tap, ahead: 0 }))
        });
        Self { uplink, ledger }
    }

    /// An answer begins, from this place in a file of a release; see [`Uplink::admit`].
    ///
    /// # Errors
    /// When to ask again, where the uplink is busy.
    pub fn begin(
        &self,
        from: IpAddr,
        release: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<Slot>, Busy> {
        let Some(mut ledger) = self.ledger() else {
            return Ok(None);
        };
        ledger.tap.set_release(release);
        drop(ledger);
        self.uplink.admit(from, release, offset, length)
    }

    /// Waits until the next step of a file of this length may be sent: 1 to `want` bytes from this place on. `None`
    /// where nothing goes any more this month: nobody waits on the line for the next one.
    pub async fn acquire(&self, offset: u64, length: u64, want: u64) -> Option<u64> {
        if self.ledger.is_none() {
            return Some(want);
        }
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
        tokio::select! {
            biased;
            () = self.stopped() => None,
            granted = granted => Some(granted as u64),
        }
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
        tokio::select! {
            biased;
            () = self.stopped() => want,
            granted = granted => granted,
        }
    }

    /// Waits until nothing goes any more this month; then nothing is asked for any more.
    async fn stopped(&self) {
        self.uplink.stopped().await;
        if let Some(mut ledger) = self.ledger() {
            ledger.tap.withdraw();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ServeConfig, Source};
    use crate::uplink::STOPPED;
    use crate::uplink::settings::MonthlyVolume;
    use tokio_util::sync::CancellationToken;

    #[tokio::test(start_paused = true)]
    async fn a_spent_month_ends_answers_and_lets_pages_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = ServeConfig::new(Source::Out("out".into()));
        config.uplink.limits.total = Some(100_000);
        config.uplink.volume = Some(MonthlyVolume {
            bytes: 500_000,
            then: 0,
            first_day: 1,
            file: Some(folder.path().join("month.json")),
        });
        let uplink = Uplink::new(&config, Arc::default()).unwrap();
        tokio::spawn(crate::uplink::run(uplink.clone(), CancellationToken::new()));
        let from = IpAddr::from([10, 0, 0, 1]);
        let (length, middle) = (1 << 30, 1 << 29);
        let answer = |account: Account| async move {
            assert!(account.begin(from, "a", middle, length).is_ok());
            let mut sent = 0;
            while let Some(step) = account.acquire(middle, length, 50_000).await {
                account.wrote(step as usize);
                sent += step;
            }
            sent
        };
        let accounts: Vec<_> = (0..3).map(|_| Account::new(uplink.clone())).collect();
        let answers = accounts.iter().cloned().map(answer);
        let sent: u64 = futures_util::future::join_all(answers).await.iter().sum();
        assert!((500_000..530_000).contains(&sent), "{sent}");
        for offset in [0, middle] {
            let busy = accounts[0].begin(from, "a", offset, length).unwrap_err();
            assert_eq!(busy.seconds, STOPPED);
        }
        assert_eq!(accounts[0].acquire_page(10_000).await, 10_000);
        assert_eq!(uplink.figures().waiting, 0);
    }
}
