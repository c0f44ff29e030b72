//! How much strangers may ask of our node: the crate itself answers everything.

use crate::metrics::Metrics;
use mainline::{RequestFilter, RequestSpecific};
use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Requests a second that are answered on average. A node of the public DHT is asked some dozens.
const RATE: f64 = 250.0;
/// Requests that may come at once.
const BURST: f64 = 1000.0;

/// A bucket of requests.
#[derive(Debug, Clone)]
pub(super) struct Ration {
    /// What is left, and when that was.
    left: Arc<Mutex<(f64, Instant)>>,
    metrics: Arc<Metrics>,
}

impl Ration {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            left: Arc::new(Mutex::new((BURST, Instant::now()))),
            metrics,
        }
    }

    fn take(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(left.1).as_secs_f64();
        let filled = (left.0 + passed * RATE).min(BURST);
        let taken = filled >= 1.0;
        *left = (filled - f64::from(u8::from(taken)), now);
        taken
    }
}

impl RequestFilter for Ration {
    fn allow_request(&self, _request: &RequestSpecific, _from: SocketAddrV4) -> bool {
        let taken = self.take(Instant::now());
        self.metrics.dht_requests_refused.add(u64::from(!taken));
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_answered_at_the_rate_and_no_faster() {
        let ration = Ration::new(Arc::default());
        let start = Instant::now();
        let answered = |now: Instant| (0..5000).filter(|_| ration.take(now)).count();
        assert_eq!(answered(start), BURST as usize);
        assert_eq!(answered(start + Duration::from_secs(2)), 2 * RATE as usize);
        assert_eq!(answered(start + Duration::from_secs(3600)), BURST as usize);
    }
}
