//! Clips as people have them: every container and codec that ffmpeg makes here is published so that it plays, without
//! loss where that suffices, encoded anew where it must be, and else as a download that says why.

use std::fs;
use std::path::{Path, PathBuf};
use tests::clients::{chromium, ffmpeg};
use tests::folder::{put, temporary};
use tests::process::{Finished, run};
use tests::programs::Tool;
use tests::published::{Published, Server, build, publisher, state};
use tests::site::assert_whole;

fn channel(at: &Path) -> PathBuf {
    let clips = at.join("clips");
    put(&clips.join("channel.toml"), b"title = \"Forms\"\n");
    clips
}

/// Makes `clips/<name>` out of a moving picture with sound.
#[track_caller]
fn clip(clips: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let path = clips.join(name);
    let input = ffmpeg::picture_and_sound("320x180", 25, 6);
    ffmpeg::make(&input, arguments, &path);
    path
}

const H264: [&str; 8] = [
    "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac",
];

/// Builds without ffmpeg: what comes out is our own work.
#[track_caller]
fn build_alone(clips: &Path, out: &Path) -> Finished {
    run(publisher(["build"])
        .arg(clips)
        .arg("--out")
        .arg(out)
        .env("GROUNDSWELL_FFMPEG", ""))
}

#[track_caller]
fn only(out: &Path) -> Published {
    let mut torrents = state(out);
    assert_eq!(torrents.len(), 1, "{torrents:?}");
    torrents.remove(0)
}

/// Opens every page in Chromium: each must play, go on, seek and go on, with growing pictures and sound.
#[track_caller]
fn assert_all_play(out: &Path, releases: usize) {
    if Tool::Chromium.skipped() {
        return;
    }
    let server = Server::serve(out);
    let seen = chromium::script("site.mjs", &[&server.http]);
    let visit = &seen["with_scripts"];
    assert_eq!(visit["problems"], serde_json::json!([]));
    let pages = visit["releases"].as_array().unwrap();
    assert_eq!(pages.len(), releases, "{visit}");
    for page in pages {
        let played = &page["played"];
        assert!(!played.is_null(), "nothing plays on {page}");
        assert!(played["audio_bytes"].as_u64().unwrap() > 0, "{page}");
        if played["element"] == "video" {
            assert!(played["frames"].as_u64().unwrap() > 10, "{page}");
            assert!(played["width"].as_u64().unwrap() > 0, "{page}");
        }
    }
}

/// The same packets, byte for byte, key frame for key frame, and at the same times up to `tolerance` seconds and one
/// common shift.
#[track_caller]
fn assert_same_packets(source: &Path, result: &Path, tolerance: f64) {
    let (before, after) = (ffmpeg::packets(source), ffmpeg::packets(result));
    assert_eq!(before.len(), after.len(), "{}", result.display());
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(
            (b.size, &b.hash),
            (a.size, &a.hash),
            "bytes differ at {b:?} {a:?}"
        );
    }
    assert_same_times(source, result, tolerance);
}

/// As many packets, of the same kinds and flags, at the same times up to `tolerance` seconds and one common shift.
#[track_caller]
fn assert_same_times(source: &Path, result: &Path, tolerance: f64) {
    let (before, after) = (ffmpeg::packets(source), ffmpeg::packets(result));
    assert_eq!(before.len(), after.len(), "{}", result.display());
    let shift = before
        .iter()
        .zip(&after)
        .find(|(b, _)| b.kind == "video" || before[0].kind == "audio")
        .map_or(0.0, |(b, a)| b.pts - a.pts);
    for (b, a) in before.iter().zip(&after) {
        assert_eq!(b.kind, a.kind);
        assert_eq!(b.flags, a.flags, "{b:?} {a:?}");
        assert!(
            (b.pts - a.pts - shift).abs() <= tolerance,
            "shown at another time (shift {shift}): {b:?} {a:?}"
        );
    }
}

/// Where the index of an MP4 file lies: before or behind its samples.
#[track_caller]
fn index_is_in_front(path: &Path) -> bool {
    let bytes = fs::read(path).unwrap();
    let find = |name: &[u8]| bytes.windows(4).position(|window| window == name);
    find(b"moov").expect("an index") < find(b"mdat").expect("samples")
}

#[test]
fn an_index_at_the_end_moves_to_the_front_and_nothing_else_changes() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let mut arguments = H264.to_vec();
    arguments.extend(["-bf", "3", "-metadata", "title=The whole name"]);
    let source = clip(&clips, "late.mp4", &arguments);
    assert!(!index_is_in_front(&source), "ffmpeg puts it last");
    let before = fs::read(&source).unwrap();
    let out = at.path().join("out");
    build_alone(&clips, &out).success();
    let result = only(&out).payload();
    assert!(index_is_in_front(&result));
    assert!(
        fs::read(&source).unwrap() == before,
        "the clip is untouched"
    );
    assert_same_packets(&source, &result, 0.0);
    // Decoding times and edit lists too: nothing but the file positions may differ.
    let (b, a) = (ffmpeg::packets(&source), ffmpeg::packets(&result));
    assert_eq!(b, a);
    let format = |path: &Path| {
        let mut answer = ffmpeg::probe(path, &["-show_format", "-show_streams"]);
        answer["format"]["filename"].take();
        answer
    };
    assert_eq!(format(&source), format(&result));
    assert_whole(&out);
    assert_all_play(&out, 1);
}

#[test]
fn what_is_packed_wrongly_is_packed_anew_without_loss() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let mut with_b = H264.to_vec();
    with_b.extend(["-bf", "3", "-g", "25"]);
    let sources = [
        clip(&clips, "quick.mov", &with_b),
        clip(&clips, "matroska.mkv", &with_b),
        clip(&clips, "transport.ts", &with_b),
        clip(
            &clips,
            "open.mkv",
            &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-c:a",
                "libopus",
            ],
        ),
    ];
    let out = at.path().join("out");
    build_alone(&clips, &out).success();
    let torrents = state(&out);
    assert_eq!(torrents.len(), sources.len(), "{torrents:?}");
    for source in &sources {
        let stem = source.file_stem().unwrap().to_string_lossy().into_owned();
        let ending = if stem == "open" { "webm" } else { "mp4" };
        let name = format!("{stem}.{ending}");
        let torrent = torrents
            .iter()
            .find(|t| t.files == [name.clone()])
            .unwrap_or_else(|| panic!("no torrent of {name}: {torrents:?}"));
        // Matroska counts in milliseconds.
        let tolerance = if ending == "mp4" && stem == "matroska" {
            0.0011
        } else {
            0.0001
        };
        if stem == "transport" {
            // Start codes and ADTS headers are the transport's: what is decoded, and when it is shown, is the same.
            assert_same_times(source, &torrent.payload(), tolerance);
            assert!(ffmpeg::decoded(source) == ffmpeg::decoded(&torrent.payload()));
        } else {
            assert_same_packets(source, &torrent.payload(), tolerance);
        }
    }
    assert_all_play(&out, sources.len());
}

#[test]
fn the_safe_set_is_published_as_it_is() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let mut front = H264.to_vec();
    front.extend(["-movflags", "+faststart"]);
    let mut fragments = H264.to_vec();
    fragments.extend(["-movflags", "frag_keyframe+empty_moov+default_base_moof"]);
    let sources = [
        clip(&clips, "front.mp4", &front),
        clip(&clips, "fragments.mp4", &fragments),
        clip(
            &clips,
            "eight.webm",
            &[
                "-c:v",
                "libvpx",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-c:a",
                "libvorbis",
            ],
        ),
        clip(
            &clips,
            "one.webm",
            &["-c:v", "libsvtav1", "-preset", "12", "-c:a", "libopus"],
        ),
        clip(&clips, "layer.mp3", &["-vn", "-c:a", "libmp3lame"]),
        clip(&clips, "free.flac", &["-vn", "-c:a", "flac"]),
        clip(&clips, "opus.ogg", &["-vn", "-c:a", "libopus"]),
        clip(
            &clips,
            "sound.m4a",
            &["-vn", "-c:a", "aac", "-movflags", "+faststart"],
        ),
    ];
    let out = at.path().join("out");
    build_alone(&clips, &out).success();
    let torrents = state(&out);
    assert_eq!(torrents.len(), sources.len(), "{torrents:?}");
    for torrent in &torrents {
        let name = torrent.payload();
        let name = name.file_name().unwrap();
        let source = fs::read(clips.join(name)).unwrap();
        assert!(fs::read(torrent.payload()).unwrap() == source, "{name:?}");
    }
    assert_all_play(&out, sources.len());
}

/// Clips whose picture or sound browsers show in part or not at all.
fn unsafe_clips(clips: &Path) -> Vec<PathBuf> {
    vec![
        clip(
            clips,
            "hevc.mp4",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=error",
                "-pix_fmt",
                "yuv420p",
                "-tag:v",
                "hvc1",
                "-c:a",
                "aac",
                "-movflags",
                "+faststart",
            ],
        ),
        clip(
            clips,
            "prores.mov",
            &["-c:v", "prores_ks", "-c:a", "pcm_s16le"],
        ),
        clip(
            clips,
            "wide-colour.mp4",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv422p",
                "-c:a",
                "aac",
                "-movflags",
                "+faststart",
            ],
        ),
        clip(
            clips,
            "ten-bit.mp4",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv420p10le",
                "-c:a",
                "aac",
                "-movflags",
                "+faststart",
            ],
        ),
        clip(
            clips,
            "cinema-sound.mp4",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-pix_fmt",
                "yuv420p",
                "-c:a",
                "ac3",
                "-movflags",
                "+faststart",
            ],
        ),
        clip(clips, "old.avi", &["-c:v", "mpeg4", "-c:a", "libmp3lame"]),
    ]
}

#[test]
fn what_browsers_can_not_show_is_a_download_that_says_why() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let sources = unsafe_clips(&clips);
    let out = at.path().join("out");
    build_alone(&clips, &out).success().calm();
    assert_eq!(state(&out).len(), sources.len());
    for (slug, words) in [
        ("hevc", "HEVC"),
        ("prores", "ProRes"),
        ("wide-colour", "4:2:2"),
        ("ten-bit", "10"),
        ("cinema-sound", "AC-3"),
        ("old", "MPEG-4"),
    ] {
        let page = fs::read_to_string(out.join(format!("site/r/{slug}/index.html"))).unwrap();
        assert!(
            !page.contains("<video") && !page.contains("<audio"),
            "{slug} has a player"
        );
        assert!(page.contains(words), "{slug} does not say {words}: {page}");
    }
    assert_whole(&out);
}

#[test]
fn what_browsers_can_not_show_is_encoded_anew_where_ffmpeg_is() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let sources = unsafe_clips(&clips);
    let out = at.path().join("out");
    build(&clips, &out).success().calm();
    // The clip itself stays to be had beside what plays.
    let torrents = state(&out);
    for source in &sources {
        let bytes = fs::read(source).unwrap();
        assert!(
            torrents
                .iter()
                .any(|t| fs::read(t.payload()).unwrap() == bytes),
            "{} is not among {torrents:?}",
            source.display()
        );
    }
    assert!(torrents.len() >= 2 * sources.len(), "{torrents:?}");
    assert_whole(&out);
    assert_all_play(&out, sources.len());
}

#[test]
fn renditions_are_torrents_of_their_own_and_the_page_offers_them() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    put(
        &clips.join("channel.toml"),
        b"title = \"Sizes\"\nrenditions = [\"720p\", \"180p\"]\n",
    );
    let path = clips.join("drive.mp4");
    let input = ffmpeg::picture_and_sound("640x360", 25, 6);
    ffmpeg::make(&input, &H264, &path);
    let out = at.path().join("out");
    build(&clips, &out).success().calm();
    let torrents = state(&out);
    // 720p would be larger than the clip.
    assert_eq!(torrents.len(), 2, "{torrents:?}");
    let small = torrents
        .iter()
        .find(|t| t.files[0].contains("180p"))
        .unwrap_or_else(|| panic!("{torrents:?}"));
    let streams = ffmpeg::probe(&small.payload(), &["-show_streams"]);
    let picture = &streams["streams"][0];
    assert_eq!(picture["height"], 180, "{streams}");
    assert_eq!(picture["width"], 320, "{streams}");
    assert_eq!(picture["pix_fmt"], "yuv420p", "{streams}");
    assert!(index_is_in_front(&small.payload()));
    let page = fs::read_to_string(out.join("site/r/drive/index.html")).unwrap();
    for torrent in &torrents {
        assert!(page.contains(&torrent.id), "{}: {page}", torrent.id);
    }
    let catalog = fs::read_to_string(out.join("site/catalog.json")).unwrap();
    let catalog: serde_json::Value = serde_json::from_str(&catalog).unwrap();
    let renditions = catalog["releases"][0]["renditions"].as_array().unwrap();
    let names: Vec<_> = renditions
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["source", "180p"]);
    // A second build makes nothing anew.
    let before = tests::folder::stats(&out);
    build(&clips, &out).success();
    let mut after = tests::folder::stats(&out);
    after.retain(|path, stat| before.get(path) != Some(stat) && path != ".lock");
    assert!(after.is_empty(), "{after:?}");
}

/// The picture of a page, as its file below `site/`.
fn poster(out: &Path, slug: &str) -> Option<Vec<u8>> {
    let folder = out.join("site/r").join(slug);
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jpg"))
        .collect();
    names.sort();
    names.first().map(|path| fs::read(path).unwrap())
}

#[test]
fn a_clip_without_a_poster_shows_a_frame_of_itself() {
    if Tool::Ffmpeg.skipped() {
        return;
    }
    for alone in [true, false] {
        let at = temporary();
        let clips = channel(at.path());
        clip(&clips, "scene.mp4", &H264);
        let out = at.path().join("out");
        let built = if alone {
            build_alone(&clips, &out)
        } else {
            build(&clips, &out)
        };
        built.success().calm();
        let picture = poster(&out, "scene").expect("a poster");
        let path = at.path().join("poster.jpg");
        fs::write(&path, picture).unwrap();
        let size = ffmpeg::probe(&path, &["-show_streams"]);
        let (width, height) = (&size["streams"][0]["width"], &size["streams"][0]["height"]);
        assert_eq!(
            width.as_u64().unwrap() * 9,
            height.as_u64().unwrap() * 16,
            "{size}"
        );
        // The test picture is full of colour; a placeholder or a decoder gone wrong is not.
        let levels = run(std::process::Command::new("ffmpeg")
            .args(["-nostdin", "-hide_banner", "-i"])
            .arg(&path)
            .args([
                "-vf",
                "signalstats,metadata=print:file=-",
                "-f",
                "null",
                "-",
            ]))
        .success()
        .stdout;
        let level = |name: &str| -> f64 {
            let line = levels
                .lines()
                .find_map(|line| line.split_once(&format!("signalstats.{name}=")))
                .unwrap_or_else(|| panic!("{name} in {levels}"));
            line.1.parse().unwrap()
        };
        assert!(level("YMAX") - level("YMIN") > 150.0, "{levels}");
        assert!(level("SATMAX") > 60.0, "{levels}");
    }
}
