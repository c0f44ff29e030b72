//! The peers of one torrent: a task that lives as long as there are any, owns what the choker looks at, and
//! tells each peer's task whether it is choked. A torrent without peers has no task.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use swarm::choker::{self, PeerView, Policy};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

/// How many messages of peers wait for the task. A peer's task waits when it is full.
const INBOX: usize = 256;
/// How often turns are looked at.
const TICK: Duration = Duration::from_secs(1);

/// The way to a torrent's task, where it has one.
#[derive(Debug, Default)]
pub struct SwarmHandle(Mutex<Option<mpsc::WeakSender<Input>>>);

/// What a peer's task tells.
#[derive(Debug)]
enum Input {
    Join {
        key: u64,
        choked: watch::Sender<bool>,
        sent: Arc<AtomicU64>,
    },
    Interest {
        key: u64,
        interested: bool,
    },
    Leave {
        key: u64,
    },
}

/// A peer's membership in a swarm; it leaves when this goes.
#[derive(Debug)]
pub struct Membership {
    key: u64,
    inbox: mpsc::Sender<Input>,
    /// What the choker says.
    pub choked: watch::Receiver<bool>,
    /// Bytes of payload sent to the peer; to be kept up to date.
    pub sent: Arc<AtomicU64>,
}

impl SwarmHandle {
    /// Enters a peer. The first one starts the task.
    pub async fn join(&self, slots: usize, tasks: &TaskTracker) -> Membership {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let inbox = {
            let mut handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match handle.as_ref().and_then(mpsc::WeakSender::upgrade) {
                Some(inbox) => inbox,
                None => {
                    let (inbox, outlet) = mpsc::channel(INBOX);
                    *handle = Some(inbox.downgrade());
                    tasks.spawn(run(
                        outlet,
                        Policy {
                            slots,
                            ..Policy::default()
                        },
                    ));
                    inbox
                }
            }
        };
        let (choke, choked) = watch::channel(true);
        let sent = Arc::new(AtomicU64::new(0));
        // While a sender lives, so does the task.
        let _ = inbox
            .send(Input::Join {
                key,
                choked: choke,
                sent: sent.clone(),
            })
            .await;
        Membership {
            key,
            inbox,
            choked,
            sent,
        }
    }
}

impl Membership {
    /// The peer wants something, or no longer.
    pub async fn interest(&self, interested: bool) {
        let _ = self
            .inbox
            .send(Input::Interest {
                key: self.key,
                interested,
            })
            .await;
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Should the inbox be full, the next tick finds that nobody listens any more.
        let _ = self.inbox.try_send(Input::Leave { key: self.key });
    }
}

struct Member {
    view: PeerView,
    choked: watch::Sender<bool>,
    sent: Arc<AtomicU64>,
    sent_before_turn: u64,
}

async fn run(mut inbox: mpsc::Receiver<Input>, policy: Policy) {
    let mut members: HashMap<u64, Member> = HashMap::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            input = inbox.recv() => {
                let Some(input) = input else {
                    return;
                };
                handle(&mut members, input);
                // A crowd is decided on at once, not one by one.
                while let Ok(input) = inbox.try_recv() {
                    handle(&mut members, input);
                }
            }
            _ = tick.tick() => members.retain(|_, member| !member.choked.is_closed()),
        }
        decide(&mut members, &policy);
    }
}

fn handle(members: &mut HashMap<u64, Member>, input: Input) {
    let now = Instant::now();
    match input {
        Input::Join { key, choked, sent } => {
            let view = PeerView {
                key,
                interest: (false, now),
                choked: (true, now),
                sent_this_turn: 0,
                sent: 0,
            };
            members.insert(
                key,
                Member {
                    view,
                    choked,
                    sent,
                    sent_before_turn: 0,
                },
            );
        }
        Input::Interest { key, interested } => {
            if let Some(member) = members.get_mut(&key) {
                member.view.interest = (interested, now);
            }
        }
        Input::Leave { key } => {
            members.remove(&key);
        }
    }
}

fn decide(members: &mut HashMap<u64, Member>, policy: &Policy) {
    let now = Instant::now();
    let views: Vec<PeerView> = members
        .values_mut()
        .map(|member| {
            member.view.sent = member.sent.load(Ordering::Relaxed);
            member.view.sent_this_turn = member.view.sent.saturating_sub(member.sent_before_turn);
            member.view
        })
        .collect();
    for change in choker::choose(now, &views, policy) {
        if let Some(member) = members.get_mut(&change.key) {
            member.view.choked = (change.choke, now);
            member.sent_before_turn = member.view.sent;
            member.choked.send_replace(change.choke);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_go_to_who_wants_and_come_back_from_who_leaves() {
        let (handle, tasks) = (SwarmHandle::default(), TaskTracker::new());
        let mut first = handle.join(1, &tasks).await;
        let mut second = handle.join(1, &tasks).await;
        assert_eq!(tasks.len(), 1);
        first.interest(true).await;
        assert!(!*first.choked.wait_for(|choked| !choked).await.unwrap());
        second.interest(true).await;
        drop(first);
        second.choked.wait_for(|choked| !choked).await.unwrap();
        drop(second);
        // The task ends with its last peer, and a later peer finds a new one.
        tasks.close();
        tasks.wait().await;
        tasks.reopen();
        let mut third = handle.join(1, &tasks).await;
        third.interest(true).await;
        third.choked.wait_for(|choked| !choked).await.unwrap();
    }
}
