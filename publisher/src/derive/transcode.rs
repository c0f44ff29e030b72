//! What plays everywhere, by ffmpeg: H.264 and AAC-LC in MP4 with its index in front, at the source's size or
//! smaller. The picture is made in parts of half a minute, so that what a stop interrupts goes on where it was;
//! the sound, which is quick, in one go.
//!
//! Parts are MPEG transport streams with the clip's own times: they need no more than to be read one after the
//! other, and ffmpeg writes them to a pipe, so that it ends with us.

use super::cache::Record;
use super::ffmpeg::{Facts, Ffmpeg, SQUARE, TONE_MAP, file_name};
use super::recipe::{Output, PARTS};
use super::{Cancel, DeriveError, Job, Tools};
use crate::probe::MediaFile;
use crate::report::{Reporter, Shown};
use media::{Container, Media, Video, VideoCodec};
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Seconds of a part. A key frame stands each two seconds, so parts begin at one anyway.
const PART_S: f64 = 30.0;
/// Times in parts begin here: decoding starts a little before the first frame is shown, and never below zero.
const BASE_S: f64 = 60.0;
/// No honest part at this quality is larger: bits a second.
const MOST_BITS: u64 = 120_000_000;
/// The sound's share of the work, as a part of the clip's length.
const SOUND_SHARE: f64 = 0.05;

/// A transcode under way.
struct Work<'a> {
    job: &'a Job,
    ffmpeg: Ffmpeg<'a>,
    facts: Facts,
    duration_s: Option<f64>,
    /// Bits a second that the picture may take.
    most_rate: Option<u64>,
    parts: PathBuf,
    shown: Shown,
}

/// Makes the file: at most `height` pixels on its shorter side, or as large as the source.
pub(super) fn make(
    job: &Job,
    height: Option<u32>,
    folder: &Path,
    tools: &Tools,
    reporter: &Reporter,
    cancel: &Cancel,
) -> Result<Output, DeriveError> {
    let program = tools.ffmpeg.as_deref();
    let program = program.ok_or_else(|| failed("ffmpeg is not installed"))?;
    let ffmpeg = Ffmpeg::new(program, cancel);
    let facts = ffmpeg.facts(&job.source)?;
    let media = open(&job.source)
        .and_then(|file| media::probe(&file).map_err(io::Error::other))
        .ok();
    let duration_s = media
        .as_ref()
        .and_then(|media| media.duration_s)
        .or(facts.duration_s);
    let duration_s = duration_s.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    if !facts.has_video && !facts.has_audio {
        return Err(failed("neither picture nor sound can be read"));
    }
    if let Some(height) = height {
        let video = media.as_ref().and_then(|media| media.video.as_ref());
        if !facts.has_video {
            return Err(failed("it has no moving picture"));
        }
        if video.is_some_and(|video| video.width.min(video.height) <= height) {
            return Err(failed(&format!("its picture is not larger than {height}p")));
        }
    }
    let parts = folder.join(PARTS);
    fs::create_dir_all(&parts).map_err(|error| DeriveError::cache("make", &parts, error))?;
    let name = match height {
        Some(height) => format!("{} {height}p", job.name),
        None => job.name.clone(),
    };
    let total_s = duration_s.unwrap_or(0.0) * (1.0 + SOUND_SHARE);
    let shown = reporter.progress("encoding", &name, (total_s * 1000.0) as u64);
    let video = media.as_ref().and_then(|media| media.video.as_ref());
    let most_rate = height
        .zip(video)
        .zip(duration_s)
        .map(|((height, video), seconds)| most_rate(job.stat.bytes, seconds, video, height));
    let work = Work {
        job,
        ffmpeg,
        facts,
        duration_s,
        most_rate,
        parts,
        shown,
    };
    let (made, name) = if work.facts.has_video {
        let filters = work.filters(height)?;
        let sound = work.sound()?;
        (work.picture(&filters, sound.is_some())?, "clip.mp4")
    } else {
        let sound = work.sound()?;
        (
            sound.ok_or_else(|| failed("its sound can't be read"))?,
            "sound.m4a",
        )
    };
    work.verify(&made, media.as_ref())?;
    finish(&made, &folder.join(name))?;
    Ok(Output {
        files: Vec::new(),
        record: Record::File(name.to_owned()),
    })
}

fn failed(reason: &str) -> DeriveError {
    DeriveError::Failed(reason.to_owned())
}

fn open(path: &Path) -> io::Result<MediaFile> {
    MediaFile::open(path)
}

impl Work<'_> {
    fn at(&self, seconds: f64) {
        self.shown.at((seconds.max(0.0) * 1000.0) as u64);
    }

    fn filters(&self, height: Option<u32>) -> Result<String, DeriveError> {
        // Only frames that say they are interlaced are touched.
        let mut filters = vec!["bwdif=mode=send_frame:deint=interlaced".to_owned()];
        if self.facts.is_hdr && self.ffmpeg.has_filter("zscale")? {
            filters.push(TONE_MAP.to_owned());
        }
        filters.push(SQUARE.to_owned());
        if let Some(height) = height {
            filters.push(format!(
                "scale=w=if(gte(iw\\,ih)\\,-2\\,min({height}\\,iw)):h=if(gte(iw\\,ih)\\,min({height}\\,ih)\\,-2)"
            ));
        }
        filters.push("format=yuv420p".to_owned());
        Ok(filters.join(","))
    }

    /// The sound as AAC-LC in an MP4 file of its own, when there is any.
    fn sound(&self) -> Result<Option<PathBuf>, DeriveError> {
        if !self.facts.has_audio {
            return Ok(None);
        }
        let made = self.parts.join("sound.m4a");
        if made.exists() {
            return Ok(Some(made));
        }
        let unfinished = self.parts.join("sound.unfinished");
        let mut command = self.ffmpeg.command();
        command.args(["-progress", "pipe:2"]);
        Ffmpeg::read(&mut command, &self.job.source);
        command.args([
            "-map",
            "0:a:0",
            "-map_metadata",
            "-1",
            "-map_chapters",
            "-1",
        ]);
        // Gaps become silence, so that what follows them stays in step with the picture.
        command.args([
            "-af",
            "aresample=async=1:first_pts=0,aformat=sample_rates=48000|44100|32000|24000|22050",
        ]);
        command.args([
            "-ac",
            "2",
            "-c:a",
            "aac",
            "-profile:a",
            "aac_low",
            "-b:a",
            "160k",
        ]);
        if let Some(duration_s) = self.duration_s {
            command.args(["-t", &format!("{:.3}", duration_s + 5.0)]);
        }
        command.args(["-movflags", "+faststart", "-f", "mp4", "-y"]);
        command.arg(file_name(&unfinished));
        let share = if self.facts.has_video {
            SOUND_SHARE
        } else {
            1.0 + SOUND_SHARE
        };
        self.ffmpeg
            .run(&mut command, &mut io::sink(), 0, &mut |seconds| {
                self.at(seconds * share);
            })?;
        finish(&unfinished, &made)?;
        Ok(Some(made))
    }

    /// The picture in parts, then all together.
    fn picture(&self, filters: &str, has_sound: bool) -> Result<PathBuf, DeriveError> {
        let spans = spans(self.duration_s.filter(|_| self.facts.is_seekable));
        let sound_s = self.duration_s.unwrap_or(0.0) * SOUND_SHARE;
        let mut names = Vec::new();
        for (n, span) in spans.iter().enumerate() {
            let name = format!("{n}.ts");
            let made = self.parts.join(&name);
            self.at(sound_s + span.start);
            if !made.exists() {
                self.part(span, spans.len(), filters, sound_s, &made)?;
            }
            // Nothing was shown during an empty one.
            if fs::metadata(&made).is_ok_and(|meta| meta.len() > 0) {
                names.push(name);
            }
        }
        if names.is_empty() {
            return Err(failed("no frame of its picture can be decoded"));
        }
        self.join(&names, has_sound)
    }

    fn part(
        &self,
        span: &Range<f64>,
        count: usize,
        filters: &str,
        done_s: f64,
        made: &Path,
    ) -> Result<(), DeriveError> {
        let mut command = self.ffmpeg.command();
        command.args(["-progress", "pipe:2"]);
        if span.start > 0.0 {
            command.args(["-ss", &format!("{:.6}", span.start)]);
        }
        let mut filters = filters.to_owned();
        if span.end.is_finite() && count > 1 {
            // `-t` counts from the first frame, which is not at the part's very beginning; `trim` is exact.
            let length = span.end - span.start;
            filters = format!("trim=end={length:.6},{filters}");
            command.args(["-t", &format!("{:.6}", length + 2.0)]);
        }
        Ffmpeg::read(&mut command, &self.job.source);
        command.args(["-map", "0:V:0", "-map_metadata", "-1", "-vf", &filters]);
        command.args([
            "-c:v",
            "libx264",
            "-preset",
            "fast",
            "-crf",
            "21",
            "-profile:v",
            "high",
        ]);
        if let Some(rate) = self.most_rate {
            command.args([
                "-maxrate",
                &rate.to_string(),
                "-bufsize",
                &(rate * 2).to_string(),
            ]);
        }
        // The clip's own times, not those of a steady frame rate.
        command.args([
            "-force_key_frames",
            "expr:gte(t,n_forced*2)",
            "-enc_time_base",
            "1:90000",
        ]);
        command.args(["-output_ts_offset", &format!("{:.6}", BASE_S + span.start)]);
        command.args([
            "-muxdelay",
            "0",
            "-muxpreload",
            "0",
            "-f",
            "mpegts",
            "pipe:1",
        ]);
        let unfinished = made.with_extension("unfinished");
        let mut sink = File::create(&unfinished)
            .map_err(|error| DeriveError::cache("write", &unfinished, error))?;
        let seconds = if span.end.is_finite() {
            span.end - span.start + 60.0
        } else {
            864_000.0
        };
        let most = (seconds * MOST_BITS as f64 / 8.0) as u64;
        self.ffmpeg
            .run(&mut command, &mut sink, most, &mut |seconds| {
                self.at(done_s + span.start + seconds);
            })?;
        drop(sink);
        finish(&unfinished, made)
    }

    /// Picture and sound into one file, sample for sample.
    fn join(&self, names: &[String], has_sound: bool) -> Result<PathBuf, DeriveError> {
        let made = self.parts.join("clip.unfinished");
        let mut command = self.ffmpeg.command();
        command.current_dir(&self.parts);
        // As parts have it: times are kept, not begun anew with the first frame.
        command.args(["-copyts", "-itsoffset", &format!("-{BASE_S:.0}")]);
        command.args(["-protocol_whitelist", "file,concat", "-f", "mpegts", "-i"]);
        command.arg(format!("concat:{}", names.join("|")));
        if has_sound {
            command.args(["-protocol_whitelist", "file", "-i", "file:sound.m4a"]);
        }
        command.args(["-map", "0:v:0"]);
        if has_sound {
            command.args(["-map", "1:a:0"]);
        }
        command.args(["-c", "copy", "-movflags", "+faststart", "-f", "mp4"]);
        command.args(["-y", "file:clip.unfinished"]);
        self.ffmpeg
            .run(&mut command, &mut io::sink(), 0, &mut |_| {})?;
        Ok(made)
    }

    /// What was made must play, be as long as its source, and lack no frames.
    fn verify(&self, made: &Path, source: Option<&Media>) -> Result<(), DeriveError> {
        let file = open(made).map_err(|error| DeriveError::cache("read", made, error))?;
        let media = media::probe(&file)
            .map_err(|error| failed(&format!("what ffmpeg made can't be used: {error}")))?;
        if let media::Plays::After(_) | media::Plays::Transcode { .. } = media::plays(&media) {
            return Err(failed("what ffmpeg made doesn't play everywhere"));
        }
        if let (Some(made_s), Some(source_s)) = (media.duration_s, self.duration_s)
            && (made_s - source_s).abs() > (source_s * 0.01).max(0.5)
        {
            return Err(failed(&format!(
                "what ffmpeg made is {made_s:.1} s long instead of {source_s:.1} s"
            )));
        }
        // Only these count their frames; others name the rate they were meant to have.
        let counts =
            |media: &&Media| matches!(media.container, Container::Mp4 | Container::QuickTime);
        let rate = |media: &Media| media.video.as_ref().and_then(|video| video.frame_rate);
        if let (Some(made), Some(from)) = (rate(&media), source.filter(counts).and_then(rate))
            && self.duration_s.is_some_and(|seconds| seconds > 10.0)
            && made < from * 0.95
        {
            return Err(failed("what ffmpeg made lacks frames"));
        }
        Ok(())
    }
}

/// Gives a file its final name, its bytes on the disk first.
fn finish(unfinished: &Path, made: &Path) -> Result<(), DeriveError> {
    File::open(unfinished)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(unfinished, made))
        .map_err(|error| DeriveError::cache("keep", made, error))
}

/// A smaller picture is no larger a file: the source's rate, less by what the picture loses. Codecs that need
/// less for the same picture count for more.
fn most_rate(bytes: u64, duration_s: f64, video: &Video, height: u32) -> u64 {
    let gain = match video.codec {
        VideoCodec::Av1 => 2.0,
        VideoCodec::Hevc | VideoCodec::Vp9 => 1.6,
        _ => 1.0,
    };
    let side = f64::from(video.width.min(video.height).max(1));
    let pixels = (f64::from(height) / side).powi(2);
    let rate = bytes as f64 * 8.0 / duration_s * gain * pixels.powf(0.75);
    // Float to integer saturates; below the least, no picture is worth looking at.
    (rate as u64).clamp(100_000, MOST_BITS)
}

/// The parts of a clip of this length; one, without an end, where it is not known or can't be cut.
fn spans(duration_s: Option<f64>) -> Vec<Range<f64>> {
    let Some(duration_s) = duration_s else {
        return vec![0.0..f64::INFINITY];
    };
    // What is left over goes with the last one. A day has 2880; no file makes more than a week of them.
    let count = (duration_s / PART_S).round().clamp(1.0, 20_160.0) as usize;
    (0..count)
        .map(|n| {
            let start = n as f64 * PART_S;
            let is_last = n + 1 == count;
            // The picture may run a little longer than its file says.
            start..if is_last {
                duration_s + 5.0
            } else {
                start + PART_S
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_picture_makes_a_smaller_file() {
        let h264 = Video::of(VideoCodec::H264, 1920, 1080);
        // 10 Mbit/s.
        assert_eq!(most_rate(12_500_000, 10.0, &h264, 1080), 10_000_000);
        let half = most_rate(12_500_000, 10.0, &h264, 540);
        assert!((3_500_000..3_600_000).contains(&half), "{half}");
        let upright = Video::of(VideoCodec::H264, 1080, 1920);
        assert_eq!(most_rate(12_500_000, 10.0, &upright, 540), half);
        let hevc = Video::of(VideoCodec::Hevc, 1920, 1080);
        assert_eq!(most_rate(12_500_000, 10.0, &hevc, 1080), 16_000_000);
        assert_eq!(most_rate(0, 10.0, &h264, 540), 100_000);
        assert_eq!(most_rate(u64::MAX, 1e-9, &h264, 540), MOST_BITS);
    }

    #[test]
    fn parts_cover_the_clip_without_gap() {
        for duration in [0.5, 29.0, 44.9, 45.1, 60.0, 3600.0, 1e12] {
            let spans = spans(Some(duration));
            assert_eq!(spans[0].start, 0.0);
            assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(spans.last().unwrap().end >= duration, "{duration}");
            assert!(spans.iter().all(|span| span.end > span.start));
        }
        assert_eq!(spans(Some(44.9)).len(), 1);
        assert_eq!(spans(Some(45.1)).len(), 2);
        assert_eq!(spans(None), [0.0..f64::INFINITY]);
    }
}
