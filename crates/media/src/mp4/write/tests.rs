//! What is written reads back; what is too large to be written in a test is looked at in the index alone.

use super::*;
use crate::h264::AvcC;
use crate::model::{AudioCodec, VideoCodec};
use crate::mp4::boxes::{children, descend, find};
use crate::mp4::{entries, probe, samples};

/// x264, 64 × 48, High.
const SPS: [u8; 24] = [
    0x67, 0x64, 0, 0x0a, 0xac, 0xd9, 0x44, 0x7b, 0x01, 0x10, 0, 0, 0x03, 0, 0x10, 0, 0, 0x03, 0x03,
    0x20, 0xf1, 0x22, 0x59, 0x60,
];

fn picture(count: u32, size: u32, rotation: u16) -> OutTrack {
    let avcc = AvcC::from_sets(vec![SPS.to_vec()], vec![vec![0x68, 0xee]])
        .unwrap()
        .to_bytes();
    let sample = |number: u32| OutSample {
        size,
        duration: 1,
        composition: if number.is_multiple_of(3) { 2 } else { -1 },
        sync: number.is_multiple_of(10),
    };
    OutTrack {
        kind: OutKind::Video {
            width: 64,
            height: 48,
            rotation,
        },
        entry: entries::avc1(64, 48, None, &avcc),
        timescale: 25,
        language: *b"und",
        samples: (0..count).map(sample).collect(),
        edits: Vec::new(),
    }
}

fn sound(count: usize, edits: Vec<Edit>) -> OutTrack {
    OutTrack {
        kind: OutKind::Audio,
        entry: entries::mp4a(2, 48_000, &[0x11, 0x90]),
        timescale: 48_000,
        language: *b"deu",
        samples: vec![
            OutSample {
                size: 3,
                duration: 1024,
                composition: 0,
                sync: true
            };
            count
        ],
        edits,
    }
}

fn movie(tracks: Vec<OutTrack>) -> OutMovie {
    let chapters = vec![Chapter {
        start_s: 0.25,
        title: "é".repeat(200),
    }];
    OutMovie {
        timescale: 1000,
        tracks,
        chapters,
    }
}

/// Each sample is full of its track's number.
fn write(movie: &OutMovie) -> Vec<u8> {
    let mut out = Vec::new();
    let mut fetch = |track: usize, sample: usize, buffer: &mut Vec<u8>| {
        let size = movie.tracks[track].samples[sample].size as usize;
        buffer.extend(std::iter::repeat_n(track as u8, size));
        Ok(())
    };
    file(movie, &mut fetch, &mut out, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    out
}

#[test]
fn what_is_written_reads_back() {
    let late = vec![
        Edit {
            length: 500,
            media_time: None,
        },
        Edit {
            length: 1500,
            media_time: Some(1024),
        },
    ];
    let written = movie(vec![picture(50, 7, 90), sound(80, late)]);
    let bytes = write(&written);
    let media = probe(&bytes).unwrap();
    assert_eq!(media.duration_s, Some(2.0));
    let video = media.video.unwrap();
    assert_eq!(
        (video.codec, video.width, video.height, video.rotation),
        (VideoCodec::H264, 64, 48, 90)
    );
    assert_eq!(media.audio.unwrap().codec, AudioCodec::AacLc);
    assert!(media.faststart);
    let title = &media.chapters[0].title;
    assert_eq!(
        (media.chapters[0].start_s, title.chars().count()),
        (0.25, 127)
    );

    let read = samples(&bytes).unwrap();
    for (number, (track, out)) in read.iter().zip(&written.tracks).enumerate() {
        assert_eq!(track.timescale, out.timescale);
        let kept = track.samples.iter().map(|sample| OutSample {
            size: sample.size as u32,
            duration: sample.duration,
            composition: sample.composition,
            sync: sample.sync,
        });
        assert_eq!(kept.collect::<Vec<_>>(), out.samples);
        for sample in &track.samples {
            let from = sample.offset as usize;
            assert!(
                bytes[from..from + sample.size as usize]
                    .iter()
                    .all(|byte| usize::from(*byte) == number)
            );
        }
    }
}

#[test]
fn every_turn_is_told_by_its_matrix() {
    for rotation in [0, 90, 180, 270] {
        let bytes = write(&movie(vec![picture(2, 1, rotation)]));
        assert_eq!(probe(&bytes).unwrap().video.unwrap().rotation, rotation);
    }
}

#[test]
fn tracks_take_turns_of_half_a_second() {
    let late = vec![
        Edit {
            length: 500,
            media_time: None,
        },
        Edit {
            length: 1000,
            media_time: Some(0),
        },
    ];
    // Pictures of 40 ms, 13 in half a second; frames of sound of 21.3 ms, 24.
    let chunks = interleave(&movie(vec![picture(30, 1, 0), sound(47, late)]));
    let turns: Vec<(usize, usize)> = chunks
        .iter()
        .map(|chunk| (chunk.track, chunk.count))
        .collect();
    assert_eq!(turns, [(0, 13), (1, 24), (0, 13), (1, 23), (0, 4)]);
}

#[test]
fn places_beyond_four_gigabytes_get_long_tables() {
    let large = movie(vec![picture(3, 2_000_000_000, 0)]);
    let chunks: Vec<Chunk> = (0..3)
        .map(|first| Chunk {
            track: 0,
            first,
            count: 1,
            bytes: 2_000_000_000,
        })
        .collect();
    let header = index::header(&large, &chunks);
    let data = header.len() as u64;
    assert_eq!(
        header[header.len() - 16..header.len() - 8],
        [0, 0, 0, 1, b'm', b'd', b'a', b't']
    );
    assert_eq!(header[header.len() - 8..], 6_000_000_016_u64.to_be_bytes());
    let moov = &header[find(&header, b"ftyp").unwrap().len() + 8..];
    let table = descend(moov, &[b"moov", b"trak", b"mdia", b"minf", b"stbl"]).unwrap();
    let places: Vec<u64> = find(table, b"co64").unwrap()[8..]
        .as_chunks()
        .0
        .iter()
        .map(|row| u64::from_be_bytes(*row))
        .collect();
    assert_eq!(places, [data, data + 2_000_000_000, data + 4_000_000_000]);
    assert!(!children(table).any(|child| child.kind == *b"stco"));
}

#[test]
fn a_sample_of_the_wrong_size_is_an_error() {
    let mut fetch = |_: usize, _: usize, buffer: &mut Vec<u8>| {
        buffer.push(0);
        Ok(())
    };
    let written = file(
        &movie(vec![sound(2, Vec::new())]),
        &mut fetch,
        &mut Vec::new(),
        &mut |_| ControlFlow::Continue(()),
    );
    assert!(matches!(
        written,
        Err(RewriteError::Source(ProbeError::Malformed(_)))
    ));
}
