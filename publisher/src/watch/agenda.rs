//! What has changed and is not yet published, by the name it has in the clips folder: when to look at it
//! again, and what people are told while it waits. Pure: time comes from the caller.

use crate::watch::settle::{QUICK, Verdict, WRITING};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

/// How long after something vanished to believe it: what was renamed should be seen under its new name by
/// the same run.
const GONE: Duration = Duration::from_millis(500);
/// When machines are told that something waits, at the latest.
const TELL_MACHINES: Duration = Duration::from_secs(1);
/// When people are told.
const TELL_PEOPLE: Duration = Duration::from_secs(5);

/// What happened to an entry of the clips folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Payload came or changed.
    Payload,
    /// A text or picture that says something about a release, or the channel's own file.
    Sidecar,
    /// It is no longer there.
    Gone,
}

/// Something to tell, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// The entry.
    pub name: String,
    /// Why it waits, as a clause.
    pub reason: String,
    /// To whom.
    pub to: Audience,
    /// Whether nobody was told before.
    pub first: bool,
}

/// Who is told that something waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Nobody so far.
    Nobody,
    /// A program that reads events.
    Machines,
    /// Whoever looks on.
    People,
    /// Whoever looks on, as something to act on: it will not be finished by itself.
    PeopleWithWarning,
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    look_at: Instant,
    change: Change,
    reason: String,
    phase: Phase,
    told: Audience,
}

/// How an entry was when it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has changed since.
    Moving,
    /// It only needs rest.
    Resting,
    /// It was not finished.
    Unfinished,
    /// The same, and likely to stay so.
    Stuck,
}

impl Pending {
    /// Who should know by now.
    fn audience(&self, now: Instant) -> Audience {
        let age = now.saturating_duration_since(self.since);
        match self.phase {
            _ if self.change != Change::Payload => Audience::Nobody,
            Phase::Stuck => Audience::PeopleWithWarning,
            _ if age >= TELL_PEOPLE => Audience::People,
            Phase::Unfinished => Audience::Machines,
            Phase::Moving if age >= TELL_MACHINES => Audience::Machines,
            Phase::Moving | Phase::Resting => Audience::Nobody,
        }
    }

    /// When somebody is to be told next.
    fn tell_at(&self) -> Option<Instant> {
        match (self.phase, self.told) {
            _ if self.change != Change::Payload => None,
            (Phase::Moving, Audience::Nobody) => Some(self.since + TELL_MACHINES),
            (_, Audience::Nobody | Audience::Machines) => Some(self.since + TELL_PEOPLE),
            (_, Audience::People | Audience::PeopleWithWarning) => None,
        }
    }
}

/// The entries that wait to be looked at.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: BTreeMap<OsString, Pending>,
}

impl Agenda {
    /// Something happened to an entry: it is looked at when it has rested.
    pub fn changed(&mut self, now: Instant, name: &OsStr, change: Change) {
        let rest = if change == Change::Gone { GONE } else { QUICK };
        let pending = self.entry(now, name, change);
        pending.look_at = now + rest;
        pending.change = change;
        pending.phase = Phase::Moving;
    }

    /// An entry was looked at and is not ready. Gives what is to be told at once.
    pub fn waits(&mut self, now: Instant, name: &OsStr, verdict: &Verdict) -> Option<Tell> {
        let again = verdict.again()?;
        let pending = self.entry(now, name, Change::Payload);
        pending.look_at = again;
        verdict.reason()?.clone_into(&mut pending.reason);
        pending.phase = match verdict {
            Verdict::Ready | Verdict::WaitUntil(_) => Phase::Resting,
            Verdict::Waiting { stuck: false, .. } => Phase::Unfinished,
            Verdict::Waiting { stuck: true, .. } => Phase::Stuck,
        };
        tell(now, name, pending)
    }

    /// An entry is published as it is, or is of no interest.
    pub fn done(&mut self, name: &OsStr) {
        self.entries.remove(name);
    }

    /// Entries whose time has come, and what happened to them.
    pub fn due(&self, now: Instant) -> Vec<(OsString, Change)> {
        let due = |pending: &Pending| {
            // A run that is near anyway takes sidecars along: they don't need their full rest.
            let early = match pending.change {
                Change::Sidecar => QUICK / 4,
                _ => Duration::ZERO,
            };
            pending.look_at <= now + early
        };
        let due = self.entries.iter().filter(|(_, pending)| due(pending));
        due.map(|(name, pending)| (name.clone(), pending.change))
            .collect()
    }

    /// When something is due, or somebody is to be told.
    pub fn next(&self) -> Option<Instant> {
        let times =
            |pending: &Pending| pending.tell_at().into_iter().chain([pending.look_at]).min();
        self.entries.values().filter_map(times).min()
    }

    /// When the first entry is due that waits for nothing but rest.
    pub fn next_look(&self) -> Option<Instant> {
        let is_resting =
            |pending: &&Pending| matches!(pending.phase, Phase::Moving | Phase::Resting);
        let rests = self.entries.values().filter(is_resting);
        rests.map(|pending| pending.look_at).min()
    }

    /// What is to be told by now.
    pub fn tell(&mut self, now: Instant) -> Vec<Tell> {
        let entries = self.entries.iter_mut();
        entries
            .filter_map(|(name, pending)| tell(now, name, pending))
            .collect()
    }

    /// Whether this entry waits.
    pub fn holds(&self, name: &OsStr) -> bool {
        self.entries.contains_key(name)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn entry(&mut self, now: Instant, name: &OsStr, change: Change) -> &mut Pending {
        let entry = self.entries.entry(name.to_owned());
        entry.or_insert_with(|| Pending {
            since: now,
            look_at: now,
            change,
            reason: WRITING.to_owned(),
            phase: Phase::Moving,
            told: Audience::Nobody,
        })
    }
}

fn tell(now: Instant, name: &OsStr, pending: &mut Pending) -> Option<Tell> {
    let to = pending.audience(now);
    if to <= pending.told {
        return None;
    }
    let first = pending.told == Audience::Nobody;
    pending.told = to;
    Some(Tell {
        first,
        name: name.to_string_lossy().into_owned(),
        reason: pending.reason.clone(),
        to,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due(agenda: &Agenda, at: Instant) -> Vec<String> {
        let due = agenda.due(at).into_iter();
        due.map(|(name, _)| name.into_string().unwrap()).collect()
    }

    fn waiting(reason: &str, again: Instant, stuck: bool) -> Verdict {
        Verdict::Waiting {
            reason: reason.into(),
            again,
            stuck,
        }
    }

    #[test]
    fn an_entry_is_due_when_it_rests() {
        let start = Instant::now();
        let clip = OsStr::new("clip.mp4");
        let mut agenda = Agenda::default();
        assert_eq!(agenda.next(), None);
        agenda.changed(start, clip, Change::Payload);
        agenda.changed(start + ms(100), clip, Change::Payload);
        assert_eq!(agenda.next(), Some(start + ms(350)));
        assert!(due(&agenda, start + ms(349)).is_empty());
        assert_eq!(due(&agenda, start + ms(350)), ["clip.mp4"]);
        agenda.done(clip);
        assert!(agenda.is_empty());
    }

    #[test]
    fn what_is_gone_rests_longer_than_what_was_renamed() {
        let start = Instant::now();
        let mut agenda = Agenda::default();
        agenda.changed(start, OsStr::new("old.mp4"), Change::Gone);
        agenda.changed(start + ms(1), OsStr::new("new.mp4"), Change::Payload);
        assert_eq!(due(&agenda, start + ms(251)), ["new.mp4"]);
        assert_eq!(due(&agenda, start + ms(500)).len(), 2);
    }

    #[test]
    fn sidecars_go_with_the_clip_they_came_with() {
        let start = Instant::now();
        let mut agenda = Agenda::default();
        agenda.changed(start, OsStr::new("a.mp4"), Change::Payload);
        agenda.changed(start + ms(30), OsStr::new("a.md"), Change::Sidecar);
        assert_eq!(due(&agenda, start + ms(250)), ["a.md", "a.mp4"]);
    }

    #[test]
    fn each_audience_is_told_once() {
        let start = Instant::now();
        let clip = OsStr::new("clip.mp4");
        let mut agenda = Agenda::default();
        agenda.changed(start, clip, Change::Payload);
        let at = |seconds| start + Duration::from_secs(seconds);
        let verdict = |seconds, stuck| waiting("a reason", at(seconds), stuck);
        let told = agenda.waits(start + ms(250), clip, &verdict(1, false));
        assert_eq!(told.unwrap().to, Audience::Machines);
        assert_eq!(agenda.waits(at(2), clip, &verdict(3, false)), None);
        assert_eq!(agenda.tell(at(4)), []);
        let told = agenda.tell(at(5));
        assert_eq!(told[0].to, Audience::People);
        assert_eq!((&*told[0].name, &*told[0].reason), ("clip.mp4", "a reason"));
        assert_eq!(agenda.tell(at(50)), []);
        let told = agenda.waits(at(60), clip, &verdict(120, true)).unwrap();
        assert_eq!(told.to, Audience::PeopleWithWarning);
        assert_eq!(agenda.waits(at(120), clip, &verdict(180, true)), None);
    }

    #[test]
    fn a_writer_that_never_rests_is_told_of_by_time() {
        let start = Instant::now();
        let mut agenda = Agenda::default();
        let mut told = Vec::new();
        for n in 0..60 {
            let now = start + ms(n * 100);
            agenda.changed(now, OsStr::new("clip.mp4"), Change::Payload);
            agenda.changed(now, OsStr::new("clip.md"), Change::Sidecar);
            assert!(due(&agenda, now + ms(100)).is_empty());
            told.extend(agenda.tell(now).into_iter().map(|tell| (n, tell.to)));
        }
        assert_eq!(told, [(10, Audience::Machines), (50, Audience::People)]);
    }

    #[test]
    fn rest_is_not_told_of_unless_it_is_long() {
        let start = Instant::now();
        let zip = OsStr::new("a.zip");
        let mut agenda = Agenda::default();
        let verdict = |seconds| Verdict::WaitUntil(start + Duration::from_secs(seconds));
        assert_eq!(agenda.waits(start, zip, &verdict(2)), None);
        assert_eq!(agenda.waits(start, zip, &Verdict::Ready), None);
        assert_eq!(agenda.tell(start + ms(1_900)), []);
        assert_eq!(due(&agenda, start + ms(2_000)), ["a.zip"]);
        assert_eq!(agenda.waits(start + ms(2_000), zip, &verdict(8)), None);
        let told = agenda.tell(start + ms(5_000));
        assert_eq!((told[0].to, told[0].first), (Audience::People, true));
    }
}
