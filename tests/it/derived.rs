//! What is made behind publication, with the real ffmpeg: an encoding that was killed goes on, and nothing that a
//! clip says leads ffmpeg to other files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::clients::ffmpeg;
use tests::folder::{files, put, temporary};
use tests::process::{Running, run};
use tests::programs::Tool;
use tests::published::{build, publisher, state};
use tests::site::assert_whole;
use tests::wait::until;

fn channel(at: &Path) -> PathBuf {
    let clips = at.join("clips");
    put(&clips.join("channel.toml"), b"title = \"Derived\"\n");
    clips
}

/// Command lines of running programs that name this folder.
fn at_work_in(folder: &Path) -> Vec<String> {
    let named = folder.to_string_lossy().into_owned();
    let lines = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some(String::from_utf8_lossy(&line).replace('\0', " "))
        });
    lines.filter(|line| line.contains(&named)).collect()
}

/// An ffmpeg that writes down how it is called and then does it. The second part of an encoding it does as slowly as
/// people watch it, until the file `go-on` lies beside it, so that there is a middle to be killed in.
fn slow_ffmpeg(folder: &Path) -> PathBuf {
    let program = folder.join("ffmpeg");
    let script = format!(
        r#"#!/bin/sh
echo "$*" >>"{0}/calls"
case "$*" in
  *" -ss {PART_TWO} "*" -f mpegts "*) [ -e "{0}/go-on" ] || set -- -re "$@" ;;
esac
exec ffmpeg "$@"
"#,
        folder.display()
    );
    let text = folder.join("ffmpeg.sh");
    put(&text, script.as_bytes());
    // By another process: a file that this one has written can't be run while another test's child, started
    // meanwhile, has it open.
    run(Command::new("install")
        .args(["-m", "755"])
        .arg(&text)
        .arg(&program))
    .success();
    program
}

/// Where the second part begins, as ffmpeg is told it.
const PART_TWO: &str = "30.000000";

/// The calls that encode a part of a picture.
fn parts(calls: &Path) -> Vec<String> {
    let calls = fs::read_to_string(calls).unwrap_or_default();
    let parts = calls.lines().filter(|call| call.contains(" -f mpegts "));
    let parts = parts.filter(|call| call.ends_with(" pipe:1"));
    parts.map(str::to_owned).collect()
}

#[test]
fn an_encoding_that_was_killed_goes_on_and_loses_no_frame() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let source = clips.join("long.mov");
    // Three parts of little work each: the encoder is nice, and a busy machine leaves it next to nothing.
    let mut input = ffmpeg::picture_and_sound("96x54", 10, 75);
    // A pure tone is much more work to encode.
    *input.last_mut().unwrap() = "anoisesrc=color=pink:duration=75:sample_rate=48000".into();
    ffmpeg::make(
        &input,
        &["-c:v", "mpeg4", "-q:v", "6", "-c:a", "aac"],
        &source,
    );
    let out = at.path().join("out");
    let (program, calls) = (slow_ffmpeg(at.path()), at.path().join("calls"));
    let build = || {
        let mut command = publisher(["build"]);
        command.arg(&clips).arg("--out").arg(&out);
        command.env("GROUNDSWELL_FFMPEG", &program);
        command
    };
    let mut building = Running::start(&mut build());
    // The first part is what there is to go on from.
    until("the second part to be begun", || {
        if !building.is_running() {
            panic!("it ended before it could be killed: {building}");
        }
        (parts(&calls).len() == 2)
            .then_some(())
            .ok_or_else(|| building.to_string())
    });
    building.signal("KILL");
    building.wait_for_end();
    until("ffmpeg to be gone with it", || {
        let left = at_work_in(&out);
        left.is_empty().then_some(()).ok_or(format!("{left:?}"))
    });
    assert_whole(&out);
    fs::rename(&calls, at.path().join("calls-before")).unwrap();
    put(&at.path().join("go-on"), b"");
    run(&mut build()).success().calm();
    let begun: Vec<_> = parts(&calls);
    assert_eq!(begun.len(), 2, "the first part is there: {begun:#?}");
    assert!(begun[0].contains(&format!(" -ss {PART_TWO} ")), "{begun:?}");
    let made = state(&out)
        .into_iter()
        .find(|torrent| torrent.files[0].ends_with(".mp4"))
        .expect("what plays");
    let frames = |path: &Path| {
        ffmpeg::packets(path)
            .iter()
            .filter(|p| p.kind == "video")
            .count()
    };
    assert_eq!(frames(&made.payload()), frames(&source));
    let shown: Vec<f64> = {
        let mut times: Vec<f64> = ffmpeg::packets(&made.payload())
            .iter()
            .filter(|packet| packet.kind == "video")
            .map(|packet| packet.pts)
            .collect();
        times.sort_by(f64::total_cmp);
        times
    };
    for (n, pair) in shown.windows(2).enumerate() {
        let step = pair[1] - pair[0];
        assert!(
            (step - 0.1).abs() < 0.002,
            "a gap of {step} s behind frame {n}"
        );
    }
}

#[test]
fn thumbnails_take_few_processes() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let source = clips.join("long.mov");
    let input = ffmpeg::picture_and_sound("160x90", 5, 75);
    // A key frame each second, each one another picture.
    ffmpeg::make(&input, &["-c:v", "mpeg4", "-g", "5", "-an"], &source);
    let out = at.path().join("out");
    let (program, calls) = (slow_ffmpeg(at.path()), at.path().join("calls"));
    put(&at.path().join("go-on"), b"");
    let mut command = publisher(["build"]);
    command.arg(&clips).arg("--out").arg(&out);
    run(command.env("GROUNDSWELL_FFMPEG", &program)).success();
    let published = files(&out.join("site"));
    let cues: Vec<_> = published
        .iter()
        .filter(|file| file.ends_with("thumbnails.vtt"))
        .collect();
    let [cues] = cues[..] else {
        panic!("no thumbnails in {published:#?}");
    };
    let cues = fs::read_to_string(out.join("site").join(cues)).unwrap();
    // One each two seconds.
    assert_eq!(cues.matches(" --> ").count(), 38, "{cues}");
    let calls = fs::read_to_string(&calls).unwrap();
    let of_many = |call: &&str| call.contains("select=key") && call.matches(" -i ").count() > 1;
    assert_eq!(calls.lines().filter(of_many).count(), 3, "{calls}");
    // What makes it play goes before.
    let thumbnails = calls.lines().position(|call| of_many(&call));
    let playable = calls.lines().position(|call| call.contains("libx264"));
    assert!(playable.is_some() && playable < thumbnails, "{calls}");
}

#[test]
fn a_list_of_other_files_is_no_clip() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let secret = at.path().join("secret.mp4");
    let input = ffmpeg::picture_and_sound("320x180", 25, 3);
    ffmpeg::make(&input, &["-c:v", "mpeg4"], &secret);
    let list = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\nfile://{}\n#EXT-X-ENDLIST\n",
        secret.display()
    );
    put(&clips.join("playlist.mp4"), list.as_bytes());
    let concat = format!("ffconcat version 1.0\nfile '{}'\n", secret.display());
    put(&clips.join("concat.avi"), concat.as_bytes());
    let out = at.path().join("out");
    build(&clips, &out).calm();
    for torrent in state(&out) {
        assert!(torrent.bytes() < 1000, "{torrent:?}");
    }
    let derived = out.join("derived");
    if derived.is_dir() {
        for file in files(&derived) {
            let media = [".mp4", ".m4a", ".jpg", ".webp"];
            assert!(!media.iter().any(|ending| file.ends_with(ending)), "{file}");
        }
    }
}
