//! What was found, told as it is found.

use crate::report::{Mode, Reporter, one_line};
use serde_json::json;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// Works, but could be better.
    Warn,
    /// Does not work for somebody.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// All findings of one check.
#[derive(Default)]
pub(super) struct Findings {
    /// None tells nobody.
    reporter: Option<Reporter>,
    told: Vec<(Level, String)>,
}

impl Findings {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self {
            reporter: Some(reporter),
            told: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, subject: &str, text: &str) {
        self.tell_one(Level::Ok, subject, text, "");
    }

    pub(super) fn warn(&mut self, subject: &str, text: &str, remedy: &str) {
        self.tell_one(Level::Warn, subject, text, remedy);
    }

    pub(super) fn fail(&mut self, subject: &str, text: &str, remedy: &str) {
        self.tell_one(Level::Fail, subject, text, remedy);
    }

    fn tell_one(&mut self, level: Level, subject: &str, text: &str, remedy: &str) {
        let text = one_line(text);
        let line = if remedy.is_empty() {
            format!("{:<5} {subject:<10} {text}", level.word())
        } else {
            format!("{:<5} {subject:<10} {text}; {remedy}", level.word())
        };
        let listener = self
            .reporter
            .filter(|reporter| reporter.mode() != Mode::Quiet || level != Level::Ok);
        if let Some(reporter) = listener {
            reporter.result(&line, || {
                json!({"event": "finding", "level": level.word(), "subject": subject, "text": text, "remedy": remedy})
            });
        }
        self.told.push((level, line));
    }

    fn count(&self, level: Level) -> usize {
        self.told.iter().filter(|(told, _)| *told == level).count()
    }

    /// Tells the sum; gives whether nothing failed.
    pub(super) fn tell(&self) -> bool {
        let [ok, warn, fail] = [Level::Ok, Level::Warn, Level::Fail].map(|level| self.count(level));
        if let Some(reporter) = self.reporter {
            reporter.line(&format!(
                "{ok} in order, {warn} to look at, {fail} to repair"
            ));
            reporter.event(|| json!({"event": "done", "ok": ok, "warn": warn, "fail": fail}));
        }
        fail == 0
    }

    /// Every line told so far.
    #[cfg(test)]
    pub(super) fn lines(&self) -> Vec<&str> {
        self.told.iter().map(|(_, line)| line.as_str()).collect()
    }
}
