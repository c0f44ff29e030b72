//! WebVTT (W3C Candidate Recommendation of 2019, "file parsing"): what browsers read as cues, nothing
//! else, and where a text stops being that. Captions are published as they were written; chapters are
//! read out of their cues and written anew.

use crate::front_matter::Chapter;
use crate::place::{Place, TextError};

/// The largest sidecar that is read, in bytes.
pub const MAX_BYTES: u64 = 8 << 20;

/// The cues that start at a time, in order of the file.
///
/// # Errors
/// The first place where a browser would pass over what was meant: a missing signature, a timing that
/// can't be read, a text that belongs to no cue.
pub fn cues(text: &str) -> Result<Vec<Chapter>, TextError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines::new(text);
    let signature = lines
        .next()
        .and_then(|line| line.text.strip_prefix("WEBVTT"));
    if !signature.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return Err(TextError {
            place: Place { line: 1, column: 1 },
            reason: "a WebVTT file starts with the line `WEBVTT`".into(),
        });
    }
    // Up to the first empty line stand remarks of the program that wrote the file.
    while let Some(line) = lines.next_if(|line| !line.text.is_empty()) {
        if line.text.contains("-->") {
            return Err(line.wrong(
                0,
                "an empty line must stand between `WEBVTT` and the first cue",
            ));
        }
    }
    let mut cues = Vec::new();
    while let Some(first) = lines.next() {
        if first.text.is_empty() {
            continue;
        }
        if first.text.contains("-->") {
            cues.push(cue(first, &mut lines)?);
            continue;
        }
        let word = first.text.split([' ', '\t']).next().unwrap_or_default();
        let whole = first.text.trim_end_matches([' ', '\t']) == word;
        if word == "NOTE" || (whole && cues.is_empty() && (word == "STYLE" || word == "REGION")) {
            while let Some(line) = lines.next_if(|line| !line.text.is_empty()) {
                if let Some(at) = line.text.find("-->") {
                    let reason = format!(
                        "`-->` may not stand in a {word} block; put an empty line before the cue"
                    );
                    return Err(line.wrong(at, &reason));
                }
            }
            continue;
        }
        // Any other line without an arrow is the cue's identifier.
        match lines.next_if(|line| line.text.contains("-->")) {
            Some(timing) => cues.push(cue(timing, &mut lines)?),
            None => {
                let reason = format!(
                    "`{}` belongs to no cue: an empty line ends a cue, a timing like `00:01.000 --> 00:02.000` begins one",
                    shown(first.text)
                );
                return Err(first.wrong(0, &reason));
            }
        }
    }
    Ok(cues)
}

/// Reads a cue, its timing line first. A further timing line without an empty line before it begins
/// another cue, as in browsers, and is left where it is.
fn cue(timing: Line<'_>, lines: &mut Lines<'_>) -> Result<Chapter, TextError> {
    let start_s = timing_of(timing)?;
    let mut words = Vec::new();
    while let Some(line) = lines.next_if(|line| !line.text.is_empty() && !line.text.contains("-->"))
    {
        words.push(line.text.trim());
    }
    Ok(Chapter {
        start_s,
        title: plain(&words.join(" ")),
    })
}

/// `start --> end` and settings like `align:start`; gives the start.
fn timing_of(line: Line<'_>) -> Result<f64, TextError> {
    let spaces = |text: &str| text.len() - text.trim_start_matches([' ', '\t']).len();
    let mut at = spaces(line.text);
    let mut moment = |after: &str| {
        let rest = &line.text[at..];
        let Some((milliseconds, length)) = timestamp(rest) else {
            let found = rest.split([' ', '\t']).next().unwrap_or_default();
            let reason = format!(
                "`{}` is not a time like `00:01.000` or `01:02:03.000`",
                shown(found)
            );
            return Err(line.wrong(at, &reason));
        };
        let start = at;
        at += length;
        at += spaces(&line.text[at..]);
        if !line.text[at..].starts_with(after) {
            return Err(line.wrong(at, "`-->` must follow the start"));
        }
        at += after.len();
        at += spaces(&line.text[at..]);
        Ok((milliseconds, start))
    };
    let (start, _) = moment("-->")?;
    let (end, end_at) = moment("")?;
    if end < start {
        return Err(line.wrong(end_at, "the cue ends before it starts"));
    }
    for setting in line.text[at..].split([' ', '\t']).filter(|s| !s.is_empty()) {
        let known = setting.split_once(':');
        if !known.is_some_and(|(name, value)| !name.is_empty() && !value.is_empty()) {
            let reason = format!(
                "`{}` is not a setting like `align:start`; a cue's text begins on the next line",
                shown(setting)
            );
            let at = setting.as_ptr().addr() - line.text.as_ptr().addr();
            return Err(line.wrong(at, &reason));
        }
    }
    Ok(start as f64 / 1000.0)
}

/// A WebVTT timestamp at the beginning of a text: milliseconds, and how many bytes it took.
pub(crate) fn timestamp(text: &str) -> Option<(u64, usize)> {
    let length = text
        .find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.')
        .unwrap_or(text.len());
    let (clock, fraction) = text[..length].split_once('.')?;
    let mut parts = clock.rsplit(':');
    let two = |part: &str| {
        let value = part.parse::<u64>().ok()?;
        (part.len() == 2 && value < 60).then_some(value)
    };
    let seconds = two(parts.next()?)?;
    let minutes = two(parts.next()?)?;
    let hours = match parts.next() {
        Some(part) if part.len() >= 2 => part.parse::<u64>().ok()?,
        Some(_) => return None,
        None => 0,
    };
    let whole = fraction.len() == 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !whole {
        return None;
    }
    let below_an_hour = (minutes * 60 + seconds) * 1000 + fraction.parse::<u64>().ok()?;
    let milliseconds = hours.checked_mul(3_600_000)?.checked_add(below_an_hour)?;
    Some((milliseconds, length))
}

/// Milliseconds as a WebVTT timestamp.
pub(crate) fn stamp(milliseconds: u64) -> String {
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    format!(
        "{:02}:{:02}:{:02}.{milliseconds:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// One line of a text, and where it begins.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) text: &'a str,
    pub(crate) number: usize,
}

impl Line<'_> {
    /// An error at this byte of the line.
    pub(crate) fn wrong(&self, byte: usize, reason: &str) -> TextError {
        TextError {
            place: Place::of(self.text, byte).below(self.number - 1),
            reason: reason.to_owned(),
        }
    }
}

/// Lines that end in LF, CR LF or CR.
pub(crate) struct Lines<'a> {
    rest: Option<&'a str>,
    number: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            rest: Some(text),
            number: 0,
        }
    }

    fn peek(&self) -> Option<(Line<'a>, Option<&'a str>)> {
        let rest = self.rest?;
        let end = rest.find(['\n', '\r']);
        let text = &rest[..end.unwrap_or(rest.len())];
        let after = end.map(|end| {
            let after = &rest[end..];
            after.strip_prefix("\r\n").unwrap_or(&after[1..])
        });
        let number = self.number + 1;
        Some((Line { text, number }, after))
    }

    pub(crate) fn next_if(&mut self, wanted: impl Fn(&Line<'a>) -> bool) -> Option<Line<'a>> {
        let (line, after) = self.peek().filter(|(line, _)| wanted(line))?;
        self.rest = after;
        self.number = line.number;
        Some(line)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        self.next_if(|_| true)
    }
}

/// As much of a text as a message needs.
pub(crate) fn shown(text: &str) -> String {
    crate::report::one_line(&text.chars().take(60).collect::<String>())
}

/// The text of a cue without its tags, its character references resolved (WebVTT, "cue text").
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let length = if let Some((meaning, length)) = reference(from) {
            plain.push_str(&meaning);
            length
        } else if let Some(end) = from.find('>').filter(|_| from.starts_with('<')) {
            end + 1
        } else {
            plain.push_str(&from[..1]);
            1
        };
        rest = &from[length..];
    }
    plain.push_str(rest);
    plain
}

/// A character reference at the beginning of a text: what it means, and its length. Of the names those
/// that WebVTT writes itself, and the two that every exporter writes.
fn reference(text: &str) -> Option<(String, usize)> {
    const NAMES: [(&str, &str); 8] = [
        ("amp", "&"),
        ("lt", "<"),
        ("gt", ">"),
        ("nbsp", " "),
        ("lrm", ""),
        ("rlm", ""),
        ("quot", "\""),
        ("apos", "'"),
    ];
    let end = text.bytes().take(12).position(|b| b == b';')?;
    let name = text.get(..end)?.strip_prefix('&')?;
    let letter = |number: &str, radix| {
        let letter = char::from_u32(u32::from_str_radix(number, radix).ok()?)?;
        (!letter.is_control()).then(|| letter.to_string())
    };
    let meaning = match name.strip_prefix('#') {
        Some(hex) if hex.starts_with(['x', 'X']) => letter(&hex[1..], 16)?,
        Some(number) => letter(number, 10)?,
        None => NAMES.iter().find(|(n, _)| *n == name)?.1.to_owned(),
    };
    Some((meaning, end + 1))
}

/// A chapter track; the last chapter ends with the clip, or an hour after it starts.
pub fn from_chapters(chapters: &[Chapter], duration_s: Option<f64>) -> String {
    let mut text = String::from("WEBVTT\n");
    let milliseconds = |seconds: f64| (seconds * 1000.0).round() as u64;
    for (index, chapter) in chapters.iter().enumerate() {
        let last = duration_s
            .filter(|end| *end > chapter.start_s)
            .unwrap_or(chapter.start_s + 3600.0);
        let end = chapters.get(index + 1).map_or(last, |next| next.start_s);
        let words: Vec<&str> = chapter.title.split_whitespace().collect();
        let title = words
            .join(" ")
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        text.push_str(&format!(
            "\n{} --> {}\n{title}\n",
            stamp(milliseconds(chapter.start_s)),
            stamp(milliseconds(end))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn titles(text: &str) -> Vec<(f64, String)> {
        let cues = cues(text).unwrap();
        cues.into_iter()
            .map(|cue| (cue.start_s, cue.title))
            .collect()
    }

    #[test]
    fn chapters_go_both_ways() {
        let chapters =
            [(0.0, "R&D <now> --> &amp;"), (65.5, "Two  parts")].map(|(start_s, title)| Chapter {
                start_s,
                title: title.into(),
            });
        let text = from_chapters(&chapters, Some(90.0));
        assert!(text.contains("00:01:05.500 --> 00:01:30.000\nTwo parts"));
        assert_eq!(
            titles(&text),
            [
                (0.0, "R&D <now> --> &amp;".into()),
                (65.5, "Two parts".into())
            ]
        );
    }

    #[test]
    fn all_that_the_format_holds_is_read() {
        let text = "\u{feff}WEBVTT - made by hand\r\nKind: captions\r\n\r\nSTYLE\r\n::cue { color: lime }\r\n\r\n\
            REGION\r\nid:fred width:40%\r\n\r\nNOTE\r\na remark\r\n\r\n\
            intro\r\n00:01.000 --> 00:02.500 align:start  position:10%,line-left\r\n<v Anna>R&amp;D</v> 1 < 2 & <b>more</b>\r\n\
            second line &#39;&#x4e;&#39;\r\n\r\n\
            123:00:00.000\t-->\t123:00:01.000\r\nlate\r\n00:03.000 --> 00:04.000\r\nno empty line before\r\n\r\n\
            NOTE it ends here\r\n\r\n00:05.000-->00:06.000\r\n\r\n";
        assert_eq!(
            titles(text),
            [
                (1.0, "R&D 1 more second line 'N'".into()),
                (442_800.0, "late".into()),
                (3.0, "no empty line before".into()),
                (5.0, String::new()),
            ]
        );
        assert_eq!(titles("WEBVTT\r\r00:01.000 --> 00:02.000\rold\r").len(), 1);
        assert!(titles("WEBVTT").is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, start) in [
            ("hello", "1:1: "),
            ("WEBVTTX\n", "1:1: "),
            ("WEBVTT\n00:01.000 --> 00:02.000\nx", "2:1: an empty line"),
            ("WEBVTT\n\n1\nsoon --> later\nx", "4:1: `soon`"),
            ("WEBVTT\n\n00:01.000 --> later\nx", "3:15: `later`"),
            ("WEBVTT\n\n00:01,000 --> 00:02,000\nx", "3:1: `00:01,000`"),
            ("WEBVTT\n\n00:61.000 --> 01:02.000\nx", "3:1: "),
            ("WEBVTT\n\n00:05.000 --> 00:01.000\nx", "3:15: the cue ends"),
            ("WEBVTT\n\n00:01.000 => --> 00:02.000\n", "3:11: `-->`"),
            ("WEBVTT\n\n00:01.000 --> 00:02.000 Hello\n", "3:25: `Hello`"),
            (
                "WEBVTT\n\n00:01.000 --> 00:02.000\na\n\nlost",
                "6:1: `lost`",
            ),
            ("WEBVTT\n\nNOTE a\nb --> c", "4:3: `-->`"),
        ] {
            let error = cues(text).expect_err(text).to_string();
            assert!(error.starts_with(start), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(WEBVTT\n\n)?([\\PC\n\r]{0,20}|0[0-9]:0[0-9].000 --> [0-9:.]{0,9} ?[a-z:]{0,5}\n){0,6}") {
            if let Ok(cues) = cues(&text) {
                prop_assert!(cues.len() <= text.matches("-->").count());
            }
        }

        #[test]
        fn times_go_both_ways(milliseconds in prop_oneof![0_u64..3_600_000_000, any::<u64>()]) {
            let text = stamp(milliseconds);
            prop_assert_eq!(timestamp(&text), Some((milliseconds, text.len())));
        }
    }
}
