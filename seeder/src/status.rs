//! `seeder status`: what a running seeder does, taken from its control socket. [`report`] is what that gives, [`client`]
//! asks for it, [`view`] makes text of it; here is when it is shown.

pub mod audience;
pub mod client;
pub mod history;
pub mod report;
pub mod series;
pub mod view;

use client::{Place, StatusError};
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use view::Seen;

/// The time between two looks: what rates are made of.
const EVERY: Duration = Duration::from_secs(1);
/// The width of a snapshot that goes elsewhere than to a terminal.
const PLAIN_WIDTH: usize = 160;

/// How the status is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Showing {
    /// One JSON object.
    pub json: bool,
    /// One snapshot, not a live view.
    pub once: bool,
}

/// Shows the status of the seeder at this place, or of the one that runs: live on a terminal until `shutdown`,
/// otherwise once.
pub async fn show(
    place: Option<String>,
    showing: Showing,
    shutdown: CancellationToken,
) -> Result<(), StatusError> {
    let place = Place::find(place.as_deref())?;
    let mut before = place.ask()?;
    let live = !showing.json && !showing.once && io::stdout().is_terminal();
    let _screen = live.then(Screen::enter);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = place.ask()?;
        let seen = Seen::new(&before, now.clone());
        before = now;
        if live {
            let (height, width) = console::Term::stdout().size();
            let lines = seen.lines(width.into(), Some(usize::from(height).saturating_sub(1)));
            frame(&lines).map_err(StatusError::Show)?;
            continue;
        }
        let text = if showing.json {
            json(&seen) + "\n"
        } else {
            seen.lines(PLAIN_WIDTH, None).join("\n") + "\n"
        };
        return print(&text);
    }
}

/// Shows the audience over time, of everything or of one release, once.
pub fn show_history(
    place: Option<String>,
    release: Option<&str>,
    json: bool,
) -> Result<(), StatusError> {
    let document = Place::find(place.as_deref())?.history(release)?;
    if json {
        let mut object = serde_json::json!(document);
        object["event"] = "history".into();
        return print(&(object.to_string() + "\n"));
    }
    let width = match io::stdout().is_terminal() {
        true => console::Term::stdout().size().1.into(),
        false => PLAIN_WIDTH,
    };
    print(&(document.lines(width).join("\n") + "\n"))
}

fn print(text: &str) -> Result<(), StatusError> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // Whoever closed our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(StatusError::Show),
    }
}

/// The report with the rates of the last second, as one line.
fn json(seen: &Seen) -> String {
    let ids = seen.now.releases.iter().map(|release| release.id.clone());
    let rates: serde_json::Map<_, _> = ids
        .zip(
            seen.release_rates
                .iter()
                .map(|rates| serde_json::json!(rates)),
        )
        .collect();
    let mut object = serde_json::json!(seen.now);
    object["event"] = "status".into();
    object["rates"] = serde_json::json!({ "total": seen.rates, "releases": rates });
    object.to_string()
}

/// The terminal's other screen, without a cursor, until this goes.
struct Screen;

impl Screen {
    fn enter() -> Self {
        let _ = say("\x1b[?1049h\x1b[?25l");
        Self
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = say("\x1b[?25h\x1b[?1049l");
    }
}

/// Draws over what is there: no flicker, nothing left of longer lines.
fn frame(lines: &[String]) -> io::Result<()> {
    let mut text = "\x1b[H".to_owned();
    for line in lines {
        text.push_str(line);
        text.push_str("\x1b[K\r\n");
    }
    text.push_str("\x1b[J");
    say(&text)
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
