//! A connection's part of the uplink: it asks, waits for its turn, and settles what was sent.

use super::{COUNTED, FREE, LIMITED, State, Uplink, Waiting, now};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use swarm::uplink::{Asker, Class, Release};

/// What is sent without asking is told in lots of this many bytes: most messages are a few bytes long.
const LOT: u64 = 4096;

/// A connection's part of the uplink. What it asked for is withdrawn when it goes.
#[derive(Debug)]
pub struct Tap {
    uplink: Arc<Uplink>,
    /// The release that is asked for; named when the first limit holds.
    id: String,
    place: Option<(Asker, Release)>,
    /// Takes bytes by any number, where peers take whole blocks.
    in_steps: bool,
    /// The class asked in, while something is asked for or granted and not fetched.
    asked: Option<Class>,
    /// Bytes that were sent without asking and not told yet.
    unpaid: u64,
}

impl Tap {
    pub(super) fn new(uplink: Arc<Uplink>, release: &str) -> Self {
        // Where nothing is ever limited, nothing need be remembered.
        let id = if uplink.config.is_limiting() {
            release.to_owned()
        } else {
            String::new()
        };
        Self {
            uplink,
            id,
            place: None,
            in_steps: false,
            asked: None,
            unpaid: 0,
        }
    }

    /// From now on less is granted at once where many wait, down to
    /// [`LEAST_STEP`](swarm::uplink::LEAST_STEP): for bytes that are sent by any number.
    pub fn in_steps(mut self) -> Self {
        self.in_steps = true;
        self
    }

    /// Waits for leave to send: 1 to `want` bytes, headers counted, and no less than a block of 16 KiB with its header
    /// where so much is wanted, but for [`Self::in_steps`]. May be dropped and called again: the place in the queue, and what was granted, stay.
    pub async fn acquire(&mut self, class: impl Fn() -> Class, want: usize) -> usize {
        poll_fn(|context| self.poll_acquire(context, &class, want)).await
    }

    /// The same as [`Self::acquire`], by polling.
    pub fn poll_acquire(
        &mut self,
        context: &mut Context<'_>,
        class: impl FnOnce() -> Class,
        want: usize,
    ) -> Poll<usize> {
        match self.uplink.mode() {
            FREE if self.asked.is_none() => Poll::Ready(want),
            COUNTED if self.asked.is_none() => {
                self.count(want as i64);
                Poll::Ready(want)
            }
            _ => self.poll_limited(context, class(), want as u64),
        }
    }

    /// Waits until all these bytes may be sent.
    pub async fn pay(&mut self, class: Class, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            left -= self.acquire(|| class, left).await.min(left);
        }
    }

    /// What became of a grant. Bytes that were not used are given back; bytes beyond it are accounted for.
    pub fn settle(&mut self, granted: usize, used: usize) {
        if used > granted {
            self.spend(used - granted);
        } else if used < granted {
            self.give_back((granted - used) as u64);
        }
    }

    /// Accounts for bytes that are sent without asking: what is small or can't wait. They delay what asks.
    pub fn spend(&mut self, bytes: usize) {
        match self.uplink.mode() {
            FREE => {}
            COUNTED => self.count(bytes as i64),
            _ => {
                self.unpaid += bytes as u64;
                if self.unpaid >= LOT {
                    let uplink = self.uplink.clone();
                    let mut state = uplink.state();
                    self.pay_up(&mut state);
                }
            }
        }
    }

    /// Nothing is wanted any more.
    pub fn withdraw(&mut self) {
        if self.asked.take().is_none() {
            return;
        }
        let uplink = self.uplink.clone();
        let mut state = uplink.state();
        let (asker, release) = self.place(&mut state);
        match state.waiting.remove(&asker) {
            Some(Waiting::Granted(bytes)) => state.uplink.give_back(asker, release, bytes),
            _ => state.uplink.withdraw(asker),
        }
        uplink.deliver(&mut state, now());
    }

    /// Goes on with another release.
    pub fn set_release(&mut self, release: &str) {
        if self.id == release || !self.uplink.config.is_limiting() {
            return;
        }
        self.withdraw();
        self.id = release.to_owned();
        if let Some((_, known)) = &mut self.place {
            *known = self.uplink.state().release(release);
        }
    }

    fn poll_limited(&mut self, context: &mut Context<'_>, class: Class, want: u64) -> Poll<usize> {
        let uplink = self.uplink.clone();
        let mut state = uplink.state();
        let (asker, release) = self.place(&mut state);
        self.pay_up(&mut state);
        if self.asked.is_some_and(|asked| asked != class)
            && !matches!(state.waiting.get(&asker), Some(Waiting::Granted(_)))
        {
            self.asked = None;
        }
        if self.asked.is_none() {
            let most = match self.in_steps {
                true => state.uplink.step(),
                false => u64::MAX,
            };
            let asks = want.min(most);
            state.uplink.ask(now(), asker, release, class, asks);
            self.asked = Some(class);
            let waker = context.waker().clone();
            state.waiting.insert(asker, Waiting::Asking(waker));
            uplink.deliver(&mut state, now());
            let waits = matches!(state.waiting.get(&asker), Some(Waiting::Asking(_)));
            uplink.metrics.uplink_waits.add(u64::from(waits));
        }
        let granted = match state.waiting.get_mut(&asker) {
            Some(Waiting::Granted(bytes)) => Poll::Ready(*bytes),
            Some(Waiting::Asking(waker)) => {
                waker.clone_from(context.waker());
                Poll::Pending
            }
            None => Poll::Ready(0),
        };
        let granted = ready!(granted);
        state.waiting.remove(&asker);
        self.asked = None;
        // Less is wanted than was when this was asked for.
        if granted > want {
            state.uplink.give_back(asker, release, granted - want);
        }
        Poll::Ready(granted.min(want) as usize)
    }

    fn give_back(&mut self, bytes: u64) {
        match self.uplink.mode() {
            FREE => {}
            COUNTED => self.count(-(bytes as i64)),
            _ => {
                let uplink = self.uplink.clone();
                let mut state = uplink.state();
                let (asker, release) = self.place(&mut state);
                state.uplink.give_back(asker, release, bytes);
                uplink.deliver(&mut state, now());
            }
        }
    }

    fn place(&mut self, state: &mut State) -> (Asker, Release) {
        *self
            .place
            .get_or_insert_with(|| (state.uplink.join(), state.release(&self.id)))
    }

    fn pay_up(&mut self, state: &mut State) {
        let unpaid = std::mem::take(&mut self.unpaid);
        if unpaid > 0 {
            let (asker, release) = self.place(state);
            state.uplink.spend(now(), asker, release, unpaid);
        }
    }

    fn count(&self, bytes: i64) {
        self.uplink.uncounted.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.withdraw();
        if self.unpaid > 0 || self.place.is_some() {
            let uplink = self.uplink.clone();
            let mut state = uplink.state();
            self.pay_up(&mut state);
            if let Some((asker, _)) = self.place {
                state.uplink.leave(asker);
            }
        }
    }
}

const _: () = assert!(FREE < COUNTED && COUNTED < LIMITED);
