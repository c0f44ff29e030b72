//! WebVTT, as much as publishing needs: is it one, and which chapters does it name.

use crate::front_matter::{Chapter, clock};

/// The largest sidecar that is read, in bytes.
pub const MAX_BYTES: u64 = 8 << 20;

/// Why a text is no WebVTT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VttError {
    /// The first line is another.
    #[error("1:1: a WebVTT file starts with the line `WEBVTT`")]
    Signature,
    /// A timing line that can't be read.
    #[error("{line}:1: `{text}` is not a timing like `00:01.000 --> 00:02.000`")]
    Timing {
        /// Line, from 1.
        line: usize,
        /// The line's text.
        text: String,
    },
}

/// The cues that start at a time, in order of the file.
pub fn cues(text: &str) -> Result<Vec<Chapter>, VttError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().peekable();
    let signature = lines
        .next()
        .map(|(_, line)| line)
        .and_then(|line| line.strip_prefix("WEBVTT"));
    if !signature.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return Err(VttError::Signature);
    }
    let mut cues = Vec::new();
    while let Some((number, line)) = lines.next() {
        let Some((start, end)) = line.split_once("-->") else {
            continue;
        };
        let bad = || VttError::Timing {
            line: number + 1,
            text: line.chars().take(60).collect(),
        };
        let start_s = clock(start).ok_or_else(bad)?;
        let end = end
            .split_whitespace()
            .next()
            .and_then(clock)
            .ok_or_else(bad)?;
        if end < start_s {
            return Err(bad());
        }
        let mut words = Vec::new();
        while let Some((_, text)) = lines.next_if(|(_, text)| !text.trim().is_empty()) {
            words.push(text.trim());
        }
        cues.push(Chapter {
            start_s,
            title: plain(&words.join(" ")),
        });
    }
    Ok(cues)
}

/// The text of a cue without its tags, its character references resolved (WebVTT, "cue text").
fn plain(text: &str) -> String {
    const REFERENCES: [(&str, &str); 6] = [
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", " "),
        ("&lrm;", ""),
        ("&rlm;", ""),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let reference = REFERENCES
            .iter()
            .find(|(reference, _)| from.starts_with(reference));
        let (meaning, length) = match (reference, from.find('>')) {
            (Some((reference, meaning)), _) => (*meaning, reference.len()),
            (None, Some(end)) if from.starts_with('<') => ("", end + 1),
            (None, _) => (&from[..1], 1),
        };
        plain.push_str(meaning);
        rest = &from[length..];
    }
    plain.push_str(rest);
    plain
}

/// A chapter track; the last chapter ends with the clip, or an hour after it starts.
pub fn from_chapters(chapters: &[Chapter], duration_s: Option<f64>) -> String {
    let mut text = String::from("WEBVTT\n");
    for (index, chapter) in chapters.iter().enumerate() {
        let last = duration_s
            .filter(|end| *end > chapter.start_s)
            .unwrap_or(chapter.start_s + 3600.0);
        let end = chapters.get(index + 1).map_or(last, |next| next.start_s);
        let title: String = chapter
            .title
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        let title = title
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        text.push_str(&format!(
            "\n{} --> {}\n{title}\n",
            stamp(chapter.start_s),
            stamp(end)
        ));
    }
    text
}

fn stamp(seconds: f64) -> String {
    let milliseconds = (seconds * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    format!(
        "{:02}:{:02}:{:02}.{milliseconds:03}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chapters_go_both_ways() {
        let chapters = vec![
            Chapter {
                start_s: 0.0,
                title: "One".into(),
            },
            Chapter {
                start_s: 65.5,
                title: "Two  parts".into(),
            },
        ];
        let text = from_chapters(&chapters, Some(90.0));
        assert!(text.contains("00:01:05.500 --> 00:01:30.000\nTwo parts"));
        let read = cues(&text).unwrap();
        let tagged = "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Anna>R&amp;D</v> 1 < 2 & <b>more</b>";
        assert_eq!(cues(tagged).unwrap()[0].title, "R&D 1 more");
        let odd = vec![Chapter {
            start_s: 0.0,
            title: "R&D <now>".into(),
        }];
        assert_eq!(cues(&from_chapters(&odd, None)).unwrap(), odd);
        assert_eq!(
            (read.len(), read[1].start_s, read[1].title.as_str()),
            (2, 65.5, "Two parts")
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(cues("hello").unwrap_err(), VttError::Signature);
        assert_eq!(cues("WEBVTTX\n").unwrap_err(), VttError::Signature);
        let error = cues("WEBVTT\n\n1\nsoon --> later\nx")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("4:1"), "{error}");
        assert!(cues("WEBVTT\n\n00:05.000 --> 00:01.000\nx").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(WEBVTT\n)?[\\PC\n]{0,80}") {
            let _ = cues(&text);
        }
    }
}
