//! What a media file is: the words all readers share.

use std::io;

/// A media file as its headers describe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// How it is packed.
    pub container: Container,
    /// Length in seconds: of the longest track, edit lists taken into account.
    pub duration_s: Option<f64>,
    /// Bits a second over the whole file.
    pub bit_rate: Option<u64>,
    /// The picture people see; cover art is none.
    pub video: Option<Video>,
    /// The sound people hear first.
    pub audio: Option<Audio>,
    /// How many picture tracks there are (cover art left out).
    pub video_tracks: usize,
    /// How many sound tracks there are.
    pub audio_tracks: usize,
    /// Whether a player can begin without reading the end of the file.
    pub faststart: bool,
    /// Whether samples come in fragments (`moof`), each with its own index.
    pub fragmented: bool,
    /// Chapters named inside the file, in order.
    pub chapters: Vec<Chapter>,
}

impl Media {
    /// A file of which nothing is known but its container, and which is read from its beginning.
    pub(crate) fn of(container: Container) -> Self {
        Self {
            container,
            duration_s: None,
            bit_rate: None,
            video: None,
            audio: None,
            video_tracks: 0,
            audio_tracks: 0,
            faststart: true,
            fragmented: false,
            chapters: Vec::new(),
        }
    }
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// ISO base media file, MP4 and M4A brands (ISO/IEC 14496-12, -14).
    Mp4,
    /// QuickTime movie (brand `qt  `, or no brand).
    QuickTime,
    /// Matroska with the document type `webm`.
    WebM,
    /// Matroska (RFC 9559).
    Matroska,
    /// Ogg (RFC 3533).
    Ogg,
    /// MPEG audio layer III frames, ID3 tags around them allowed.
    Mp3,
    /// FLAC stream (RFC 9639).
    Flac,
    /// RIFF WAVE.
    Wav,
    /// AIFF or AIFC.
    Aiff,
    /// AAC frames with ADTS headers.
    Adts,
    /// MPEG-2 transport stream, packets of 188 or 192 bytes.
    MpegTs,
    /// RIFF AVI.
    Avi,
    /// Advanced Systems Format (WMV, WMA).
    Asf,
    /// Flash video.
    Flv,
    /// MPEG program stream.
    MpegPs,
}

/// A picture track.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// Which codec.
    pub codec: VideoCodec,
    /// The codec parameter of a MIME type (RFC 6381), e.g. `avc1.640028`; empty where unknown.
    pub codecs: String,
    /// Pixels as shown, before rotation.
    pub width: u32,
    /// Pixels as shown, before rotation.
    pub height: u32,
    /// Clockwise turn that a player applies: 0, 90, 180 or 270 degrees.
    pub rotation: u16,
    /// Frames a second, mean over the track, where known.
    pub frame_rate: Option<f64>,
    /// Bits a sample of brightness, where known.
    pub bit_depth: Option<u8>,
    /// Colour subsampling, where known.
    pub chroma: Option<Chroma>,
    /// Profile number of the codec's own counting (H.264: `profile_idc`; VP9, AV1: 0-2), where known.
    pub profile: Option<u8>,
}

impl Video {
    /// A track of which nothing else is known.
    pub fn of(codec: VideoCodec, width: u32, height: u32) -> Self {
        Self {
            codec,
            codecs: String::new(),
            width,
            height,
            rotation: 0,
            frame_rate: None,
            bit_depth: None,
            chroma: None,
            profile: None,
        }
    }
}

/// Colour subsampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// Brightness alone.
    Monochrome,
    /// 4:2:0.
    C420,
    /// 4:2:2.
    C422,
    /// 4:4:4.
    C444,
}

/// A picture codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoCodec {
    /// H.264, AVC.
    H264,
    /// H.265, HEVC.
    Hevc,
    /// VP8.
    Vp8,
    /// VP9.
    Vp9,
    /// AV1.
    Av1,
    /// Anything else, by its name or code for people: `Apple ProRes`, `MPEG-2`, `mjpg` …
    Other(String),
}

/// A sound track.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// Which codec.
    pub codec: AudioCodec,
    /// The codec parameter of a MIME type (RFC 6381), e.g. `mp4a.40.2`; empty where unknown.
    pub codecs: String,
    /// Channels; 0 where unknown.
    pub channels: u16,
    /// Samples a second; 0 where unknown.
    pub sample_rate: u32,
}

/// A sound codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioCodec {
    /// AAC, Low Complexity.
    AacLc,
    /// AAC of another object type (HE-AAC, Main, …), by its number (ISO/IEC 14496-3).
    Aac(u8),
    /// MPEG layer III.
    Mp3,
    /// Opus.
    Opus,
    /// Vorbis.
    Vorbis,
    /// FLAC.
    Flac,
    /// Uncompressed samples.
    Pcm,
    /// Anything else, by its name or code for people: `AC-3`, `ALAC`, `DTS` …
    Other(String),
}

/// A chapter.
#[derive(Debug, Clone, PartialEq)]
pub struct Chapter {
    /// Start in seconds.
    pub start_s: f64,
    /// Title.
    pub title: String,
}

/// One H.264 picture that needs no other.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyFrame {
    /// Byte stream (Annex B): parameter sets, then the picture.
    pub annex_b: Vec<u8>,
    /// When it is shown, in seconds.
    pub time_s: f64,
    /// Clockwise turn that a player applies, in degrees.
    pub rotation: u16,
    /// How colours became brightness and two differences (`matrix_coefficients` of ITU-T H.273), where told.
    pub matrix: Option<u8>,
    /// Whether samples use all of their values, not those of television.
    pub full_range: bool,
}

/// Why a file can't be read as media.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No container that is known begins here.
    #[error("is no media file")]
    NotMedia,
    /// The file says that it is longer than it is, or lacks its index: it is cut off, or still being written.
    #[error("is cut off: {0}")]
    Truncated(String),
    /// The file contradicts itself.
    #[error("is damaged: {0}")]
    Malformed(String),
    /// The source can't be read.
    #[error("read: {0}")]
    Read(#[from] io::Error),
}
