//! Chapters: a text track that another track refers to (QuickTime), or else Nero's list.

use super::movie::{Movie, Track};
use crate::model::{Chapter, ProbeError};
use crate::read::ReadAt;

const MOST_CHAPTERS: usize = 2000;
const MOST_TITLE: usize = 1024;

/// The chapters of a movie, as the track that people see or hear has them.
pub(crate) fn read(
    source: &dyn ReadAt,
    movie: &Movie<'_>,
    main: Option<usize>,
) -> Result<Vec<Chapter>, ProbeError> {
    let main = main.map(|main| &movie.tracks[main]);
    let referring = main.into_iter().chain(&movie.tracks);
    let named = referring.flat_map(|track| &track.chapter_tracks);
    let text = named
        .filter_map(|id| movie.tracks.iter().find(|track| track.id == *id))
        .find(|track| matches!(&track.handler, b"text" | b"sbtl" | b"subt") && !track.external);
    let chapters = match text {
        Some(text) => from_track(source, movie, text)?,
        None => Vec::new(),
    };
    Ok(if chapters.is_empty() {
        movie.chapters.clone()
    } else {
        chapters
    })
}

fn from_track(
    source: &dyn ReadAt,
    movie: &Movie<'_>,
    track: &Track<'_>,
) -> Result<Vec<Chapter>, ProbeError> {
    let mut chapters = Vec::new();
    for sample in track.table.samples()?.take(MOST_CHAPTERS) {
        let length = usize::try_from(sample.size)
            .unwrap_or(MOST_TITLE)
            .min(2 + MOST_TITLE);
        let mut bytes = vec![0; length];
        source.read_exact_at(sample.offset, &mut bytes)?;
        let Some(title) = title(&bytes) else { continue };
        let start_s = track.shown_s(movie, sample.shown()).max(0.0);
        chapters.push(Chapter { start_s, title });
    }
    Ok(chapters)
}

/// A text sample: a length, then UTF-8, or UTF-16 behind its mark; boxes that style it may follow.
fn title(sample: &[u8]) -> Option<String> {
    let (length, text) = sample.split_first_chunk::<2>()?;
    let text = &text[..text.len().min(u16::from_be_bytes(*length).into())];
    let wide = |text: &[u8], number: fn([u8; 2]) -> u16| {
        let numbers: Vec<u16> = text
            .as_chunks()
            .0
            .iter()
            .map(|pair| number(*pair))
            .collect();
        String::from_utf16_lossy(&numbers)
    };
    let text = match text {
        [0xfe, 0xff, text @ ..] => wide(text, u16::from_be_bytes),
        [0xff, 0xfe, text @ ..] => wide(text, u16::from_le_bytes),
        text => String::from_utf8_lossy(text).into_owned(),
    };
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_read_in_both_encodings() {
        assert_eq!(title(b"\0\x03One\0\0\0\x0cencd"), Some("One".into()));
        assert_eq!(
            title(&[0, 6, 0xfe, 0xff, 0, b'a', 0x20, 0x26]),
            Some("a…".into())
        );
        assert_eq!(title(&[0, 9, b'c', b'u', b't']), Some("cut".into()));
        assert_eq!(title(&[0]), None);
    }
}
