//! The status as text: two reports in, so that there are rates; lines out, none wider than the terminal.

use super::history::countries;
use super::report::{Release, Report, Traffic};
use std::collections::HashMap;
use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The most kinds of clients and countries in the lines that tell of the audience.
const CLIENTS: usize = 5;
const COUNTRIES: usize = 6;

/// Bytes a second.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Rates {
    /// Payload to peers.
    pub sent: f64,
    /// Payload over HTTP.
    pub sent_http: f64,
    /// Payload from peers and web seeds.
    pub received: f64,
}

impl Rates {
    /// What has changed between two readings, in so many seconds. A seeder that was started anew began at nothing.
    fn between(before: Option<&Traffic>, now: &Traffic, seconds: f64) -> Self {
        let Some(before) = before.filter(|_| seconds > 0.0) else {
            return Self::default();
        };
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        Self {
            sent: rate(before.sent, now.sent),
            sent_http: rate(before.sent_http, now.sent_http),
            received: rate(before.received, now.received),
        }
    }

    fn all(&self) -> f64 {
        self.sent + self.sent_http + self.received
    }
}

/// Two reports of one seeder, the later one with its rates.
pub struct Seen {
    /// The later report, its releases sorted by what moves now.
    pub now: Report,
    /// Of everything together.
    pub rates: Rates,
    /// Of each release, in the order of the report.
    pub release_rates: Vec<Rates>,
    /// The limits that have bitten: how often, and how often between the two reports.
    pub limits: Vec<(String, u64, u64)>,
}

impl Seen {
    /// Compares two reports.
    pub fn new(before: &Report, mut now: Report) -> Self {
        let seconds = now.at_ms.saturating_sub(before.at_ms) as f64 / 1000.0;
        let earlier: HashMap<&str, &Release> = before
            .releases
            .iter()
            .map(|release| (&*release.id, release))
            .collect();
        let mut releases: Vec<(Rates, Release)> = std::mem::take(&mut now.releases)
            .into_iter()
            .map(|release| {
                let before = earlier.get(&*release.id).map(|release| &release.traffic);
                (Rates::between(before, &release.traffic, seconds), release)
            })
            .collect();
        releases.sort_by(|(a_rates, a), (b_rates, b)| {
            let still = |release: &Release| {
                let traffic = &release.traffic;
                (traffic.peers(), traffic.sent + traffic.sent_http)
            };
            let by_rate = b_rates.all().total_cmp(&a_rates.all());
            by_rate.then_with(|| still(b).cmp(&still(a)))
        });
        let limits = now.limits.iter().filter(|(_, n)| **n > 0);
        let limits = limits
            .map(|(name, n)| {
                let before = before.limits.get(name).copied().unwrap_or(*n);
                (name.clone(), *n, n.saturating_sub(before))
            })
            .collect();
        let rates = Rates::between(Some(&before.total.traffic), &now.total.traffic, seconds);
        let release_rates;
        (release_rates, now.releases) = releases.into_iter().unzip();
        Self {
            now,
            rates,
            release_rates,
            limits,
        }
    }

    /// The view: at most so many lines, where there is a bound, none wider than `width`.
    pub fn lines(&self, width: usize, height: Option<usize>) -> Vec<String> {
        let head = self.head();
        let foot = self.foot();
        let room = height.map(|height| height.saturating_sub(head.len() + foot.len()));
        let mut lines = head;
        lines.extend(self.table(width, room));
        lines.extend(foot);
        let cut = lines.into_iter().map(|line| cut(&line, width));
        cut.take(height.unwrap_or(usize::MAX)).collect()
    }

    fn head(&self) -> Vec<String> {
        let Report { total, .. } = &self.now;
        let traffic = &total.traffic;
        let torrents = match total.torrents {
            1 => "1 torrent".to_owned(),
            n => format!("{n} torrents"),
        };
        let withdrawn = match total.torrents.saturating_sub(total.torrents_served) {
            0 => String::new(),
            n => format!(", {n} withdrawn"),
        };
        vec![
            format!(
                "Groundswell seeder {}   up {}   {}{withdrawn}, {} with peers",
                self.now.program,
                time(self.now.at_ms as f64 / 1000.0),
                torrents,
                total.torrents_active,
            ),
            String::new(),
            format!(
                "rate      up {}/s to peers, {}/s by HTTP   down {}/s",
                bytes(self.rates.sent),
                bytes(self.rates.sent_http),
                bytes(self.rates.received),
            ),
            format!(
                "peers     {}: {} TCP, {} uTP, {} browsers; {} encrypted   {} HTTP connections",
                traffic.peers(),
                traffic.peers_tcp,
                traffic.peers_utp,
                traffic.peers_browser,
                traffic.peers_encrypted,
                total.http_connections,
            ),
            format!(
                "sent      {} to peers, {} by HTTP   web offload {}   peers from each other {}   viewer share {}",
                bytes(traffic.sent as f64),
                bytes(traffic.sent_http as f64),
                share(traffic.web_offload),
                share(traffic.swarm_share),
                traffic
                    .viewer_share
                    .map_or("unknown".to_owned(), |part| share(Some(part))),
            ),
            self.audience(),
            self.came(),
            self.p2p(),
            String::new(),
        ]
    }

    /// Who is in the tracker's swarms, the largest kinds of clients first.
    fn audience(&self) -> String {
        let audience = &self.now.total.audience;
        let mut clients: Vec<_> = audience.clients.iter().collect();
        clients.retain(|(name, _)| *name != "other");
        clients.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), *name));
        let mut words = Vec::new();
        let mut rest = audience.now;
        for (name, n) in clients.into_iter().take(CLIENTS) {
            rest = rest.saturating_sub(*n);
            let name = if name == "browser" { "browsers" } else { name };
            words.push(format!("{n} {}", plain(name)));
        }
        if rest > 0 {
            words.push(format!("{rest} other"));
        }
        match words.is_empty() {
            true => "audience  nobody in the swarms".to_owned(),
            false => format!("audience  {}: {}", audience.now, words.join(", ")),
        }
    }

    /// Who came since counting began.
    fn came(&self) -> String {
        let audience = &self.now.total.audience;
        let (came, whole) = (audience.arrivals, audience.completions);
        let mut line = format!("came      {came}, of whom {whole} got everything");
        if !audience.countries.is_empty() {
            let _ = write!(line, "; from {}", countries(&audience.countries, COUNTRIES));
        }
        line
    }

    fn p2p(&self) -> String {
        let p2p = &self.now.p2p;
        let what = match p2p.loaded {
            true => "viewers are introduced to each other",
            false => "bandwidth to spare, viewers are kept apart",
        };
        format!("p2p       {what}; load {} %", p2p.percent)
    }

    /// The releases. The name takes what room the columns leave.
    fn table(&self, width: usize, room: Option<usize>) -> Vec<String> {
        if self.now.releases.is_empty() {
            return vec!["Nobody has asked for anything yet.".to_owned()];
        }
        let titles = [
            "size", "audience", "tcp", "utp", "web", "seeds", "up/s", "http/s", "down/s", "sent",
            "copies", "1st copy", "offload",
        ];
        let rows = self.now.releases.iter().zip(&self.release_rates);
        let mut cells: Vec<Vec<String>> = rows.clone().map(|(r, rates)| row(r, rates)).collect();
        cells.push(self.total_row());
        let widths: Vec<usize> = (0..titles.len())
            .map(|n| {
                let widest = cells.iter().map(|row| row[n].width()).max();
                widest.unwrap_or(0).max(titles[n].len())
            })
            .collect();
        let taken: usize = widths.iter().map(|width| width + 2).sum();
        let name = width.saturating_sub(taken).clamp(12, 48);
        let line = |first: &str, row: &[String]| {
            let mut line = padded(first, name);
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "  {}{cell}", " ".repeat(width - cell.width()));
            }
            line
        };
        let shown = room.map_or(cells.len() - 1, |room| room.saturating_sub(3));
        let shown = shown.min(cells.len() - 1);
        let mut lines = vec![line("release", &titles.map(str::to_owned))];
        for ((release, _), row) in rows.zip(&cells).take(shown) {
            lines.push(line(&release.title, row));
        }
        let more = cells.len() - 1 - shown + self.now.releases_left_out;
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines.push(line("total", &cells[cells.len() - 1]));
        lines
    }

    fn total_row(&self) -> Vec<String> {
        let traffic = &self.now.total.traffic;
        let seeds: u64 = self.now.releases.iter().map(|release| release.seeds).sum();
        vec![
            String::new(),
            self.now.total.audience.now.to_string(),
            traffic.peers_tcp.to_string(),
            traffic.peers_utp.to_string(),
            traffic.peers_browser.to_string(),
            seeds.to_string(),
            bytes(self.rates.sent),
            bytes(self.rates.sent_http),
            bytes(self.rates.received),
            bytes(traffic.sent as f64),
            String::new(),
            String::new(),
            share(traffic.web_offload),
        ]
    }

    fn foot(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        let limits = self.limits.iter().map(|(name, n, new)| match new {
            0 => format!("{name} {n}"),
            new => format!("{name} {n} (+{new})"),
        });
        let limits: Vec<_> = limits.collect();
        lines.push(match limits.is_empty() {
            true => "limits    none has bitten".to_owned(),
            false => format!("limits    {}", limits.join("   ")),
        });
        let uplink = &self.now.uplink;
        if let Some(limit) = uplink.limit {
            let limit = bytes(limit as f64);
            lines.push(format!(
                "uplink    {limit}/s at most, {} wait",
                uplink.waiting
            ));
        }
        if let (Some(used), Some(limit)) = (uplink.month_used, uplink.month_limit) {
            let (used, limit) = (bytes(used as f64), bytes(limit as f64));
            lines.push(format!("month     {used} of {limit} sent"));
        }
        let scrub = &self.now.scrub;
        lines.push(match scrub.bytes_per_second {
            0 => "scrub     off".to_owned(),
            budget => format!(
                "scrub     {}/s at most; {} torrents checked, {} damaged, {} hashed since the start",
                bytes(budget as f64),
                scrub.torrents,
                scrub.damaged,
                bytes(scrub.hashed_bytes as f64),
            ),
        });
        for withdrawn in self.now.withdrawn.iter().take(WITHDRAWN) {
            let title = plain(&withdrawn.title);
            lines.push(format!("withdrawn  {title}: {}", plain(&withdrawn.why)));
        }
        if let Some(more @ 1..) = self.now.withdrawn.len().checked_sub(WITHDRAWN) {
            lines.push(format!("and {more} more"));
        }
        lines
    }
}

/// The most withdrawn torrents that are named in the view.
const WITHDRAWN: usize = 8;

fn row(release: &Release, rates: &Rates) -> Vec<String> {
    let traffic = &release.traffic;
    let copies = match (release.copies, release.copies_browser) {
        (None, None) => "-".to_owned(),
        (native, None) => number(native),
        (native, browser) => format!("{} + {}", number(native), number(browser)),
    };
    let first = match (release.first_copy_ratio, release.first_copy_seconds) {
        (Some(ratio), Some(seconds)) => format!("{ratio:.2} in {}", time(seconds)),
        _ if release.spreading => "spreading".to_owned(),
        _ => "-".to_owned(),
    };
    vec![
        bytes(release.bytes as f64),
        release.audience.now.to_string(),
        traffic.peers_tcp.to_string(),
        traffic.peers_utp.to_string(),
        traffic.peers_browser.to_string(),
        release.seeds.to_string(),
        bytes(rates.sent),
        bytes(rates.sent_http),
        bytes(rates.received),
        bytes((traffic.sent + traffic.sent_http) as f64),
        copies,
        first,
        share(traffic.web_offload),
    ]
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.2}"))
}

fn share(part: Option<f64>) -> String {
    part.map_or("-".to_owned(), |part| format!("{:.0} %", part * 100.0))
}

pub(super) fn bytes(value: f64) -> String {
    let mut value = value.max(0.0);
    let mut unit = 0;
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{value:.0} B"),
        _ if value < 9.95 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

fn time(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        7200..172_800 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} d {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// A text without anything that a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let safe = |c: char| match c.width() {
        Some(_) if !turns(c) => c,
        _ => '\u{fffd}',
    };
    text.chars().map(safe).collect()
}

/// A text of exactly this width.
pub(super) fn padded(text: &str, width: usize) -> String {
    let mut text = cut(&plain(text), width);
    let missing = width.saturating_sub(text.width());
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// A text of at most this width.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut room = width.saturating_sub(1);
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if wide > room {
            break;
        }
        room -= wide;
        kept.push(character);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::super::audience::Audience;
    use super::super::report::{P2p, Total, Uplink, Withdrawn};
    use super::*;

    fn report(at_ms: u64, sent: u64) -> Report {
        let traffic = |sent| Traffic {
            peers_tcp: 3,
            peers_utp: 1,
            sent,
            sent_http: 500_000,
            useful: sent + 500_000,
            web_offload: Some(0.8),
            swarm_share: Some(0.25),
            ..Traffic::default()
        };
        let release = |id: &str, title: &str, sent| Release {
            id: id.to_owned(),
            title: title.to_owned(),
            bytes: 2_787_584,
            traffic: traffic(sent),
            audience: Audience {
                now: 20,
                ..Audience::default()
            },
            seeds: 1,
            copies: Some(1.25),
            first_copy_ratio: Some(1.04),
            first_copy_seconds: Some(12.6),
            ..Release::default()
        };
        let wide = "日本語の題名がここに入りますから切られるはずです、とても長い題名なので";
        Report {
            version: 1,
            program: "0.1.0".to_owned(),
            at_ms,
            total: Total {
                torrents: 3,
                torrents_served: 2,
                torrents_active: 2,
                traffic: traffic(2 * sent),
                http_connections: 5,
                tracker_peers: 40,
                audience: Audience {
                    now: 40,
                    viewers: 18,
                    clients: [
                        ("browser", 18),
                        ("other", 9),
                        ("qBittorrent", 8),
                        ("aria2", 1),
                        ("Deluge", 1),
                        ("Tixati", 3),
                    ]
                    .map(|(name, n)| (name.to_owned(), n))
                    .into(),
                    arrivals: 412,
                    completions: 97,
                    countries: [("DE".to_owned(), 300), ("FR".to_owned(), 112)].into(),
                },
            },
            p2p: P2p {
                loaded: true,
                percent: 120,
                times: 3,
            },
            releases: vec![
                release("00", "An old one\u{1b}[31m", 1_000_000),
                release("01", wide, sent),
            ],
            withdrawn: vec![Withdrawn {
                id: "02".to_owned(),
                title: "Lost".to_owned(),
                why: "/out/library/02/lost.mp4 is missing".to_owned(),
                checking: false,
            }],
            uplink: Uplink {
                limit: Some(2_500_000),
                waiting: 7,
                month_used: Some(31_000_000_000),
                month_limit: Some(1_000_000_000_000),
                ..Uplink::default()
            },
            limits: [("peers_full".to_owned(), sent / 1_000_000)].into(),
            ..Report::default()
        }
    }

    #[test]
    fn the_view_shows_rates_and_what_moves_comes_first() {
        let seen = Seen::new(&report(60_000, 2_000_000), report(62_000, 6_000_000));
        assert_eq!(seen.now.releases[0].id, "01");
        assert_eq!(seen.release_rates[0].sent, 2e6);
        assert_eq!(seen.release_rates[1].sent, 0.0);
        let text = seen.lines(120, None).join("\n");
        insta::assert_snapshot!(text);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn every_line_fits() {
        let seen = Seen::new(&report(0, 0), report(2000, 6_000_000));
        for (width, height) in [(40, 12), (80, 24), (200, 50)] {
            let lines = seen.lines(width, Some(height));
            assert!(lines.len() <= height);
            for line in lines {
                assert!(line.width() <= width, "{line}");
            }
        }
    }

    #[test]
    fn a_seeder_that_was_started_anew_has_no_rates_below_zero() {
        let seen = Seen::new(&report(90_000, 6_000_000), report(1000, 10));
        assert_eq!(seen.rates, Rates::default());
    }
}
