//! The files by their names.

use media::Media;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../files/", $name)))),*]
    };
}

pub const FILES: &[(&str, &[u8])] = files![
    "adts-lc.aac",
    "aiff-s16.aiff",
    "asf-wmv2.wmv",
    "avi-mpeg4.avi",
    "flac-mono.flac",
    "flv-sorenson.flv",
    "mkv-h264-aac.mkv",
    "mkv-vp9-opus.mkv",
    "mp3-cbr.mp3",
    "mp3-vbr-id3.mp3",
    "ogg-flac.oga",
    "ogg-opus.opus",
    "ogg-theora.ogv",
    "ogg-vorbis.ogg",
    "ps-mpeg2.mpg",
    "ts-h264-aac.ts",
    "wav-f32.wav",
    "wav-s16.wav",
    "webm-av1-opus.webm",
    "webm-live.webm",
    "webm-vp8-vorbis.webm",
];

pub fn read(name: &str) -> Vec<u8> {
    let (_, bytes) = FILES.iter().find(|(known, _)| *known == name).unwrap();
    bytes.to_vec()
}

pub fn probe(name: &str) -> Media {
    media::probe(&read(name)).unwrap()
}
