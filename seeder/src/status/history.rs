//! The audience over time: what `/history` gives, and the lines drawn of it.

use super::view::{bytes, cut, padded};
use crate::serve::Shared;
use crate::tracker::statistics as kept;
use metainfo::SwarmHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use swarm::tracker::statistics::{History, Point, Record, Span};

/// The version of the document. It is raised when a field changes its meaning or goes; fields may be added.
pub const VERSION: u32 = 1;

/// The most releases in the document.
const RELEASES: usize = 20;
/// What a slot is drawn as, by its height; nothing for nobody.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The columns before a line that is drawn.
const LABEL: usize = 10;
/// The most columns behind it.
const FIGURES: usize = 30;
/// The widest line that is drawn.
const WIDEST: usize = 120;
/// The most countries and kinds of clients that are shown.
const SHOWN: usize = 12;

/// The document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`VERSION`].
    pub version: u32,
    /// When this was taken, in seconds since 1970.
    pub at: u64,
    /// When counting began.
    pub since: u64,
    /// All releases together, where none was asked for.
    pub total: Option<Entry>,
    /// The audience of each kind of client, where no release was asked for.
    pub clients: BTreeMap<String, Curves>,
    /// The releases that were asked for, or those with the largest audience in the last two weeks.
    pub releases: Vec<Entry>,
    /// How many more releases there are.
    pub releases_left_out: usize,
}

/// What is remembered of one release, or of all together. All numbers are since counting began.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its torrent's id; empty for all together.
    pub id: String,
    /// Its place in URLs.
    pub slug: String,
    /// Peers that have come.
    pub arrivals: u64,
    /// Peers that have got everything.
    pub completions: u64,
    /// Payload bytes sent to peers.
    pub sent: u64,
    /// Payload bytes sent over HTTP.
    pub sent_http: u64,
    /// Peers that have come, by country; empty without a table of countries.
    pub countries: BTreeMap<String, u64>,
    /// How large the audience was.
    pub audience: Curves,
}

/// How large an audience was: slots of time in which somebody was there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Minutes of the last two hours.
    pub minutes: Vec<Slot>,
    /// Hours of the last two weeks.
    pub hours: Vec<Slot>,
    /// Days (UTC) of the last two years.
    pub days: Vec<Slot>,
}

/// One slot of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// When it began, in seconds since 1970.
    pub at: u64,
    /// The most that were there at once.
    pub max: u32,
    /// How many were there in the mean.
    pub mean: f64,
    /// Of these, viewers: browsers.
    pub viewers: f64,
}

impl Document {
    /// Of everything, or of one release by its slug or its torrent's id. `None` where it never had an audience.
    pub(crate) fn of(shared: &Shared, wanted: Option<&str>) -> Option<Self> {
        let at = kept::now();
        let kept = shared.statistics.kept();
        let mut found: Vec<_> = kept
            .releases()
            .filter(|(id, release)| {
                wanted.is_none_or(|wanted| release.slug == wanted || id.to_string() == wanted)
            })
            .map(|(id, release)| (lately(&release.record.history), id, release))
            .collect();
        if found.is_empty() && wanted.is_some() {
            return None;
        }
        found.sort_by_key(|(lately, _, release)| {
            std::cmp::Reverse((*lately, release.listed, release.record.arrivals))
        });
        let shown = found.iter().take(RELEASES);
        Some(Self {
            version: VERSION,
            at,
            since: kept.since(),
            total: wanted.is_none().then(|| Entry::of(None, "", kept.total())),
            clients: kept
                .clients()
                .filter(|_| wanted.is_none())
                .map(|(name, history)| (name.to_owned(), Curves::of(history)))
                .collect(),
            releases: shown
                .map(|(_, id, release)| Entry::of(Some(id), &release.slug, &release.record))
                .collect(),
            releases_left_out: found.len().saturating_sub(RELEASES),
        })
    }
}

/// The sum of an audience's hours: who was watched lately comes first.
fn lately(history: &History) -> u64 {
    let hours = history.points(Span::Hours);
    hours.map(|point| u64::from(point.mean_tenths)).sum()
}

impl Entry {
    fn of(id: Option<&SwarmHash>, slug: &str, record: &Record) -> Self {
        let countries = record.countries.iter();
        Self {
            id: id.map(SwarmHash::to_string).unwrap_or_default(),
            slug: slug.to_owned(),
            arrivals: record.arrivals,
            completions: record.completions,
            sent: record.sent,
            sent_http: record.sent_http,
            countries: countries.map(|(c, n)| (c.to_string(), *n)).collect(),
            audience: Curves::of(&record.history),
        }
    }
}

impl Curves {
    fn of(history: &History) -> Self {
        let slots = |span: Span| {
            let slot = |point: Point| Slot {
                at: u64::from(point.at) * span.seconds(),
                max: point.max,
                mean: f64::from(point.mean_tenths) / 10.0,
                viewers: f64::from(point.viewers_tenths) / 10.0,
            };
            history.points(span).map(slot).collect()
        };
        Self {
            minutes: slots(Span::Minutes),
            hours: slots(Span::Hours),
            days: slots(Span::Days),
        }
    }

    fn slots(&self, span: Span) -> &[Slot] {
        match span {
            Span::Minutes => &self.minutes,
            Span::Hours => &self.hours,
            Span::Days => &self.days,
        }
    }
}

impl Document {
    /// The document as text, none of its lines wider than `width`.
    pub fn lines(&self, width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let since = date(self.since);
        if let Some(total) = &self.total {
            lines.push(format!("All releases since {since}"));
            lines.push(String::new());
            self.entry(total, width, &mut lines);
            let group = |lines: &mut Vec<String>, title: &str| {
                lines.push(String::new());
                lines.push(title.to_owned());
            };
            let mut clients: Vec<_> = self.clients.iter().collect();
            clients.sort_by_key(|(name, curves)| (std::cmp::Reverse(most(&curves.hours)), *name));
            clients.retain(|(_, curves)| !curves.hours.is_empty());
            if !clients.is_empty() {
                group(
                    &mut lines,
                    &format!("by client, {}", self.stretch(Span::Hours)),
                );
            }
            for (name, curves) in clients.into_iter().take(SHOWN) {
                lines.push(self.curve(name, 14, curves, Span::Hours, width));
            }
            let mut releases = self.releases.iter();
            if releases.len() > 0 {
                group(
                    &mut lines,
                    &format!("by release, {}", self.stretch(Span::Hours)),
                );
            }
            for release in releases.by_ref() {
                let name = if release.slug.is_empty() {
                    &release.id
                } else {
                    &release.slug
                };
                lines.push(self.curve(name, 24, &release.audience, Span::Hours, width));
            }
        } else {
            for release in &self.releases {
                if !lines.is_empty() {
                    lines.push(String::new());
                }
                let name = super::view::plain(&release.slug);
                lines.push(format!("{name}  {}  since {since}", release.id));
                lines.push(String::new());
                self.entry(release, width, &mut lines);
            }
        }
        if self.releases_left_out > 0 {
            lines.push(format!("and {} more", self.releases_left_out));
        }
        lines.into_iter().map(|line| cut(&line, width)).collect()
    }

    fn entry(&self, entry: &Entry, width: usize, lines: &mut Vec<String>) {
        for span in Span::ALL {
            let name = self.stretch(span);
            lines.push(self.curve(&name, LABEL, &entry.audience, span, width));
        }
        lines.push(String::new());
        lines.push(format!(
            "came {}   got everything {}   sent {} to peers, {} by HTTP",
            entry.arrivals,
            entry.completions,
            bytes(entry.sent as f64),
            bytes(entry.sent_http as f64),
        ));
        if !entry.countries.is_empty() {
            lines.push(format!("from {}", countries(&entry.countries, SHOWN)));
        }
    }

    /// How many slots of a span are drawn: those since counting began.
    fn drawn(&self, span: Span) -> u64 {
        let slot = |time: u64| time / span.seconds();
        let passed = slot(self.at).saturating_sub(slot(self.since)) + 1;
        passed.min(span.slots().into())
    }

    /// How people call that stretch of time.
    fn stretch(&self, span: Span) -> String {
        let (n, whole) = (self.drawn(span), u64::from(span.slots()));
        match span {
            Span::Minutes if n == whole => "2 hours".to_owned(),
            Span::Minutes => format!("{n} min"),
            Span::Hours if n == whole => "2 weeks".to_owned(),
            Span::Hours => format!("{n} h"),
            Span::Days if n == whole => "2 years".to_owned(),
            Span::Days if n == 1 => "today".to_owned(),
            Span::Days => format!("{n} days"),
        }
    }

    /// One line: a name, a block for each slot or several of them, now at its right; the most and the mean.
    fn curve(&self, name: &str, label: usize, all: &Curves, span: Span, width: usize) -> String {
        let slots = all.slots(span);
        let columns = width.saturating_sub(label + FIGURES).clamp(8, WIDEST);
        let drawn = self.drawn(span);
        let each = (drawn as usize).div_ceil(columns);
        let last = self.at / span.seconds();
        let mut heights = vec![0; columns];
        for slot in slots {
            let ago = last.saturating_sub(slot.at / span.seconds()) as usize / each;
            if let Some(height) = columns.checked_sub(ago + 1).map(|n| &mut heights[n]) {
                *height = slot.max.max(*height);
            }
        }
        let top = most(slots).max(1);
        let mut line = padded(name, label);
        line.extend(heights.into_iter().map(|height| match height {
            0 => ' ',
            // The lowest block for a few, the highest for the most alone.
            height => {
                let step = (u64::from(height) * 8).div_ceil(u64::from(top));
                BLOCKS[step.clamp(1, 8) as usize - 1]
            }
        }));
        let mean = slots.iter().map(|slot| slot.mean).sum::<f64>() / drawn as f64;
        let _ = write!(line, "  most {}, mean {mean:.1}", most(slots));
        line
    }
}

/// The most countries, with how many came from each, the first ones first.
pub(super) fn countries(all: &BTreeMap<String, u64>, shown: usize) -> String {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|(country, n)| (std::cmp::Reverse(**n), *country));
    let more = sorted.len().saturating_sub(shown);
    let mut words: Vec<_> = sorted
        .into_iter()
        .take(shown)
        .map(|(country, n)| format!("{} {n}", super::view::plain(country)))
        .collect();
    if more > 0 {
        words.push(format!("{more} more"));
    }
    words.join(", ")
}

fn most(slots: &[Slot]) -> u32 {
    slots.iter().map(|slot| slot.max).max().unwrap_or(0)
}

fn date(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds);
    time.map_or_else(
        |_| "unknown".to_owned(),
        |time| time.to_zoned(jiff::tz::TimeZone::UTC).date().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    /// A Thursday, at noon.
    const NOW: u64 = 20_500 * 86_400 + 12 * 3600;

    fn slots(span: Span, heights: &[u32]) -> Vec<Slot> {
        let last = NOW / span.seconds();
        let n = heights.len() as u64;
        let slots = heights.iter().zip(0..).map(|(max, i)| Slot {
            at: (last - (n - 1 - i)) * span.seconds(),
            max: *max,
            mean: f64::from(*max) / 2.0,
            viewers: 0.0,
        });
        slots.filter(|slot| slot.max > 0).collect()
    }

    fn document() -> Document {
        let curves = |top: u32| Curves {
            minutes: slots(Span::Minutes, &[0, 1, 2, 3, 0, 0, top]),
            hours: slots(Span::Hours, &[1, top, top / 2, 0, 0, 1]),
            days: slots(Span::Days, &[top, 2]),
        };
        let entry = |id: &str, slug: &str, top| Entry {
            id: id.to_owned(),
            slug: slug.to_owned(),
            arrivals: 412,
            completions: 97,
            sent: 6_200_000_000,
            sent_http: 1_100_000_000,
            countries: [
                ("DE".to_owned(), 300),
                ("FR".to_owned(), 100),
                ("unknown".to_owned(), 12),
            ]
            .into(),
            audience: curves(top),
        };
        Document {
            version: VERSION,
            at: NOW,
            since: NOW - 86_400 * 3,
            total: Some(entry("", "", 32)),
            clients: [
                ("browser".to_owned(), curves(20)),
                ("qBittorrent".to_owned(), curves(9)),
            ]
            .into(),
            releases: vec![entry("00", "forty-eight\u{1b}[31m", 30), entry("01", "", 4)],
            releases_left_out: 3,
        }
    }

    #[test]
    fn time_is_drawn_as_blocks() {
        let text = document().lines(100).join("\n");
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn one_release_is_shown_alone_and_every_line_fits() {
        let mut one = document();
        (one.total, one.clients) = (None, BTreeMap::new());
        one.releases.truncate(1);
        let lines = one.lines(80);
        assert!(
            lines[0].starts_with("forty-eight") && lines[0].contains("00"),
            "{lines:?}"
        );
        assert!(
            lines[2].starts_with("2 hours") && lines[2].contains('█'),
            "{lines:?}"
        );
        for document in [one, document(), Document::default()] {
            for width in [20, 40, 80, 300] {
                for line in document.lines(width) {
                    assert!(line.width() <= width, "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_peak_of_one_minute_is_seen_however_little_room_there_is() {
        let curves = Curves {
            days: slots(Span::Days, &[40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
            ..Curves::default()
        };
        let old = Document {
            since: 0,
            ..document()
        };
        let line = old.curve("2 years", LABEL, &curves, Span::Days, 50);
        assert!(line.contains('█') && line.contains("most 40"), "{line}");
    }
}
