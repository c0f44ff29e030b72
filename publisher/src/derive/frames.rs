//! Frames out of a clip: key frames of H.264 by our own child, anything else by ffmpeg where it is there. And
//! the choice of the one that stands for the clip.

use super::decoder::{Decoder, Request};
use super::ffmpeg::{Facts, Ffmpeg};
use super::{Cancel, DeriveError, Tools};
use crate::probe::MediaFile;
use image::imageops::FilterType;
use image::{DynamicImage, GenericImageView};
use std::fs;
use std::path::{Path, PathBuf};

const NO_PICTURE: &str = "it has no moving picture";
/// The longer side of a frame of which nobody said how large it should be.
const LARGEST_SIDE: u32 = 1920;
/// Pixels of the frames that one process decodes: two of 3840 × 2160.
const MOST_PIXELS: u64 = 17 << 20;

/// A frame as people see it: upright, square pixels.
pub(super) struct Frame {
    /// The picture.
    pub image: DynamicImage,
    /// When it is shown.
    pub time_s: f64,
}

/// Something that has frames.
pub(super) trait Frames {
    /// A frame for each of these times: the key frame before it. `None`: that one can't be had, others may.
    fn at(&mut self, times_s: &[f64]) -> Result<Vec<Option<Frame>>, DeriveError>;
}

/// A clip.
pub(super) struct Clip<'a> {
    path: PathBuf,
    file: MediaFile,
    media: Option<media::Media>,
    decoder: Option<Decoder>,
    ffmpeg: Option<(Ffmpeg<'a>, Option<Facts>)>,
    side: Option<u32>,
    scratch: &'a Path,
    why: String,
}

impl<'a> Clip<'a> {
    /// Opens it. Frames come with the longer side at most `side`; `scratch` is a folder that need not exist.
    pub fn open(
        path: &Path,
        tools: &'a Tools,
        side: Option<u32>,
        scratch: &'a Path,
        cancel: &'a Cancel,
    ) -> Result<Self, DeriveError> {
        let file =
            MediaFile::open(path).map_err(|error| DeriveError::cache("read", path, error))?;
        let media = media::probe(&file).ok();
        if media.as_ref().is_some_and(|media| media.video.is_none()) {
            return Err(DeriveError::Failed(NO_PICTURE.to_owned()));
        }
        let is_h264 = media
            .as_ref()
            .and_then(|media| media.video.as_ref())
            .is_some_and(|video| video.codec == media::VideoCodec::H264);
        let decoder = match &tools.decoder {
            Some(program) if is_h264 => Decoder::start(program, cancel).ok(),
            _ => None,
        };
        let ffmpeg = tools
            .ffmpeg
            .as_deref()
            .map(|program| (Ffmpeg::new(program, cancel), None));
        let why = if is_h264 {
            "its key frames can't be decoded"
        } else {
            "only H.264 is decoded without ffmpeg, which is not installed"
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            media,
            decoder,
            ffmpeg,
            side,
            scratch,
            why: why.to_owned(),
        })
    }

    /// Its length in seconds, where known.
    pub fn duration_s(&self) -> Option<f64> {
        self.media.as_ref().and_then(|media| media.duration_s)
    }

    fn key_frame(&mut self, time_s: f64) -> Result<Option<Frame>, DeriveError> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(None);
        };
        let Ok(Some(key_frame)) = media::key_frame(&self.file, time_s) else {
            return Ok(None);
        };
        let decoded = decoder.decode(Request {
            annex_b: key_frame.annex_b,
            matrix: key_frame.matrix,
            full_range: key_frame.full_range,
            side: self.side,
        });
        let picture = match decoded {
            Ok(Some(picture)) => DynamicImage::ImageRgb8(picture),
            Ok(None) => return Ok(None),
            Err(DeriveError::Stopped) => return Err(DeriveError::Stopped),
            Err(_) => {
                // The child is gone; what ended it would end the next one too.
                self.decoder = None;
                return Ok(None);
            }
        };
        let video = self.media.as_ref().and_then(|media| media.video.as_ref());
        let picture = match video {
            Some(video) => with_square_pixels(picture, video.width, video.height),
            None => picture,
        };
        let image = match key_frame.rotation {
            90 => picture.rotate90(),
            180 => picture.rotate180(),
            270 => picture.rotate270(),
            _ => picture,
        };
        Ok(Some(Frame {
            image,
            time_s: key_frame.time_s,
        }))
    }
}

impl Clip<'_> {
    /// By ffmpeg, what the child can't decode.
    fn by_ffmpeg(&mut self, times_s: &[f64]) -> Result<Vec<Option<Frame>>, DeriveError> {
        let Some((ffmpeg, facts)) = &mut self.ffmpeg else {
            return match self.decoder {
                Some(_) => Ok(times_s.iter().map(|_| None).collect()),
                None => Err(DeriveError::Failed(self.why.clone())),
            };
        };
        if facts.is_none() {
            *facts = Some(ffmpeg.facts(&self.path)?);
            fs::create_dir_all(self.scratch)
                .map_err(|source| DeriveError::cache("make", self.scratch, source))?;
        }
        let is_hdr = facts.as_ref().is_some_and(|facts| facts.is_hdr);
        if facts.as_ref().is_some_and(|facts| !facts.has_video) {
            return Err(DeriveError::Failed(NO_PICTURE.to_owned()));
        }
        let video = self.media.as_ref().and_then(|media| media.video.as_ref());
        let side = self.side.unwrap_or(LARGEST_SIDE);
        let mut frames = Vec::with_capacity(times_s.len());
        for times_s in times_s.chunks(at_once(video)) {
            let images = ffmpeg.key_frames(&self.path, times_s, side, is_hdr, self.scratch)?;
            let with_times = images.into_iter().zip(times_s);
            frames.extend(with_times.map(|(image, &time_s)| {
                let image = image?;
                Some(Frame { image, time_s })
            }));
        }
        Ok(frames)
    }
}

/// How many frames one process decodes: what decoders take of memory grows with their pictures.
fn at_once(video: Option<&media::Video>) -> usize {
    match video.map(|video| u64::from(video.width) * u64::from(video.height)) {
        Some(pixels) => (MOST_PIXELS / pixels.max(1)).clamp(1, 16) as usize,
        None => 4,
    }
}

impl Frames for Clip<'_> {
    fn at(&mut self, times_s: &[f64]) -> Result<Vec<Option<Frame>>, DeriveError> {
        let mut frames = Vec::with_capacity(times_s.len());
        for time_s in times_s {
            frames.push(self.key_frame(*time_s)?);
        }
        let missing = |(n, frame): (usize, &Option<Frame>)| frame.is_none().then_some(n);
        let missing: Vec<usize> = frames.iter().enumerate().filter_map(missing).collect();
        let missing_s: Vec<f64> = missing.iter().map(|n| times_s[*n]).collect();
        if missing.is_empty() {
            return Ok(frames);
        }
        match self.by_ffmpeg(&missing_s) {
            Ok(others) => {
                for (n, frame) in missing.into_iter().zip(others) {
                    frames[n] = frame;
                }
                Ok(frames)
            }
            Err(DeriveError::Failed(_)) if frames.iter().any(Option::is_some) => Ok(frames),
            Err(error) => Err(error),
        }
    }
}

/// Stretches a picture to the shape in which players show it.
fn with_square_pixels(picture: DynamicImage, shown_width: u32, shown_height: u32) -> DynamicImage {
    let (width, height) = picture.dimensions();
    if shown_width == 0 || shown_height == 0 {
        return picture;
    }
    let wanted = u64::from(height) * u64::from(shown_width) / u64::from(shown_height);
    let is_close = wanted.abs_diff(u64::from(width)) * 50 <= u64::from(width);
    match u32::try_from(wanted) {
        Ok(wanted @ 1..=16_384) if !is_close => {
            picture.resize_exact(wanted, height, FilterType::Triangle)
        }
        _ => picture,
    }
}

/// Where a clip is likely to show what it is about, as parts of its length.
const PLACES: [f64; 6] = [0.15, 0.10, 0.20, 0.35, 0.50, 0.70];

/// The frame that stands for a clip: the first that is neither dark nor flat, else the liveliest of those seen.
pub(super) fn telling(
    clip: &mut dyn Frames,
    duration_s: Option<f64>,
) -> Result<DynamicImage, DeriveError> {
    let mut best: Option<(f64, DynamicImage)> = None;
    let mut why = DeriveError::Failed("no frame of it can be read".to_owned());
    let mut seen = Vec::new();
    for place in PLACES {
        let mut frames = match clip.at(&[duration_s.unwrap_or(10.0) * place]) {
            Ok(frames) => frames,
            Err(error @ DeriveError::Failed(_)) => {
                why = error;
                break;
            }
            Err(error) => return Err(error),
        };
        let Some(frame) = frames.pop().flatten() else {
            continue;
        };
        if seen.contains(&frame.time_s) {
            continue;
        }
        seen.push(frame.time_s);
        let (mean, deviation) = brightness(&frame.image);
        if (28.0..=235.0).contains(&mean) && deviation >= 16.0 {
            return Ok(frame.image);
        }
        if best.as_ref().is_none_or(|(most, _)| deviation > *most) {
            best = Some((deviation, frame.image));
        }
    }
    best.map(|(_, image)| image).ok_or(why)
}

/// Mean and standard deviation of the brightness, over a coarse sample.
fn brightness(image: &DynamicImage) -> (f64, f64) {
    let small = image.thumbnail_exact(64, 64).into_luma8();
    let count = small.len() as f64;
    let mean = small.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = small
        .iter()
        .map(|v| (f64::from(*v) - mean).powi(2))
        .sum::<f64>()
        / count;
    (mean, variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    /// Black until a third of its hundred seconds, then stripes.
    struct FadesIn(Vec<f64>);

    impl Frames for FadesIn {
        fn at(&mut self, times_s: &[f64]) -> Result<Vec<Option<Frame>>, DeriveError> {
            self.0.extend(times_s);
            let frame = |&time_s: &f64| {
                let image = RgbImage::from_fn(64, 36, |x, _| {
                    let is_lit = time_s > 33.0 && x % 16 < 8;
                    Rgb([if is_lit { 200 } else { 4 }; 3])
                });
                Some(Frame {
                    image: image.into(),
                    time_s,
                })
            };
            Ok(times_s.iter().map(frame).collect())
        }
    }

    #[test]
    fn a_dark_beginning_is_passed_over() {
        let mut clip = FadesIn(Vec::new());
        let image = telling(&mut clip, Some(100.0)).unwrap().into_rgb8();
        assert_eq!(clip.0, [15.0, 10.0, 20.0, 35.0]);
        assert_eq!(image.get_pixel(0, 0).0, [200; 3]);
    }

    #[test]
    fn a_clip_that_is_dark_throughout_gives_what_it_has() {
        let mut clip = FadesIn(Vec::new());
        telling(&mut clip, Some(40.0)).unwrap();
        assert_eq!(clip.0.len(), PLACES.len());
    }

    #[test]
    fn pixels_become_square() {
        let image = || DynamicImage::new_rgb8(720, 576);
        assert_eq!(
            with_square_pixels(image(), 1024, 576).dimensions(),
            (1024, 576)
        );
        assert_eq!(
            with_square_pixels(image(), 720, 576).dimensions(),
            (720, 576)
        );
        assert_eq!(with_square_pixels(image(), 0, 0).dimensions(), (720, 576));
        assert_eq!(
            with_square_pixels(image(), u32::MAX, 1).dimensions(),
            (720, 576)
        );
    }
}
