//! An HTTP/1.1 client that asks for one range after the other on one connection, and throws away what comes, but for
//! a sample that it checks where ranges are pieces.

use crate::client::{Client, Fault, Meter, Tally};
use crate::target::{Sample, Target};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A head beyond this is not one.
const MAX_HEAD: usize = 16 * 1024;
/// How long a client waits that was sent away without a word on how long.
const PAUSE: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Debug)]
pub struct Resource {
    /// The `Host` header.
    pub host: String,
    /// The path, as it goes into the request.
    pub path: String,
    /// Length of the file, bytes.
    pub length: u64,
    /// Length of a range, bytes.
    pub range: u64,
    /// The torrent of this file, where ranges are as long as its pieces.
    pub target: Option<Target>,
}

/// One client.
#[derive(Debug)]
pub struct Ranges {
    resource: Rc<Resource>,
    id: u32,
    next: u64,
    asked: Option<Instant>,
    resume: Option<Instant>,
    head: Vec<u8>,
    body: Option<Body>,
    ranges_begun: u64,
    prefix: u64,
    tally: Tally,
}

#[derive(Debug)]
struct Body {
    length: u64,
    got: u64,
    useful: bool,
    sample: Option<Sample>,
}

impl Ranges {
    /// A client that begins with the `first` range; `prefix` bytes from there are timed.
    pub fn new(resource: Rc<Resource>, id: u32, first: u64, prefix: u64) -> Self {
        Self {
            resource,
            id,
            next: first,
            asked: None,
            resume: None,
            head: Vec::new(),
            body: None,
            ranges_begun: 0,
            prefix,
            tally: Tally::default(),
        }
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) {
        let Resource { host, path, .. } = &*self.resource;
        let (first, end) = self.range();
        let last = end - 1;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={first}-{last}\r\n\r\n");
        out.extend(request.as_bytes());
        self.asked = Some(now);
    }

    fn range(&self) -> (u64, u64) {
        let Resource { length, range, .. } = *self.resource;
        let first = self.next % length.div_ceil(range) * range;
        (first, (first + range).min(length))
    }

    fn handle_head(&mut self, now: Instant) -> Result<(), Fault> {
        let head = String::from_utf8_lossy(&self.head);
        let status = head.split(' ').nth(1).unwrap_or_default();
        let value = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name)
                    .then(|| value.trim().parse::<u64>().ok())?
            })
        };
        let length =
            value("content-length").ok_or_else(|| Fault::protocol("a body of unknown length"))?;
        let (first, end) = self.range();
        let useful = match status {
            "206" if length == end - first => true,
            "503" => {
                self.tally.refusals += 1;
                self.resume = Some(now + value("retry-after").map_or(PAUSE, Duration::from_secs));
                false
            }
            _ => return Err(Fault::protocol(head.lines().next().unwrap_or_default())),
        };
        let sample = self
            .resource
            .target
            .as_ref()
            .filter(|_| useful)
            .and_then(|target| {
                let piece = target
                    .geometry
                    .piece((first / self.resource.range) as u32)?;
                Sample::is_due(self.id, self.ranges_begun).then(|| Sample::new(target, piece))
            });
        self.ranges_begun += u64::from(useful);
        self.tally.met = true;
        self.tally.shown_all = true;
        self.body = Some(Body {
            length,
            got: 0,
            useful,
            sample,
        });
        self.head.clear();
        Ok(())
    }

    fn take_body(&mut self, bytes: &[u8]) -> usize {
        let Some(body) = &mut self.body else {
            return 0;
        };
        let taken = bytes
            .len()
            .min(usize::try_from(body.length - body.got).unwrap_or(usize::MAX));
        if let Some(sample) = &mut body.sample {
            let whole = sample.put(body.got as usize, &bytes[..taken]);
            if let (true, Some(target)) = (whole, &self.resource.target) {
                self.tally.checked += 1;
                self.tally.bad += u64::from(!sample.is_right(target));
            }
        }
        body.got += taken as u64;
        if body.useful {
            self.tally.bytes += taken as u64;
        }
        taken
    }
}

impl Client for Ranges {
    fn handle_open(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.ask(now, out);
    }

    fn handle_bytes(
        &mut self,
        mut bytes: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        loop {
            if let Some(body) = &self.body
                && body.got == body.length
            {
                let useful = body.useful;
                self.body = None;
                if !useful {
                    continue;
                }
                if let (Some(latency), Some(asked)) = (&mut meter.latency, self.asked) {
                    latency.record(meter.now.duration_since(asked));
                }
                self.tally.first_block.get_or_insert(meter.now);
                if self.tally.bytes >= self.prefix {
                    self.tally.prefix.get_or_insert(meter.now);
                }
                self.next += 1;
                self.ask(meter.now, out);
            }
            if bytes.is_empty() {
                return Ok(());
            }
            let taken = self.take_body(bytes);
            bytes = &bytes[taken..];
            if self.body.is_some() {
                continue;
            }
            // Heads are short and rare: a byte at a time is good enough.
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if self.head.ends_with(b"\r\n\r\n") {
                self.handle_head(meter.now)?;
            } else if self.head.len() > MAX_HEAD {
                return Err(Fault::protocol("a head without end"));
            }
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.resume.filter(|_| self.body.is_none())
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.resume = None;
        self.ask(now, out);
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
