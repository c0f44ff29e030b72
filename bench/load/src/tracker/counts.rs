//! What came back, counted.

use serde_json::{Value, json};
use std::cell::Cell;

/// Counters that all clients of a run share.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    /// Announces that were answered.
    pub answers: Cell<u64>,
    /// Peers in these answers.
    pub peers: Cell<u64>,
    /// Bytes of these answers, heads and frames included, those of IP not.
    pub bytes: Cell<u64>,
    /// Answers that say no, or make no sense.
    pub failures: Cell<u64>,
    /// Announces without an answer in time, sent again.
    pub lost: Cell<u64>,
    /// Offers that other peers' announces brought.
    pub offers: Cell<u64>,
    /// Answers to our offers.
    pub returned: Cell<u64>,
    /// Connections that ended although they shouldn't.
    pub closed: Cell<u64>,
}

/// Adds to a counter.
pub(super) fn add(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get() + n);
}

impl Counts {
    /// What was counted since `before`.
    pub(super) fn since(&self, before: &Self) -> Self {
        let less = |now: &Cell<u64>, then: &Cell<u64>| Cell::new(now.get() - then.get());
        Self {
            answers: less(&self.answers, &before.answers),
            peers: less(&self.peers, &before.peers),
            bytes: less(&self.bytes, &before.bytes),
            failures: less(&self.failures, &before.failures),
            lost: less(&self.lost, &before.lost),
            offers: less(&self.offers, &before.offers),
            returned: less(&self.returned, &before.returned),
            closed: less(&self.closed, &before.closed),
        }
    }

    /// As it is reported, beside the number of answers.
    pub(super) fn report(&self) -> Value {
        let answers = self.answers.get().max(1) as f64;
        json!({
            "peers_per_answer": self.peers.get() as f64 / answers,
            "bytes_per_answer": self.bytes.get() as f64 / answers,
            "failures": self.failures.get(),
            "lost": self.lost.get(),
            "offers_relayed": self.offers.get(),
            "answers_relayed": self.returned.get(),
            "connections_closed": self.closed.get(),
        })
    }
}
