//! ffmpeg as a tool: how it is called so that a file can make it read nothing else, and what its words mean.

use super::process::{Cut, Ended, Limits, run};
use super::{Cancel, DeriveError, picture};
use image::DynamicImage;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Containers that are read. Playlists and scripts, which name other files, are none of them.
const FORMATS: &str = "3g2,3gp,aac,ac3,aiff,amr,ape,asf,avi,caf,dts,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4a,\
m4v,matroska,mj2,mov,mp3,mp4,mpeg,mpegts,mpegvideo,mpc,mpc8,mxf,nut,ogg,rm,tak,truehd,tta,w64,wav,webm,wv,yuv4mpegpipe";

/// Waits for a stalled disk, not for a tool that hangs.
const SILENCE: Duration = Duration::from_secs(300);

/// Brings high dynamic range down to what all screens show.
pub(super) const TONE_MAP: &str = "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,\
tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:r=tv";

/// Square pixels, even sides. A comma inside a filter's value is escaped.
pub(super) const SQUARE: &str =
    "scale=w=max(2\\,trunc(iw*sar/2)*2):h=max(2\\,trunc(ih/2)*2),setsar=1";

/// An ffmpeg.
pub(super) struct Ffmpeg<'a> {
    program: &'a Path,
    cancel: &'a Cancel,
}

/// What ffmpeg says of a file before it does anything.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    /// Length in seconds.
    pub duration_s: Option<f64>,
    /// Whether it has a moving picture (cover art is none).
    pub has_video: bool,
    /// Whether it has sound.
    pub has_audio: bool,
    /// Whether its picture is of high dynamic range (PQ or HLG).
    pub is_hdr: bool,
    /// Whether it can be entered in the middle to the frame.
    pub is_seekable: bool,
}

impl<'a> Ffmpeg<'a> {
    /// This program.
    pub fn new(program: &'a Path, cancel: &'a Cancel) -> Self {
        Self { program, cancel }
    }

    /// A command that reads nothing from the terminal and says only what is wrong.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.args(["-hide_banner", "-nostdin", "-nostats", "-loglevel", "error"]);
        command.env_remove("FFREPORT").env("LC_ALL", "C");
        command
    }

    /// Names the file to read. What it holds can name no other file, and no other protocol.
    pub fn read(command: &mut Command, path: &Path) {
        command.args([
            "-protocol_whitelist",
            "file",
            "-format_whitelist",
            FORMATS,
            "-i",
        ]);
        command.arg(file_name(path));
    }

    /// Runs it; its standard output goes to `sink`, and `hear` gets seconds done.
    pub fn run(
        &self,
        command: &mut Command,
        sink: &mut dyn Write,
        output: u64,
        hear: &mut dyn FnMut(f64),
    ) -> Result<(), DeriveError> {
        let limits = Limits {
            silence: SILENCE,
            output,
        };
        let mut hear = |line: &str| progress(line, hear);
        let ended = run(command, sink, &mut hear, limits, self.cancel);
        self.judge(ended)
    }

    fn judge(&self, ended: Result<Ended, Cut>) -> Result<(), DeriveError> {
        let ended = match ended {
            Ok(ended) => ended,
            Err(Cut::Cancelled) => return Err(DeriveError::Stopped),
            Err(Cut::Limit(why)) => {
                return Err(DeriveError::Failed(format!("ffmpeg was ended: {why}")));
            }
            Err(Cut::Io(error)) => return Err(DeriveError::cache("run", self.program, error)),
        };
        if ended.status.success() {
            return Ok(());
        }
        let reason = reason(&ended.words);
        if reason.contains("No space left on device") {
            let full = io::ErrorKind::StorageFull.into();
            return Err(DeriveError::cache("run", self.program, full));
        }
        if was_killed(&ended) {
            let killed = io::Error::other("it was killed");
            return Err(DeriveError::cache("run", self.program, killed));
        }
        Err(DeriveError::Failed(format!("ffmpeg: {reason}")))
    }

    /// Asks what a file is.
    pub fn facts(&self, path: &Path) -> Result<Facts, DeriveError> {
        let mut command = self.command();
        command.args(["-loglevel", "info"]);
        Self::read(&mut command, path);
        let limits = Limits {
            silence: Duration::from_secs(60),
            output: 0,
        };
        let mut lines = Vec::new();
        let mut hear = |line: &str| {
            lines.push(line.to_owned());
            lines.len() < 2000
        };
        match run(
            &mut command,
            &mut io::sink(),
            &mut hear,
            limits,
            self.cancel,
        ) {
            // It always ends with an error: no output was named.
            Ok(_) => Ok(facts(&lines)),
            Err(cut) => Err(self.judge(Err(cut)).err().unwrap_or(DeriveError::Stopped)),
        }
    }

    /// Whether it has this filter.
    pub fn has_filter(&self, name: &str) -> Result<bool, DeriveError> {
        let mut command = self.command();
        command.arg("-filters");
        let mut text = Vec::new();
        self.run(&mut command, &mut text, 1 << 20, &mut |_| {})?;
        let text = String::from_utf8_lossy(&text);
        Ok(text
            .lines()
            .any(|line| line.split_whitespace().nth(1) == Some(name)))
    }

    /// The key frames before these times, at most `side` pixels long and wide; `None` where there is none. All come
    /// out of one process, which costs more to start than a frame to decode: mind what as many decoders take of
    /// memory. `scratch` is a folder for the files they come in.
    pub fn key_frames(
        &self,
        path: &Path,
        times_s: &[f64],
        side: u32,
        is_hdr: bool,
        scratch: &Path,
    ) -> Result<Vec<Option<DynamicImage>>, DeriveError> {
        // Seeking stops at a key frame or, in some containers, anywhere. Frames before the time that was asked for
        // would be dropped if they kept theirs.
        let mut filters = format!(
            "select=key,setpts=PTS-STARTPTS,{SQUARE},\
             scale=w=min({side}\\,iw):h=min({side}\\,ih):force_original_aspect_ratio=decrease"
        );
        if is_hdr && self.has_filter("zscale")? {
            filters = format!("{TONE_MAP},{filters}");
        }
        let files: Vec<PathBuf> = (0..times_s.len())
            .map(|n| scratch.join(format!("{n}.png")))
            .collect();
        let mut command = self.command();
        // One thread decodes one frame with less memory, and without waiting for frames behind it.
        command.args(["-filter_threads", "1"]);
        for time_s in times_s {
            command.args(["-threads", "1", "-noaccurate_seek"]);
            command.args(["-ss", &format!("{time_s:.3}")]);
            Self::read(&mut command, path);
        }
        for (n, file) in files.iter().enumerate() {
            command.args(["-map", &format!("{n}:V:0"), "-frames:v", "1"]);
            command.args(["-vf", &filters, "-pix_fmt", "rgb24", "-threads", "1"]);
            command.args(["-c:v", "png", "-f", "image2pipe", "-y"]);
            command.arg(file_name(file));
        }
        let ran = self.run(&mut command, &mut io::sink(), 0, &mut |_| {});
        let frames: Vec<Option<DynamicImage>> = files
            .iter()
            .map(|file| {
                let frame = picture::read(file).ok();
                // What stays goes with the folder.
                let _ = fs::remove_file(file);
                frame
            })
            .collect();
        match ran {
            // It stumbled over some, or at its end.
            Err(DeriveError::Failed(_)) if frames.iter().any(Option::is_some) => Ok(frames),
            ran => ran.map(|()| frames),
        }
    }
}

/// A path that ffmpeg takes for nothing but a file, whatever its name.
pub(super) fn file_name(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

#[cfg(unix)]
fn was_killed(ended: &Ended) -> bool {
    use std::os::unix::process::ExitStatusExt;
    // By somebody, or for want of memory; 255 is how ffmpeg ends when it is asked to. Others are its own crashes.
    matches!(ended.status.signal(), Some(1 | 2 | 9 | 15)) || ended.status.code() == Some(255)
}

#[cfg(not(unix))]
fn was_killed(_: &Ended) -> bool {
    false
}

/// Whether a line is part of a progress report (`-progress pipe:2`); tells how far it is.
fn progress(line: &str, hear: &mut dyn FnMut(f64)) -> bool {
    let Some((key, value)) = line.split_once('=') else {
        return false;
    };
    // `out_time_ms` has microseconds too, by an old mistake.
    if key == "out_time_us"
        && let Ok(us) = value.parse::<f64>()
    {
        hear(us / 1e6);
    }
    matches!(
        key,
        "frame"
            | "fps"
            | "bitrate"
            | "total_size"
            | "out_time_us"
            | "out_time_ms"
            | "out_time"
            | "dup_frames"
            | "drop_frames"
            | "speed"
            | "progress"
    ) || key.starts_with("stream_")
}

/// The last words that say what is wrong, without the names of objects in memory.
fn reason(words: &[String]) -> String {
    let plain = |line: &String| match line.split_once("] ") {
        Some((name, rest)) if name.starts_with('[') => rest.to_owned(),
        _ => line.clone(),
    };
    let mut last: Vec<String> = words.iter().rev().take(2).map(plain).collect();
    last.reverse();
    last.dedup();
    match last.is_empty() {
        true => "it ended without a word".to_owned(),
        false => last.join("; "),
    }
}

/// Reads what ffmpeg prints of an input.
fn facts(lines: &[String]) -> Facts {
    let mut facts = Facts::default();
    for line in lines {
        if let Some(names) = line.strip_prefix("Input #0, ") {
            // The others are entered by guessing, at frames that are no key frames.
            facts.is_seekable = names.starts_with("mov,") || names.starts_with("matroska,");
        } else if let Some(rest) = line.strip_prefix("Duration: ") {
            facts.duration_s = rest.split(',').next().and_then(clock);
        } else if line.starts_with("Stream #0:") {
            if line.contains(": Audio: ") {
                facts.has_audio = true;
            } else if line.contains(": Video: ")
                && !line.contains("(attached pic)")
                && !facts.has_video
            {
                facts.has_video = true;
                facts.is_hdr = line.contains("smpte2084") || line.contains("arib-std-b67");
            }
        }
    }
    facts
}

fn clock(text: &str) -> Option<f64> {
    let mut parts = text.trim().split(':');
    let mut next = || parts.next()?.parse::<f64>().ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_from_what_ffmpeg_prints() {
        let lines = [
            "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:a.mov':",
            "Duration: 01:02:03.50, start: 0.000000, bitrate: 25096 kb/s",
            "Stream #0:0[0x1](und): Video: hevc (Main 10) (hvc1 / 0x31637668), yuv420p10le(tv, bt2020nc/bt2020/arib-std-b67), 1920x1080, 29.98 fps (default)",
            "Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 128 kb/s (default)",
        ];
        let expected = Facts {
            duration_s: Some(3723.5),
            has_video: true,
            has_audio: true,
            is_hdr: true,
            is_seekable: true,
        };
        assert_eq!(facts(&lines.map(str::to_owned)), expected);
        let song = [
            "Input #0, ape, from 'file:a.ape':",
            "Duration: N/A, bitrate: 25 kb/s",
            "Stream #0:0: Audio: ape",
            "Stream #0:1: Video: png, rgb24(pc), 64x64, 90k tbr (attached pic)",
        ];
        let expected = Facts {
            has_audio: true,
            ..Facts::default()
        };
        assert_eq!(facts(&song.map(str::to_owned)), expected);
    }

    #[test]
    fn progress_is_told_from_words() {
        let mut at = Vec::new();
        for (line, is_progress) in [
            ("frame=25", true),
            ("stream_0_0_q=23.0", true),
            ("out_time_us=1500000", true),
            ("out_time_us=N/A", true),
            ("progress=continue", true),
            ("[libx264 @ 0x5581] height not divisible by 2 (a=b)", false),
            ("Conversion failed!", false),
        ] {
            assert_eq!(progress(line, &mut |s| at.push(s)), is_progress, "{line}");
        }
        assert_eq!(at, [1.5]);
        let words = ["a", "[mov,mp4 @ 0x12] moov atom not found", "Invalid data"];
        assert_eq!(
            reason(&words.map(str::to_owned)),
            "moov atom not found; Invalid data"
        );
        assert_eq!(reason(&[]), "it ended without a word");
    }

    #[test]
    fn a_name_is_nothing_but_a_name() {
        assert_eq!(file_name(Path::new("http://x/y")), "file:http://x/y");
        assert_eq!(file_name(Path::new("-i")), "file:-i");
    }
}
