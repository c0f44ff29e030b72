//! Browsers at a WebTorrent tracker: announces with offers over WebSocket (RFC 6455), one after the other or now and
//! then, and answers to the offers of others.

use super::counts::add;
use super::udp::peer_id;
use super::{Counts, InfoHash, Numbers};
use crate::client::{Client, Fault, Meter, Tally};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Longest frame that is taken.
const MAX_FRAME: usize = 1 << 20;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Any key will do: that the server makes it right is not what is measured.
const HANDSHAKE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What all clients share.
#[derive(Debug)]
pub(super) struct Job {
    /// The torrents: `per_torrent` clients after the other announce the same.
    pub hashes: Vec<InfoHash>,
    /// See `hashes`.
    pub per_torrent: usize,
    /// Offers in each announce.
    pub offers: usize,
    /// Length of the session description of an offer or answer, bytes.
    pub offer_bytes: usize,
    /// Whether offers of others are answered.
    pub answer: bool,
    /// How often an announce comes; `None`: as soon as the one before is answered.
    pub every: Option<Duration>,
    /// The `Host` header.
    pub host: String,
    /// The path of the tracker.
    pub path: String,
    /// How many clients there are; they spread over `every`.
    pub connections: usize,
    /// What is counted.
    pub counts: Counts,
}

/// A browser.
pub(super) struct Browser {
    job: Rc<Job>,
    id: u32,
    numbers: Numbers,
    hash: String,
    /// The announce, and where in it the offers' ids are, which are new in each.
    announce: Vec<u8>,
    offer_ids: Vec<usize>,
    upgraded: bool,
    come: bool,
    asked: Option<Instant>,
    next: Option<Instant>,
    unread: Vec<u8>,
    tally: Tally,
}

impl Browser {
    pub(super) fn new(job: Rc<Job>, id: u32) -> Self {
        let nth = id as usize / job.per_torrent.max(1);
        let hash = latin1(&job.hashes[nth % job.hashes.len()]);
        let mut browser = Self {
            job,
            id,
            numbers: Numbers::new(u64::from(id) + 1),
            hash,
            announce: Vec::new(),
            offer_ids: Vec::new(),
            upgraded: false,
            come: false,
            asked: None,
            next: None,
            unread: Vec::new(),
            tally: Tally::default(),
        };
        browser.write_announce("\"event\":\"started\",");
        browser
    }

    fn peer_id(&self) -> String {
        latin1(&peer_id(self.id as usize))
    }

    fn write_announce(&mut self, event: &str) {
        let (hash, id, offers) = (&self.hash, self.peer_id(), self.job.offers);
        let mut text = format!(
            "{{\"action\":\"announce\",\"info_hash\":\"{hash}\",\"peer_id\":\"{id}\",\"numwant\":{offers},\
             \"uploaded\":0,\"downloaded\":0,\"left\":1048576,{event}\"offers\":["
        );
        let sdp = description(self.job.offer_bytes);
        self.offer_ids.clear();
        for nth in 0..offers {
            let comma = if nth == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}{{\"offer\":{{\"type\":\"offer\",\"sdp\":\"{sdp}\"}},\"offer_id\":\""
            );
            self.offer_ids.push(text.len());
            text.push_str("00000000000000000000\"}");
        }
        text.push_str("]}");
        self.announce = text.into_bytes();
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) {
        for at in &self.offer_ids {
            for byte in &mut self.announce[*at..*at + 20] {
                *byte = b'a' + self.numbers.below(26) as u8;
            }
        }
        let key = (self.numbers.next() as u32).to_ne_bytes();
        write_frame(out, TEXT, &self.announce, key);
        self.asked = Some(now);
    }

    fn handle_head(&mut self) -> Result<bool, Fault> {
        let Some(end) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(false);
        };
        if !self.unread.starts_with(b"HTTP/1.1 101") {
            let words = String::from_utf8_lossy(&self.unread);
            return Err(Fault::protocol(words.lines().next().unwrap_or_default()));
        }
        self.unread.drain(..end + 4);
        self.upgraded = true;
        self.tally.met = true;
        Ok(true)
    }

    fn handle_text(
        &mut self,
        text: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let text = std::str::from_utf8(text).map_err(|_| Fault::protocol("not UTF-8"))?;
        let counts = &self.job.counts;
        if text.contains("\"offer\":") {
            add(&counts.offers, 1);
            if self.job.answer {
                self.answer(text, out);
            }
        } else if text.contains("\"answer\":") {
            add(&counts.returned, 1);
        } else if text.contains("\"failure reason\"") || !text.contains("\"interval\"") {
            add(&counts.failures, 1);
            self.go_on(meter.now, out);
        } else if let Some(asked) = self.asked.take() {
            add(&counts.answers, 1);
            add(&counts.bytes, text.len() as u64);
            if let Some(latency) = &mut meter.latency {
                latency.record(meter.now - asked);
            }
            if !self.come {
                self.come = true;
                self.write_announce("");
            }
            self.go_on(meter.now, out);
        }
        Ok(())
    }

    fn go_on(&mut self, now: Instant, out: &mut Vec<u8>) {
        match self.job.every {
            None => self.ask(now, out),
            // The first time at its own place in the interval, so that they are spread evenly.
            Some(every) if self.next.is_none() => {
                let place = f64::from(self.id) / self.job.connections.max(1) as f64;
                self.next = Some(now + every.mul_f64(place));
            }
            Some(_) => {}
        }
    }

    fn answer(&mut self, offer: &str, out: &mut Vec<u8>) {
        let (Some(offer_id), Some(to)) = (string(offer, "offer_id"), string(offer, "peer_id"))
        else {
            add(&self.job.counts.failures, 1);
            return;
        };
        let (hash, id) = (&self.hash, self.peer_id());
        let sdp = description(self.job.offer_bytes);
        let text = format!(
            "{{\"action\":\"announce\",\"info_hash\":\"{hash}\",\"peer_id\":\"{id}\",\"to_peer_id\":\"{to}\",\
             \"offer_id\":\"{offer_id}\",\"answer\":{{\"type\":\"answer\",\"sdp\":\"{sdp}\"}}}}"
        );
        let key = (self.numbers.next() as u32).to_ne_bytes();
        write_frame(out, TEXT, text.as_bytes(), key);
    }
}

impl Client for Browser {
    fn handle_open(&mut self, _: Instant, out: &mut Vec<u8>) {
        let Job { path, host, .. } = &*self.job;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {HANDSHAKE_KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        out.extend(request.as_bytes());
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.unread.extend(bytes);
        if !self.upgraded {
            if !self.handle_head()? {
                return Ok(());
            }
            self.ask(meter.now, out);
        }
        let mut unread = std::mem::take(&mut self.unread);
        let mut read = 0;
        while let Some((kind, payload)) = frame(&unread[read..])? {
            let (from, to) = (read + payload.start, read + payload.end);
            read = to;
            match kind {
                TEXT => self.handle_text(&unread[from..to], meter, out)?,
                PING => write_frame(out, PONG, &unread[from..to], [1, 2, 3, 4]),
                CLOSE => return Err(Fault::protocol("closed by the tracker")),
                _ => {}
            }
        }
        unread.drain(..read);
        // Idle sockets hold nothing here either.
        if unread.is_empty() && self.job.every.is_some() {
            unread = Vec::new();
        }
        self.unread = unread;
        Ok(())
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.next = self.job.every.map(|every| now + every);
        self.ask(now, out);
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// The first frame: its kind, and where its payload is. `None` while it isn't whole.
fn frame(bytes: &[u8]) -> Result<Option<(u8, std::ops::Range<usize>)>, Fault> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0x80 == 0 || second & 0x80 != 0 {
        return Err(Fault::protocol("a frame in parts, or masked"));
    }
    let (head, length) = match (second, rest) {
        (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (127, [0, 0, 0, 0, a, b, c, d, ..]) => (10, u32::from_be_bytes([*a, *b, *c, *d]) as usize),
        (126 | 127, _) => return Ok(None),
        (length, _) => (2, usize::from(*length)),
    };
    if length > MAX_FRAME {
        return Err(Fault::protocol("a frame without end"));
    }
    let whole = bytes.len() >= head + length;
    Ok(whole.then_some((first & 0x0f, head..head + length)))
}

fn write_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8], key: [u8; 4]) {
    out.push(0x80 | kind);
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(key);
    let start = out.len();
    out.extend(payload);
    let masked = &mut out[start..];
    for four in masked.chunks_mut(4) {
        for (byte, key) in four.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
}

/// Twenty bytes as WebTorrent writes them in JSON: a character each, U+0000 to U+00FF.
fn latin1(bytes: &[u8; 20]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', *byte as char]),
            0..0x20 => {
                let _ = write!(text, "\\u{byte:04x}");
            }
            _ => text.push(*byte as char),
        }
    }
    text
}

/// A session description of this length once it is read, as it stands in JSON.
fn description(bytes: usize) -> String {
    const LINE: &str =
        "a=candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 typ host generation 0";
    let mut text = String::new();
    let mut length = 0;
    while length < bytes {
        let line = &LINE[..LINE.len().min(bytes - length)];
        text.push_str(line);
        length += line.len();
        if length + 2 <= bytes {
            text.push_str("\\r\\n");
            length += 2;
        }
    }
    text
}

/// The string of a key, escaped as it stands.
fn string<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = text.find(&format!("\"{key}\":\""))? + key.len() + 4;
    let rest = &text[at..];
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_others() {
        let mut bytes = *b"01234567890123456789";
        (bytes[0], bytes[1], bytes[2]) = (0xff, b'"', 7);
        let text = format!(
            "{{\"peer_id\":\"{}\",\"sdp\":\"{}\"}}",
            latin1(&bytes),
            description(1200)
        );
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let read: Vec<u8> = value["peer_id"]
            .as_str()
            .unwrap()
            .chars()
            .map(|c| c as u8)
            .collect();
        assert_eq!(read, bytes);
        assert_eq!(value["sdp"].as_str().unwrap().len(), 1200);
        assert_eq!(string(&text, "peer_id"), Some(&*latin1(&bytes)));
    }

    #[test]
    fn frames_are_told_apart() {
        for length in [0, 125, 126, 70_000] {
            let mut masked = Vec::new();
            write_frame(&mut masked, TEXT, &vec![b'x'; length], [0; 4]);
            // Without the key and its bit it is a server's.
            let key = masked.len() - length - 4;
            masked.drain(key..key + 4);
            masked[1] &= 0x7f;
            let whole = frame(&masked).unwrap();
            assert_eq!(
                whole.map(|(kind, at)| (kind, at.len())),
                Some((TEXT, length))
            );
            assert_eq!(frame(&masked[..masked.len() - 1]).unwrap(), None);
        }
    }
}
