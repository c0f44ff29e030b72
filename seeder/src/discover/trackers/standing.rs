//! How each further tracker has behaved: one that is silent is asked by one torrent at a time and ever less often, so that
//! thousands of torrents don't wait for it; one that is ourselves, or can't be asked, is never asked again.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::time::Instant;

/// Announces under way at once to a tracker that answers.
const AT_ONCE: u32 = 4;
/// How long a torrent waits, at least, whose tracker has no place for it now.
const BUSY: Duration = Duration::from_secs(2);
/// How long a silent tracker is left alone at first, and at most.
const SILENT: Duration = Duration::from_secs(60);
const MAX_SILENT: Duration = Duration::from_secs(2 * 60 * 60);

/// Whether a tracker may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes; [`Standings::ended`] is owed.
    Go,
    /// Not before then.
    Later(Instant),
    /// Not at all.
    Never,
}

/// How asking a tracker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It said something, be it no.
    Answered,
    /// It didn't.
    Silent,
    /// It is ourselves, or nothing that can be asked.
    Useless,
}

#[derive(Debug, Default)]
struct Standing {
    useless: bool,
    answers: bool,
    under_way: u32,
    failures: u32,
    not_before: Option<Instant>,
}

/// All trackers, by URL.
#[derive(Debug, Default)]
pub(super) struct Standings {
    trackers: HashMap<String, Standing>,
}

impl Standings {
    /// Whether this one may be asked now.
    pub(super) fn admit(&mut self, url: &str, now: Instant) -> Admission {
        if !self.trackers.contains_key(url) {
            self.trackers.insert(url.to_owned(), Standing::default());
        }
        let Some(tracker) = self.trackers.get_mut(url) else {
            return Admission::Never;
        };
        let places = if tracker.answers { AT_ONCE } else { 1 };
        match tracker.not_before {
            _ if tracker.useless => Admission::Never,
            Some(at) if at > now => Admission::Later(at),
            _ if tracker.under_way >= places => Admission::Later(now + BUSY),
            _ => {
                tracker.under_way += 1;
                Admission::Go
            }
        }
    }

    /// What was admitted has ended. `jitter` from 0 to 1 spreads the next tries of many.
    pub(super) fn ended(&mut self, url: &str, ended: Ended, now: Instant, jitter: f64) {
        let Some(tracker) = self.trackers.get_mut(url) else {
            return;
        };
        tracker.under_way = tracker.under_way.saturating_sub(1);
        match ended {
            Ended::Answered => {
                (tracker.answers, tracker.failures) = (true, 0);
                tracker.not_before = None;
            }
            Ended::Silent => {
                tracker.answers = false;
                let pause = SILENT * 2_u32.saturating_pow(tracker.failures.min(10));
                tracker.failures += 1;
                let pause = pause.min(MAX_SILENT).mul_f64(1.0 + jitter / 4.0);
                tracker.not_before = Some(now + pause);
            }
            Ended::Useless => tracker.useless = true,
        }
    }
}

/// What is known of where we are ourselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnPlaces {
    /// The ports of our own tracker.
    pub ports: Vec<u16>,
    /// Our addresses as the world sees them.
    pub addresses: Vec<IpAddr>,
}

impl OwnPlaces {
    /// Whether our own tracker is there, as far as this machine can tell: behind a proxy or a router it can't.
    pub(super) fn is_here(&self, place: SocketAddr) -> bool {
        let ip = place.ip().to_canonical();
        let ours = || self.addresses.contains(&ip) || UdpSocket::bind((ip, 0)).is_ok();
        self.ports.contains(&place.port()) && ours()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_tracker_is_asked_once_at_a_time_and_ever_less_often() {
        let mut all = Standings::default();
        let mut now = Instant::now();
        let mut pause = Duration::ZERO;
        for _ in 0..12 {
            assert_eq!(all.admit("udp://a", now), Admission::Go);
            assert_eq!(all.admit("udp://a", now), Admission::Later(now + BUSY));
            assert_eq!(
                all.admit("udp://b", now),
                Admission::Go,
                "nobody waits for it"
            );
            all.ended("udp://b", Ended::Answered, now, 0.0);
            all.ended("udp://a", Ended::Silent, now, 0.0);
            let Admission::Later(at) = all.admit("udp://a", now) else {
                panic!("it was silent just now")
            };
            assert!(at - now >= pause && at - now <= MAX_SILENT);
            (pause, now) = (at - now, at);
        }
        assert_eq!(pause, MAX_SILENT);
        assert_eq!(all.admit("udp://a", now), Admission::Go);
        all.ended("udp://a", Ended::Answered, now, 0.0);
        let admitted = (0..10).filter(|_| all.admit("udp://a", now) == Admission::Go);
        assert_eq!(admitted.count(), AT_ONCE as usize);
        all.ended("udp://a", Ended::Useless, now, 0.0);
        assert_eq!(all.admit("udp://a", now), Admission::Never);
    }

    #[test]
    fn our_own_tracker_is_known_by_address_and_port() {
        let own = OwnPlaces {
            ports: vec![8080, 6969],
            addresses: vec!["203.0.113.7".parse().unwrap()],
        };
        for (place, here) in [
            ("127.0.0.1:8080", true),
            ("127.3.2.1:6969", true),
            ("[::ffff:127.0.0.1]:6969", true),
            ("203.0.113.7:8080", true),
            ("203.0.113.7:80", false),
            ("127.0.0.1:6970", false),
            ("203.0.113.8:8080", false),
        ] {
            assert_eq!(own.is_here(place.parse().unwrap()), here, "{place}");
        }
    }
}
