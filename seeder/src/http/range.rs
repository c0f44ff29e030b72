//! Which bytes of a file a request gets (RFC 9110): pure functions of header texts and what is known of the file.

use std::ops::Range;
use std::time::{Duration, SystemTime};

/// What to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 304: the asker has it.
    NotModified,
    /// 200: all of it.
    Whole,
    /// 206: these bytes, at least one.
    Part(Range<u64>),
    /// 416: there are no such bytes.
    Unsatisfiable,
}

/// The header fields that decide.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    /// `Range`, of a GET only: RFC 9110 gives it no meaning elsewhere.
    pub range: Option<&'a str>,
    /// `If-Range`.
    pub if_range: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a str>,
}

/// What is known of the file.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Its length.
    pub length: u64,
    /// Its strong entity tag, in quotes.
    pub etag: &'a str,
    /// When it was last changed.
    pub modified: Option<SystemTime>,
}

/// Decides.
pub fn decide(conditions: &Conditions<'_>, known: &Known<'_>) -> Answer {
    let not_modified = match (conditions.if_none_match, conditions.if_modified_since) {
        // The tag decides where there is one; dates are for those that know no tags.
        (Some(tags), _) => any_tag_matches(tags, known.etag),
        (None, Some(date)) => {
            let since = httpdate::parse_http_date(date).ok();
            since
                .zip(known.modified)
                .is_some_and(|(since, modified)| whole_seconds(modified) <= since)
        }
        (None, None) => false,
    };
    if not_modified {
        return Answer::NotModified;
    }
    match conditions.range {
        Some(range)
            if conditions
                .if_range
                .is_none_or(|validator| is_current(validator, known)) =>
        {
            parse(range, known.length)
        }
        _ => Answer::Whole,
    }
}

/// Reads a `Range`. What can't be read is as if it weren't there, and so is a list of ranges: RFC 9110 allows
/// a server to give the whole, and nobody who plays or fetches by web seed asks for lists.
fn parse(range: &str, length: u64) -> Answer {
    let Some((unit, spec)) = range.split_once('=') else {
        return Answer::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return Answer::Whole;
    }
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Answer::Whole;
    };
    let range = match (first, last) {
        ("", last) => match number(last) {
            Some(suffix) => length.saturating_sub(suffix)..length,
            None => return Answer::Whole,
        },
        (first, "") => match number(first) {
            Some(first) => first..length,
            None => return Answer::Whole,
        },
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
            _ => return Answer::Whole,
        },
    };
    if range.start < range.end {
        Answer::Part(range)
    } else {
        Answer::Unsatisfiable
    }
}

/// Digits alone; more than 64 bits hold is beyond the end of every file.
fn number(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether an `If-Range` names the file as it is: the strong tag, or exactly its date.
fn is_current(validator: &str, known: &Known<'_>) -> bool {
    if validator.starts_with('"') {
        return validator == known.etag;
    }
    let date = httpdate::parse_http_date(validator).ok();
    date.zip(known.modified)
        .is_some_and(|(date, modified)| date == whole_seconds(modified))
}

fn any_tag_matches(tags: &str, etag: &str) -> bool {
    let strong = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == etag;
    tags.trim() == "*" || tags.split(',').any(|tag| strong(tag.trim()))
}

/// HTTP's dates have no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ETAG: &str = "\"abc\"";

    fn known(length: u64) -> Known<'static> {
        // 1994-11-06 08:49:37 UTC and a bit.
        let modified = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_777_500);
        Known {
            length,
            etag: ETAG,
            modified: Some(modified),
        }
    }

    #[test]
    fn one_range_is_given_exactly() {
        let check = |range: &str, length: u64, expected: Answer| {
            let conditions = Conditions {
                range: Some(range),
                ..Conditions::default()
            };
            assert_eq!(
                decide(&conditions, &known(length)),
                expected,
                "{range} of {length}"
            );
        };
        let part = |start, end| Answer::Part(start..end);
        // Safari's probe, and what players ask first.
        check("bytes=0-1", 1000, part(0, 2));
        check("bytes=0-", 1000, part(0, 1000));
        check("bytes=0-0", 1, part(0, 1));
        check("bytes=999-", 1000, part(999, 1000));
        check("bytes=500-5000", 1000, part(500, 1000));
        check("bytes=-1", 1000, part(999, 1000));
        check("bytes=-5000", 1000, part(0, 1000));
        check("Bytes = 1-2", 1000, part(1, 3));
        check("bytes=1-99999999999999999999999", 1000, part(1, 1000));
        check("bytes=1000-", 1000, Answer::Unsatisfiable);
        check(
            "bytes=99999999999999999999999-",
            1000,
            Answer::Unsatisfiable,
        );
        check("bytes=-0", 1000, Answer::Unsatisfiable);
        check("bytes=0-", 0, Answer::Unsatisfiable);
        for ignored in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=2-1",
            "bytes=+1-2",
            "lines=0-1",
            "bytes=0-1,5-6",
        ] {
            check(ignored, 1000, Answer::Whole);
        }
    }

    #[test]
    fn if_range_gives_a_part_only_of_what_is_known() {
        let check = |if_range: &str, expected: Answer| {
            let conditions = Conditions {
                range: Some("bytes=0-1"),
                if_range: Some(if_range),
                ..Conditions::default()
            };
            assert_eq!(decide(&conditions, &known(10)), expected, "{if_range}");
        };
        check(ETAG, Answer::Part(0..2));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Answer::Part(0..2));
        for stale in [
            "\"abd\"",
            "W/\"abc\"",
            "Sun, 06 Nov 1994 08:49:38 GMT",
            "Sun, 06 Nov 1994 08:49:36 GMT",
            "abc",
        ] {
            check(stale, Answer::Whole);
        }
    }

    #[test]
    fn who_has_it_is_told_so() {
        let check =
            |if_none_match: Option<&str>, if_modified_since: Option<&str>, expected: Answer| {
                let range = Some("bytes=0-1");
                let conditions = Conditions {
                    range,
                    if_none_match,
                    if_modified_since,
                    ..Conditions::default()
                };
                assert_eq!(
                    decide(&conditions, &known(10)),
                    expected,
                    "{if_none_match:?} {if_modified_since:?}"
                );
            };
        check(Some(ETAG), None, Answer::NotModified);
        check(Some("\"x\", W/\"abc\""), None, Answer::NotModified);
        check(Some("*"), None, Answer::NotModified);
        check(Some("\"x\""), None, Answer::Part(0..2));
        check(
            None,
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
            Answer::NotModified,
        );
        check(
            None,
            Some("Sun, 06 Nov 1994 08:49:36 GMT"),
            Answer::Part(0..2),
        );
        check(None, Some("yesterday"), Answer::Part(0..2));
        check(
            Some("\"x\""),
            Some("Sun, 06 Nov 2094 08:49:37 GMT"),
            Answer::Part(0..2),
        );
    }

    proptest! {
        #[test]
        fn a_part_always_lies_inside(range in "(bytes=)?[-0-9, a]{0,24}", length in 0u64..2000) {
            let conditions = Conditions { range: Some(&range), ..Conditions::default() };
            if let Answer::Part(part) = decide(&conditions, &known(length)) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
