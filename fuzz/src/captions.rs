//! Captions and chapters: WebVTT, SubRip, JSON chapters.

use publisher::front_matter::Chapter;
use publisher::vtt::{cues, from_chapters};
use publisher::{chapters, place, srt};

/// What is read as chapters is written as a track that reads the same.
pub fn vtt(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match cues(&text) {
        Ok(chapters) => write_and_read(chapters),
        Err(error) => assert_place(&error.place, &text),
    }
}

/// What is made of SubRip is WebVTT, and not much longer.
pub fn srt(data: &[u8]) {
    match srt::to_vtt(data) {
        Ok(made) => {
            cues(&made).expect("what is made is WebVTT");
            assert!(made.len() <= data.len() * 12 + 100, "{made}");
        }
        Err(error) => {
            if let Ok(text) = place::decode(data) {
                assert_place(&error.place, &text);
            }
        }
    }
}

/// What is read is in order and makes a track that reads the same.
pub fn chapters(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match chapters::from_json(&text) {
        Ok(chapters) => {
            assert!(chapters.is_sorted_by(|a, b| a.start_s <= b.start_s));
            assert!(
                chapters
                    .iter()
                    .all(|chapter| !chapter.title.trim().is_empty())
            );
            write_and_read(chapters);
        }
        Err(error) => assert_place(&error.place, &text),
    }
}

fn write_and_read(mut chapters: Vec<Chapter>) {
    assert!(
        chapters
            .iter()
            .all(|c| c.start_s.is_finite() && c.start_s >= 0.0)
    );
    // Beyond that a track is of no use, and a float has no milliseconds left.
    chapters.retain(|chapter| chapter.start_s < 1e9);
    chapters.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let written = from_chapters(&chapters, None);
    let again = cues(&written).expect("our own track can be read");
    assert_eq!(again.len(), chapters.len(), "{written}");
    for (read, chapter) in again.iter().zip(&chapters) {
        let apart = (read.start_s - chapter.start_s).abs();
        assert!(apart <= 0.001, "{} and {}", read.start_s, chapter.start_s);
        let words = |title: &str| title.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&read.title), words(&chapter.title), "{written}");
    }
}

/// A place is in the text, or right behind it.
fn assert_place(place: &place::Place, text: &str) {
    assert!(place.line >= 1 && place.column >= 1, "{place}");
    let lines = text.split(['\n', '\r']).count();
    assert!(
        place.line <= lines + 1 && place.column <= text.len() + 2,
        "{place}"
    );
}
