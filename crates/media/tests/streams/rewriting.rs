//! Files packed anew: every sample stays, with its time and its mark. What to expect is in `*.packets.csv`, as
//! `ffprobe -show_entries packet=codec_type,pts_time,size,flags` tells it of the source.

use crate::files::{probe, read};
use media::{Container, Plays, Rewrite, RewriteError, Track};
use std::ops::ControlFlow;

pub fn rewrite(bytes: &[u8], way: Rewrite) -> Result<Vec<u8>, RewriteError> {
    let mut out = Vec::new();
    media::rewrite(&bytes.to_vec(), way, &mut out, &mut |_| {
        ControlFlow::Continue(())
    })?;
    Ok(out)
}

struct Packet {
    kind: &'static str,
    shown_s: f64,
    size: u64,
    sync: bool,
}

fn packets(csv: &'static str) -> Vec<Packet> {
    let packet = |line: &'static str| {
        let fields: Vec<&str> = line.split(',').collect();
        Packet {
            kind: fields[0],
            shown_s: fields[1].parse().unwrap(),
            size: fields[2].parse().unwrap(),
            sync: fields[3].starts_with('K'),
        }
    };
    csv.lines().map(packet).collect()
}

/// For each track in its order: seconds before it is shown, and where in it showing begins.
fn edits(file: &[u8]) -> Vec<(f64, i64)> {
    let find = |from: usize, name: &[u8]| {
        let rest = &file[from..];
        rest.windows(4)
            .position(|four| four == name)
            .map(|at| from + at)
    };
    let word = |at: usize| i32::from_be_bytes(file[at..at + 4].try_into().unwrap());
    let scale = f64::from(word(find(0, b"mvhd").unwrap() + 16));
    let mut tracks = Vec::new();
    let mut at = find(0, b"trak");
    while let Some(track) = at {
        let next = find(track + 4, b"trak");
        let mut told = (0.0, 0);
        if let Some(list) = find(track, b"elst").filter(|list| next.is_none_or(|next| *list < next))
        {
            let rows = (0..word(list + 8)).map(|row| list + 12 + 12 * row as usize);
            for row in rows {
                match word(row + 4) {
                    -1 => told.0 += f64::from(word(row)) / scale,
                    begin => told.1 = i64::from(begin),
                }
            }
        }
        tracks.push(told);
        at = next;
    }
    tracks
}

/// Compares times and marks; `tick_s` is what the source rounds to.
fn check_times(made: &[u8], tracks: &[Track], expected: &[Packet], tick_s: f64) {
    let begin = expected
        .iter()
        .map(|packet| packet.shown_s)
        .fold(f64::MAX, f64::min);
    for (track, (delay, media_time)) in tracks.iter().zip(edits(made)) {
        let kind = if track.handler == *b"vide" {
            "video"
        } else {
            "audio"
        };
        let of = expected.iter().filter(|packet| packet.kind == kind);
        assert_eq!(track.samples.len(), of.clone().count(), "{kind}");
        for (sample, packet) in track.samples.iter().zip(of) {
            let units = sample.decoded as i64 + i64::from(sample.composition) - media_time;
            let shown = delay + units as f64 / f64::from(track.timescale);
            let wanted = packet.shown_s - begin;
            assert!(
                (shown - wanted).abs() <= tick_s,
                "{kind}: {shown}, not {wanted}"
            );
            assert_eq!(sample.sync, packet.sync, "{kind} at {wanted}");
        }
    }
}

/// Where these bytes are next in a stream.
fn follow(stream: &[u8], from: &mut usize, bytes: &[u8]) {
    let found = stream[*from..]
        .windows(bytes.len())
        .position(|window| window == bytes);
    *from += found.expect("every sample stands in the source, in its order") + bytes.len();
}

fn bytes_of<'a>(file: &'a [u8], sample: &media::Sample) -> &'a [u8] {
    &file[sample.offset as usize..][..sample.size as usize]
}

fn check_made(made: &[u8], name: &str, container: Container) {
    let (before, after) = (probe(name), media::probe(&made.to_vec()).unwrap());
    assert_eq!((after.container, after.faststart), (container, true));
    assert!(matches!(media::plays(&after), Plays::AsIs { .. }));
    assert_eq!(media::complete(&made.to_vec()), media::Complete::Yes);
    assert_eq!(before.video, after.video);
    let sound = |media: media::Media| {
        media
            .audio
            .map(|audio| (audio.channels, audio.sample_rate, audio.codec))
    };
    assert_eq!(sound(before), sound(after));
}

#[test]
fn matroska_becomes_mp4_sample_by_sample() {
    let source = read("mkv-h264-aac.mkv");
    let made = rewrite(&source, Rewrite::ToMp4).unwrap();
    check_made(&made, "mkv-h264-aac.mkv", Container::Mp4);
    let tracks = media::samples(&made).unwrap();
    let expected = packets(include_str!("../files/mkv-h264-aac.mkv.packets.csv"));
    check_times(&made, &tracks, &expected, 0.001);
    assert_eq!(
        tracks[0].timescale, 25_000,
        "times lie on the grid of the frame rate"
    );
    assert!(
        tracks[0]
            .samples
            .iter()
            .all(|sample| sample.duration == 1000)
    );
    for (track, kind) in tracks.iter().zip(["video", "audio"]) {
        let mut from = 0;
        let of = expected.iter().filter(|packet| packet.kind == kind);
        for (sample, packet) in track.samples.iter().zip(of) {
            assert_eq!(sample.size, packet.size);
            follow(&source, &mut from, bytes_of(&made, sample));
        }
    }
}

/// The elementary stream of a transport stream's PID.
fn elementary(stream: &[u8], pid: u16) -> Vec<u8> {
    let mut made = Vec::new();
    for packet in stream.chunks_exact(188) {
        if u16::from_be_bytes([packet[1] & 0x1f, packet[2]]) != pid {
            continue;
        }
        let adaptation = if packet[3] & 0x20 != 0 {
            1 + usize::from(packet[4])
        } else {
            0
        };
        let mut payload = &packet[4 + adaptation..];
        if packet[1] & 0x40 != 0 {
            payload = &payload[9 + usize::from(payload[8])..];
        }
        made.extend(payload);
    }
    made
}

#[test]
fn transport_streams_become_mp4_sample_by_sample() {
    let source = read("ts-h264-aac.ts");
    let made = rewrite(&source, Rewrite::ToMp4).unwrap();
    check_made(&made, "ts-h264-aac.ts", Container::Mp4);
    let tracks = media::samples(&made).unwrap();
    let expected = packets(include_str!("../files/ts-h264-aac.ts.packets.csv"));
    check_times(&made, &tracks, &expected, 2.0 / 90_000.0);

    let (pictures, mut from) = (elementary(&source, 0x100), 0);
    for sample in &tracks[0].samples {
        let mut rest = bytes_of(&made, sample);
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
            assert!(
                ![7, 8, 9].contains(&(unit[0] & 0x1f)),
                "sets stand in the index"
            );
            follow(&pictures, &mut from, unit);
            rest = after;
        }
    }
    let (sound, mut from) = (elementary(&source, 0x101), 0);
    let sizes = expected.iter().filter(|packet| packet.kind == "audio");
    for (sample, packet) in tracks[1].samples.iter().zip(sizes) {
        assert_eq!(sample.size, packet.size - 7, "an ADTS header less");
        follow(&sound, &mut from, bytes_of(&made, sample));
    }

    // The same packets with a time stamp in front of each, as cameras write them.
    let stamped: Vec<u8> = source
        .chunks_exact(188)
        .flat_map(|packet| [&[0; 4], packet].concat())
        .collect();
    let media = media::probe(&stamped).unwrap();
    assert_eq!(
        (media.container, media.duration_s),
        (Container::MpegTs, probe("ts-h264-aac.ts").duration_s)
    );
    assert!(rewrite(&stamped, Rewrite::ToMp4).unwrap() == made);
}

#[test]
fn adts_becomes_mp4_frame_by_frame() {
    let source = read("adts-lc.aac");
    let made = rewrite(&source, Rewrite::ToMp4).unwrap();
    check_made(&made, "adts-lc.aac", Container::Mp4);
    let tracks = media::samples(&made).unwrap();
    let mut from = 0;
    for sample in &tracks[0].samples {
        follow(&source, &mut from, bytes_of(&made, sample));
        assert_eq!(sample.duration, 1024);
    }
    assert_eq!((tracks[0].samples.len(), from), (45, source.len()));
}

#[test]
fn av1_and_opus_become_mp4() {
    let made = rewrite(&read("webm-av1-opus.webm"), Rewrite::ToMp4).unwrap();
    check_made(&made, "webm-av1-opus.webm", Container::Mp4);
    let tracks = media::samples(&made).unwrap();
    assert_eq!(
        tracks
            .iter()
            .map(|track| track.samples.len())
            .collect::<Vec<_>>(),
        [50, 101]
    );
    // The codec's delay of 312 samples is decoded and not heard; the picture begins 7 ms later.
    assert_eq!(edits(&made), [(0.007, 0), (0.0, 312)]);
}

#[test]
fn matroska_becomes_webm_with_nothing_moved() {
    let source = read("mkv-vp9-opus.mkv");
    let webm = rewrite(&source, Rewrite::ToWebm).unwrap();
    assert_eq!(webm.len(), source.len());
    let differing = source
        .iter()
        .zip(&webm)
        .filter(|(one, other)| one != other)
        .count();
    assert!(differing <= 11, "{differing} bytes");
    let (before, after) = (probe("mkv-vp9-opus.mkv"), media::probe(&webm).unwrap());
    assert_eq!(after.container, Container::WebM);
    assert!(matches!(media::plays(&after), Plays::AsIs { .. }));
    assert_eq!(
        (after.video, after.audio, after.chapters),
        (before.video, before.audio, before.chapters)
    );
}

#[test]
fn what_would_lose_something_is_refused() {
    let rows = [
        ("mkv-h264-aac.mkv", Rewrite::ToWebm),
        ("mkv-vp9-opus.mkv", Rewrite::ToMp4),
        ("webm-vp8-vorbis.webm", Rewrite::ToMp4),
        ("ogg-opus.opus", Rewrite::ToMp4),
        ("mp3-cbr.mp3", Rewrite::ToMp4),
        ("ts-h264-aac.ts", Rewrite::ToWebm),
    ];
    for (name, way) in rows {
        let refused = rewrite(&read(name), way);
        assert!(matches!(refused, Err(RewriteError::Lossy(_))), "{name}");
    }
    let cut = read("mkv-h264-aac.mkv");
    let refused = rewrite(&cut[..cut.len() / 2], Rewrite::ToMp4);
    assert!(matches!(refused, Err(RewriteError::Source(_))));
    let stopped = media::rewrite(&cut, Rewrite::ToMp4, &mut Vec::new(), &mut |_| {
        ControlFlow::Break(())
    });
    assert!(matches!(stopped, Err(RewriteError::Stopped)));
}

#[test]
fn key_frames_are_found() {
    // Key frames are a second apart in one, 0.4 s in the other.
    let rows = [
        ("mkv-h264-aac.mkv", 0.0, 0.023),
        ("mkv-h264-aac.mkv", 0.9, 0.023),
        ("mkv-h264-aac.mkv", 1.5, 1.023),
        ("mkv-h264-aac.mkv", 99.0, 1.023),
        ("ts-h264-aac.ts", 0.0, 0.023),
        ("ts-h264-aac.ts", 0.5, 0.423),
        ("ts-h264-aac.ts", 0.7, 0.423),
        ("ts-h264-aac.ts", 99.0, 0.823),
    ];
    for (name, at, expected) in rows {
        let found = media::key_frame(&read(name), at).unwrap().unwrap();
        assert!(
            (found.time_s - expected).abs() < 0.001,
            "{name} at {at}: {}",
            found.time_s
        );
        let kinds: Vec<u8> = found
            .annex_b
            .windows(5)
            .filter(|bytes| bytes.starts_with(&[0, 0, 0, 1]))
            .map(|bytes| bytes[4] & 0x1f)
            .filter(|kind| *kind != 6) // messages that a decoder may pass over
            .collect();
        assert_eq!(kinds, [7, 8, 5], "{name} at {at}");
    }
    assert_eq!(
        media::key_frame(&read("mkv-vp9-opus.mkv"), 0.0).unwrap(),
        None
    );
    assert_eq!(media::key_frame(&read("ogg-opus.opus"), 0.0).unwrap(), None);
}
