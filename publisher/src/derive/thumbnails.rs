//! Thumbnails along the timeline: small frames in one JPEG, and the WebVTT that says which one stands for when.

use super::cache::Record;
use super::frames::Frames;
use super::recipe::Output;
use super::{DeriveError, Thumbnails, picture};
use image::imageops::{FilterType, replace};
use image::{GenericImageView, RgbImage};
use std::fmt::Write as _;

/// The longer side of one, in pixels.
pub(super) const SIDE: u32 = 160;

const MOST: f64 = 100.0;
const SHORTEST_STEP_S: f64 = 2.0;
const COLUMNS: u32 = 10;
const SPRITE: &str = "thumbnails.jpg";

/// Makes the sprite of a clip of this length.
pub(super) fn make(clip: &mut dyn Frames, duration_s: f64) -> Result<Output, DeriveError> {
    if !duration_s.is_finite() || duration_s <= 0.0 {
        return Err(DeriveError::Failed("its length is not known".to_owned()));
    }
    let step = (duration_s / MOST).max(SHORTEST_STEP_S);
    // A hundred at most.
    let count = (duration_s / step).ceil().clamp(1.0, MOST) as u32;
    // The middle of the span each one stands for; key frames come before.
    let start_s = |n: u32| (f64::from(n) * step).min(duration_s);
    let middles_s = (0..count).map(|n| (start_s(n) + start_s(n + 1)) / 2.0);
    let middles_s: Vec<f64> = middles_s.collect();
    let mut frames: Vec<RgbImage> = Vec::new();
    let mut times_s: Vec<f64> = Vec::new();
    for frame in clip.at(&middles_s)?.into_iter().flatten() {
        let time_s = frame.time_s.clamp(0.0, duration_s);
        if times_s.last().is_some_and(|last| time_s <= *last) {
            continue;
        }
        let (width, height) = fitted(frame.image.dimensions());
        let small = if frame.image.dimensions() == (width, height) {
            frame.image.into_rgb8()
        } else {
            frame
                .image
                .resize_exact(width, height, FilterType::Triangle)
                .into_rgb8()
        };
        // All are of one size: that of the first. One that shows nothing new is no loss: the one before lasts.
        let is_of_size = |first: &RgbImage| first.dimensions() == small.dimensions();
        if frames.first().is_none_or(is_of_size) && frames.last() != Some(&small) {
            frames.push(small);
            times_s.push(time_s);
        }
    }
    let Some(first) = frames.first() else {
        let why = "no frame of it can be read";
        return Err(DeriveError::Failed(why.to_owned()));
    };
    times_s[0] = 0.0;
    let (width, height) = first.dimensions();
    // A hundred at most.
    let count = frames.len() as u32;
    let columns = COLUMNS.min(count);
    let mut sprite = RgbImage::new(width * columns, height * count.div_ceil(columns));
    for (n, frame) in (0u32..).zip(&frames) {
        let (x, y) = (n % columns * width, n / columns * height);
        replace(&mut sprite, frame, i64::from(x), i64::from(y));
    }
    Ok(Output {
        files: vec![(SPRITE.to_owned(), picture::jpeg(&sprite, 72)?)],
        record: Record::Thumbnails {
            sprite: SPRITE.to_owned(),
            width,
            height,
            columns,
            times_s,
        },
    })
}

fn fitted((width, height): (u32, u32)) -> (u32, u32) {
    let longest = width.max(height).max(1);
    // Both are at most `SIDE`.
    let scale = |length: u32| picture::scaled(length, SIDE, longest).max(2);
    (scale(width), scale(height))
}

/// The cues that players read: a part of the sprite for each span of time.
pub fn thumbnails_vtt(thumbnails: &Thumbnails, sprite_url: &str, duration_s: f64) -> String {
    let Thumbnails {
        width,
        height,
        columns,
        times_s,
        ..
    } = thumbnails;
    let columns = (*columns).max(1);
    let ends = times_s.iter().skip(1).copied().chain([duration_s]);
    let mut text = "WEBVTT\n".to_owned();
    for ((n, start), end) in (0u32..).zip(times_s).zip(ends) {
        if end <= *start {
            continue;
        }
        let (x, y) = (n % columns * width, n / columns * height);
        let _ = write!(
            text,
            "\n{} --> {}\n{sprite_url}#xywh={x},{y},{width},{height}\n",
            clock(*start),
            clock(end)
        );
    }
    text
}

fn clock(seconds: f64) -> String {
    // Float to integer saturates.
    let ms = (seconds * 1000.0).round() as u64;
    let (hours, minutes, rest) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        rest / 1000,
        rest % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::frames::Frame;
    use std::path::PathBuf;

    /// Key frames each ten seconds, each one of its own grey.
    struct Greys(u32, u32, bool);

    impl Frames for Greys {
        fn at(&mut self, times_s: &[f64]) -> Result<Vec<Option<Frame>>, DeriveError> {
            let frame = |time_s: &f64| {
                let n = (time_s / 10.0).floor();
                let pixel = image::Rgb([(n * 20.0) as u8; 3]);
                Some(Frame {
                    image: RgbImage::from_pixel(self.0, self.1, pixel).into(),
                    // By ffmpeg, frames have the time that was asked for.
                    time_s: if self.2 { *time_s } else { n * 10.0 },
                })
            };
            Ok(times_s.iter().map(frame).collect())
        }
    }

    #[test]
    fn each_key_frame_stands_once_in_the_sprite() {
        let output = make(&mut Greys(320, 180, false), 115.0).unwrap();
        let Record::Thumbnails {
            width,
            height,
            columns,
            times_s,
            ..
        } = output.record
        else {
            panic!("thumbnails");
        };
        assert_eq!((width, height, columns), (160, 90, 10));
        let expected: Vec<f64> = (0..12).map(|n| f64::from(n) * 10.0).collect();
        assert_eq!(times_s, expected);
        let sprite = picture::decode(&output.files[0].1).unwrap().into_rgb8();
        assert_eq!(sprite.dimensions(), (1600, 180));
        for n in 0..12u32 {
            let pixel = sprite.get_pixel(n % 10 * 160 + 80, n / 10 * 90 + 45);
            assert!(pixel.0[0].abs_diff((n * 20) as u8) < 3, "{n}: {pixel:?}");
        }
    }

    #[test]
    fn upright_clips_keep_their_shape() {
        let output = make(&mut Greys(180, 320, false), 5.0).unwrap();
        let Record::Thumbnails {
            width,
            height,
            columns,
            ..
        } = output.record
        else {
            panic!("thumbnails");
        };
        assert_eq!((width, height, columns), (90, 160, 1));
    }

    #[test]
    fn a_length_that_is_none_fails() {
        for length in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(make(&mut Greys(16, 9, false), length).is_err());
        }
    }

    #[test]
    fn cues_name_parts_of_the_sprite() {
        let thumbnails = Thumbnails {
            sprite: PathBuf::new(),
            width: 160,
            height: 90,
            columns: 2,
            times_s: vec![0.0, 2.5, 3661.0],
        };
        assert_eq!(
            thumbnails_vtt(&thumbnails, "t.jpg", 3700.25),
            "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nt.jpg#xywh=0,0,160,90\n\
             \n00:00:02.500 --> 01:01:01.000\nt.jpg#xywh=160,0,160,90\n\
             \n01:01:01.000 --> 01:01:40.250\nt.jpg#xywh=0,90,160,90\n"
        );
    }
}
