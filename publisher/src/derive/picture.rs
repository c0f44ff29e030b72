//! Pictures in sizes a page wants: a picture of any size in, JPEG and WebP of a few widths out. Pictures are
//! strangers' work too: what they may take of memory is bounded, and a decoder that stumbles stops one job.

use super::cache::{PictureRecord, Record};
use super::recipe::Output;
use super::{Cancel, DeriveError};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageReader, Limits, RgbImage};
use lofty::file::TaggedFileExt;
use lofty::picture::PictureType;
use moxcms::{ColorProfile, Layout, TransformOptions};
use std::fs;
use std::io::{BufRead, Cursor, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

const WIDTHS: [u32; 5] = [320, 640, 960, 1280, 1920];

/// Larger pictures are not decoded: a progressive JPEG takes about nine bytes a pixel meanwhile.
const MAX_PIXELS: u64 = 64 << 20;
const MAX_BYTES: u64 = 64 << 20;

const JPEG_QUALITY: u8 = 82;
const WEBP_QUALITY: f32 = 78.0;

/// A picture file, turned upright, its colours as sRGB.
pub(super) fn read(path: &Path) -> Result<DynamicImage, DeriveError> {
    let bytes = fs::metadata(path).and_then(|meta| match meta.len() {
        0..=MAX_BYTES => fs::read(path),
        _ => Ok(Vec::new()),
    });
    match bytes {
        Ok(bytes) if bytes.is_empty() => Err(failed("it is empty or larger than 64 MiB")),
        Ok(bytes) => decode(&bytes),
        Err(source) => Err(DeriveError::cache("read", path, source)),
    }
}

/// The cover art inside a media file: the front cover, else the first picture.
pub(super) fn embedded(path: &Path) -> Result<DynamicImage, DeriveError> {
    let read = catch_unwind(|| {
        let file = lofty::read_from_path(path).ok()?;
        let pictures = || file.tags().iter().flat_map(|tag| tag.pictures());
        let front = pictures().find(|picture| picture.pic_type() == PictureType::CoverFront);
        front
            .or_else(|| pictures().next())
            .map(|picture| picture.data().to_vec())
    });
    match read {
        Ok(Some(bytes)) => decode(&bytes),
        Ok(None) => Err(failed("it holds no picture")),
        Err(_) => Err(failed("its tags can't be read")),
    }
}

/// The sizes of a picture that pages offer: JPEG first, widths rising, then WebP.
pub(super) fn sizes(picture: &DynamicImage, cancel: &Cancel) -> Result<Output, DeriveError> {
    let made = catch_unwind(AssertUnwindSafe(|| encode_sizes(picture, cancel)));
    let (files, records) = made.map_err(|_| failed("it can't be encoded"))??;
    Ok(Output {
        files,
        record: Record::Pictures(records),
    })
}

type Sizes = (Vec<(String, Vec<u8>)>, Vec<PictureRecord>);

fn encode_sizes(picture: &DynamicImage, cancel: &Cancel) -> Result<Sizes, DeriveError> {
    let (width, height) = picture.dimensions();
    // From the largest down, each from the one before: sharp enough, and much less work.
    let mut made: Vec<DynamicImage> = Vec::new();
    for &wanted in widths(width).iter().rev() {
        let tall = scaled(height, wanted, width);
        let from = made.last().unwrap_or(picture);
        made.push(if from.dimensions() == (wanted, tall) {
            from.clone()
        } else {
            from.resize_exact(wanted, tall, FilterType::Lanczos3)
        });
    }
    made.reverse();
    let mut files = Vec::new();
    let mut records = Vec::new();
    let mut keep = |image: &DynamicImage, extension: &str, bytes: Vec<u8>| {
        let (width, height) = image.dimensions();
        let file = format!("{width}.{extension}");
        records.push(PictureRecord {
            file: file.clone(),
            width,
            height,
        });
        files.push((file, bytes));
    };
    for image in &made {
        if cancel.is_cancelled() {
            return Err(DeriveError::Stopped);
        }
        keep(image, "jpg", jpeg(&on_white(image), JPEG_QUALITY)?);
    }
    for image in &made {
        if cancel.is_cancelled() {
            return Err(DeriveError::Stopped);
        }
        // WebP counts its sides with 14 bits; a strip that tall does without it.
        if image.width().max(image.height()) < 1 << 14 {
            keep(image, "webp", webp(image)?);
        }
    }
    Ok((files, records))
}

/// Widths on offer: the usual ones below the picture's own, and its own up to the largest.
fn widths(own: u32) -> Vec<u32> {
    let largest = own.min(1920);
    let mut widths: Vec<u32> = WIDTHS
        .into_iter()
        // One that is hardly smaller than the largest would serve nobody.
        .filter(|width| u64::from(*width) * 10 <= u64::from(largest) * 9)
        .collect();
    widths.push(largest);
    widths
}

/// A length in a picture whose side `from` becomes `to`: at least a pixel.
pub(super) fn scaled(length: u32, to: u32, from: u32) -> u32 {
    let (length, to, from) = (u64::from(length), u64::from(to), u64::from(from.max(1)));
    u32::try_from((length * to + from / 2) / from)
        .unwrap_or(u32::MAX)
        .max(1)
}

/// A JPEG of a picture.
pub(super) fn jpeg(picture: &RgbImage, quality: u8) -> Result<Vec<u8>, DeriveError> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode_image(picture)
        .map_err(|error| failed(&error.to_string()))?;
    Ok(bytes)
}

fn webp(picture: &DynamicImage) -> Result<Vec<u8>, DeriveError> {
    let (width, height) = picture.dimensions();
    let encode = |encoder: webp::Encoder<'_>| match encoder.encode_simple(false, WEBP_QUALITY) {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(error) => Err(failed(&format!("WebP: {error:?}"))),
    };
    if picture.color().has_alpha() {
        encode(webp::Encoder::from_rgba(&picture.to_rgba8(), width, height))
    } else {
        encode(webp::Encoder::from_rgb(&picture.to_rgb8(), width, height))
    }
}

/// JPEG knows no transparency: what is behind is white, as on most pages.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let source = picture.to_rgba8();
    let mut out = RgbImage::new(source.width(), source.height());
    for (to, from) in out.pixels_mut().zip(source.pixels()) {
        let [r, g, b, a] = from.0;
        let over = |c: u8| {
            let sum = u32::from(c) * u32::from(a) + 255 * (255 - u32::from(a));
            // A mean of two bytes is a byte.
            (sum / 255) as u8
        };
        to.0 = [over(r), over(g), over(b)];
    }
    out
}

/// Decodes whatever picture this is: upright, eight bits a sample, sRGB.
pub(super) fn decode(bytes: &[u8]) -> Result<DynamicImage, DeriveError> {
    match catch_unwind(|| decode_unguarded(Cursor::new(bytes))) {
        Ok(Ok(picture)) => Ok(picture),
        Ok(Err(error)) => Err(failed(&format!("its picture can't be read: {error}"))),
        Err(_) => Err(failed("its picture can't be read")),
    }
}

fn decode_unguarded(bytes: impl BufRead + Seek) -> Result<DynamicImage, String> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_PIXELS * 8);
    let mut reader = ImageReader::new(bytes)
        .with_guessed_format()
        .map_err(|error| error.to_string())?;
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || width == 0 || height == 0 {
        return Err(format!("{width} × {height} pixels are not taken"));
    }
    let orientation = decoder.orientation().map_err(|error| error.to_string())?;
    let profile = decoder.icc_profile().ok().flatten();
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| error.to_string())?;
    let mut picture = if picture.color().has_alpha() {
        DynamicImage::ImageRgba8(picture.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(picture.into_rgb8())
    };
    if let Some(profile) = profile {
        to_srgb(&mut picture, &profile);
    }
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Phones save in a wider colour space and say so in a profile, which the sizes don't carry.
fn to_srgb(picture: &mut DynamicImage, profile: &[u8]) {
    let layout = match picture {
        DynamicImage::ImageRgba8(_) => Layout::Rgba,
        _ => Layout::Rgb,
    };
    let Ok(profile) = ColorProfile::new_from_slice(profile) else {
        return;
    };
    let srgb = ColorProfile::new_srgb();
    // A profile of another kind (grey, CMYK) doesn't fit what the decoder gave: the colours stay as they are.
    let Ok(transform) =
        profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default())
    else {
        return;
    };
    let row = picture.width() as usize * usize::from(picture.color().channel_count());
    let from = picture.as_bytes().to_vec();
    let to: &mut [u8] = match picture {
        DynamicImage::ImageRgb8(image) => image,
        DynamicImage::ImageRgba8(image) => image,
        _ => return,
    };
    for (to, from) in to.chunks_exact_mut(row).zip(from.chunks_exact(row)) {
        if transform.transform(from, to).is_err() {
            return;
        }
    }
}

fn failed(reason: &str) -> DeriveError {
    DeriveError::Failed(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageEncoder, ImageFormat, Rgb, Rgba, RgbaImage};

    /// Red on the left, blue on the right.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| {
            if x < width / 2 {
                Rgb([220, 30, 30])
            } else {
                Rgb([30, 30, 220])
            }
        })
    }

    fn png(picture: &DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn made(bytes: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<PictureRecord>) {
        let output = sizes(&decode(bytes).unwrap(), &Cancel::default()).unwrap();
        let Record::Pictures(records) = output.record else {
            panic!("pictures");
        };
        (output.files, records)
    }

    #[test]
    fn sizes_are_never_larger_than_the_picture() {
        for (own, expected) in [
            (4000, vec![320, 640, 960, 1280, 1920]),
            (1920, vec![320, 640, 960, 1280, 1920]),
            (1300, vec![320, 640, 960, 1300]),
            (1000, vec![320, 640, 1000]),
            (200, vec![200]),
            (1, vec![1]),
        ] {
            assert_eq!(widths(own), expected, "{own}");
        }
    }

    #[test]
    fn a_picture_becomes_jpeg_and_webp() {
        let (files, records) = made(&png(&halves(400, 300).into()));
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["320.jpg", "400.jpg", "320.webp", "400.webp"]);
        let shapes: Vec<_> = records.iter().map(|r| (r.width, r.height)).collect();
        assert_eq!(shapes, [(320, 240), (400, 300), (320, 240), (400, 300)]);
        for ((name, bytes), (width, height)) in files.iter().zip(shapes) {
            let picture = image::load_from_memory(bytes).unwrap().into_rgb8();
            assert_eq!(picture.dimensions(), (width, height), "{name}");
            let pixel = picture.get_pixel(width / 4, height / 2).0;
            let is_red = pixel
                .iter()
                .zip([220, 30, 30])
                .all(|(a, b)| a.abs_diff(b) < 12);
            assert!(is_red, "{name}: {pixel:?}");
        }
    }

    #[test]
    fn a_picture_is_turned_as_its_camera_says() {
        let mut bytes = jpeg(&halves(64, 32), 90).unwrap();
        // Orientation 6: to be turned clockwise.
        let exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let mut segment = vec![0xff, 0xe1];
        segment.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
        segment.extend(exif);
        bytes.splice(2..2, segment);
        let picture = decode(&bytes).unwrap().into_rgb8();
        assert_eq!(picture.dimensions(), (32, 64));
        let (top, bottom) = (picture.get_pixel(16, 8).0, picture.get_pixel(16, 56).0);
        assert!(top[0] > 150 && bottom[2] > 150, "{top:?} {bottom:?}");
    }

    #[test]
    fn what_is_clear_becomes_white_in_jpeg_and_stays_clear_in_webp() {
        let clear = RgbaImage::from_pixel(40, 40, Rgba([0, 0, 0, 0]));
        let (files, _) = made(&png(&clear.into()));
        let pixel = |n: usize| {
            let picture = image::load_from_memory(&files[n].1).unwrap();
            picture.into_rgba8().get_pixel(20, 20).0
        };
        assert_eq!(pixel(0), [255; 4]);
        assert_eq!(pixel(1)[3], 0);
    }

    #[test]
    fn wide_colours_become_srgb() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        let profile = ColorProfile::new_display_p3().encode().unwrap();
        encoder.set_icc_profile(profile).unwrap();
        let picture = RgbImage::from_pixel(4, 4, Rgb([200, 80, 80]));
        let colour = image::ExtendedColorType::Rgb8;
        encoder.write_image(&picture, 4, 4, colour).unwrap();
        let [r, g, b] = decode(&bytes).unwrap().into_rgb8().get_pixel(1, 1).0;
        assert!(r > 208 && g < 76 && b < 80, "{r} {g} {b}");
    }

    #[test]
    fn what_is_no_picture_or_too_large_fails() {
        let whole = png(&halves(64, 64).into());
        let mut huge = whole.clone();
        // Width and height of the header; its checksum is not looked at before.
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        for bytes in [&whole[..40], b"GIF89a", b"", b"\xff\xd8\xff\xe0", &huge] {
            assert!(matches!(decode(bytes), Err(DeriveError::Failed(_))));
        }
    }

    #[test]
    fn the_front_cover_goes_before_other_pictures() {
        let cover = |kind: u32, side: u32| {
            let data = png(&halves(side, side).into());
            let mut block = Vec::new();
            block.extend(kind.to_be_bytes());
            block.extend(9u32.to_be_bytes());
            block.extend(b"image/png");
            for number in [0, side, side, 24, 0, data.len() as u32] {
                block.extend(number.to_be_bytes());
            }
            block.extend(data);
            block
        };
        let mut flac = b"fLaC".to_vec();
        let mut info = vec![0; 34];
        info[..4].copy_from_slice(&[0x10, 0, 0x10, 0]);
        info[10..14].copy_from_slice(&[0x0a, 0xc4, 0x42, 0xf0]);
        for (kind, block) in [(0, info), (6, cover(4, 8)), (0x86, cover(3, 16))] {
            let length = u32::try_from(block.len()).unwrap().to_be_bytes();
            flac.extend([kind, length[1], length[2], length[3]]);
            flac.extend(block);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.flac");
        fs::write(&path, &flac).unwrap();
        assert_eq!(embedded(&path).unwrap().dimensions(), (16, 16));
        fs::write(&path, "no sound").unwrap();
        assert!(matches!(embedded(&path), Err(DeriveError::Failed(_))));
    }
}
