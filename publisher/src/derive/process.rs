//! A program run to its end: its output taken as it comes, its words heard, and its end at once when it is not
//! wanted any more, falls silent or says too much.

use super::Cancel;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// What a program may do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// It may be silent for this long.
    pub silence: Duration,
    /// Bytes on its standard output.
    pub output: u64,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it ended with.
    pub status: ExitStatus,
    /// Its last words.
    pub words: Vec<String>,
}

/// Why a program was not run to its end.
#[derive(Debug)]
pub(super) enum Cut {
    /// It was called off.
    Cancelled,
    /// It was silent for too long, or its output too long.
    Limit(&'static str),
    /// It can't be started, or what it says can't be kept.
    Io(io::Error),
}

enum Said {
    Output(Vec<u8>),
    Line(String),
}

/// Kills the child however this ends.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs it: standard output goes to `sink`, each line of standard error to `hear`, which says whether it has
/// dealt with it.
pub(super) fn run(
    command: &mut Command,
    sink: &mut dyn Write,
    hear: &mut dyn FnMut(&str) -> bool,
    limits: Limits,
    cancel: &Cancel,
) -> Result<Ended, Cut> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Cut::Io)?;
    let mut child = Guard(child);
    make_nice(&child.0);
    let pipe = || Cut::Io(io::ErrorKind::BrokenPipe.into());
    let stdout = child.0.stdout.take().ok_or_else(pipe)?;
    let stderr = child.0.stderr.take().ok_or_else(pipe)?;
    // A slow sink holds the program back instead of filling memory.
    let (say, said) = sync_channel(8);
    let out = say.clone();
    // They end when the pipes do; a grandchild that keeps one open must not keep us.
    std::thread::spawn(move || read_output(stdout, &out));
    std::thread::spawn(move || read_lines(stderr, &say));
    let mut words = VecDeque::new();
    let mut length = 0;
    let mut last = Instant::now();
    loop {
        if cancel.is_cancelled() {
            return Err(Cut::Cancelled);
        }
        match said.recv_timeout(Duration::from_millis(50)) {
            Ok(Said::Output(bytes)) => {
                length += bytes.len() as u64;
                if length > limits.output {
                    return Err(Cut::Limit("what it makes grows too large"));
                }
                sink.write_all(&bytes).map_err(Cut::Io)?;
                last = Instant::now();
            }
            Ok(Said::Line(line)) => {
                if !hear(&line) {
                    words.push_back(line);
                    if words.len() > 40 {
                        words.pop_front();
                    }
                }
                last = Instant::now();
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if last.elapsed() > limits.silence => {
                return Err(Cut::Limit("it does not go on"));
            }
            Err(RecvTimeoutError::Timeout) => {
                if child.0.try_wait().map_err(Cut::Io)?.is_some() && last.elapsed() > GRACE {
                    break;
                }
            }
        }
    }
    let status = child.0.wait().map_err(Cut::Io)?;
    Ok(Ended {
        status,
        words: words.into(),
    })
}

/// For what may still be in the pipes when a program has ended.
const GRACE: Duration = Duration::from_secs(2);

/// Publishing goes before. A system that refuses runs it as it is.
#[cfg(unix)]
fn make_nice(child: &Child) {
    use rustix::process::{Pid, setpriority_process};
    let _ = setpriority_process(Some(Pid::from_child(child)), 10);
}

#[cfg(not(unix))]
fn make_nice(_: &Child) {}

fn read_output(mut from: impl Read, say: &SyncSender<Said>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if say.send(Said::Output(buffer[..n].to_vec())).is_err() {
            return;
        }
    }
}

fn read_lines(mut from: impl Read, say: &SyncSender<Said>) {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        for byte in &buffer[..n] {
            if !matches!(byte, b'\n' | b'\r') {
                // What a line has beyond this is of no use to anybody.
                if line.len() < 1000 {
                    line.push(*byte);
                }
                continue;
            }
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            line.clear();
            if !text.is_empty() && say.send(Said::Line(text)).is_err() {
                return;
            }
        }
    }
    let text = String::from_utf8_lossy(&line).trim().to_owned();
    if !text.is_empty() {
        let _ = say.send(Said::Line(text));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        silence: Duration::from_secs(60),
        output: 1000,
    };

    fn shell(script: &str, cancel: &Cancel) -> (Vec<u8>, Result<Ended, Cut>) {
        let mut out = Vec::new();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let mut hear = |line: &str| line.starts_with("progress");
        let ended = run(&mut command, &mut out, &mut hear, LIMITS, cancel);
        (out, ended)
    }

    #[test]
    fn output_words_and_end_are_kept() {
        let script = "echo out; echo progress=1 >&2; printf 'one\\rtwo' >&2; exit 3";
        let (out, ended) = shell(script, &Cancel::default());
        let ended = ended.unwrap();
        assert_eq!(out, b"out\n");
        assert_eq!(ended.words, ["one", "two"]);
        assert_eq!(ended.status.code(), Some(3));
    }

    #[test]
    fn too_much_output_ends_it() {
        let (out, ended) = shell("exec yes", &Cancel::default());
        assert!(matches!(ended, Err(Cut::Limit(_))), "{ended:?}");
        assert!(out.len() <= 1000);
    }

    #[test]
    fn what_is_called_off_ends_at_once() {
        let cancel = Cancel::default();
        cancel.cancel();
        let (_, ended) = shell("exec tail -f /dev/null", &cancel);
        assert!(matches!(ended, Err(Cut::Cancelled)), "{ended:?}");
    }

    #[test]
    fn what_is_not_there_is_told() {
        let mut command = Command::new("/nowhere/ffmpeg");
        let ended = run(
            &mut command,
            &mut io::sink(),
            &mut |_| true,
            LIMITS,
            &Cancel::default(),
        );
        assert!(matches!(ended, Err(Cut::Io(_))));
    }
}
