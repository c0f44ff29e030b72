//! Drawn pictures for what comes without one: a poster for a release, an icon for the channel.
//!
//! A few swells in shades of the channel's accent, their run fixed by the title, so that two releases
//! don't look alike and the same release looks the same at every build. SVG without scripts, styles or
//! references: safe as an `<img>` and when opened by itself.

use std::fmt::Write as _;

use super::colour::{Oklch, Rgb, accent_or_default};
use super::escape::{clean, escaped};
use super::markdown::shortened;

/// A drawn picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    /// The SVG document.
    pub svg: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// A poster for a release: square for an album, with its title as a cover has it; 16:9 for anything else,
/// without words, since the title stands beside it wherever it is shown. `accent` is `#rrggbb`.
pub fn poster(title: &str, kind: &str, accent: &str) -> Placeholder {
    let is_album = kind == "album";
    let (width, height) = if is_album { (1200, 1200) } else { (1280, 720) };
    let (w, h) = (f64::from(width), f64::from(height));
    let accent = accent_or_default(accent).oklch();
    let mut random = Sequence::of(title);
    // Near the accent, yet each title a little apart from the next.
    let hue = accent.h + (random.next() - 0.5) * 0.7;
    // Dark enough at the bottom for white words, whatever the accent.
    let shade = |l: f64| {
        Oklch {
            l,
            c: accent.c.min(0.12),
            h: hue,
        }
        .rgb()
        .css()
    };

    let mut svg = String::with_capacity(4096);
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\
         <defs><linearGradient id=\"sky\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\">\
         <stop offset=\"0\" stop-color=\"{}\"/><stop offset=\"1\" stop-color=\"{}\"/></linearGradient></defs>\
         <rect width=\"{width}\" height=\"{height}\" fill=\"url(#sky)\"/>\
         <circle cx=\"{:.0}\" cy=\"{:.0}\" r=\"{:.0}\" fill=\"{}\"/>",
        shade(0.46),
        shade(0.62),
        w * (0.22 + 0.56 * random.next()),
        h * (0.26 + 0.14 * random.next()),
        h * (0.10 + 0.05 * random.next()),
        shade(0.80),
    );
    const SWELLS: u32 = 6;
    for n in 0..SWELLS {
        let depth = f64::from(n) / f64::from(SWELLS - 1);
        let level = h * (0.40 + 0.46 * depth);
        let swing = h * (0.09 - 0.035 * depth) * (0.7 + 0.6 * random.next());
        let waves = 0.8 + 0.9 * random.next();
        let _ = write!(
            svg,
            "<path fill=\"{}\" d=\"{}\"/>",
            shade(0.47 - 0.29 * depth),
            swell(width, height, level, swing, waves, random.next()),
        );
    }
    if is_album {
        write_title(&mut svg, title, width, height);
    }
    svg.push_str("</svg>\n");
    Placeholder { svg, width, height }
}

/// The channel's icon: its first letter on the accent.
pub fn icon(title: &str, accent: &str) -> String {
    let fill = accent_or_default(accent);
    let ink = if fill.contrast(Rgb::WHITE) >= 3.0 {
        "#ffffff"
    } else {
        "#16181d"
    };
    let letter: String = clean(title)
        .chars()
        .find(|c| c.is_alphanumeric())
        .map(|c| c.to_uppercase().collect())
        .unwrap_or_else(|| "•".to_owned());
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\" width=\"64\" height=\"64\">\
         <rect width=\"64\" height=\"64\" rx=\"15\" fill=\"{}\"/>\
         <text x=\"32\" y=\"45.5\" text-anchor=\"middle\" font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, \
         'Helvetica Neue', Arial, sans-serif\" font-size=\"38\" font-weight=\"700\" fill=\"{ink}\">{}</text></svg>\n",
        fill.css(),
        escaped(&letter),
    )
}

/// One wave from edge to edge, closed below.
fn swell(width: u32, height: u32, level: f64, swing: f64, waves: f64, phase: f64) -> String {
    const STEPS: u32 = 8;
    let step = f64::from(width) / f64::from(STEPS);
    let turn = std::f64::consts::TAU;
    let at = |x: f64| turn * (waves * x / f64::from(width) + phase);
    // Cubic pieces with the sine's own slopes at their ends: smooth at any size, and few.
    let slope = |x: f64| swing * at(x).cos() * turn * waves / f64::from(width);
    let y = |x: f64| level + swing * at(x).sin();
    let mut path = format!("M0 {height}V{:.1}", y(0.0));
    for n in 0..STEPS {
        let (a, b) = (f64::from(n) * step, f64::from(n + 1) * step);
        let _ = write!(
            path,
            "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            a + step / 3.0,
            y(a) + slope(a) * step / 3.0,
            b - step / 3.0,
            y(b) - slope(b) * step / 3.0,
            b,
            y(b),
        );
    }
    let _ = write!(path, "V{height}Z");
    path
}

fn write_title(svg: &mut String, title: &str, width: u32, height: u32) {
    let margin = f64::from(width) * 0.07;
    let size = f64::from(width) * 0.078;
    // Letters of a system font are about 0.62 em wide at most; SVG doesn't wrap, so lines are counted out here.
    let per_line = ((f64::from(width) - 2.0 * margin) / (size * 0.62)) as usize;
    let lines = wrapped(title, per_line, 3);
    let first = f64::from(height) - margin - (lines.len().saturating_sub(1)) as f64 * size * 1.15;
    for (n, line) in lines.iter().enumerate() {
        let _ = write!(
            svg,
            "<text x=\"{margin:.0}\" y=\"{:.0}\" font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, \
             'Helvetica Neue', Arial, sans-serif\" font-size=\"{size:.0}\" font-weight=\"700\" fill=\"#ffffff\">{}</text>",
            first + n as f64 * size * 1.15,
            escaped(line),
        );
    }
}

/// Words in lines of at most `per_line` characters, at most `max_lines` of them; what is too long is cut
/// with an ellipsis.
fn wrapped(text: &str, per_line: usize, max_lines: usize) -> Vec<String> {
    let text = clean(text);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = shortened(word, per_line);
        let is_full = lines.len() == max_lines;
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= per_line => {
                line.push(' ');
                line.push_str(&word);
            }
            Some(last) if is_full => {
                let fits = last.chars().count().min(per_line - 1);
                *last = shortened(&format!("{last} {word}"), fits + 1);
                break;
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// Numbers between 0 and 1 that follow from a text: FNV-1a, then a 64-bit linear congruential sequence.
/// Not random in any serious sense; only the same on every machine.
struct Sequence(u64);

impl Sequence {
    fn of(text: &str) -> Sequence {
        Sequence(text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_title_gives_the_same_picture() {
        let one = poster("Night drive", "clip", "#c8102e");
        assert_eq!(one, poster("Night drive", "clip", "#c8102e"));
        assert_ne!(one.svg, poster("Day drive", "clip", "#c8102e").svg);
        assert_eq!((one.width, one.height), (1280, 720));
        assert_eq!(poster("x", "album", "#c8102e").width, 1200);
        assert!(one.svg.len() < 6000, "{}", one.svg.len());
        assert!(!one.svg.contains("NaN"));
    }

    #[test]
    fn a_hostile_title_stays_text() {
        for title in [
            "</text><script>alert(1)</script>",
            "\" onload=\"alert(1)",
            "a\u{202e}\u{0}b",
            "",
        ] {
            let svg = poster(title, "album", "\"><script>").svg;
            assert!(
                !svg.contains("<script") && !svg.contains("\" onload"),
                "{svg}"
            );
            assert!(!svg.contains(['\0', '\u{202e}']));
        }
        assert!(!icon("<script>", "#fff").contains("<script"));
        assert!(icon("\u{0}", "#ffffff").contains('•'));
    }

    #[test]
    fn long_titles_are_wrapped_and_cut() {
        assert_eq!(wrapped("one two three", 7, 3), ["one two", "three"]);
        assert_eq!(wrapped(&"w".repeat(30), 7, 3), ["wwwwww…"]);
        let lines = wrapped("one two three four five six seven", 7, 2);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[1].ends_with('…') && lines[1].chars().count() <= 7,
            "{lines:?}"
        );
    }
}
