//! What is made behind publication, with the real ffmpeg: an encoding that was killed goes on, and nothing that a
//! clip says leads ffmpeg to other files.

use std::fs;
use std::path::{Path, PathBuf};
use tests::clients::ffmpeg;
use tests::folder::{files, put, temporary};
use tests::process::Running;
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

#[test]
fn an_encoding_that_was_killed_goes_on_and_loses_no_frame() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let source = clips.join("long.mov");
    // Many parts of little work each: the encoder is nice, and a busy machine leaves it next to nothing.
    let input = ffmpeg::picture_and_sound("96x54", 10, 150);
    ffmpeg::make(
        &input,
        &["-c:v", "mpeg4", "-q:v", "6", "-c:a", "aac"],
        &source,
    );
    let out = at.path().join("out");
    let mut building = Running::start(publisher(["build"]).arg(&clips).arg("--out").arg(&out));
    // A finished part is what there is to go on from.
    until("a finished part", || {
        let parts = fs::read_dir(out.join("derived"))
            .into_iter()
            .flatten()
            .flatten()
            .flat_map(|job| {
                fs::read_dir(job.path().join("parts"))
                    .into_iter()
                    .flatten()
                    .flatten()
            })
            .filter(|part| part.path().extension().is_some_and(|ending| ending == "ts"))
            .count();
        if !building.is_running() {
            panic!("it ended before it could be killed: {building}");
        }
        (parts > 0)
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
    build(&clips, &out).success().calm();
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
