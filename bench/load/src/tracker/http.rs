//! Announces over HTTP (BEP 3, 23), one after the other on each connection, or on a connection each.

use super::counts::add;
use super::udp::{left, peer_id, port};
use super::{Counts, InfoHash, Numbers};
use crate::client::{Client, Fault, Meter, Tally};
use crate::measure::own_address;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Instant;

/// A head beyond this is not one.
const MAX_HEAD: usize = 16 * 1024;

/// What all clients share.
#[derive(Debug)]
pub(super) struct Job {
    /// The torrents.
    pub hashes: Vec<InfoHash>,
    /// How many clients there are.
    pub connections: usize,
    /// How many peers each of them is.
    pub peers_each: usize,
    /// Peers wanted in an answer.
    pub want: u32,
    /// Whether connections are used again.
    pub keep_alive: bool,
    /// The `Host` header.
    pub host: String,
    /// What is counted.
    pub counts: Counts,
}

/// A client: an address with some peers, which come one after the other and then announce in random order.
pub(super) struct Announcer {
    job: Rc<Job>,
    id: u32,
    come: usize,
    numbers: Numbers,
    asked: Instant,
    answer: Vec<u8>,
    answered: bool,
    tally: Tally,
}

impl Announcer {
    pub(super) fn new(job: Rc<Job>, id: u32) -> Self {
        Self {
            job,
            id,
            come: 0,
            numbers: Numbers::new(u64::from(id) + 1),
            asked: Instant::now(),
            answer: Vec::new(),
            answered: false,
            tally: Tally::default(),
        }
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<u8>) {
        let job = &*self.job;
        let (nth, event) = if self.come < job.peers_each {
            (self.come, "&event=started")
        } else {
            (self.numbers.below(job.peers_each), "")
        };
        let (client, n) = (self.id as usize, job.hashes.len());
        // A torrent's peers are of many clients, and a client's peers of many torrents.
        let hash = &job.hashes[(nth + client * n / job.connections) % n];
        let mut request = String::from("GET /announce?info_hash=");
        for byte in hash {
            let _ = match byte {
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => write!(request, "{}", *byte as char),
                _ => write!(request, "%{byte:02X}"),
            };
        }
        let peer = client * job.peers_each + nth;
        let id = peer_id(peer);
        let (id, port, want) = (String::from_utf8_lossy(&id), port(nth), job.want);
        let left = left(peer);
        let close = if job.keep_alive {
            ""
        } else {
            "Connection: close\r\n"
        };
        let _ = write!(
            request,
            "&peer_id={id}&port={port}&uploaded=0&downloaded=0&left={left}&compact=1&numwant={want}&key={peer:08x}{event} \
             HTTP/1.1\r\nHost: {}\r\nUser-Agent: load\r\nAccept-Encoding: gzip\r\n{close}\r\n",
            job.host,
        );
        out.extend(request.as_bytes());
        self.asked = now;
        self.answered = false;
        self.answer.clear();
    }

    /// The length of head and body, once the head is there.
    fn whole(&self) -> Result<Option<(usize, usize)>, Fault> {
        let Some(end) = self.answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return match self.answer.len() {
                0..=MAX_HEAD => Ok(None),
                _ => Err(Fault::protocol("a head without end")),
            };
        };
        let head = String::from_utf8_lossy(&self.answer[..end]);
        let length = head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.ok_or_else(|| Fault::protocol("a body of unknown length"))?;
        Ok(Some((end + 4, length)))
    }
}

impl Client for Announcer {
    fn handle_open(&mut self, now: Instant, out: &mut Vec<u8>) {
        self.ask(now, out);
    }

    fn handle_bytes(
        &mut self,
        bytes: &[u8],
        meter: &mut Meter<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.answer.extend(bytes);
        let Some((head, body)) = self.whole()? else {
            return Ok(());
        };
        if self.answered || self.answer.len() < head + body {
            return Ok(());
        }
        self.answered = true;
        self.tally.met = true;
        match peers(&self.answer[head..head + body]) {
            Some(peers) => {
                add(&self.job.counts.answers, 1);
                add(&self.job.counts.peers, peers);
                self.come += 1;
                if let Some(latency) = &mut meter.latency {
                    latency.record(meter.now - self.asked);
                }
            }
            None => add(&self.job.counts.failures, 1),
        }
        add(&self.job.counts.bytes, (head + body) as u64);
        if self.job.keep_alive {
            self.ask(meter.now, out);
        }
        Ok(())
    }

    fn dial_again(&mut self) -> Option<Ipv4Addr> {
        if !self.answered {
            add(&self.job.counts.closed, 1);
        }
        // Who says that it keeps a connection and doesn't is dialled again too: that is what clients do.
        Some(own_address(self.id))
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

/// How many peers an answer tells of; `None` for a refusal or what is no answer.
fn peers(body: &[u8]) -> Option<u64> {
    let find = |what: &[u8]| body.windows(what.len()).position(|found| found == what);
    if !body.starts_with(b"d") || find(b"8:interval").is_none() {
        return None;
    }
    let Some(at) = find(b"5:peers") else {
        return Some(0);
    };
    let digits = body[at + 7..].split(|byte| *byte == b':').next()?;
    let length: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(length / 6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_refusals() {
        assert_eq!(peers(b"d8:intervali60e5:peers12:aaaaaabbbbbbe"), Some(2));
        assert_eq!(
            peers(b"d8:intervali60e6:peers618:aaaaaabbbbbbccccccee"),
            Some(0)
        );
        assert_eq!(peers(b"d14:failure reason2:noe"), None);
        assert_eq!(peers(b"<html>"), None);
    }
}
