//! The web's safe set: what every current browser plays, picture and sound, judged by the codec configuration
//! and not by what one browser happens to take. A browser that lacks a codec often says nothing: it plays the
//! sound without the picture, or the picture without the sound.
//!
//! Pictures: H.264 with eight bits, 4:2:0, up to High; VP8; VP9 profile 0; AV1 Main. Sound: AAC Low Complexity,
//! MP3, Opus, Vorbis, FLAC. In MP4, WebM, Ogg, MP3 and FLAC files, and uncompressed sound in WAV.

use crate::model::{Audio, AudioCodec, Chroma, Container, Media, Video, VideoCodec};

/// What has to be done before every browser plays a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plays {
    /// Nothing. The MIME type names its codecs: `video/mp4; codecs="avc1.640028, mp4a.40.2"`.
    AsIs {
        /// MIME type with codecs.
        mime: String,
    },
    /// It is packed wrongly; its samples are fine.
    After(Rewrite),
    /// It must be encoded anew.
    Transcode {
        /// A clause for people, after "because": `its picture is HEVC, which many browsers can't show`.
        why: String,
    },
}

/// A way to pack the same samples anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite {
    /// The index moves to the front of an MP4 file.
    Faststart,
    /// H.264, AV1, AAC, MP3, FLAC, Opus out of QuickTime, Matroska or a transport stream into MP4, index in front.
    ToMp4,
    /// VP8, VP9, AV1, Opus, Vorbis out of Matroska into WebM.
    ToWebm,
}

/// Judges a file.
pub fn plays(media: &Media) -> Plays {
    match judge(media) {
        Ok(plays) => plays,
        Err(why) => Plays::Transcode { why },
    }
}

fn judge(media: &Media) -> Result<Plays, String> {
    if media.video.is_none() && media.audio.is_none() {
        return Err("it has neither picture nor sound".into());
    }
    if let Some(video) = &media.video {
        check_picture(video)?;
    }
    if let Some(audio) = &media.audio {
        check_sound(audio, media)?;
    }
    let as_is = || Ok(Plays::AsIs { mime: mime(media) });
    match media.container {
        // One that is in fragments behind which the index comes isn't put right by moving the index.
        Container::Mp4 if fits_mp4(media) => match (media.faststart, media.fragmented) {
            (true, _) => as_is(),
            (false, false) => Ok(Plays::After(Rewrite::Faststart)),
            (false, true) => Ok(Plays::After(Rewrite::ToMp4)),
        },
        Container::WebM if fits_webm(media) => as_is(),
        // Pictures in Ogg are no longer played everywhere; sound is.
        Container::Ogg if media.video.is_none() => as_is(),
        Container::Mp3 | Container::Flac | Container::Wav => as_is(),
        // QuickTime is MP4's parent, and ADTS holds nothing but AAC: what is safe in either fits into MP4.
        Container::QuickTime | Container::Adts | Container::MpegTs if fits_mp4(media) => {
            Ok(Plays::After(Rewrite::ToMp4))
        }
        // What fits both goes where its picture is at home: AV1 with Opus into WebM, with AAC into MP4.
        Container::Matroska | Container::WebM if fits_webm(media) => {
            Ok(Plays::After(Rewrite::ToWebm))
        }
        // Matroska lacks the record that VP9 has in MP4.
        Container::Matroska | Container::WebM if fits_mp4(media) && !is_vp9(media) => {
            Ok(Plays::After(Rewrite::ToMp4))
        }
        other => Err(match (media.video.is_some(), other) {
            (
                true,
                Container::Mp4 | Container::QuickTime | Container::Matroska | Container::WebM,
            ) => "its picture and its sound don't go together in a file that every browser plays"
                .into(),
            _ => format!("it is {}, which browsers don't play", container_name(other)),
        }),
    }
}

/// Whether the picture is safe in a container made for it; why not, otherwise.
fn check_picture(video: &Video) -> Result<(), String> {
    let cannot = |what: &str| {
        Err(format!(
            "its picture is {what}, which many browsers can't show"
        ))
    };
    let deep = video.bit_depth.is_some_and(|depth| depth > 8);
    let chroma = video.chroma.filter(|chroma| *chroma != Chroma::C420);
    let format = |codec: &str| {
        let chroma = match chroma {
            Some(Chroma::C422) => " 4:2:2",
            Some(Chroma::C444) => " 4:4:4",
            Some(Chroma::Monochrome) => " without colour",
            Some(Chroma::C420) | None => "",
        };
        let depth = video
            .bit_depth
            .filter(|_| deep)
            .map_or(String::new(), |depth| format!(" with {depth} bits"));
        format!("{codec}{chroma}{depth}")
    };
    match &video.codec {
        VideoCodec::H264 => match video.profile {
            _ if deep || chroma.is_some() => cannot(&format("H.264")),
            // Baseline, Main, High. Extended (88) was never implemented; the others are for studios.
            Some(66 | 77 | 100) => Ok(()),
            Some(other) => cannot(&format!("H.264 of a rare profile ({other})")),
            None => {
                Err("its picture is H.264, but without the configuration that decoders need".into())
            }
        },
        VideoCodec::Vp8 => Ok(()),
        // Profile 0 is eight bits, 4:2:0. Profile 2, ten bits, is shown where hardware or a software decoder
        // knows it, which is not everywhere: Firefox on Windows and older phones refuse it.
        VideoCodec::Vp9 => match video.profile {
            _ if deep || chroma.is_some() => cannot(&format("VP9")),
            // WebM seldom tells the profile; the samples' format, told or not, is what counts.
            None | Some(0) => Ok(()),
            Some(other) => cannot(&format!("VP9 of a rare profile ({other})")),
        },
        // Main, profile 0, is 4:2:0 (or without colour) with eight or ten bits, and every decoder of AV1 must
        // know all of it.
        VideoCodec::Av1 => match video.profile {
            None | Some(0) => Ok(()),
            Some(_) => cannot(&format("AV1")),
        },
        VideoCodec::Hevc => cannot("HEVC"),
        VideoCodec::Other(codec) if codec.starts_with("encrypted") => {
            Err("its picture is encrypted".into())
        }
        VideoCodec::Other(codec) => {
            Err(format!("its picture is {codec}, which browsers can't show"))
        }
    }
}

/// Whether the sound is safe in a container made for it; why not, otherwise.
fn check_sound(audio: &Audio, media: &Media) -> Result<(), String> {
    let cannot = |what: &str| {
        Err(format!(
            "its sound is {what}, which many browsers can't play"
        ))
    };
    match &audio.codec {
        codec if media.container == Container::Wav && *codec != AudioCodec::Pcm => {
            cannot("compressed inside WAV")
        }
        AudioCodec::AacLc
        | AudioCodec::Mp3
        | AudioCodec::Opus
        | AudioCodec::Vorbis
        | AudioCodec::Flac => Ok(()),
        AudioCodec::Aac(5 | 29) => cannot("HE-AAC"),
        AudioCodec::Aac(kind) => cannot(&format!("AAC of a rare kind ({kind})")),
        // Uncompressed samples in WAV are older than the web, and every browser plays them; nowhere else. The
        // parameter is WAV's own number of the format: 1 for integers, which are 8, 16 or 24 bits.
        AudioCodec::Pcm if media.container == Container::Wav => match audio.codecs.as_str() {
            "1" => Ok(()),
            _ => cannot("uncompressed in floating point"),
        },
        AudioCodec::Pcm => cannot("uncompressed"),
        AudioCodec::Other(codec) if codec.starts_with("encrypted") => {
            Err("its sound is encrypted".into())
        }
        AudioCodec::Other(codec) => cannot(codec),
    }
}

/// Safe codecs that browsers take in MP4. Vorbis has a number there that no browser knows, and so has VP8.
fn fits_mp4(media: &Media) -> bool {
    let picture = media
        .video
        .as_ref()
        .is_none_or(|video| video.codec != VideoCodec::Vp8);
    picture
        && media
            .audio
            .as_ref()
            .is_none_or(|audio| audio.codec != AudioCodec::Vorbis)
}

fn is_vp9(media: &Media) -> bool {
    media
        .video
        .as_ref()
        .is_some_and(|video| video.codec == VideoCodec::Vp9)
}

/// Codecs that WebM may hold.
fn fits_webm(media: &Media) -> bool {
    let picture = media.video.as_ref().is_none_or(|video| {
        matches!(
            video.codec,
            VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1
        )
    });
    let sound = media
        .audio
        .as_ref()
        .is_none_or(|audio| matches!(audio.codec, AudioCodec::Opus | AudioCodec::Vorbis));
    picture && sound
}

/// The MIME type with the codecs, where they are known.
fn mime(media: &Media) -> String {
    let kind = match (media.container, media.video.is_some()) {
        (Container::Mp4 | Container::QuickTime, true) => "video/mp4",
        (Container::Mp4 | Container::QuickTime, false) => "audio/mp4",
        (Container::WebM | Container::Matroska, true) => "video/webm",
        (Container::WebM | Container::Matroska, false) => "audio/webm",
        (Container::Ogg, _) => "audio/ogg",
        // Those that hold one codec only name it by their own type.
        (Container::Flac, _) => return "audio/flac".into(),
        (Container::Wav, _) => return "audio/wav".into(),
        (Container::Mp3, _) => return "audio/mpeg".into(),
        _ => return "application/octet-stream".into(),
    };
    let codecs = media
        .video
        .iter()
        .map(|video| &video.codecs)
        .chain(media.audio.iter().map(|audio| &audio.codecs));
    let codecs: Vec<&str> = codecs.map(String::as_str).collect();
    // A list that leaves one out would be wrong; none at all is merely silent.
    if codecs.iter().any(|codec| codec.is_empty()) {
        return kind.into();
    }
    format!("{kind}; codecs=\"{}\"", codecs.join(", "))
}

fn container_name(container: Container) -> &'static str {
    match container {
        Container::Mp4 => "MP4",
        Container::QuickTime => "a QuickTime movie",
        Container::WebM => "WebM",
        Container::Matroska => "Matroska",
        Container::Ogg => "an Ogg file with a picture",
        Container::Mp3 => "MP3",
        Container::Flac => "FLAC",
        Container::Wav => "WAV",
        Container::Aiff => "an AIFF file",
        Container::Adts => "an AAC stream",
        Container::MpegTs => "a transport stream",
        Container::Avi => "an AVI file",
        Container::Asf => "a Windows Media file",
        Container::Flv => "a Flash video",
        Container::MpegPs => "an MPEG program stream",
    }
}

#[cfg(test)]
mod tests;
