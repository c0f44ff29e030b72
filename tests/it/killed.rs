//! A build killed at each step that changes the disk: strace sends SIGKILL as the n-th rename, link, removal or sync
//! begins, for every n there is. Whenever it dies, the site is whole, what was published is still served, and the next
//! build ends where an undisturbed one does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::folder::{contents, noise, put, temporary};
use tests::process::{Finished, run};
use tests::programs::{Tool, foreign, root};
use tests::published::{build, publisher, state};
use tests::site::{assert_links, assert_whole};

const STEPS: &str = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,syncfs,\
                     ftruncate,copy_file_range";

/// Something of every kind: a clip that is written anew, an album, a download, sidecars.
fn channel(at: &Path) -> PathBuf {
    let clips = at.join("clips");
    put(
        &clips.join("channel.toml"),
        b"title = \"Steps\"\ngrace = \"1h\"\n",
    );
    put(&clips.join("stays.bin"), &noise(1, 40_000));
    put(&clips.join("goes.bin"), &noise(2, 40_000));
    put(&clips.join("renamed.bin"), &noise(3, 40_000));
    put(&clips.join("changes.bin"), &noise(4, 40_000));
    clips
}

/// All that a build does: new, changed, renamed, removed, written anew.
fn change(clips: &Path) {
    let aside = clips.join(".aside");
    put(&aside, &noise(5, 60_000));
    fs::rename(&aside, clips.join("changes.bin")).unwrap();
    fs::rename(clips.join("renamed.bin"), clips.join("after.bin")).unwrap();
    fs::remove_file(clips.join("goes.bin")).unwrap();
    put(&clips.join("pack/one.bin"), &noise(6, 20_000));
    put(&clips.join("pack/two.bin"), &noise(7, 20_000));
    put(
        &clips.join("pack.md"),
        b"+++\ntitle = \"A pack\"\n+++\nWords.\n",
    );
    let poster = fs::read(root().join("examples/test-drive/test-drive.jpg")).unwrap();
    put(&clips.join("pack.jpg"), &poster);
}

/// `publisher build` under strace; dies as step `n` begins, where there is one.
fn build_until(clips: &Path, out: &Path, step: &str, n: usize) -> Finished {
    let command = build_command(clips, out);
    let mut traced = Command::new(foreign("strace", Tool::Strace));
    traced
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={step}"))
        .arg("-e")
        .arg(format!("inject={step}:signal=SIGKILL:when={n}"))
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    run(&mut traced)
}

fn build_command(clips: &Path, out: &Path) -> Command {
    let mut command = publisher(["build"]);
    command
        .arg(clips)
        .arg("--out")
        .arg(out)
        .env("GROUNDSWELL_FFMPEG", "");
    command
}

/// How often one undisturbed build takes each step.
fn steps(clips: &Path, out: &Path, scratch: &Path) -> Vec<(String, usize)> {
    let log = scratch.join("strace.log");
    let command = build_command(clips, out);
    let mut traced = Command::new(foreign("strace", Tool::Strace));
    traced
        .args(["-f", "-qq", "-e"])
        .arg(format!("trace={STEPS}"))
        .arg("-o")
        .arg(&log)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            traced.env(name, value);
        }
    }
    run(&mut traced).success();
    let text = fs::read_to_string(&log).unwrap();
    let mut counts = std::collections::BTreeMap::new();
    for line in text.lines() {
        // `1234  renameat(…) = 0`
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(') {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts.into_iter().collect()
}

fn visible(out: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = contents(out).into_iter().collect();
    all.retain(|(path, _)| path.starts_with("site/") || path.starts_with("library/"));
    all.retain(|(path, _)| !path.ends_with(".minisig"));
    all
}

/// Every torrent that the state tells the seeder to seed is there with its payload.
#[track_caller]
fn assert_seedable(out: &Path) {
    for torrent in state(out) {
        let name = torrent.payload();
        let file = torrent.torrent_file();
        assert_eq!(file.v1(), torrent.id);
        assert!(name.exists(), "{} has no payload", torrent.slug);
        run(publisher(["verify"]).arg(&torrent.torrent).arg(&name)).success();
    }
}

#[test]
fn killed_at_every_step_nothing_published_is_lost() {
    if Tool::Strace.skipped() {
        return;
    }
    let at = temporary();
    let clips = channel(at.path());
    let first = at.path().join("first");
    build(&clips, &first).success();
    let published: Vec<_> = state(&first).into_iter().map(|t| t.id).collect();
    change(&clips);

    let copy = |name: &str| {
        let to = at.path().join(name);
        // Hard links and times are kept: a copy would be changed files to the publisher.
        run(Command::new("cp").arg("-a").arg(&first).arg(&to)).success();
        // The library's files are other inodes now; as after a move, one build takes them up again.
        to
    };
    let reference = copy("reference");
    let counted = steps(&clips, &reference, at.path());
    let total: usize = counted.iter().map(|(_, count)| count).sum();
    assert!(total > 20, "a build takes steps: {counted:?}");
    let reference = visible(&reference);

    let mut killed = 0;
    for (step, count) in &counted {
        // All of the rarer steps; of the frequent ones every so many, the first and the last among them.
        let stride = count.div_ceil(12).max(1);
        for n in (1..=*count).filter(|n| n % stride == 1 % stride || n == count) {
            let out = copy("out");
            let ended = build_until(&clips, &out, step, n);
            killed += usize::from(ended.code == 137);
            assert_links(&out);
            assert_seedable(&out);
            let now: Vec<_> = state(&out).into_iter().map(|t| t.id).collect();
            for id in &published {
                assert!(now.contains(id), "{id} is lost after {step} {n}: {now:?}");
            }
            run(&mut build_command(&clips, &out)).success();
            assert_whole(&out);
            let after = visible(&out);
            let names = |all: &[(String, Vec<u8>)]| {
                all.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>()
            };
            assert_eq!(names(&after), names(&reference), "after {step} {n}");
            for ((path, a), (_, b)) in after.iter().zip(&reference) {
                assert!(a == b, "{path} differs after {step} {n}");
            }
            fs::remove_dir_all(&out).unwrap();
        }
    }
    assert!(
        killed * 2 > counted.len(),
        "only {killed} builds were killed: {counted:?}"
    );
}
