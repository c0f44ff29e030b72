//! A country as address tables name it: two letters (ISO 3166-1), or none.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What an unknown country is called, in documents and metrics.
const UNKNOWN: &str = "unknown";

/// A country, or that it isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Country([u8; 2]);

impl Country {
    /// None that is known.
    pub const UNKNOWN: Self = Self([0; 2]);

    /// The country of two letters; whatever else is there is [`Self::UNKNOWN`], as is `ZZ`, by which tables mean the
    /// same.
    pub fn new(letters: [u8; 2]) -> Self {
        let letters = letters.map(|letter| letter.to_ascii_uppercase());
        let known = letters.iter().all(u8::is_ascii_uppercase) && &letters != b"ZZ";
        if known { Self(letters) } else { Self::UNKNOWN }
    }

    /// The letters, or zeros.
    pub fn letters(self) -> [u8; 2] {
        self.0
    }

    /// Whether it is known.
    pub fn is_known(self) -> bool {
        self != Self::UNKNOWN
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).map_or(UNKNOWN, |letters| {
            if self.is_known() { letters } else { UNKNOWN }
        }))
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let letters: Option<[u8; 2]> = text.as_bytes().try_into().ok();
        match letters.map(Self::new) {
            Some(country) if country.is_known() => Ok(country),
            _ if text == UNKNOWN => Ok(Self::UNKNOWN),
            _ => Err(D::Error::custom(format!("{text:?} is no country"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_letters_are_a_country_and_nothing_else_is() {
        let check = |letters: &[u8; 2], text: &str| {
            assert_eq!(Country::new(*letters).to_string(), text);
        };
        check(b"DE", "DE");
        check(b"fr", "FR");
        check(b"ZZ", "unknown");
        check(b"-\"", "unknown");
        check(&[0, 0], "unknown");
        check(&[0xc3, 0xa4], "unknown");
    }
}
