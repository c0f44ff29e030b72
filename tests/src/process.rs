//! Child processes: started with both outputs captured, killed and reaped on drop. A program that ends by
//! itself is [`run`]; a daemon is [`Running`], which waits for the ready line on its standard output.

use crate::wait::PATIENCE;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What a program that ended left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it was started, for failure messages.
    pub command: String,
    /// Exit code; 128 + n for signal n, as a shell says it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Panics with all it said unless it ended with 0.
    #[track_caller]
    pub fn success(self) -> Self {
        assert!(self.code == 0, "expected success of {self}");
        self
    }

    /// Panics unless it failed as a program of ours should: exit code 1, no panic, and one of the
    /// lines on standard error holds all of `words`.
    #[track_caller]
    pub fn fails_naming(self, words: &[&str]) -> Self {
        assert!(self.code == 1, "expected exit code 1 of {self}");
        self.calm();
        assert!(
            self.stderr
                .lines()
                .any(|line| words.iter().all(|word| line.contains(word))),
            "expected one line with all of {words:?} from {self}"
        );
        self
    }

    /// Panics if the program did, or if it let control characters or bidi overrides through to the terminal.
    #[track_caller]
    pub fn calm(&self) {
        assert!(
            !self.stderr.contains("panicked"),
            "a panic reached the user: {self}"
        );
        assert!(
            self.code < 128,
            "a program of ours never dies by a signal: {self}"
        );
        let bad = |c: char| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(
            !self.stderr.contains(bad) && !self.stdout.contains(bad),
            "control or bidi characters reach the terminal: {self}\n{:?}",
            self.stderr
        );
    }

    /// The lines of standard output that are JSON.
    pub fn json(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}`, which ended with {}\n--- stdout\n{}--- stderr\n{}---",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}

/// The lines of a text that are JSON.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Runs a program to its end and captures everything.
#[track_caller]
pub fn run(command: &mut Command) -> Finished {
    let text = describe(command);
    let mut running = Running::start(command);
    let status = running.wait_for_end();
    Finished {
        command: text,
        code: code_of(status),
        stdout: running.stdout(),
        stderr: running.stderr(),
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

/// A child process that is killed and reaped when the value goes.
pub struct Running {
    text: String,
    child: Child,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    lines: Receiver<String>,
    drained: Receiver<()>,
    end: Instant,
}

impl Running {
    /// Starts it with no standard input.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let text = describe(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("start `{text}`: {e}"));
        let stdout = Arc::new(Mutex::new(String::new()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let (line_in, lines) = channel();
        let (drained_in, drained) = channel();
        {
            let (into, done) = (Arc::clone(&stdout), drained_in.clone());
            let pipe = child.stdout.take().expect("stdout was piped");
            std::thread::spawn(move || {
                read_lines(pipe, |line| {
                    into.lock().expect("no reader panics").push_str(line);
                    // Nobody waits for lines any more: they are kept in the text all the same.
                    let _ = line_in.send(line.trim_end().to_owned());
                });
                let _ = done.send(());
            });
        }
        {
            let into = Arc::clone(&stderr);
            let pipe = child.stderr.take().expect("stderr was piped");
            std::thread::spawn(move || {
                read_lines(pipe, |line| {
                    into.lock().expect("no reader panics").push_str(line);
                });
                let _ = drained_in.send(());
            });
        }
        Running {
            text,
            child,
            stdout,
            stderr,
            lines,
            drained,
            end: Instant::now() + PATIENCE,
        }
    }

    /// Waits for a JSON line of standard output with `"event": <event>`.
    #[track_caller]
    pub fn wait_event(&mut self, event: &str) -> Value {
        loop {
            let left = self.end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Ok(value) = serde_json::from_str::<Value>(&line)
                        && value["event"] == event
                    {
                        return value;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no `{event}` line in time from {self}"),
                Err(RecvTimeoutError::Disconnected) => {
                    let code = code_of(self.wait_for_end());
                    panic!("ended with {code} before its `{event}` line: {self}")
                }
            }
        }
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < end, "doesn't end: {self}");
            // Ends by itself soon; there is no portable wait with a deadline.
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        // A grandchild may still hold the pipes; what it says isn't waited for long.
        for _ in 0..2 {
            let _ = self.drained.recv_timeout(std::time::Duration::from_secs(2));
        }
        status
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `INT`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(
            status.is_ok_and(|s| s.success()),
            "send SIG{name} to {self}"
        );
    }

    /// Sends a signal; that it is gone already is as good.
    pub fn signal_if_running(&mut self, name: &str) {
        if self.is_running() {
            let id = self.child.id().to_string();
            // Between the look and the signal it may end; its id isn't reused before it is reaped.
            let _ = Command::new("kill").args(["-s", name, &id]).status();
        }
    }

    /// Sends a signal and waits for the end; gives the exit code.
    #[track_caller]
    pub fn stop(mut self, signal: &str) -> i32 {
        self.signal(signal);
        code_of(self.wait_for_end())
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no reader panics").clone()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no reader panics").clone()
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "`{}`\n--- stdout\n{}--- stderr\n{}---",
            self.text,
            self.stdout(),
            self.stderr()
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{self}");
        }
    }
}

fn read_lines(pipe: impl Read, mut each: impl FnMut(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        each(&String::from_utf8_lossy(&line));
        line.clear();
    }
}
