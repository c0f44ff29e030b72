//! What people and machines are told while the publisher works: words and bars on standard error, or
//! one JSON object a line on standard output.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};

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
}

/// A pass that is shown.
pub struct Shown(Option<ProgressBar>);

impl Shown {
    /// Moves the bar.
    pub fn at(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Reporter {
    /// A reporter of this mode.
    pub fn new(mode: Mode) -> Self {
        Self { mode }
    }

    /// How it talks.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Shows a pass over this many bytes; a bar appears only on a terminal.
    pub fn hashing(&self, name: &str, bytes: u64) -> Shown {
        self.event(|| json!({"event": "hashing", "name": name, "bytes": bytes}));
        if self.mode != Mode::Human || !std::io::stderr().is_terminal() {
            return Shown(None);
        }
        let bar = ProgressBar::new(bytes);
        let template =
            "  hashing {msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        Shown(Some(bar))
    }

    /// Something worth a line to people.
    pub fn line(&self, text: &str) {
        if self.mode == Mode::Human {
            // A closed standard error is no reason to stop publishing.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Something that is left out, or stops one release: always told.
    pub fn problem(&self, kind: &str, source: &str, message: &str) {
        self.event(|| json!({"event": kind, "source": source, "message": message}));
        let _ = writeln!(std::io::stderr(), "{kind}: {}", one_line(message));
    }

    /// One JSON object, for machines.
    pub fn event(&self, event: impl FnOnce() -> Value) {
        if self.mode == Mode::Json {
            let mut out = std::io::stdout().lock();
            let _ = writeln!(out, "{}", event());
            let _ = out.flush();
        }
    }

    /// What a command was asked for: text on standard output, or JSON.
    pub fn result(&self, text: &str, event: impl FnOnce() -> Value) {
        if self.mode == Mode::Json {
            self.event(event);
        } else {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
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
