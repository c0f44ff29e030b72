//! The web's safe set, case by case.

use super::*;

fn video(codec: VideoCodec, profile: u8, bit_depth: u8, chroma: Chroma) -> Video {
    Video {
        codec,
        codecs: "v".into(),
        width: 64,
        height: 48,
        rotation: 0,
        frame_rate: None,
        bit_depth: Some(bit_depth),
        chroma: Some(chroma),
        profile: Some(profile),
    }
}

fn h264(profile: u8) -> Video {
    video(VideoCodec::H264, profile, 8, Chroma::C420)
}

fn vp9() -> Video {
    video(VideoCodec::Vp9, 0, 8, Chroma::C420)
}

fn av1() -> Video {
    video(VideoCodec::Av1, 0, 10, Chroma::C420)
}

fn audio(codec: AudioCodec) -> Audio {
    Audio {
        codec,
        codecs: "a".into(),
        channels: 2,
        sample_rate: 48_000,
    }
}

fn media(container: Container, video: Option<Video>, sound: Option<AudioCodec>) -> Media {
    Media {
        container,
        duration_s: Some(1.0),
        bit_rate: None,
        video_tracks: video.iter().count(),
        audio_tracks: sound.iter().count(),
        video,
        audio: sound.map(audio),
        faststart: true,
        fragmented: false,
        chapters: Vec::new(),
    }
}

fn why(media: &Media) -> String {
    match plays(media) {
        Plays::Transcode { why } => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_safe_plays_as_it_is() {
    let as_is = |container, video, sound, expected: &str| {
        assert_eq!(
            plays(&media(container, video, sound)),
            Plays::AsIs {
                mime: expected.into()
            }
        );
    };
    use AudioCodec::{AacLc, Flac, Mp3, Opus, Pcm, Vorbis};
    as_is(
        Container::Mp4,
        Some(h264(100)),
        Some(AacLc),
        "video/mp4; codecs=\"v, a\"",
    );
    as_is(
        Container::Mp4,
        Some(h264(66)),
        Some(Mp3),
        "video/mp4; codecs=\"v, a\"",
    );
    as_is(
        Container::Mp4,
        Some(h264(77)),
        None,
        "video/mp4; codecs=\"v\"",
    );
    as_is(
        Container::Mp4,
        Some(av1()),
        Some(Opus),
        "video/mp4; codecs=\"v, a\"",
    );
    as_is(Container::Mp4, None, Some(Flac), "audio/mp4; codecs=\"a\"");
    as_is(
        Container::WebM,
        Some(vp9()),
        Some(Opus),
        "video/webm; codecs=\"v, a\"",
    );
    as_is(
        Container::WebM,
        None,
        Some(Vorbis),
        "audio/webm; codecs=\"a\"",
    );
    as_is(
        Container::Ogg,
        None,
        Some(Vorbis),
        "audio/ogg; codecs=\"a\"",
    );
    as_is(Container::Mp3, None, Some(Mp3), "audio/mpeg");
    as_is(Container::Flac, None, Some(Flac), "audio/flac");
    let mut wave = media(Container::Wav, None, Some(Pcm));
    wave.audio.as_mut().unwrap().codecs = "1".into();
    assert_eq!(
        plays(&wave),
        Plays::AsIs {
            mime: "audio/wav".into()
        }
    );
    wave.audio.as_mut().unwrap().codecs = "3".into();
    assert_eq!(
        why(&wave),
        "its sound is uncompressed in floating point, which many browsers can't play"
    );
}

#[test]
fn a_codec_without_a_name_leaves_the_parameter_out() {
    let mut silent = media(Container::Mp4, Some(h264(100)), Some(AudioCodec::AacLc));
    silent.audio.as_mut().unwrap().codecs.clear();
    assert_eq!(
        plays(&silent),
        Plays::AsIs {
            mime: "video/mp4".into()
        }
    );
}

#[test]
fn what_is_packed_wrongly_is_packed_anew() {
    use AudioCodec::{AacLc, Flac, Opus, Vorbis};
    let after = |container, video, sound, expected| {
        assert_eq!(
            plays(&media(container, video, sound)),
            Plays::After(expected),
            "{container:?}"
        );
    };
    after(
        Container::QuickTime,
        Some(h264(100)),
        Some(AacLc),
        Rewrite::ToMp4,
    );
    after(
        Container::Matroska,
        Some(h264(100)),
        Some(AacLc),
        Rewrite::ToMp4,
    );
    after(
        Container::Matroska,
        Some(h264(100)),
        Some(Opus),
        Rewrite::ToMp4,
    );
    after(
        Container::Matroska,
        Some(av1()),
        Some(AacLc),
        Rewrite::ToMp4,
    );
    after(
        Container::Matroska,
        Some(av1()),
        Some(Opus),
        Rewrite::ToWebm,
    );
    after(
        Container::Matroska,
        Some(vp9()),
        Some(Vorbis),
        Rewrite::ToWebm,
    );
    after(Container::Matroska, None, Some(Flac), Rewrite::ToMp4);
    after(Container::WebM, Some(h264(77)), Some(Opus), Rewrite::ToMp4);
    after(
        Container::MpegTs,
        Some(h264(77)),
        Some(AacLc),
        Rewrite::ToMp4,
    );
    after(Container::Adts, None, Some(AacLc), Rewrite::ToMp4);
    let mut last = media(Container::Mp4, Some(h264(100)), Some(AacLc));
    last.faststart = false;
    assert_eq!(plays(&last), Plays::After(Rewrite::Faststart));
    last.fragmented = true;
    assert_eq!(plays(&last), Plays::After(Rewrite::ToMp4));
    let mut fragments = media(Container::Mp4, Some(h264(100)), Some(AacLc));
    fragments.fragmented = true;
    assert!(matches!(plays(&fragments), Plays::AsIs { .. }));
}

#[test]
fn what_many_browsers_lack_is_named() {
    use AudioCodec::{Aac, AacLc, Mp3, Other, Pcm, Vorbis};
    let picture = |video| why(&media(Container::Mp4, Some(video), Some(AacLc)));
    let sound = |sound| why(&media(Container::Mp4, Some(h264(100)), Some(sound)));
    let cannot_show = |what: &str| format!("its picture is {what}, which many browsers can't show");
    assert_eq!(
        picture(video(VideoCodec::Hevc, 1, 8, Chroma::C420)),
        cannot_show("HEVC")
    );
    assert_eq!(
        picture(video(VideoCodec::H264, 122, 10, Chroma::C422)),
        cannot_show("H.264 4:2:2 with 10 bits")
    );
    assert_eq!(
        picture(video(VideoCodec::H264, 110, 10, Chroma::C420)),
        cannot_show("H.264 with 10 bits")
    );
    assert_eq!(
        picture(h264(244)),
        cannot_show("H.264 of a rare profile (244)")
    );
    assert_eq!(
        picture(h264(88)),
        cannot_show("H.264 of a rare profile (88)")
    );
    assert_eq!(
        picture(video(VideoCodec::Vp9, 2, 10, Chroma::C420)),
        cannot_show("VP9 with 10 bits")
    );
    assert_eq!(
        picture(video(VideoCodec::Av1, 1, 8, Chroma::C444)),
        cannot_show("AV1 4:4:4")
    );
    assert_eq!(
        picture(video(
            VideoCodec::Other("Apple ProRes".into()),
            0,
            10,
            Chroma::C422
        )),
        "its picture is Apple ProRes, which browsers can't show"
    );
    assert_eq!(
        picture(video(
            VideoCodec::Other("encrypted avc1".into()),
            0,
            8,
            Chroma::C420
        )),
        "its picture is encrypted"
    );
    assert_eq!(
        sound(Other("AC-3".into())),
        "its sound is AC-3, which many browsers can't play"
    );
    assert_eq!(
        sound(Aac(5)),
        "its sound is HE-AAC, which many browsers can't play"
    );
    assert_eq!(
        sound(Pcm),
        "its sound is uncompressed, which many browsers can't play"
    );
    let apart = "its picture and its sound don't go together in a file that every browser plays";
    assert_eq!(sound(Vorbis), apart);
    assert_eq!(
        why(&media(Container::Matroska, Some(h264(100)), Some(Vorbis))),
        apart
    );
    assert_eq!(
        why(&media(Container::Matroska, Some(vp9()), Some(AacLc))),
        apart
    );
    let old = media(Container::Avi, Some(h264(100)), Some(Mp3));
    assert_eq!(why(&old), "it is an AVI file, which browsers don't play");
    assert_eq!(
        why(&media(Container::Mp4, None, None)),
        "it has neither picture nor sound"
    );
}
