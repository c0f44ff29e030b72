//! ffmpeg makes clips in any form, ffprobe says what a file holds, packet by packet.

use crate::process::run;
use crate::programs::{Tool, foreign};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A test picture with sound, as ffmpeg's arguments: frames a second and seconds are given.
pub fn picture_and_sound(size: &str, rate: u32, seconds: u32) -> Vec<String> {
    let picture = format!("testsrc2=size={size}:rate={rate}:duration={seconds}");
    let sound = format!("sine=frequency=440:duration={seconds}:sample_rate=48000");
    ["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound]
        .map(str::to_owned)
        .into()
}

/// Runs ffmpeg with these arguments and makes `target`.
#[track_caller]
pub fn make(input: &[String], arguments: &[&str], target: &Path) {
    run(Command::new(foreign("ffmpeg", Tool::Ffmpeg))
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
        .args(input)
        .args(arguments)
        .arg(target))
    .success();
}

/// What ffprobe says with these options, as JSON.
#[track_caller]
pub fn probe(path: &Path, options: &[&str]) -> Value {
    let finished = run(Command::new(foreign("ffprobe", Tool::Ffmpeg))
        .args(["-v", "error", "-of", "json"])
        .args(options)
        .arg(path))
    .success();
    serde_json::from_str(&finished.stdout).expect("ffprobe prints JSON")
}

/// One packet as the demuxer gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// `video` or `audio`.
    pub kind: String,
    /// When it is shown, seconds.
    pub pts: f64,
    /// When it is decoded, seconds.
    pub dts: f64,
    /// Bytes.
    pub size: u64,
    /// Begins with `K` for a key frame.
    pub flags: String,
    /// Hash of its bytes.
    pub hash: String,
}

/// What comes out of the decoders: a hash for each picture and each run of samples, pictures first.
#[track_caller]
pub fn decoded(path: &Path) -> Vec<String> {
    let finished = run(Command::new(foreign("ffmpeg", Tool::Ffmpeg))
        .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:v?",
            "-map",
            "0:a?",
            "-f",
            "framehash",
            "-hash",
            "md5",
            "-",
        ]))
    .success();
    // `stream, dts, pts, duration, size, hash`: the times count in other units in other containers.
    let mut frames: Vec<String> = finished
        .stdout
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split(',').map(str::trim).collect();
            format!("{} {}", columns[0], columns[columns.len() - 1])
        })
        .collect();
    frames.sort_by_key(|frame| !frame.starts_with('0'));
    frames
}

/// Every packet of picture and sound: each stream's in its own order, pictures first.
#[track_caller]
pub fn packets(path: &Path) -> Vec<Packet> {
    let answer = probe(path, &["-show_packets", "-show_data_hash", "md5"]);
    let number = |value: &Value| -> f64 {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or(f64::NAN)
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut packets: Vec<Packet> = answer["packets"]
        .as_array()
        .expect("a list of packets")
        .iter()
        .map(|packet| Packet {
            kind: text(&packet["codec_type"]),
            pts: number(&packet["pts_time"]),
            dts: number(&packet["dts_time"]),
            size: text(&packet["size"]).parse().unwrap_or(0),
            flags: text(&packet["flags"]),
            hash: text(&packet["data_hash"]),
        })
        .filter(|packet| ["video", "audio"].contains(&packet.kind.as_str()))
        .collect();
    packets.sort_by_key(|packet| packet.kind != "video");
    packets
}
