//! Which answers over HTTP are taken up while the link is busy; who is sent away, and for how long, is decided by
//! [`swarm::uplink::admission`].

use super::{LIMITED, Uplink, first_prefix, now};
use std::net::IpAddr;
use std::sync::Arc;
use swarm::subscriber;
use swarm::uplink::admission::Pass;

/// On a busy link, how many bytes a second of the limit make a place for whoever is not known yet.
const PLACE_RATE: u64 = 256 * 1024;
/// Seconds to stay away for where nothing goes any more: a stop lasts until the month ends.
pub const STOPPED: u64 = 3600;

/// The place of an answer that was taken up although the link is busy, held for as long as it lasts.
#[derive(Debug)]
pub struct Slot(Arc<Uplink>);

/// An answer is not taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// After so many seconds whoever asks is taken up.
    pub seconds: u64,
    /// It was told so before, and didn't wait.
    pub early: bool,
}

impl Uplink {
    /// Whether an answer over HTTP is taken up that begins at this place of a file. On a busy link a player's first look
    /// always is, and so is whoever looked there before, or comes back as it was told; of others a few at a time.
    ///
    /// # Errors
    /// When to ask again.
    pub fn admit(
        self: &Arc<Self>,
        from: IpAddr,
        release: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<Slot>, Busy> {
        if self.mode() != LIMITED {
            return Ok(None);
        }
        let state = &mut *self.state();
        let release = state.release(release);
        // Nobody waits on the line for the end of the month.
        let (Some(wait), true) = (state.uplink.wait(release), state.uplink.rate() != Some(0))
        else {
            return Err(self.busy(STOPPED, false));
        };
        let from = subscriber(from);
        if is_first_look(offset, length) {
            state.door.begin(now(), from);
            return Ok(None);
        }
        if !state.uplink.is_saturated(release) {
            return Ok(None);
        }
        let rates = [state.uplink.rate(), self.config.limits.per_release];
        let rate = rates.into_iter().flatten().min().unwrap_or(0);
        let places = rate.div_ceil(PLACE_RATE);
        let admitted = state.door.admit(now(), from, wait, places);
        let unremembered = state.door.unremembered();
        self.metrics.http_unremembered.set(unremembered);
        match admitted {
            Ok(Pass::Known) => Ok(None),
            Ok(Pass::Place) => Ok(Some(Slot(self.clone()))),
            Err(later) => {
                let seconds = later.wait.as_millis().div_ceil(1000) as u64;
                Err(self.busy(seconds, later.early))
            }
        }
    }

    fn busy(&self, seconds: u64, early: bool) -> Busy {
        self.metrics.http_busy.add(1);
        Busy { seconds, early }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state().door.leave();
    }
}

/// Whether a player looks there before anything else: at the beginning, and at the end where the index isn't in front.
pub fn is_first_look(offset: u64, length: u64) -> bool {
    let prefix = first_prefix(length);
    offset < prefix || length.saturating_sub(offset) <= prefix
}
