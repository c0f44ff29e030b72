//! Writes what the tracker says, appended to a buffer that the caller keeps: an answer to the one who asks, and
//! what another browser has sent, passed on.

use super::{Action, Answer, Description, Offer, P2p, Reply, latin};
use crate::tracker::SwarmCounts;
use metainfo::ids::{PeerId, SwarmHash};

/// The answer to an announce.
pub fn write_reply(out: &mut Vec<u8>, swarm: &SwarmHash, reply: &Reply) {
    begin(out, Action::Announce, swarm);
    if let Some(interval) = reply.interval {
        out.extend_from_slice(b",\"interval\":");
        write_number(out, interval.as_secs());
    }
    out.push(b',');
    write_counts(out, &reply.counts);
    out.extend_from_slice(match reply.p2p {
        P2p::Wait => b",\"p2p\":\"wait\",\"offers_wanted\":",
        P2p::Go => b",\"p2p\":\"go\",\"offers_wanted\":",
    });
    write_number(out, reply.offers_wanted.into());
    out.push(b'}');
}

/// An offer, passed on to another browser of the swarm.
pub fn write_offer(out: &mut Vec<u8>, swarm: &SwarmHash, from: &PeerId, offer: &Offer<'_>) {
    begin(out, Action::Announce, swarm);
    out.extend_from_slice(b",\"peer_id\":");
    latin::write(out, &from.0);
    out.extend_from_slice(b",\"offer_id\":");
    latin::write(out, &offer.id.0);
    out.extend_from_slice(b",\"offer\":{\"type\":\"offer\",\"sdp\":");
    write_description(out, &offer.sdp);
}

/// An answer, passed on to the browser that has made the offer.
pub fn write_answer(out: &mut Vec<u8>, answer: &Answer<'_>) {
    begin(out, Action::Announce, &answer.swarm);
    out.extend_from_slice(b",\"peer_id\":");
    latin::write(out, &answer.peer_id.0);
    out.extend_from_slice(b",\"offer_id\":");
    latin::write(out, &answer.offer_id.0);
    out.extend_from_slice(b",\"answer\":{\"type\":\"answer\",\"sdp\":");
    write_description(out, &answer.sdp);
}

/// The answer to a scrape.
pub fn write_scrape(out: &mut Vec<u8>, swarms: &[(SwarmHash, SwarmCounts)]) {
    out.extend_from_slice(b"{\"action\":\"scrape\",\"files\":{");
    for (i, (swarm, counts)) in swarms.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        latin::write(out, &swarm.0);
        out.extend_from_slice(b":{");
        write_counts(out, counts);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
}

/// An answer that says no; with the swarm it is about, where one is known.
pub fn write_failure(out: &mut Vec<u8>, action: Action, swarm: Option<&SwarmHash>, reason: &str) {
    match swarm {
        Some(swarm) => begin(out, action, swarm),
        None => begin_without(out, action),
    }
    out.extend_from_slice(b",\"failure reason\":\"");
    for c in reason.chars() {
        match c {
            '"' | '\\' => out.push(b'\\'),
            c if c.is_control() => continue,
            _ => {}
        }
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(b"\"}");
}

fn begin(out: &mut Vec<u8>, action: Action, swarm: &SwarmHash) {
    begin_without(out, action);
    out.extend_from_slice(b",\"info_hash\":");
    latin::write(out, &swarm.0);
}

fn begin_without(out: &mut Vec<u8>, action: Action) {
    out.extend_from_slice(match action {
        Action::Announce => b"{\"action\":\"announce\"",
        Action::Scrape => b"{\"action\":\"scrape\"",
    });
}

fn write_counts(out: &mut Vec<u8>, counts: &SwarmCounts) {
    out.extend_from_slice(b"\"complete\":");
    write_number(out, counts.complete.into());
    out.extend_from_slice(b",\"incomplete\":");
    write_number(out, counts.incomplete.into());
    out.extend_from_slice(b",\"downloaded\":");
    write_number(out, counts.downloaded.into());
}

/// The description and the two braces that close the message.
fn write_description(out: &mut Vec<u8>, sdp: &Description<'_>) {
    out.extend_from_slice(sdp.json().as_bytes());
    out.extend_from_slice(b"}}");
}

fn write_number(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}
