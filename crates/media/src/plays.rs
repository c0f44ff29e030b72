//! The web's safe set: what every current browser plays, picture and sound, judged by the codec configuration
//! and not by what one browser happens to take.

use crate::model::Media;

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
    let _ = media;
    Plays::Transcode { why: String::new() }
}
