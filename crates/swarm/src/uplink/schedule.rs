//! Other limits at other times of the week. What time it is, whoever calls knows: minutes of the week come in,
//! counted from Monday's midnight on the wall clock.

/// Minutes of one day.
pub const DAY: u16 = 24 * 60;
/// Minutes of one week.
pub const WEEK: u16 = 7 * DAY;

/// A time of the week at which another limit holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The days on which it begins, Monday first.
    pub days: [bool; 7],
    /// The minute of the day at which it begins.
    pub from: u16,
    /// The minute of the day at which it ends. Not later than `from`: the next day's; both alike are a whole day.
    pub to: u16,
    /// Bytes a second; `None` for no limit.
    pub rate: Option<u64>,
}

/// When which limit holds: the first entry that fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule(pub Vec<Entry>);

impl Schedule {
    /// The limit at this minute of the week, or `usual` where no entry fits.
    pub fn rate_at(&self, minute: u16, usual: Option<u64>) -> Option<u64> {
        let fits = |entry: &&Entry| entry.holds_at(minute % WEEK);
        self.0
            .iter()
            .find(fits)
            .map_or(usual, |entry: &Entry| entry.rate)
    }
}

impl Entry {
    fn holds_at(&self, minute: u16) -> bool {
        let (day, minute) = (usize::from(minute / DAY), minute % DAY);
        let length = (self.to + DAY - self.from - 1) % DAY + 1;
        let today = minute >= self.from && minute - self.from < length;
        let since_yesterday = minute + DAY - self.from < length;
        (self.days[day] && today) || (self.days[(day + 6) % 7] && since_yesterday)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_fits_holds_and_nights_go_on_into_the_morning() {
        let entry = |days: &str, from: u16, to: u16, rate| Entry {
            days: std::array::from_fn(|day| days.contains("mtwhfsu".chars().nth(day).unwrap())),
            from: from / 100 * 60 + from % 100,
            to: to / 100 * 60 + to % 100,
            rate,
        };
        let schedule = Schedule(vec![
            entry("fs", 2200, 600, Some(1)),
            entry("mtwhf", 800, 1800, Some(2)),
            entry("u", 0, 0, None),
            entry("u", 2300, 100, Some(4)),
        ]);
        let check = |day: &str, time: u16, expected: Option<u64>| {
            let day = "mtwhfsu".find(day).unwrap() as u16;
            let minute = day * DAY + time / 100 * 60 + time % 100;
            assert_eq!(
                schedule.rate_at(minute, Some(9)),
                expected,
                "{day} {time:04}"
            );
        };
        check("m", 759, Some(9));
        check("m", 800, Some(2));
        check("m", 1759, Some(2));
        check("m", 1800, Some(9));
        check("f", 900, Some(2));
        check("f", 2159, Some(9));
        check("f", 2200, Some(1));
        check("s", 559, Some(1));
        check("s", 600, Some(9));
        check("s", 900, Some(9));
        // Saturday's night goes on into Sunday, and Sunday's into Monday.
        check("u", 0, Some(1));
        check("u", 559, Some(1));
        check("u", 600, None);
        check("u", 2330, None);
        check("m", 59, Some(4));
        check("m", 100, Some(9));
        assert_eq!(Schedule::default().rate_at(0, None), None);
    }
}
