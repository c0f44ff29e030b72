//! SubRip captions (`.srt`) as they are found in the world, made WebVTT, which is what browsers show. The
//! format has no standard: what players agree on is taken, what is left of styling languages is dropped.

use crate::place::{TextError, decode};
use crate::vtt::{Line, Lines, shown, stamp};

/// A WebVTT file of the same captions.
///
/// # Errors
/// Where the file is in no known encoding, or a time can't be read.
pub fn to_vtt(bytes: &[u8]) -> Result<String, TextError> {
    let text = decode(bytes)?;
    let mut vtt = String::from("WEBVTT\n");
    let mut cue: Option<Cue> = None;
    for line in Lines::new(&text) {
        let trimmed = line.text.trim();
        if trimmed.contains("-->") {
            let next = Cue::begin(line)?;
            if let Some(mut cue) = cue.replace(next) {
                cue.drop_counter();
                cue.write(&mut vtt);
            }
        } else if let Some(cue) = &mut cue {
            cue.lines.push(trimmed.to_owned());
        } else if !trimmed.is_empty() && !is_counter(trimmed) {
            let reason = format!(
                "`{}` stands before the first time; SubRip begins like `1`, `00:00:01,000 --> 00:00:02,000`",
                shown(trimmed)
            );
            return Err(line.wrong(0, &reason));
        }
    }
    match cue {
        Some(cue) => cue.write(&mut vtt),
        None => {
            return Err(Line {
                text: "",
                number: 1,
            }
            .wrong(0, "holds no captions"));
        }
    }
    Ok(vtt)
}

fn is_counter(line: &str) -> bool {
    !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit())
}

struct Cue {
    start: u64,
    end: u64,
    lines: Vec<String>,
}

impl Cue {
    /// Reads `00:00:01,000 --> 00:00:02,000`; coordinates behind it are passed over.
    fn begin(line: Line<'_>) -> Result<Self, TextError> {
        let arrow = line.text.find("-->").unwrap_or_default();
        let moment = |from: usize, text: &str| {
            let at = from + text.len() - text.trim_start().len();
            let word = text.split_whitespace().next().unwrap_or_default();
            let time = time(word).ok_or_else(|| {
                let reason = format!("`{}` is not a time like `00:01:02,500`", shown(word));
                line.wrong(at, &reason)
            })?;
            Ok((time, at))
        };
        let (start, _) = moment(0, &line.text[..arrow])?;
        let (end, at) = moment(arrow + 3, &line.text[arrow + 3..])?;
        if end < start {
            return Err(line.wrong(at, "the caption ends before it starts"));
        }
        Ok(Self {
            start,
            end,
            lines: Vec::new(),
        })
    }

    /// The number of the next caption stands on the line above its time, and not in this one's text.
    fn drop_counter(&mut self) {
        if self.lines.last().is_some_and(|line| is_counter(line)) {
            self.lines.pop();
        }
    }

    fn write(&self, vtt: &mut String) {
        let mut settings = "";
        // Empty lines inside a caption would end it in WebVTT.
        let lines: Vec<String> = self
            .lines
            .iter()
            .flat_map(|line| {
                let line = without_overrides(line, &mut settings);
                let text = cue_text(&line);
                text.split('\n')
                    .map(|part| part.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .filter(|line| !line.is_empty())
            .collect();
        if !lines.is_empty() {
            let (start, end) = (stamp(self.start), stamp(self.end));
            vtt.push_str(&format!(
                "\n{start} --> {end}{settings}\n{}\n",
                lines.join("\n")
            ));
        }
    }
}

/// Milliseconds of `01:02:03,500`. Hours and the fraction may be missing; the fraction may follow a point.
fn time(text: &str) -> Option<u64> {
    let (clock, fraction) = text.split_once([',', '.']).unwrap_or((text, "0"));
    let number = |part: &str, digits: usize| {
        let plain = (1..=digits).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u64>().ok()).flatten()
    };
    let parts: Vec<&str> = clock.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [hours, minutes, seconds] => (number(hours, 4)?, number(minutes, 2)?, number(seconds, 2)?),
        [minutes, seconds] => (0, number(minutes, 2)?, number(seconds, 2)?),
        _ => return None,
    };
    let fraction = number(fraction, 3)? * [100, 10, 1][fraction.len() - 1];
    (minutes < 60 && seconds < 60)
        .then_some(((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction)
}

/// Takes away what Aegisub and its like leave in braces, `{\an8}`; its place on the picture is kept.
fn without_overrides(line: &str, settings: &mut &'static str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, from)) = rest.split_once("{\\") {
        text.push_str(before);
        let Some((inside, after)) = from.split_once('}') else {
            text.push_str("{\\");
            rest = from;
            continue;
        };
        let place = inside
            .split('\\')
            .find_map(|word| word.strip_prefix("an")?.parse::<u8>().ok());
        *settings = match place {
            Some(1) => " align:left",
            Some(3) => " align:right",
            Some(4) => " line:50% align:left",
            Some(5) => " line:50%",
            Some(6) => " line:50% align:right",
            Some(7) => " line:0 align:left",
            Some(8) => " line:0",
            Some(9) => " line:0 align:right",
            _ => *settings,
        };
        rest = after;
    }
    text.push_str(rest);
    text
}

/// The tags that both formats know stay, those that only SubRip's players know go, and everything else is text.
fn cue_text(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let (meaning, length) = match from.as_bytes()[0] {
            b'<' => tag(from).unwrap_or(("&lt;", 1)),
            b'>' => ("&gt;", 1),
            _ => ["&amp;", "&lt;", "&gt;", "&nbsp;"]
                .into_iter()
                .find(|name| from.starts_with(name))
                .map_or(("&amp;", 1), |name| (name, name.len())),
        };
        text.push_str(meaning);
        rest = &from[length..];
    }
    text.push_str(rest);
    text
}

/// A tag at the beginning of a text: what becomes of it, and its length.
fn tag(text: &str) -> Option<(&'static str, usize)> {
    let end = text.find('>')?;
    let name = text[1..end].split_whitespace().next()?.to_ascii_lowercase();
    let meaning = match name.as_str() {
        "b" => "<b>",
        "/b" => "</b>",
        "i" => "<i>",
        "/i" => "</i>",
        "u" => "<u>",
        "/u" => "</u>",
        "br" | "br/" => "\n",
        "font" | "/font" | "s" | "/s" | "span" | "/span" | "p" | "/p" | "c" | "/c" => "",
        _ => return None,
    };
    Some((meaning, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vtt::cues;
    use proptest::prelude::*;

    #[test]
    fn captions_of_every_kind_become_webvtt() {
        let text = "\u{feff}1\r\n00:00:01,000 --> 00:00:02,500\r\nHello &amp; <I>welcome</I>\r\n<font color=\"#fff\">R&D</font> 1 < 2 -- >\r\n\r\n\
            2\r\n0:00:03.5 --> 0:00:04,05  X1:100 X2:200\r\n{\\an8\\b1}Top\r\n\r\nand after an empty line<br>three\r\n\r\n\
            3\r\n01:05 --> 01:06\r\n42\r\n\r\n4\r\n00:02:00,000 --> 00:02:01,000\r\n\r\n";
        assert_eq!(
            to_vtt(text.as_bytes()).unwrap(),
            "WEBVTT\n\n00:00:01.000 --> 00:00:02.500\nHello &amp; <i>welcome</i>\nR&amp;D 1 &lt; 2 -- &gt;\n\n\
             00:00:03.500 --> 00:00:04.050 line:0\nTop\nand after an empty line\nthree\n\n\
             00:01:05.000 --> 00:01:06.000\n42\n"
        );
    }

    #[test]
    fn utf16_is_read() {
        let text = "1\n00:00:01,000 --> 00:00:02,000\né\n";
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        assert!(to_vtt(&bytes).unwrap().ends_with("\né\n"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, start) in [
            (&b""[..], "1:1: holds no captions"),
            (b"WEBVTT\n", "1:1: `WEBVTT`"),
            (b"1\n00:00:01,000 --> later\nx", "2:18: `later`"),
            (
                b"1\n00:99:01,000 --> 00:00:02,000\nx",
                "2:1: `00:99:01,000`",
            ),
            (
                b"1\n00:00:03,000 --> 00:00:02,000\nx",
                "2:18: the caption ends",
            ),
            (b"1\n --> \nx", "2:2: ``"),
            (
                b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9",
                "3:4: the byte 0xe9 is not UTF-8",
            ),
        ] {
            let error = to_vtt(text).expect_err(start).to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_made_is_webvtt(text in "([0-9]{1,2}\n0[0-9]:0[0-9],[0-9]{1,3} --> 1?0:[0-9]{2}[.,0-9]{0,4}\n|[\\PC\n\r]{0,20}|</?[biu]>|\\{\\\\an[0-9]\\}){0,8}") {
            if let Ok(vtt) = to_vtt(text.as_bytes()) {
                prop_assert!(cues(&vtt).is_ok(), "{vtt}");
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = to_vtt(&bytes);
        }

        #[test]
        fn times_are_kept(start in 0_u64..300_000_000, long in 0_u64..10_000) {
            let srt = |ms: u64| stamp(ms).replace('.', ",");
            let vtt = to_vtt(format!("1\n{} --> {}\nx", srt(start), srt(start + long)).as_bytes()).unwrap();
            let line = format!("{} --> {}", stamp(start), stamp(start + long));
            prop_assert!(vtt.contains(&line), "{vtt}");
        }
    }
}
