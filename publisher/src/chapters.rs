//! Podcasting 2.0 chapters (`application/json+chapters`, version 1.2): what podcast tools export.
//! Pictures, links and places of chapters are passed over; a chapter without a title, or outside of the
//! table of contents, is none for a page.

use crate::front_matter::Chapter;
use crate::place::{Place, TextError};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// What is read of the document; members may be added to it.
#[derive(Deserialize)]
struct Document {
    chapters: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(deserialize_with = "seconds")]
    start_time: f64,
    title: Option<String>,
    toc: Option<bool>,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if seconds.is_finite() && seconds >= 0.0 {
        Ok(seconds)
    } else {
        Err(D::Error::custom(format!(
            "`startTime` is {seconds}, which is no time"
        )))
    }
}

/// The chapters in order of their starts.
///
/// # Errors
/// Where the text is no such document.
pub fn from_json(text: &str) -> Result<Vec<Chapter>, TextError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let document: Document = serde_json::from_str(text).map_err(|error| {
        let place = Place {
            line: error.line().max(1),
            column: error.column().max(1),
        };
        let message = error.to_string();
        let reason = message
            .rsplit_once(" at line ")
            .map_or(message.as_str(), |(reason, _)| reason);
        TextError {
            place,
            reason: format!("no JSON chapters: {}", crate::report::one_line(reason)),
        }
    })?;
    let listed = document
        .chapters
        .into_iter()
        .filter(|item| item.toc != Some(false));
    let mut chapters: Vec<Chapter> = listed
        .filter_map(|item| {
            Some(Chapter {
                start_s: item.start_time,
                title: item.title.filter(|title| !title.trim().is_empty())?,
            })
        })
        .collect();
    chapters.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    Ok(chapters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chapters_of_podcast_tools_are_read() {
        let text = r#"{ "version": "1.2.0", "author": "x", "chapters": [
            { "startTime": 168.5, "title": "Two", "img": "https://a.example/x.jpg", "url": "https://a.example/" },
            { "startTime": 0, "title": "One", "endTime": 168 },
            { "startTime": 200, "title": "hidden", "toc": false },
            { "startTime": 300, "img": "a picture alone" } ] }"#;
        let read = from_json(text).unwrap();
        let read: Vec<_> = read.iter().map(|c| (c.start_s, c.title.as_str())).collect();
        assert_eq!(read, [(0.0, "One"), (168.5, "Two")]);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, start) in [
            ("", "1:1: "),
            (
                "{\n  \"chapters\": 5 }",
                "2:15: no JSON chapters: invalid type",
            ),
            ("{}", "1:2: no JSON chapters: missing field `chapters`"),
            ("{\"chapters\":[{\"title\":\"x\"}]}", "1:26: "),
            (
                "{\"chapters\":[\n{\"startTime\":-1,\"title\":\"x\"}]}",
                "2:15: ",
            ),
            ("{\"chapters\":[{\"startTime\":\"1:05\"}]}", "1:32: "),
            ("{\"chapters\":[{\"startTime\":1e999}]}", "1:"),
        ] {
            let error = from_json(text).expect_err(text).to_string();
            assert!(error.starts_with(start), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\{\"chapters\":\\[)?[\\PC\n]{0,60}") {
            let _ = from_json(&text);
        }

        #[test]
        fn starts_are_kept(starts in proptest::collection::vec(0.0_f64..1e7, 0..8)) {
            let items: Vec<_> = starts.iter().map(|s| serde_json::json!({"startTime": s, "title": "x"})).collect();
            let read = from_json(&serde_json::json!({"version": "1.2.0", "chapters": items}).to_string()).unwrap();
            let mut sorted = starts;
            sorted.sort_by(f64::total_cmp);
            prop_assert_eq!(read.len(), sorted.len());
            // The reader of JSON may miss the last bit.
            prop_assert!(read.iter().zip(&sorted).all(|(read, start)| (read.start_s - start).abs() < 1e-6));
        }
    }
}
