//! Bytes, lengths and dates as people read them, and as HTML, RSS and sitemaps want them.
//!
//! English only for now; other languages change this file and the templates, nothing else.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes in decimal units with at most one place: `0 bytes`, `1 byte`, `640 KB`, `2.4 MB`, `12 GB`.
pub fn bytes_label(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KB", "MB", "GB", "TB", "PB", "EB"];
    match bytes {
        1 => return "1 byte".to_owned(),
        0..1000 => return format!("{bytes} bytes"),
        _ => {}
    }
    // In tenths of the unit, rounded once, so that 999,950 is `1 MB` and never `1000 KB`.
    let mut unit_bytes = 1000_u128;
    let bytes = u128::from(bytes);
    for unit in UNITS {
        let tenths = (bytes * 10 + unit_bytes / 2) / unit_bytes;
        if tenths < 100 {
            let (whole, tenth) = (tenths / 10, tenths % 10);
            return if tenth == 0 {
                format!("{whole} {unit}")
            } else {
                format!("{whole}.{tenth} {unit}")
            };
        }
        let whole = (bytes + unit_bytes / 2) / unit_bytes;
        if whole < 1000 {
            return format!("{whole} {unit}");
        }
        unit_bytes *= 1000;
    }
    unreachable!("a u64 has at most 18 EB")
}

/// Seconds as `0:07`, `3:05`, `1:02:03`. Parts of a second are rounded; what is no length reads `0:00`.
pub fn duration_label(seconds: f64) -> String {
    let total = whole_seconds(seconds);
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

/// Seconds as an ISO 8601 duration for `<time datetime>`: `PT3M5S`.
pub fn duration_iso(seconds: f64) -> String {
    let total = whole_seconds(seconds);
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    let mut out = "PT".to_owned();
    if hours > 0 {
        out.push_str(&format!("{hours}H"));
    }
    if minutes > 0 {
        out.push_str(&format!("{minutes}M"));
    }
    if seconds > 0 || total == 0 {
        out.push_str(&format!("{seconds}S"));
    }
    out
}

/// Whole seconds; negative, infinite and undefined lengths count as none, and a year is the most.
pub(super) fn whole_seconds(seconds: f64) -> u64 {
    const YEAR_S: f64 = 366.0 * 86_400.0;
    if seconds.is_finite() {
        seconds.round().clamp(0.0, YEAR_S) as u64
    } else {
        0
    }
}

/// A date for people, in UTC: `22 November 2026`.
pub fn date_label(when: Timestamp) -> String {
    when.to_zoned(TimeZone::UTC)
        .strftime("%-d %B %Y")
        .to_string()
}

/// RFC 3339 in UTC with whole seconds: `2026-11-22T07:30:00Z`.
pub fn date_rfc3339(when: Timestamp) -> String {
    when.to_zoned(TimeZone::UTC)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// RFC 2822 in UTC, for RSS: `Sun, 22 Nov 2026 07:30:00 +0000`.
pub fn date_rfc2822(when: Timestamp) -> String {
    when.to_zoned(TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well_at_every_border() {
        for (bytes, label) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1000, "1 KB"),
            (1049, "1 KB"),
            (1050, "1.1 KB"),
            (9_949, "9.9 KB"),
            (9_950, "10 KB"),
            (640_400, "640 KB"),
            (999_499, "999 KB"),
            (999_500, "1 MB"),
            (2_431_007, "2.4 MB"),
            (4_700_000_000, "4.7 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(bytes_label(bytes), label, "{bytes}");
        }
    }

    #[test]
    fn lengths_read_well() {
        for (seconds, label, iso) in [
            (0.0, "0:00", "PT0S"),
            (6.6, "0:07", "PT7S"),
            (185.2, "3:05", "PT3M5S"),
            (3599.6, "1:00:00", "PT1H"),
            (3723.0, "1:02:03", "PT1H2M3S"),
            (-4.0, "0:00", "PT0S"),
            (f64::NAN, "0:00", "PT0S"),
            (f64::INFINITY, "0:00", "PT0S"),
        ] {
            assert_eq!(duration_label(seconds), label, "{seconds}");
            assert_eq!(duration_iso(seconds), iso, "{seconds}");
        }
        assert!(duration_label(1e300).len() < 12);
    }

    #[test]
    fn dates_in_three_writings() {
        let when: Timestamp = "2026-11-02T23:30:09.5+01:00".parse().unwrap();
        assert_eq!(date_label(when), "2 November 2026");
        assert_eq!(date_rfc3339(when), "2026-11-02T22:30:09Z");
        assert_eq!(date_rfc2822(when), "Mon, 02 Nov 2026 22:30:09 +0000");
    }
}
