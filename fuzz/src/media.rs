//! Media files: every container's reader, and what is written anew from them.

use ::media::{Complete, Media, Plays, complete, key_frame, plays, probe, rewrite};
use std::ops::ControlFlow;

/// How much longer a file may become when it is packed anew: an index names every sample, and a sample may
/// be a single byte.
const GROWTH: usize = 64;
/// What every packed file has besides.
const FRAME: usize = 64 << 10;

/// What is understood is finite and can stand on a page; what is made is bounded by what was read.
pub fn media(data: &[u8]) {
    let source = data.to_vec();
    let bound = data.len() * GROWTH + FRAME;
    if let Complete::No(why) = complete(&source) {
        assert!(!why.is_empty() && why.len() < 1000, "{why}");
    }
    for at_s in [0.0, 0.1, 1e9] {
        if let Ok(Some(frame)) = key_frame(&source, at_s) {
            assert!(frame.annex_b.len() <= bound);
            assert!(
                frame.time_s.is_finite()
                    && frame.rotation.is_multiple_of(90)
                    && frame.rotation < 360
            );
        }
    }
    let Ok(found) = probe(&source) else {
        return;
    };
    check_media(&found, data.len());
    match plays(&found) {
        Plays::AsIs { mime } => {
            assert!(mime.contains('/'), "{mime}");
            assert!(!mime.contains(['<', '>', '&', '\'', '\n']), "{mime:?}");
        }
        Plays::After(way) => {
            let mut out = Vec::new();
            let mut last = 0;
            let written = rewrite(&source, way, &mut out, &mut |bytes| {
                assert!(bytes >= last, "progress goes back");
                last = bytes;
                ControlFlow::Continue(())
            });
            assert!(out.len() <= bound, "{} bytes of {}", out.len(), data.len());
            if written.is_ok() {
                let again = probe(&out).expect("what was written can be read");
                check_media(&again, out.len());
                // A file that contradicts itself may turn out not to play; packing it once is enough in any case.
                assert!(!matches!(plays(&again), Plays::After(_)), "{again:?}");
            }
        }
        Plays::Transcode { why } => assert!(!why.is_empty() && why.len() < 1000, "{why}"),
    }
}

fn check_media(media: &Media, bytes: usize) {
    let seconds = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
    assert!(media.duration_s.is_none_or(seconds), "{media:?}");
    assert!(media.chapters.len() <= bytes, "{media:?}");
    assert!(
        media
            .chapters
            .iter()
            .all(|chapter| seconds(chapter.start_s))
    );
    let titles: usize = media
        .chapters
        .iter()
        .map(|chapter| chapter.title.len())
        .sum();
    assert!(titles <= bytes * 4, "{media:?}");
    if let Some(video) = &media.video {
        assert!(
            video.rotation.is_multiple_of(90) && video.rotation < 360,
            "{video:?}"
        );
        assert!(
            video
                .frame_rate
                .is_none_or(|rate| rate.is_finite() && rate > 0.0),
            "{video:?}"
        );
        assert!(media.video_tracks > 0);
    }
    assert!(media.audio.is_none() || media.audio_tracks > 0);
}
