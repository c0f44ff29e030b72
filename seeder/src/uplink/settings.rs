//! The limits as they stand in the configuration file, and what they mean.

use super::rate::{Limit, Size, Then};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::path::PathBuf;
use swarm::uplink::Limits;
use swarm::uplink::schedule::{DAY, Entry, Schedule};

/// Everything that limits what is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UplinkConfig {
    /// The limits where the schedule says nothing else.
    pub limits: Limits,
    /// Other limits at other times of the week, by this machine's clock.
    pub schedule: Schedule,
    /// A bound on what is sent in a month.
    pub volume: Option<MonthlyVolume>,
}

impl UplinkConfig {
    /// Whether anything may ever be limited.
    pub fn is_limiting(&self) -> bool {
        *self != Self::default()
    }
}

/// `[monthly_volume]`: for servers with a volume of traffic.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonthlyVolume {
    /// How much may be sent in a month.
    #[serde(deserialize_with = "size")]
    pub bytes: u64,
    /// Bytes a second once that is spent; 0 for a stop.
    #[serde(deserialize_with = "then")]
    pub then: u64,
    /// The day on which the month begins, as the provider counts it.
    #[serde(default = "first", deserialize_with = "first_day")]
    pub first_day: i8,
    /// Where is kept what was sent this month.
    pub file: Option<PathBuf>,
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Size::deserialize(deserializer).map(|size| size.0)
}

fn then<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Then::deserialize(deserializer).map(|then| then.0)
}

fn first() -> i8 {
    1
}

fn first_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i8, D::Error> {
    // Every month has a 28th.
    match i8::deserialize(deserializer)? {
        day @ 1..=28 => Ok(day),
        day => Err(D::Error::custom(format!(
            "{day} is not a day of every month; write 1 to 28"
        ))),
    }
}

/// One `[[schedule]]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleEntry {
    days: Option<Vec<Day>>,
    from: Time,
    to: Time,
    upload_limit: Limit,
}

impl From<ScheduleEntry> for Entry {
    fn from(entry: ScheduleEntry) -> Self {
        let mut days = [entry.days.is_none(); 7];
        for day in entry.days.unwrap_or_default() {
            days[day as usize] = true;
        }
        Self {
            days,
            from: entry.from.0,
            to: entry.to.0 % DAY,
            rate: entry.upload_limit.rate(),
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of the day in minutes.
#[derive(Debug, Clone, Copy)]
struct Time(u16);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let two = |digits: &str| {
            let fine = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| fine)
        };
        let time = text.split_once(':').and_then(|(hours, minutes)| {
            let (hours, minutes) = (two(hours)?, two(minutes)?);
            let minute = hours * 60 + minutes;
            (minutes < 60 && minute <= DAY).then_some(Self(minute))
        });
        time.ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no time of the day; write for example \"08:00\" or \"22:30\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        #[serde(default)]
        schedule: Vec<ScheduleEntry>,
        monthly_volume: Option<MonthlyVolume>,
    }

    #[test]
    fn a_schedule_is_days_times_and_a_limit() {
        let file: File = toml::from_str(
            "[[schedule]]\ndays = [\"mon\", \"sun\"]\nfrom = \"22:30\"\nto = \"24:00\"\nupload_limit = \"unlimited\"\n\
             [[schedule]]\nfrom = \"00:00\"\nto = \"06:05\"\nupload_limit = 1000000\n",
        )
        .unwrap();
        let entries: Vec<Entry> = file.schedule.into_iter().map(Entry::from).collect();
        assert_eq!(
            entries,
            [
                Entry {
                    days: [true, false, false, false, false, false, true],
                    from: 22 * 60 + 30,
                    to: 0,
                    rate: None,
                },
                Entry {
                    days: [true; 7],
                    from: 0,
                    to: 6 * 60 + 5,
                    rate: Some(1_000_000),
                }
            ]
        );
    }

    #[test]
    fn a_volume_is_bytes_and_what_comes_then() {
        let read = |text: &str| {
            toml::from_str::<File>(text).map(|file| file.monthly_volume.expect("it is there"))
        };
        let volume = read("[monthly_volume]\nbytes = \"2TB\"\nthen = \"1Mbit/s\"\n").unwrap();
        assert_eq!(
            (volume.bytes, volume.then, volume.first_day),
            (2_000_000_000_000, 125_000, 1)
        );
        let volume =
            read("[monthly_volume]\nbytes = 5000\nthen = \"stop\"\nfirst_day = 28\n").unwrap();
        assert_eq!((volume.bytes, volume.then, volume.first_day), (5000, 0, 28));
    }

    #[test]
    fn each_mistake_is_one_error_that_names_its_key_and_a_remedy() {
        let entry = |key: &str, value: &str| {
            let mut lines = vec![
                ("from", "\"08:00\""),
                ("to", "\"18:00\""),
                ("upload_limit", "\"5M\""),
            ];
            lines.retain(|line| line.0 != key);
            lines.push((key, value));
            let lines = lines
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}\n"));
            format!("[[schedule]]\n{}", lines.collect::<String>())
        };
        let volume = |key: &str, value: &str| {
            let mut lines = vec![("bytes", "\"2TB\""), ("then", "\"stop\"")];
            lines.retain(|line| line.0 != key);
            lines.push((key, value));
            let lines = lines
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}\n"));
            format!("[monthly_volume]\n{}", lines.collect::<String>())
        };
        let check = |text: String, words: &[&str]| {
            let error = toml::from_str::<File>(&text).unwrap_err().to_string();
            assert!(
                words.iter().all(|word| error.contains(word)),
                "{text}\n{error}"
            );
        };
        check(entry("from", "\"8:00\""), &["from", "08:00"]);
        check(entry("to", "\"25:00\""), &["to", "22:30"]);
        check(entry("days", "[\"monday\"]"), &["days", "`mon`"]);
        check(
            entry("upload_limit", "\"5Mb\""),
            &["upload_limit", "5Mbit/s"],
        );
        check(entry("rate", "5"), &["rate", "upload_limit"]);
        check(volume("bytes", "\"2Tbit\""), &["bytes", "2TB"]);
        check(volume("then", "\"slow\""), &["then", "1Mbit/s", "stop"]);
        check(volume("first_day", "31"), &["first_day", "1 to 28"]);
    }
}
