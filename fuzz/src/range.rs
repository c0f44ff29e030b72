//! Which bytes an HTTP request gets, decided from header texts of a stranger.

use crate::draw::Draw;
use seeder::http::range::{Answer, Conditions, Known, decide};
use std::time::{Duration, SystemTime};

const ETAG: &str = "\"0011223344556677\"";

/// A length, what stands before the first line break as `Range`, then `If-Range`, `If-None-Match` and
/// `If-Modified-Since`, an empty line meaning absent.
pub fn range(data: &[u8]) {
    let mut draw = Draw::new(data);
    let modified = Duration::from_millis(u64::from(draw.u32()) * 500);
    // Small lengths meet the borders; the shift reaches the large ones.
    let length = u64::from(draw.u16()) << (draw.u8() % 49);
    let Ok(text) = std::str::from_utf8(draw.rest()) else {
        return;
    };
    let mut lines = text
        .split('\n')
        .map(|line| Some(line).filter(|l| !l.is_empty()));
    let mut next = || lines.next().flatten();
    let conditions = Conditions {
        range: next(),
        if_range: next(),
        if_none_match: next(),
        if_modified_since: next(),
    };
    let known = Known {
        length,
        etag: ETAG,
        modified: Some(SystemTime::UNIX_EPOCH + modified),
    };

    let answer = decide(&conditions, &known);
    match &answer {
        Answer::Part(part) => {
            assert!(
                part.start < part.end && part.end <= length,
                "{part:?} of {length}"
            );
            let asked = format!("bytes={}-{}", part.start, part.end - 1);
            let exactly = Conditions {
                range: Some(&asked),
                ..Conditions::default()
            };
            assert_eq!(decide(&exactly, &known), answer, "asked for by its ends");
        }
        Answer::Unsatisfiable => assert!(conditions.range.is_some()),
        Answer::NotModified => {
            assert!(conditions.if_none_match.is_some() || conditions.if_modified_since.is_some());
        }
        Answer::Whole => {}
    }
    // A validator only ever takes the part away.
    let unconditional = Conditions {
        if_range: None,
        ..conditions
    };
    let without = decide(&unconditional, &known);
    assert!(answer == without || answer == Answer::Whole);
    // Whoever shows the current tag has it, whatever else is said.
    let current = Conditions {
        if_none_match: Some(ETAG),
        ..conditions
    };
    assert_eq!(decide(&current, &known), Answer::NotModified);
}
