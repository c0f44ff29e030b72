//! Files as they are read: the values are ffprobe's, but for what players leave out at both ends of sound.

use crate::files::{probe, read};
use media::{AudioCodec, Chroma, Complete, Container, Media, VideoCodec};

fn check_length(name: &str, media: &Media, expected: f64) {
    let found = media.duration_s.unwrap();
    assert!((found - expected).abs() < 0.05, "{name}: {found}");
}

#[test]
fn pictures_are_read() {
    let other = |name: &str| VideoCodec::Other(name.into());
    let rows = [
        (
            "mkv-h264-aac.mkv",
            Container::Matroska,
            VideoCodec::H264,
            "avc1.64000a",
            2.023,
        ),
        (
            "mkv-vp9-opus.mkv",
            Container::Matroska,
            VideoCodec::Vp9,
            "vp09.00.10.08",
            2.008,
        ),
        (
            "webm-vp8-vorbis.webm",
            Container::WebM,
            VideoCodec::Vp8,
            "vp8",
            2.003,
        ),
        (
            "webm-av1-opus.webm",
            Container::WebM,
            VideoCodec::Av1,
            "av01.0.00M.08",
            2.008,
        ),
        (
            "webm-live.webm",
            Container::WebM,
            VideoCodec::Vp8,
            "vp8",
            0.98,
        ),
        (
            "ts-h264-aac.ts",
            Container::MpegTs,
            VideoCodec::H264,
            "avc1.64000a",
            1.023,
        ),
        (
            "ogg-theora.ogv",
            Container::Ogg,
            other("Theora"),
            "theora",
            1.0,
        ),
        (
            "avi-mpeg4.avi",
            Container::Avi,
            other("MPEG-4 Part 2"),
            "",
            0.4,
        ),
        (
            "asf-wmv2.wmv",
            Container::Asf,
            other("Windows Media Video"),
            "",
            0.4,
        ),
        (
            "flv-sorenson.flv",
            Container::Flv,
            other("Sorenson Spark"),
            "",
            0.36,
        ),
    ];
    for (name, container, codec, codecs, duration) in rows {
        let media = probe(name);
        let video = media.video.as_ref().unwrap();
        assert_eq!(media.container, container, "{name}");
        assert_eq!(
            (&video.codec, video.codecs.as_str()),
            (&codec, codecs),
            "{name}"
        );
        check_length(name, &media, duration);
        if container != Container::Flv {
            assert_eq!((video.width, video.height), (64, 48), "{name}");
        }
        let told = matches!(container, Container::Asf | Container::Flv);
        if !told && name != "webm-live.webm" {
            let rate = video.frame_rate.unwrap();
            assert!((rate - 25.0).abs() < 0.01, "{name}: {rate}");
        }
        if !codecs.is_empty() {
            assert_eq!(
                (video.bit_depth, video.chroma),
                (Some(8), Some(Chroma::C420)),
                "{name}"
            );
        }
        assert_eq!(media.video_tracks, 1, "{name}");
    }
    let old = probe("ps-mpeg2.mpg").video.unwrap();
    assert_eq!(
        (old.codec, old.width, old.height),
        (other("MPEG-2"), 64, 48)
    );
}

#[test]
fn sound_is_read() {
    let rows = [
        (
            "mkv-h264-aac.mkv",
            Container::Matroska,
            AudioCodec::AacLc,
            "mp4a.40.2",
            44_100,
            2.023,
        ),
        (
            "mkv-vp9-opus.mkv",
            Container::Matroska,
            AudioCodec::Opus,
            "opus",
            48_000,
            2.008,
        ),
        (
            "webm-vp8-vorbis.webm",
            Container::WebM,
            AudioCodec::Vorbis,
            "vorbis",
            44_100,
            2.003,
        ),
        (
            "ts-h264-aac.ts",
            Container::MpegTs,
            AudioCodec::AacLc,
            "mp4a.40.2",
            44_100,
            1.023,
        ),
        (
            "ogg-opus.opus",
            Container::Ogg,
            AudioCodec::Opus,
            "opus",
            48_000,
            2.0,
        ),
        (
            "ogg-vorbis.ogg",
            Container::Ogg,
            AudioCodec::Vorbis,
            "vorbis",
            44_100,
            2.0,
        ),
        (
            "ogg-flac.oga",
            Container::Ogg,
            AudioCodec::Flac,
            "flac",
            44_100,
            1.0,
        ),
        (
            "mp3-vbr-id3.mp3",
            Container::Mp3,
            AudioCodec::Mp3,
            "mp3",
            44_100,
            2.0,
        ),
        (
            "mp3-cbr.mp3",
            Container::Mp3,
            AudioCodec::Mp3,
            "mp3",
            44_100,
            1.045,
        ),
        (
            "flac-mono.flac",
            Container::Flac,
            AudioCodec::Flac,
            "flac",
            8000,
            1.0,
        ),
        (
            "wav-s16.wav",
            Container::Wav,
            AudioCodec::Pcm,
            "1",
            8000,
            0.5,
        ),
        (
            "wav-f32.wav",
            Container::Wav,
            AudioCodec::Pcm,
            "3",
            8000,
            0.25,
        ),
        (
            "aiff-s16.aiff",
            Container::Aiff,
            AudioCodec::Pcm,
            "",
            8000,
            0.5,
        ),
        (
            "adts-lc.aac",
            Container::Adts,
            AudioCodec::AacLc,
            "mp4a.40.2",
            44_100,
            1.045,
        ),
    ];
    for (name, container, codec, codecs, rate, duration) in rows {
        let media = probe(name);
        let audio = media.audio.as_ref().unwrap();
        assert_eq!(media.container, container, "{name}");
        assert_eq!(
            (&audio.codec, audio.codecs.as_str()),
            (&codec, codecs),
            "{name}"
        );
        assert_eq!((audio.channels, audio.sample_rate), (1, rate), "{name}");
        check_length(name, &media, duration);
        assert_eq!(media.audio_tracks, 1, "{name}");
        let bits = media.bit_rate.unwrap() as f64 * media.duration_s.unwrap();
        assert!((bits / 8.0 - read(name).len() as f64).abs() < 1.0, "{name}");
    }
}

#[test]
fn chapters_are_read() {
    let chapters = probe("mkv-vp9-opus.mkv").chapters;
    let titles: Vec<_> = chapters
        .iter()
        .map(|chapter| (chapter.start_s, chapter.title.as_str()))
        .collect();
    assert_eq!(titles, [(0.0, "Opening"), (1.0, "Närmare")]);
}

#[test]
fn what_is_no_media_is_not_taken_for_some() {
    let samples: [&[u8]; 6] = [
        b"",
        b"Hello, this is a text.\n",
        b"\xff\xfe\x55\0t\0f\0-\x001\x006\0",
        b"\xff\xfb\x90\x64 one header alone",
        b"G and nothing",
        b"ID3\x04\0\0\0\0\0\x0a0123456789",
    ];
    for sample in samples {
        let found = media::probe(&sample.to_vec());
        assert!(
            matches!(found, Err(media::ProbeError::NotMedia)),
            "{sample:?}: {found:?}"
        );
    }
}

#[test]
fn files_are_whole_or_cut() {
    let told = [
        "mkv-h264-aac.mkv",
        "mkv-vp9-opus.mkv",
        "webm-vp8-vorbis.webm",
        "webm-av1-opus.webm",
        "webm-live.webm",
        "ogg-opus.opus",
        "ogg-vorbis.ogg",
        "ogg-flac.oga",
        "ogg-theora.ogv",
        "wav-s16.wav",
        "wav-f32.wav",
        "aiff-s16.aiff",
        "avi-mpeg4.avi",
    ];
    for name in told {
        let bytes = read(name);
        assert_eq!(media::complete(&bytes), Complete::Yes, "{name}");
        for cut in [bytes.len() - 1, bytes.len() - 50, bytes.len() * 2 / 3] {
            let found = media::complete(&bytes[..cut].to_vec());
            assert!(
                matches!(found, Complete::No(_)),
                "{name} cut at {cut}: {found:?}"
            );
        }
    }
    for name in [
        "mp3-cbr.mp3",
        "flac-mono.flac",
        "adts-lc.aac",
        "ts-h264-aac.ts",
    ] {
        assert_eq!(media::complete(&read(name)), Complete::Unknown, "{name}");
    }
    let stream = read("ts-h264-aac.ts");
    assert!(matches!(
        media::complete(&stream[..stream.len() - 1].to_vec()),
        Complete::No(_)
    ));
}
