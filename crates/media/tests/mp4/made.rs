//! The files, and how tests look at them.

use media::{Media, Rewrite, RewriteError, Track};
use std::ops::{ControlFlow, Range};

pub const MOOV_LAST: &[u8] = include_bytes!("../files/mp4-moov-last.mp4");
pub const FASTSTART: &[u8] = include_bytes!("../files/mp4-faststart.mp4");
pub const QUICKTIME: &[u8] = include_bytes!("../files/mp4-quicktime.mov");
pub const FRAGMENTED: &[u8] = include_bytes!("../files/mp4-fragmented.mp4");
pub const HEVC: &[u8] = include_bytes!("../files/mp4-hevc.mp4");
pub const HIGH_422: &[u8] = include_bytes!("../files/mp4-high422.mp4");
pub const ROTATED: &[u8] = include_bytes!("../files/mp4-rotated.mp4");
pub const CHAPTERS: &[u8] = include_bytes!("../files/mp4-chapters.m4a");
pub const EDIT_LIST: &[u8] = include_bytes!("../files/mp4-edit-list.mp4");
pub const PRORES: &[u8] = include_bytes!("../files/mp4-prores.mov");

pub const ALL: [&[u8]; 10] = [
    MOOV_LAST, FASTSTART, QUICKTIME, FRAGMENTED, HEVC, HIGH_422, ROTATED, CHAPTERS, EDIT_LIST,
    PRORES,
];

pub fn probe(file: &[u8]) -> Media {
    media::probe(&file.to_vec()).unwrap()
}

pub fn rewrite(file: &[u8], way: Rewrite) -> Result<Vec<u8>, RewriteError> {
    let mut out = Vec::new();
    media::rewrite(&file.to_vec(), way, &mut out, &mut |_| {
        ControlFlow::Continue(())
    })?;
    Ok(out)
}

/// Times, flags and bytes of every sample: all that is to stay.
pub fn samples(file: &[u8]) -> Vec<([u8; 4], u32, Vec<Kept>)> {
    let kept = |track: &Track| {
        let samples = track.samples.iter().map(|sample| {
            let from = usize::try_from(sample.offset).unwrap();
            let bytes = file[from..from + usize::try_from(sample.size).unwrap()].to_vec();
            Kept {
                decoded: sample.decoded,
                composition: sample.composition,
                sync: sample.sync,
                bytes,
            }
        });
        samples.collect()
    };
    let tracks = media::samples(&file.to_vec()).unwrap();
    tracks
        .iter()
        .map(|track| (track.handler, track.timescale, kept(track)))
        .collect()
}

#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub decoded: u64,
    pub composition: i32,
    pub sync: bool,
    pub bytes: Vec<u8>,
}

/// Kinds and places of the boxes at the top.
pub fn boxes(file: &[u8]) -> Vec<([u8; 4], Range<usize>)> {
    let mut boxes = Vec::new();
    let mut at = 0;
    while at < file.len() {
        let mut size = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        if size == 1 {
            size = u64::from_be_bytes(file[at + 8..at + 16].try_into().unwrap()) as usize;
        }
        let end = if size == 0 { file.len() } else { at + size };
        boxes.push((file[at + 4..at + 8].try_into().unwrap(), at..end));
        at = end;
    }
    boxes
}

pub fn part<'a>(file: &'a [u8], kind: &[u8; 4]) -> &'a [u8] {
    let (_, range) = boxes(file)
        .into_iter()
        .find(|(found, _)| found == kind)
        .unwrap();
    &file[range]
}

pub fn make(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}
