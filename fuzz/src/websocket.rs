//! The WebSocket tracker: frames cut anywhere, and the messages in them.

use crate::draw::Draw;
use metainfo::{PeerId, SwarmHash};
use seeder::tracker::websocket::frames::{Fault, Frame, Frames, MAX_HEADER};
use wire::tracker::Event;
use wire::tracker::websocket::{
    Action, Announce, Answer, MAX_DESCRIPTION, MAX_MESSAGE, MAX_OFFERS, MAX_SCRAPE, Offer, Request,
    parse, write_answer, write_failure, write_offer,
};

/// Reads the input as a message, writes what was understood anew, and passes on what is to be passed on.
pub fn websocket_message(data: &[u8]) {
    match parse(data) {
        Ok(request) => {
            assert!(data.len() <= MAX_MESSAGE);
            check_bounds(&request);
            let again = message(&request);
            let mut expected = request.clone();
            if let Request::Announce(announce) = &mut expected {
                announce.surplus = 0;
            }
            assert_eq!(parse(again.as_bytes()).as_ref(), Ok(&expected), "{again}");
            pass_on(&request);
        }
        Err(reason) => {
            let mut out = Vec::new();
            write_failure(&mut out, Action::Announce, None, &reason.to_string());
            let told = text(out);
            assert!(told.starts_with("{\"action\":\"announce\",\"failure reason\":\""));
        }
    }
}

/// Reads the input as frames twice: in one piece, and cut. The first two bytes say how.
pub fn websocket_frames(data: &[u8]) {
    let mut draw = Draw::new(data);
    let cut = usize::from(draw.u16()) % 500 + 1;
    let Some(bytes) = data.get(2..) else {
        return;
    };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, cut), whole, "cut every {cut} bytes");
}

/// The messages, and what ended them.
fn read(bytes: &[u8], cut: usize) -> (Vec<Vec<u8>>, Option<Fault>) {
    let (mut frames, mut buffer, mut messages) = (Frames::default(), Vec::new(), Vec::new());
    for piece in bytes.chunks(cut) {
        buffer.extend_from_slice(piece);
        loop {
            let taken = match frames.next(&mut buffer) {
                Ok(None) => break,
                Err(fault) => return (messages, Some(fault)),
                Ok(Some((taken, frame))) => {
                    match frame {
                        Frame::Message(message) => {
                            assert!(message.len() <= MAX_MESSAGE);
                            messages.push(message.into_owned());
                        }
                        Frame::Ping(payload) => assert!(payload.len() <= 125),
                        Frame::Part | Frame::Pong | Frame::Close => {}
                    }
                    taken
                }
            };
            buffer.drain(..taken);
        }
        assert!(buffer.len() < MAX_MESSAGE + MAX_HEADER && frames.held() <= MAX_MESSAGE);
    }
    (messages, None)
}

fn check_bounds(request: &Request<'_>) {
    let check = |json: &str| {
        assert!(json.len() <= MAX_DESCRIPTION && json.len() >= 2);
        assert!(json.starts_with('"') && json.ends_with('"'));
        assert!(json.bytes().all(|byte| byte >= b' '));
    };
    match request {
        Request::Announce(announce) => {
            assert!(announce.offers.len() <= MAX_OFFERS);
            assert!(announce.event != Event::Stopped || announce.offers.is_empty());
            announce
                .offers
                .iter()
                .for_each(|offer| check(offer.sdp.json()));
        }
        Request::Answer(answer) => check(answer.sdp.json()),
        Request::Scrape(swarms) => assert!((1..=MAX_SCRAPE).contains(&swarms.len())),
    }
}

/// What is passed on has the description as it came, between fixed words.
fn pass_on(request: &Request<'_>) {
    match request {
        Request::Announce(announce) => {
            for offer in &announce.offers {
                let mut out = Vec::new();
                write_offer(&mut out, &announce.swarm, &announce.peer_id, offer);
                let told = text(out);
                let end = format!(
                    "\"offer\":{{\"type\":\"offer\",\"sdp\":{}}}}}",
                    offer.sdp.json()
                );
                assert!(told.ends_with(&end), "{told}");
            }
        }
        Request::Answer(answer) => {
            let mut out = Vec::new();
            write_answer(&mut out, answer);
            // But for its addressee it is a message as browsers send it.
            let told = text(out);
            let sent = told.replacen(
                '{',
                &format!("{{\"to_peer_id\":{},", string(&answer.to.0)),
                1,
            );
            assert_eq!(parse(sent.as_bytes()).as_ref(), Ok(request), "{sent}");
        }
        Request::Scrape(_) => {}
    }
}

fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).expect("what is told is UTF-8")
}

/// The message as a client would write it.
fn message(request: &Request<'_>) -> String {
    match request {
        Request::Announce(announce) => announcement(announce),
        Request::Answer(answer) => acceptance(answer),
        Request::Scrape(swarms) => {
            let all: Vec<_> = swarms
                .iter()
                .map(|SwarmHash(swarm)| string(swarm))
                .collect();
            format!(
                "{{\"action\":\"scrape\",\"info_hash\":[{}]}}",
                all.join(",")
            )
        }
    }
}

fn announcement(announce: &Announce<'_>) -> String {
    let offer = |offer: &Offer<'_>| {
        let to = if offer.to_seeder {
            ",\"to\":\"seeder\""
        } else {
            ""
        };
        format!(
            "{{\"offer_id\":{},\"offer\":{{\"type\":\"offer\",\"sdp\":{}}}{to}}}",
            string(&offer.id.0),
            offer.sdp.json()
        )
    };
    let offers: Vec<_> = announce.offers.iter().map(offer).collect();
    let number = |n: Option<u64>| n.map_or("null".to_owned(), |n| n.to_string());
    let event = match announce.event {
        Event::Regular => "paused",
        Event::Started => "started",
        Event::Completed => "completed",
        Event::Stopped => "stopped",
    };
    format!(
        "{{\"action\":\"announce\",\"info_hash\":{},\"peer_id\":{},\"left\":{},\"position_ms\":{},\"event\":\"{event}\",\
         \"offers\":[{}]}}",
        string(&announce.swarm.0),
        string(&announce.peer_id.0),
        number(announce.left),
        number(announce.position_ms),
        offers.join(",")
    )
}

fn acceptance(answer: &Answer<'_>) -> String {
    let PeerId(from) = &answer.peer_id;
    format!(
        "{{\"action\":\"announce\",\"info_hash\":{},\"peer_id\":{},\"to_peer_id\":{},\"offer_id\":{},\
         \"answer\":{{\"type\":\"answer\",\"sdp\":{}}}}}",
        string(&answer.swarm.0),
        string(from),
        string(&answer.to.0),
        string(&answer.offer_id.0),
        answer.sdp.json()
    )
}

/// Twenty bytes as twenty escaped characters.
fn string(bytes: &[u8; 20]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect();
    format!("\"{escaped}\"")
}
