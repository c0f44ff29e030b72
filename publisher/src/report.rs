//! What people and machines are told while the publisher works: words and bars on standard error, or
//! one JSON object a line on standard output. docs/events.md names every event.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

/// The version of the events. Members and events may be added within one.
pub const EVENTS_VERSION: u32 = 1;

/// How often machines hear how far a pass is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// All bars of this process: there is one standard error, and two passes at once share it.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// How to talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Words on standard error.
    Human,
    /// One JSON object a line on standard output, problems in words on standard error.
    Json,
    /// Problems only.
    Quiet,
}

/// Tells what happens.
#[derive(Debug, Clone, Copy)]
pub struct Reporter {
    mode: Mode,
    verbose: bool,
}

/// A pass that is shown; it ends when this is dropped.
pub struct Shown(How);

enum How {
    Nothing,
    Bar(ProgressBar),
    Events {
        kind: &'static str,
        name: String,
        total: u64,
        last: Mutex<Instant>,
    },
}

impl Shown {
    /// Tells how far it is.
    pub fn at(&self, done: u64) {
        match &self.0 {
            How::Nothing => {}
            How::Bar(bar) => bar.set_position(done),
            How::Events {
                kind,
                name,
                total,
                last,
            } => {
                // A thread that panicked while it told something has told it.
                let mut last = last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                if last.elapsed() >= PROGRESS_EVERY {
                    *last = Instant::now();
                    print_line(
                        &json!({"event": "progress", "of": kind, "name": name, "done": done, "total": total}),
                    );
                }
            }
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let How::Bar(bar) = &self.0 {
            bar.finish_and_clear();
            BARS.remove(bar);
        }
    }
}

impl Reporter {
    /// A reporter of this mode.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            verbose: false,
        }
    }

    /// The same, which also gives reasons.
    pub fn verbose(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// How it talks.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Shows a pass over this many bytes (`preparing`, `hashing`), or milliseconds of the clip
    /// (`encoding`): a bar on a terminal, events for machines.
    pub fn progress(&self, kind: &'static str, name: &str, total: u64) -> Shown {
        let name = one_line(name);
        match self.mode {
            Mode::Json => {
                print_line(&json!({"event": kind, "name": name, "total": total}));
                Shown(How::Events {
                    kind,
                    name,
                    total,
                    last: Mutex::new(Instant::now()),
                })
            }
            Mode::Human if std::io::stderr().is_terminal() => {
                let bar = BARS.add(ProgressBar::new(total));
                bar.set_style(style(kind));
                bar.set_prefix(kind);
                bar.set_message(name);
                Shown(How::Bar(bar))
            }
            Mode::Human | Mode::Quiet => Shown(How::Nothing),
        }
    }

    /// Shows a pass over this many bytes.
    pub fn hashing(&self, name: &str, bytes: u64) -> Shown {
        self.progress("hashing", name, bytes)
    }

    /// Something worth a line to people.
    pub fn line(&self, text: &str) {
        if self.mode == Mode::Human {
            print_words(text);
        }
    }

    /// Why something was done: a line for those who asked for more, an event for machines.
    pub fn reason(&self, source: &str, reason: &str) {
        self.event(|| json!({"event": "reason", "source": source, "reason": reason}));
        if self.verbose {
            self.line(&format!("  {}: {}", one_line(source), one_line(reason)));
        }
    }

    /// Something that is left out, or stops one release: always told.
    pub fn problem(&self, kind: &str, source: &str, message: &str) {
        self.event(|| json!({"event": kind, "source": source, "message": message}));
        print_words(&format!("{kind}: {}", one_line(message)));
    }

    /// The first line for machines: which events follow.
    pub fn start(&self, command: &str) {
        self.event(|| {
            json!({"event": "start", "version": EVENTS_VERSION, "command": command,
                   "program": concat!("Groundswell/", env!("CARGO_PKG_VERSION"))})
        });
    }

    /// One JSON object, for machines.
    pub fn event(&self, event: impl FnOnce() -> Value) {
        if self.mode == Mode::Json {
            print_line(&event());
        }
    }

    /// What a command was asked for: text on standard output, or JSON.
    pub fn result(&self, text: &str, event: impl FnOnce() -> Value) {
        if self.mode == Mode::Json {
            self.event(event);
        } else {
            // Whoever reads it may have gone: that is no reason to fail.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}

fn style(kind: &str) -> ProgressStyle {
    // At 80 columns this leaves some 25 for the name.
    let template = if kind == "encoding" {
        "  {prefix:9} {wide_msg} {bar:12} {percent:>3}% {eta:>4} left"
    } else {
        "  {prefix:9} {wide_msg} {bar:12} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4} left"
    };
    ProgressStyle::with_template(template)
        .expect("the template is fixed")
        .progress_chars("=> ")
}

/// One line on standard output, at once.
fn print_line(event: &Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{event}");
    let _ = out.flush();
}

/// Words on standard error; bars step aside.
fn print_words(text: &str) {
    // A closed standard error is no reason to stop publishing.
    BARS.suspend(|| {
        let _ = writeln!(std::io::stderr(), "{text}");
    });
}

/// Standard error for a log: bars step aside for its lines as well.
pub struct BesideBars;

impl Write for BesideBars {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        BARS.suspend(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// File names may hold anything: what is printed stays on its line, moves no cursor and turns no text
/// around.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || metainfo::name::is_bidi_control(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_style_can_be_read() {
        for kind in ["hashing", "preparing", "encoding"] {
            let _ = style(kind);
        }
    }

    #[test]
    fn a_name_stays_on_its_line() {
        assert_eq!(
            one_line("a\nb\u{1b}[2J\u{202e}c"),
            "a\u{fffd}b\u{fffd}[2J\u{fffd}c"
        );
    }
}
