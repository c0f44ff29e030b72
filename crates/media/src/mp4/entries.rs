//! Sample entries as MP4 wants them: one box a codec, which holds its configuration.

use super::boxes::{Kind, make, make_full};

/// H.264; `avcc` is the body of its configuration record.
pub(crate) fn avc1(width: u16, height: u16, pasp: Option<(u32, u32)>, avcc: &[u8]) -> Vec<u8> {
    picture(b"avc1", width, height, pasp, &make(b"avcC", &[avcc]))
}

/// AV1; `av1c` is the body of its configuration record.
pub(crate) fn av01(width: u16, height: u16, pasp: Option<(u32, u32)>, av1c: &[u8]) -> Vec<u8> {
    picture(b"av01", width, height, pasp, &make(b"av1C", &[av1c]))
}

/// Size is that of the coded picture; `pasp` the shape of a sample where it is no square.
fn picture(
    kind: &Kind,
    width: u16,
    height: u16,
    pasp: Option<(u32, u32)>,
    config: &[u8],
) -> Vec<u8> {
    const RESOLUTION: [u8; 4] = [0, 72, 0, 0];
    let shape = match pasp {
        Some((x, y)) if x != y && x > 0 && y > 0 => {
            make(b"pasp", &[&x.to_be_bytes(), &y.to_be_bytes()])
        }
        _ => Vec::new(),
    };
    let parts: [&[u8]; 11] = [
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0; 16],
        &width.to_be_bytes(),
        &height.to_be_bytes(),
        &RESOLUTION,
        &RESOLUTION,
        // One frame a sample, no name of a compressor, 24 bits of colour, no table of colours.
        &[0, 0, 0, 0, 0, 1],
        &[0; 32],
        &[0, 24, 0xff, 0xff],
        config,
        &shape,
    ];
    make(kind, &parts)
}

/// AAC; `asc` is its AudioSpecificConfig.
pub(crate) fn mp4a(channels: u16, rate: u32, asc: &[u8]) -> Vec<u8> {
    sound(b"mp4a", channels, rate, &descriptor(0x40, asc))
}

/// MPEG layer III.
pub(crate) fn mp3(channels: u16, rate: u32) -> Vec<u8> {
    // MPEG-1's rates begin at 32 kHz; what is lower is MPEG-2's.
    sound(
        b"mp4a",
        channels,
        rate,
        &descriptor(if rate < 32_000 { 0x69 } else { 0x6b }, &[]),
    )
}

/// Opus; `dops` is the body of its configuration box ("Encapsulation of Opus in ISO Base Media File Format").
pub(crate) fn opus(channels: u16, dops: &[u8]) -> Vec<u8> {
    sound(b"Opus", channels, 48_000, &make(b"dOps", &[dops]))
}

/// FLAC; `blocks` are its metadata blocks, STREAMINFO first, the last one marked so.
pub(crate) fn flac(channels: u16, rate: u32, blocks: &[u8]) -> Vec<u8> {
    sound(
        b"fLaC",
        channels,
        rate,
        &make_full(b"dfLa", 0, 0, &[blocks]),
    )
}

fn sound(kind: &Kind, channels: u16, rate: u32, config: &[u8]) -> Vec<u8> {
    // Rates that the field can't hold are told by the codec's configuration alone.
    let rate = u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16);
    let parts: [&[u8]; 6] = [
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0; 8],
        &channels.to_be_bytes(),
        &[0, 16, 0, 0, 0, 0],
        &rate.to_be_bytes(),
        config,
    ];
    make(kind, &parts)
}

/// An elementary stream descriptor box around a decoder's configuration.
fn descriptor(object_type: u8, specific: &[u8]) -> Vec<u8> {
    let specific = if specific.is_empty() {
        Vec::new()
    } else {
        element(5, &[specific])
    };
    // Stream type 5 (sound), no buffer size, no bit rates told.
    let decoder = element(4, &[&[object_type, 0x15], &[0; 11], &specific]);
    let sync_layer = element(6, &[&[2]]);
    let stream = element(3, &[&[0, 0, 0], &decoder, &sync_layer]);
    make_full(b"esds", 0, 0, &[&stream])
}

fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut made = vec![tag];
    // Four bytes whatever the length, as most writers do.
    made.extend([21, 14, 7].map(|shift| 0x80 | (length >> shift & 0x7f) as u8));
    made.push((length & 0x7f) as u8);
    for part in parts {
        made.extend(*part);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mp4::aac;
    use crate::mp4::boxes::{children, find};

    #[test]
    fn a_sound_entry_holds_what_the_decoder_needs() {
        let entry = mp4a(2, 44_100, &[0x12, 0x10]);
        let body = children(&entry).next().unwrap().body;
        assert_eq!(body[16..18], [0, 2]);
        let read = aac::descriptor(find(&body[28..], b"esds").unwrap()).unwrap();
        assert_eq!((read.object_type, read.specific), (0x40, &[0x12, 0x10][..]));
    }

    #[test]
    fn a_picture_entry_is_as_long_as_the_standard_says() {
        let entry = avc1(64, 48, Some((4, 3)), b"record");
        let body = children(&entry).next().unwrap().body;
        assert_eq!(body[24..28], [0, 64, 0, 48]);
        assert_eq!(find(&body[78..], b"avcC"), Some(&b"record"[..]));
        assert_eq!(
            find(&body[78..], b"pasp"),
            Some(&[0, 0, 0, 4, 0, 0, 0, 3][..])
        );
        assert_eq!(find(&avc1(64, 48, Some((1, 1)), b"")[86..], b"pasp"), None);
    }
}
