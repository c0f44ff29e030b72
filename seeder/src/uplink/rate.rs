//! Rates and volumes as people write them. Bytes unless bits are named; what could mean either is refused, since a
//! limit that is wrong by eight is noticed late.

use serde::de::{Deserializer, Error as _, Visitor};
use std::fmt;
use std::str::FromStr;

/// Below this many bytes a second nothing useful is sent; whoever writes less has left out a unit.
const LEAST: u64 = 1000;
/// Above this, sums of bytes over a year wouldn't fit any more.
const MOST: f64 = 1e12;

/// Why a rate or a volume can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// No number, or no unit that is known.
    #[error(
        "{0:?} is no rate; write for example 20Mbit/s (bits), 2.5MB/s or 20M (bytes), or unlimited"
    )]
    NotARate(String),
    /// `b` is read as bits by some and as bytes by others.
    #[error(
        "{0:?} may mean bits or bytes; write {1}bit/s for bits or {1}B/s for bytes, a factor of eight"
    )]
    BitsOrBytes(String, String),
    /// Nothing could be sent.
    #[error("{0:?} is less than 1 KB/s; was {1}M (bytes) or {1}Mbit/s meant?")]
    TooSlow(String, String),
    /// More than any link has.
    #[error("{0:?} is more than any link carries; leave the limit out, or write unlimited")]
    TooFast(String),
    /// No number of bytes.
    #[error("{0:?} is no volume; write for example 2TB or 500GiB")]
    NotAVolume(String),
}

/// A bound on a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// None.
    Unlimited,
    /// Bytes a second.
    Rate(u64),
}

impl Limit {
    /// Bytes a second, where there is a bound.
    pub fn rate(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::Rate(rate) => Some(rate),
        }
    }
}

impl FromStr for Limit {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("unlimited") {
            return Ok(Self::Unlimited);
        }
        let number = Number::split(text).ok_or_else(|| RateError::NotARate(text.to_owned()))?;
        let (unit, per_second) = match number.unit.strip_suffix("/s") {
            Some(unit) => (unit.trim_end(), true),
            None => (number.unit, false),
        };
        let (prefix, noun) = split_prefix(unit);
        let bytes = match noun {
            "" | "B" | "byte" | "bytes" | "Bps" => 1.0,
            "bit" | "bits" | "bps" => 1.0 / 8.0,
            "b" => {
                let number = text[..text.len() - number.unit.len()].trim_end().to_owned();
                let amount = number + unit.strip_suffix('b').unwrap_or(unit);
                return Err(RateError::BitsOrBytes(text.to_owned(), amount));
            }
            _ => return Err(RateError::NotARate(text.to_owned())),
        };
        if per_second && noun.ends_with("ps") {
            return Err(RateError::NotARate(text.to_owned()));
        }
        let rate = number.value * prefix * bytes;
        if rate >= MOST {
            return Err(RateError::TooFast(text.to_owned()));
        }
        if rate < LEAST as f64 {
            let amount = text[..text.len() - number.unit.len()].trim_end();
            return Err(RateError::TooSlow(text.to_owned(), amount.to_owned()));
        }
        Ok(Self::Rate(rate as u64))
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let text = text.trim();
        let wrong = || RateError::NotAVolume(text.to_owned());
        let number = Number::split(text).ok_or_else(wrong)?;
        let (prefix, noun) = split_prefix(number.unit);
        let bytes = number.value * prefix;
        if !matches!(noun, "" | "B" | "byte" | "bytes")
            || !(1.0..MOST * MOST.sqrt()).contains(&bytes)
        {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

/// A number and what stands behind it.
struct Number<'a> {
    value: f64,
    unit: &'a str,
}

impl<'a> Number<'a> {
    fn split(text: &'a str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let value = text[..end].parse().ok()?;
        let unit = text[end..].trim_start();
        Some(Self { value, unit })
    }
}

/// What a unit's first letters multiply by: K, M, G, T by thousands, Ki, Mi, Gi, Ti by 1024.
fn split_prefix(unit: &str) -> (f64, &str) {
    let mut letters = unit.chars();
    let power = match letters.next().map(|letter| letter.to_ascii_lowercase()) {
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        _ => return (1.0, unit),
    };
    let rest = letters.as_str();
    match rest.strip_prefix('i') {
        Some(rest) => (1024f64.powi(power), rest),
        None => (1000f64.powi(power), rest),
    }
}

/// Reads a text, or a bare number of bytes.
struct Text<T>(std::marker::PhantomData<T>);

impl<T: FromStr<Err = RateError>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as \"20Mbit/s\" or \"2TB\", or a number of bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

impl<'de> serde::Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(std::marker::PhantomData))
    }
}

impl<'de> serde::Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(std::marker::PhantomData))
    }
}

/// What holds once the month's volume is spent: a rate, or nothing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Then(pub u64);

impl<'de> serde::Deserialize<'de> for Then {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "stop" {
            return Ok(Self(0));
        }
        match text.parse::<Limit>() {
            Ok(Limit::Rate(rate)) => Ok(Self(rate)),
            _ => Err(D::Error::custom(format!(
                "{text:?}: write a low rate such as 1Mbit/s, or stop"
            ))),
        }
    }
}

/// A rate as people read it, both ways.
pub fn describe(rate: Option<u64>) -> String {
    let Some(rate) = rate else {
        return "unlimited".to_owned();
    };
    let short = |value: f64, noun: &str| {
        let prefixes = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
        let found = prefixes.into_iter().find(|(least, _)| value >= *least);
        let (least, prefix) = found.unwrap_or((1.0, ""));
        let number = format!("{:.2}", value / least);
        let number = number.trim_end_matches('0').trim_end_matches('.');
        format!("{number} {prefix}{noun}/s")
    };
    format!(
        "{} ({})",
        short(rate as f64, "B"),
        short(rate as f64 * 8.0, "bit")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_are_bits_bytes_are_bytes_and_what_may_be_either_is_refused() {
        let check = |text: &str, expected: u64| {
            assert_eq!(text.parse(), Ok(Limit::Rate(expected)), "{text}");
        };
        check("20M", 20_000_000);
        check("20m", 20_000_000);
        check("2500000", 2_500_000);
        check("2.5MB/s", 2_500_000);
        check("2.5 MB/s", 2_500_000);
        check("20Mbit/s", 2_500_000);
        check("20 Mbit", 2_500_000);
        check("20 mbit/s", 2_500_000);
        check("20Mbps", 2_500_000);
        check("20MBps", 20_000_000);
        check("8kbit/s", 1000);
        check("1GiB/s", 1 << 30);
        check("16Kibit/s", 2048);
        check("100kB/s", 100_000);
        check("100KiB", 102_400);
        assert_eq!("unlimited".parse(), Ok(Limit::Unlimited));
        assert_eq!(" Unlimited ".parse(), Ok(Limit::Unlimited));
        let wrong = |text: &str, words: &[&str]| {
            let error = text.parse::<Limit>().unwrap_err().to_string();
            assert!(
                words.iter().all(|word| error.contains(word)),
                "{text}: {error}"
            );
        };
        wrong("20Mb", &["20Mbit/s", "20MB/s", "eight"]);
        wrong("2.5 mb/s", &["2.5mbit/s", "2.5mB/s"]);
        wrong("20", &["20M", "20Mbit/s"]);
        wrong("0", &["1 KB/s"]);
        for text in [
            "", "fast", "-5M", "5X", "5MBs", "M", "5.5.5M", "20Mbps/s", "1e6", "∞",
        ] {
            wrong(text, &["20Mbit/s", "2.5MB/s", "unlimited"]);
        }
        wrong("9000TB/s", &["any link"]);
    }

    #[test]
    fn volumes_are_bytes() {
        for (text, bytes) in [
            ("2TB", 2_000_000_000_000),
            ("500GiB", 500 << 30),
            ("1.5T", 1_500_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["2Tbit", "2TB/s", "0", "much", "2Tb", "99999999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_told_both_ways() {
        assert_eq!(describe(Some(2_500_000)), "2.5 MB/s (20 Mbit/s)");
        assert_eq!(describe(Some(1000)), "1 kB/s (8 kbit/s)");
        assert_eq!(describe(None), "unlimited");
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "[0-9.]{0,30} ?[kKmMgGtTi]{0,2}[bBites/psé ]{0,8}") {
            if let Ok(Limit::Rate(rate)) = text.parse() {
                prop_assert!(rate >= LEAST && (rate as f64) < MOST);
            }
            let _ = text.parse::<Size>();
        }
    }
}
