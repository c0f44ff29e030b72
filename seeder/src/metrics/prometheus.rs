//! Prometheus' text form (exposition format 0.0.4): `# HELP`, `# TYPE`, then samples. Names are ours and fixed;
//! only label values can hold what a stranger wrote, and these are escaped here and bounded by whoever gives them.

use std::fmt::{Display, Write};

/// What the text is, for `Content-Type`.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The longest label value, in characters: a release's title can be anything.
const LABEL: usize = 120;

/// A text that grows family by family.
#[derive(Debug, Default)]
pub struct Text(String);

/// What a family's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
}

impl Text {
    /// Begins a family: `groundswell_<name>`, with `_total` behind it where it is a counter.
    pub fn family(&mut self, name: &str, help: &str, kind: Kind) -> Family<'_> {
        let (suffix, word) = match kind {
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
        };
        let name = format!("groundswell_{name}{suffix}");
        let help = help.trim().replace('\\', "\\\\").replace('\n', " ");
        // Writing to a text never fails.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {word}");
        Family { text: self, name }
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.0
    }
}

/// One family that takes its samples.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut Text,
    name: String,
}

impl Family<'_> {
    /// A sample with these labels.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let text = &mut self.text.0;
        text.push_str(&self.name);
        for (n, (key, value)) in labels.iter().enumerate() {
            text.push(if n == 0 { '{' } else { ',' });
            let _ = write!(text, "{key}=\"");
            escape(value, text);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
        self
    }
}

/// Writes a label value so that it can neither end early nor bring a line of its own.
fn escape(value: &str, text: &mut String) {
    for character in value.chars().take(LABEL) {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other if other.is_control() => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_what_it_likes_and_stays_one_label() {
        let mut text = Text::default();
        let title = "a\"} 1\nevil_total 2\\\u{7}";
        text.family("release_peers", "Peers\nnow.", Kind::Gauge)
            .sample(&[("id", "00"), ("title", title)], 3);
        text.family("blocks_sent", " Blocks sent.", Kind::Counter)
            .sample(&[], 4);
        let expected = "# HELP groundswell_release_peers Peers now.\n# TYPE groundswell_release_peers gauge\n\
            groundswell_release_peers{id=\"00\",title=\"a\\\"} 1\\nevil_total 2\\\\\u{fffd}\"} 3\n\
            # HELP groundswell_blocks_sent_total Blocks sent.\n# TYPE groundswell_blocks_sent_total counter\n\
            groundswell_blocks_sent_total 4\n";
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn a_label_has_an_end() {
        let mut text = Text::default();
        text.family("x", "X.", Kind::Gauge)
            .sample(&[("title", &"ü".repeat(10_000))], 1);
        assert!(text.finish().chars().count() < 300);
    }
}
