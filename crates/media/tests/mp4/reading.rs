//! MP4 and QuickTime files as they are read: the values are ffprobe's.

use crate::made::*;
use media::{
    AudioCodec, Chroma, Complete, Container, Plays, ProbeError, Rewrite, Video, VideoCodec,
};

#[test]
fn a_plain_file_is_told_as_ffprobe_tells_it() {
    let expected_video = Video {
        codec: VideoCodec::H264,
        codecs: "avc1.64000a".into(),
        width: 64,
        height: 48,
        rotation: 0,
        frame_rate: Some(25.0),
        bit_depth: Some(8),
        chroma: Some(Chroma::C420),
        profile: Some(100),
    };
    for (file, container, faststart, channels) in [
        (MOOV_LAST, Container::Mp4, false, 1),
        (FASTSTART, Container::Mp4, true, 1),
        (QUICKTIME, Container::QuickTime, false, 2),
    ] {
        let media = probe(file);
        assert_eq!(media.container, container);
        assert_eq!(media.duration_s, Some(1.0));
        assert_eq!(media.bit_rate, Some(file.len() as u64 * 8));
        assert_eq!(media.video.as_ref(), Some(&expected_video));
        let audio = media.audio.unwrap();
        assert_eq!(
            (audio.codec, audio.codecs.as_str()),
            (AudioCodec::AacLc, "mp4a.40.2")
        );
        assert_eq!((audio.channels, audio.sample_rate), (channels, 44_100));
        assert_eq!((media.video_tracks, media.audio_tracks), (1, 1));
        assert_eq!((media.faststart, media.fragmented), (faststart, false));
        assert_eq!(media.chapters, []);
    }
}

#[test]
fn fragments_are_counted() {
    let media = probe(FRAGMENTED);
    assert_eq!((media.faststart, media.fragmented), (true, true));
    assert_eq!(media.duration_s, Some(1.08));
    assert_eq!(media.video.unwrap().frame_rate, Some(25.0));
    let counts: Vec<usize> = samples(FRAGMENTED)
        .iter()
        .map(|(_, _, samples)| samples.len())
        .collect();
    assert_eq!(counts, [25, 45]);
    assert!(matches!(
        media::plays(&probe(FRAGMENTED)),
        Plays::AsIs { .. }
    ));
}

#[test]
fn what_browsers_lack_is_told_by_the_configuration() {
    let hevc = probe(HEVC).video.unwrap();
    assert_eq!(
        (hevc.codec, hevc.codecs.as_str()),
        (VideoCodec::Hevc, "hvc1.1.6.L30.90")
    );
    assert_eq!(
        (hevc.bit_depth, hevc.chroma, hevc.profile),
        (Some(8), Some(Chroma::C420), Some(1))
    );
    let high = probe(HIGH_422).video.unwrap();
    assert_eq!(
        (high.codec, high.codecs.as_str()),
        (VideoCodec::H264, "avc1.7a000a")
    );
    assert_eq!(
        (high.bit_depth, high.chroma, high.profile),
        (Some(10), Some(Chroma::C422), Some(122))
    );
    let prores = probe(PRORES);
    assert_eq!(
        prores.video.as_ref().unwrap().codec,
        VideoCodec::Other("Apple ProRes".into())
    );
    let sound = prores.audio.as_ref().unwrap();
    assert_eq!(
        (&sound.codec, sound.channels, sound.sample_rate),
        (&AudioCodec::Pcm, 1, 8000)
    );
    for file in [HEVC, HIGH_422, PRORES] {
        assert!(matches!(
            media::plays(&probe(file)),
            Plays::Transcode { .. }
        ));
    }
}

#[test]
fn rotation_edits_and_chapters_are_read() {
    // ffprobe counts the other way round: 90.
    assert_eq!(probe(ROTATED).video.unwrap().rotation, 270);
    assert_eq!(probe(EDIT_LIST).duration_s, Some(0.5));
    let media = probe(CHAPTERS);
    assert_eq!(media.video, None);
    let chapters: Vec<(f64, &str)> = media
        .chapters
        .iter()
        .map(|one| (one.start_s, one.title.as_str()))
        .collect();
    assert_eq!(chapters, [(0.0, "Opening"), (0.4, "Straße und Meer")]);
}

#[test]
fn key_frames_lie_at_or_before_the_time() {
    // One every ten frames of 40 ms; in the fragmented file all is shown two frames later.
    for (file, at_s, expected) in [
        (MOOV_LAST, 0.0, 0.0),
        (MOOV_LAST, 0.39, 0.0),
        (MOOV_LAST, 0.4, 0.4),
        (MOOV_LAST, 9.0, 0.8),
        (MOOV_LAST, f64::NAN, 0.0),
        (FRAGMENTED, 0.0, 0.08),
        (FRAGMENTED, 0.47, 0.08),
        (FRAGMENTED, 0.5, 0.48),
        (FRAGMENTED, 9.0, 0.88),
        (EDIT_LIST, 0.0, 0.0),
        (EDIT_LIST, 0.31, 0.3),
    ] {
        let found = media::key_frame(&file.to_vec(), at_s).unwrap().unwrap();
        assert!(
            (found.time_s - expected).abs() < 1e-6,
            "{} for {at_s}",
            found.time_s
        );
        assert!(
            found.annex_b.starts_with(&[0, 0, 0, 1, 0x67]),
            "parameter sets come first"
        );
        let kinds: Vec<u8> = found
            .annex_b
            .windows(5)
            .filter(|five| five.starts_with(&[0, 0, 0, 1]))
            .map(|five| five[4] & 31)
            .collect();
        assert!(
            kinds.starts_with(&[7, 8]) && kinds.contains(&5),
            "{kinds:?}"
        );
    }
    assert_eq!(
        media::key_frame(&ROTATED.to_vec(), 0.0)
            .unwrap()
            .unwrap()
            .rotation,
        270
    );
    assert_eq!(media::key_frame(&HEVC.to_vec(), 0.0).unwrap(), None);
    assert_eq!(media::key_frame(&CHAPTERS.to_vec(), 0.0).unwrap(), None);
}

#[test]
fn files_that_are_cut_off_say_so() {
    for file in ALL {
        let finished = !probe(file).fragmented;
        for length in 17..file.len() {
            let cut = file[..length].to_vec();
            let at_an_end = boxes(file).iter().any(|(_, range)| range.end == length);
            if finished || !at_an_end {
                assert!(
                    matches!(media::complete(&cut), Complete::No(_)),
                    "{length} of {}",
                    file.len()
                );
                assert!(
                    matches!(media::probe(&cut), Err(ProbeError::Truncated(_))),
                    "{length} of {}",
                    file.len()
                );
            }
        }
        let whole = media::complete(&file.to_vec());
        assert_eq!(whole, Complete::Yes);
    }
}

#[test]
fn room_that_is_still_to_be_filled_is_no_end() {
    for file in ALL {
        // A copy into room that was made before: what hasn't come yet is zeros. The names at the very end of an
        // index don't matter.
        let index = boxes(file)
            .into_iter()
            .find(|(kind, _)| kind == b"moov")
            .unwrap()
            .1;
        for filled in [
            file.len() / 2,
            index.end - 2000.min(index.len() - 8),
            index.end - index.len() / 2,
            index.end - 200,
        ] {
            let mut growing = file.to_vec();
            growing[filled..].fill(0);
            // Where the index has come, the samples' zeros can't be told from samples.
            if filled < index.end || probe(file).fragmented {
                let complete = media::complete(&growing);
                assert_ne!(complete, Complete::Yes, "{filled} of {}", file.len());
            }
        }
    }
}

#[test]
fn fragments_without_an_end_leave_it_open() {
    let table = boxes(FRAGMENTED).pop().unwrap();
    assert_eq!(&table.0, b"mfra");
    let open = FRAGMENTED[..table.1.start].to_vec();
    assert_eq!(media::complete(&open), Complete::Unknown);
    assert_eq!(media::probe(&open).unwrap().duration_s, Some(1.08));
}

#[test]
fn a_finished_file_may_carry_a_tail() {
    let tagged = [MOOV_LAST, b"TAGa song of somebody"].concat();
    assert_eq!(media::complete(&tagged), Complete::Yes);
    assert_eq!(probe(&tagged).duration_s, Some(1.0));
    let moved = rewrite(&tagged, Rewrite::Faststart).unwrap();
    assert!(moved.ends_with(b"TAGa song of somebody"));
    assert_eq!(samples(&moved), samples(MOOV_LAST));
}

#[test]
fn other_files_are_none_of_these() {
    let picture = make(b"ftyp", b"heic\0\0\0\0mif1heic");
    let file = [picture, make(b"meta", &[0; 40])].concat();
    assert!(matches!(media::probe(&file), Err(ProbeError::NotMedia)));
    assert!(matches!(
        media::samples(&b"RIFF\0\0\0\0WAVEfmt ".to_vec()),
        Err(ProbeError::NotMedia)
    ));
    assert!(matches!(
        media::samples(&Vec::new()),
        Err(ProbeError::Truncated(_) | ProbeError::NotMedia)
    ));
}
