//! WebVTT captions and chapters.

use publisher::vtt::{cues, from_chapters};

/// What is read as chapters is written as a track that reads the same.
pub fn vtt(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(mut chapters) = cues(&text) else {
        return;
    };
    assert!(
        chapters
            .iter()
            .all(|c| c.start_s.is_finite() && c.start_s >= 0.0)
    );
    chapters.sort_by(|a, b| a.start_s.total_cmp(&b.start_s));
    let written = from_chapters(&chapters, None);
    let again = cues(&written).expect("our own track can be read");
    assert_eq!(again.len(), chapters.len(), "{written}");
    for (read, chapter) in again.iter().zip(&chapters) {
        // Beyond that a track is of no use, and a float has no milliseconds left.
        if chapter.start_s < 1e9 {
            let apart = (read.start_s - chapter.start_s).abs();
            assert!(apart <= 0.001, "{} and {}", read.start_s, chapter.start_s);
        }
        let words = |title: &str| title.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&read.title), words(&chapter.title), "{written}");
    }
}
