//! FLAC (RFC 9639), as a file of its own; its first block stands in Ogg, Matroska and MP4 too.

use super::window::Window;
use crate::model::{Audio, AudioCodec, Container, Media, ProbeError};
use crate::read::ReadAt;

/// The stream's first bytes.
pub(super) const MAGIC: &[u8] = b"fLaC";

/// STREAMINFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamInfo {
    /// Samples a frame, where all have as many.
    pub(crate) block_size: Option<u16>,
    pub(crate) sample_rate: u32,
    pub(crate) channels: u8,
    /// Samples a channel; 0 where unknown.
    pub(crate) samples: u64,
}

impl StreamInfo {
    /// Reads the block's body.
    pub(crate) fn parse(block: &[u8]) -> Option<Self> {
        let block: &[u8; 18] = block.get(..18)?.try_into().ok()?;
        let least = u16::from_be_bytes([block[0], block[1]]);
        let most = u16::from_be_bytes([block[2], block[3]]);
        let packed = block[10..18]
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        Some(Self {
            block_size: (least == most && least > 0).then_some(least),
            sample_rate: (packed >> 44) as u32,
            channels: (packed >> 41 & 7) as u8 + 1,
            samples: packed & ((1 << 36) - 1),
        })
    }
}

/// Reads the stream that begins at `at`.
pub(super) fn probe(source: &dyn ReadAt, at: u64) -> Result<Media, ProbeError> {
    let mut window = Window::new(source, 64);
    // The magic number, then a block's header: STREAMINFO comes first.
    let info = window
        .get(at + 8, 34)
        .map(StreamInfo::parse)?
        .ok_or_else(|| ProbeError::Truncated("it ends in its first block".into()))?;
    if info.sample_rate == 0 {
        return Err(ProbeError::Malformed("it has no sample rate".into()));
    }
    let seconds = info.samples as f64 / f64::from(info.sample_rate);
    let duration_s = Some(seconds).filter(|seconds| *seconds > 0.0);
    let audio = Audio {
        codec: AudioCodec::Flac,
        codecs: "flac".into(),
        channels: info.channels.into(),
        sample_rate: info.sample_rate,
    };
    Ok(super::sound(Container::Flac, audio, duration_s))
}
