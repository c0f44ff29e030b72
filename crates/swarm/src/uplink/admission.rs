//! Who is taken up over HTTP on a saturated link, and who is told to come again: nobody is told so for ever.
//!
//! Whoever comes out of nowhere finds a place while there are some; else it is asked to come again a few seconds later.
//! Those who have peers go to these and stay away; who does come back is taken up and waits for its turns as all others
//! do. So is whoever looked at the beginning of a file before: a player that goes on in the middle. Only where even the
//! first turn would come too late to be of use is somebody sent away again, and the longer somebody has been coming,
//! the longer it may wait. So everybody gets in.
//!
//! Askers are known by where they come from, so many at a time; where there is no room to remember one, it is taken up.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Askers that are remembered at once.
const MOST: usize = 16 * 1024;
/// How long an asker is remembered that doesn't come again.
const REMEMBERED: Duration = Duration::from_secs(120);
/// How often room is looked for where there is none.
const SWEEP: Duration = Duration::from_secs(1);
/// After which time whoever was sent away comes again, at least; and over how many seconds they are spread.
const PAUSE: Duration = Duration::from_secs(4);
const SPREAD: u64 = 8;
/// What a first turn may take at least: clients give up an answer from which nothing comes after 20 seconds and more.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that somebody is sent away for, without the spread.
const LONGEST: Duration = Duration::from_secs(60);

/// Whom it knows, and who has a place.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    known: BTreeMap<IpAddr, Known>,
    swept: Option<Instant>,
    unremembered: u64,
    /// Places taken.
    taken: u64,
    /// How many were sent away: one after the other is told another time.
    sent_away: u64,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// Since when it asks.
    since: Instant,
    /// From when on it is taken up.
    due: Instant,
    /// When it asked last.
    last: Instant,
}

/// How somebody is taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// It has been here before, or nobody could tell.
    Known,
    /// It has taken a place, which [`Admission::leave`] frees.
    Place,
}

/// Somebody is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Later {
    /// After this time it is taken up, if the link allows.
    pub wait: Duration,
    /// It was told so before, and didn't wait.
    pub early: bool,
}

impl Admission {
    /// Somebody looks at the beginning of a file, and may go on elsewhere in it.
    pub fn begin(&mut self, now: Instant, from: IpAddr) {
        let since = self.known(now, from).map_or(now, |known| known.since);
        self.remember(now, from, since, now);
    }

    /// Somebody asks on a saturated link, and would have its first turn after `wait`. Of those who are not known, as many
    /// as there are `places` are taken up at once.
    ///
    /// # Errors
    /// When to come again.
    pub fn admit(
        &mut self,
        now: Instant,
        from: IpAddr,
        wait: Duration,
        places: u64,
    ) -> Result<Pass, Later> {
        let known = self.known(now, from);
        let since = known.map_or(now, |known| known.since);
        let patience = PATIENCE.max(now.saturating_duration_since(since));
        let early = known.filter(|known| now < known.due);
        if let Some(known) = known {
            self.remember(now, from, since, known.due);
            if early.is_none() && wait <= patience {
                return Ok(Pass::Known);
            }
        }
        if wait <= PATIENCE && self.taken < places {
            self.taken += 1;
            return Ok(Pass::Place);
        }
        if let Some(early) = early {
            return Err(Later {
                wait: early.due - now,
                early: true,
            });
        }
        self.sent_away += 1;
        let pause = match known {
            Some(_) => wait.clamp(PAUSE, LONGEST),
            None => PAUSE,
        };
        let pause = pause + Duration::from_secs(self.sent_away % SPREAD);
        match self.remember(now, from, since, now + pause) {
            false if wait <= PATIENCE => Ok(Pass::Known),
            _ => Err(Later {
                wait: pause,
                early: false,
            }),
        }
    }

    /// Frees a place.
    pub fn leave(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }

    /// How often there was no room to remember somebody.
    pub fn unremembered(&self) -> u64 {
        self.unremembered
    }

    fn known(&self, now: Instant, from: IpAddr) -> Option<Known> {
        let known = self.known.get(&from).copied();
        known.filter(|known| known.is_fresh(now))
    }

    /// Whether there was room.
    fn remember(&mut self, now: Instant, from: IpAddr, since: Instant, due: Instant) -> bool {
        if self.known.len() >= MOST && !self.known.contains_key(&from) {
            if self
                .swept
                .is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP)
            {
                self.swept = Some(now);
                self.known.retain(|_, known| known.is_fresh(now));
            }
            if self.known.len() >= MOST {
                self.unremembered += 1;
                return false;
            }
        }
        let known = Known {
            since,
            due,
            last: now,
        };
        self.known.insert(from, known);
        true
    }
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) <= REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    const SECOND: Duration = Duration::from_secs(1);

    #[allow(clippy::disallowed_methods)]
    fn epoch() -> Instant {
        Instant::now()
    }

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn who_comes_back_is_taken_up_and_who_comes_too_early_is_told_again() {
        let start = epoch();
        let mut door = Admission::default();
        assert_eq!(door.admit(start, address(1), SECOND, 1), Ok(Pass::Place));
        let same = address(2);
        let first = door.admit(start, same, SECOND, 1);
        let wait = SECOND * 5;
        assert_eq!(first, Err(Later { wait, early: false }));
        let early = door.admit(start + SECOND * 3, same, SECOND, 1);
        assert_eq!(
            early,
            Err(Later {
                wait: SECOND * 2,
                early: true
            })
        );
        // It may also find a place in the meantime.
        door.leave();
        let early = door.admit(start + SECOND * 4, same, SECOND, 1);
        assert_eq!(early, Ok(Pass::Place));
        for second in [9, 10, 100, 200] {
            let now = start + SECOND * second;
            assert_eq!(door.admit(now, same, SECOND, 1), Ok(Pass::Known));
        }
        // Who stays away for long is a stranger again.
        let now = start + SECOND * 321;
        assert!(door.admit(now, same, SECOND, 1).is_err());
    }

    #[test]
    fn who_has_begun_goes_on() {
        let start = epoch();
        let mut door = Admission::default();
        assert!(door.admit(start, address(7), SECOND, 0).is_err());
        door.begin(start + SECOND, address(7));
        assert_eq!(
            door.admit(start + SECOND, address(7), SECOND, 0),
            Ok(Pass::Known)
        );
        door.begin(start, address(8));
        assert_eq!(door.admit(start, address(8), SECOND, 0), Ok(Pass::Known));
    }

    #[test]
    fn where_turns_come_too_late_nobody_is_taken_up_for_nothing() {
        let start = epoch();
        let mut door = Admission::default();
        door.begin(start, address(3));
        let later = door.admit(start, address(3), SECOND * 45, 10);
        let wait = SECOND * 46;
        assert_eq!(later, Err(Later { wait, early: false }));
        // But whoever has been coming for so long as it would wait.
        let now = start + wait;
        assert_eq!(door.admit(now, address(3), SECOND * 45, 0), Ok(Pass::Known));
        let later = door.admit(start, address(4), SECOND * 1000, 10);
        assert!(later.is_err_and(|later| later.wait <= PAUSE + SECOND * SPREAD as u32));
        let now = start + SECOND * 20;
        let later = door.admit(now, address(4), SECOND * 1000, 10);
        assert!(later.is_err_and(|later| later.wait >= LONGEST));
    }

    #[test]
    fn where_there_is_no_room_to_remember_anybody_nobody_is_sent_away_for_that() {
        let start = epoch();
        let mut door = Admission::default();
        for n in 0..MOST as u32 {
            assert!(door.admit(start, address(n), SECOND, 0).is_err());
        }
        let now = start + SECOND * 100;
        let other = address(MOST as u32);
        assert_eq!(door.admit(now, other, SECOND, 0), Ok(Pass::Known));
        assert!(door.admit(now, other, SECOND * 100, 0).is_err());
        assert_eq!((door.unremembered(), door.known.len()), (2, MOST));
        // Who is known stays so, and later there is room again.
        assert_eq!(door.admit(now, address(5), SECOND, 0), Ok(Pass::Known));
        let now = start + SECOND * 121;
        assert!(door.admit(now, other, SECOND, 0).is_err());
        assert_eq!((door.unremembered(), door.known.len()), (2, 2));
    }

    proptest! {
        #[test]
        fn everybody_gets_in_within_a_bounded_time_whether_it_does_as_told_or_not(
            clients in proptest::collection::vec((0u32..100, 0u32..12, any::<bool>()), 1..200),
            wait in 0u32..90,
            places in 0u64..4,
        ) {
            let start = epoch();
            let mut door = Admission::default();
            let spread = Duration::from_secs(SPREAD);
            let begins = clients.iter().enumerate().map(|(n, client)| (client.1 * 1000, n));
            let mut asks: BTreeSet<(u32, usize)> = begins.collect();
            while let Some((at, n)) = asks.pop_first() {
                let (from, begin, does_as_told) = clients[n];
                let now = start + Duration::from_millis(at.into());
                let outside = now - (start + SECOND * begin);
                let bound = match SECOND * wait <= PATIENCE {
                    true => PAUSE + spread,
                    // As long as a first turn takes, and what was told last.
                    false => SECOND * wait + LONGEST + spread * 2,
                };
                prop_assert!(outside <= bound, "{outside:?} where turns take {wait} s");
                if let Err(later) = door.admit(now, address(from), SECOND * wait, places) {
                    prop_assert!(later.wait > Duration::ZERO && later.wait <= LONGEST + spread);
                    let pause = if does_as_told { later.wait.as_millis() as u32 } else { 700 };
                    asks.insert((at + pause, n));
                }
            }
        }
    }
}
