//! Matroska made by hand: what ffmpeg doesn't write.

use crate::rewriting::rewrite;
use media::{Complete, Rewrite, RewriteError};

/// An element.
fn element(id: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let payload = parts.concat();
    let size = (payload.len() as u32 | 1 << 28).to_be_bytes();
    [id, &size, &payload].concat()
}

fn open_ended(id: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    [
        id,
        &[0x01, 255, 255, 255, 255, 255, 255, 255],
        &parts.concat(),
    ]
    .concat()
}

/// A frame of layer III: 64 kbit/s at 44,100 Hz, one channel, 208 bytes, different in each.
fn frame(number: u8) -> Vec<u8> {
    [&[0xff, 0xfb, 0x50, 0xc4][..], &[number; 204]].concat()
}

const FRONT: &[u8] = &[0xff, 0xfb];

/// A file of sound whose frames lost their first two bytes, three of them in each block with lacing.
fn file(encoding: &[u8], clusters: &[Vec<u8>]) -> Vec<u8> {
    let audio = element(
        &[0xe1],
        &[
            &element(&[0xb5], &[&44_100_f32.to_be_bytes()]),
            &element(&[0x9f], &[&[1]]),
        ],
    );
    let track = element(
        &[0xae],
        &[
            &element(&[0xd7], &[&[1]]),
            &element(&[0x83], &[&[2]]),
            &element(&[0x86], &[b"A_MPEG/L3"]),
            &audio,
            encoding,
        ],
    );
    let head = element(
        &[0x1a, 0x45, 0xdf, 0xa3],
        &[&element(&[0x42, 0x82], &[b"matroska"])],
    );
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &[&track]);
    let info = element(&[0x15, 0x49, 0xa9, 0x66], &[]);
    let segment = open_ended(
        &[0x18, 0x53, 0x80, 0x67],
        &[&info, &tracks, &clusters.concat()],
    );
    [head, segment].concat()
}

fn encoding(algorithm: u8) -> Vec<u8> {
    let compression = element(
        &[0x50, 0x34],
        &[
            &element(&[0x42, 0x54], &[&[algorithm]]),
            &element(&[0x42, 0x55], &[FRONT]),
        ],
    );
    element(&[0x6d, 0x80], &[&element(&[0x62, 0x40], &[&compression])])
}

fn stripped(number: u8) -> Vec<u8> {
    frame(number)[FRONT.len()..].to_vec()
}

/// Clusters of unknown size: a block of each lacing, and one in a group.
fn clusters() -> Vec<Vec<u8>> {
    let block = |time: i16, flags: u8, lacing: &[u8], frames: &[u8]| {
        let frames: Vec<u8> = frames.iter().flat_map(|number| stripped(*number)).collect();
        [&[0x81][..], &time.to_be_bytes(), &[flags], lacing, &frames].concat()
    };
    let time = |time: u8| element(&[0xe7], &[&[time]]);
    let xiph = element(&[0xa3], &[&block(0, 0x82, &[2, 206, 206], &[1, 2, 3])]);
    let ebml = element(
        &[0xa3],
        &[&block(78, 0x86, &[2, 0x40, 206, 0xbf], &[4, 5, 6])],
    );
    let fixed = element(&[0xa1], &[&block(7, 0x84, &[2], &[7, 8, 9])]);
    let single = element(&[0xa1], &[&block(85, 0, &[], &[10])]);
    let group = |block: &[u8]| element(&[0xa0], &[block]);
    const CLUSTER: &[u8] = &[0x1f, 0x43, 0xb6, 0x75];
    vec![
        open_ended(CLUSTER, &[&time(0), &xiph, &ebml]),
        open_ended(CLUSTER, &[&time(150), &group(&fixed), &group(&single)]),
    ]
}

#[test]
fn laced_frames_with_stripped_headers_are_made_whole() {
    let source = file(&encoding(3), &clusters());
    assert_eq!(media::complete(&source), Complete::Yes);
    let probed = media::probe(&source).unwrap();
    assert!((probed.duration_s.unwrap() - 0.235).abs() < 0.03);

    let made = rewrite(&source, Rewrite::ToMp4).unwrap();
    let tracks = media::samples(&made).unwrap();
    let samples = &tracks[0].samples;
    assert_eq!(samples.len(), 10);
    for (number, sample) in (1..).zip(samples) {
        let bytes = &made[sample.offset as usize..][..sample.size as usize];
        assert_eq!(bytes, frame(number));
        assert_eq!(sample.decoded, 1152 * u64::from(number - 1));
    }
}

#[test]
fn frames_that_were_compressed_are_refused() {
    let refused = rewrite(&file(&encoding(0), &clusters()), Rewrite::ToMp4);
    assert!(
        matches!(refused, Err(RewriteError::Lossy(_))),
        "{refused:?}"
    );
}

#[test]
fn a_live_file_is_whole_up_to_its_last_block() {
    let source = file(&encoding(3), &clusters());
    for cut in [1, 100, 300, 700] {
        let found = media::complete(&source[..source.len() - cut].to_vec());
        assert!(matches!(found, Complete::No(_)), "{cut} less: {found:?}");
    }
}
