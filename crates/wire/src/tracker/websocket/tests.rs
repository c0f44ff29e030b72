//! The vectors in `tests/vectors/websocket-tracker.json`, the bounds, and what holds for anything.

use super::*;
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../../../../tests/vectors/websocket-tracker.json");

fn cases(part: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = file[part].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{part}");
    cases
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key}: {case}"))
}

fn id(case: &Value, key: &str) -> [u8; 20] {
    let hex = text(case, key);
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// What was read, as the vectors word it.
fn meaning(request: &Request<'_>) -> Value {
    match request {
        Request::Announce(announce) => {
            let offer = |offer: &Offer<'_>| {
                json!({
                    "id": HEXLOWER.encode(&offer.id.0),
                    "sdp": offer.sdp.json(),
                    "to_seeder": offer.to_seeder,
                })
            };
            json!({
                "type": "announce",
                "swarm": announce.swarm.to_string(),
                "peer_id": HEXLOWER.encode(&announce.peer_id.0),
                "left": announce.left,
                "event": format!("{:?}", announce.event).to_lowercase(),
                "offers": announce.offers.iter().map(offer).collect::<Vec<_>>(),
                "surplus": announce.surplus,
                "position_ms": announce.position_ms,
            })
        }
        Request::Answer(answer) => json!({
            "type": "answer",
            "swarm": answer.swarm.to_string(),
            "peer_id": HEXLOWER.encode(&answer.peer_id.0),
            "to": HEXLOWER.encode(&answer.to.0),
            "offer_id": HEXLOWER.encode(&answer.offer_id.0),
            "sdp": answer.sdp.json(),
        }),
        Request::Scrape(swarms) => json!({
            "type": "scrape",
            "swarms": swarms.iter().map(SwarmHash::to_string).collect::<Vec<_>>(),
        }),
    }
}

#[test]
fn what_browsers_send_is_understood() {
    for case in cases("requests") {
        let request = parse(text(&case, "json").as_bytes());
        let request = request.unwrap_or_else(|e| panic!("{e}: {case}"));
        assert_eq!(meaning(&request), case["meaning"], "{}", case["name"]);
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    for case in cases("malformed") {
        let error = parse(text(&case, "json").as_bytes()).expect_err(text(&case, "name"));
        let named = match error {
            BadMessage::Missing(key) => format!("Missing {key}"),
            BadMessage::Malformed(key) => format!("Malformed {key}"),
            other => format!("{other:?}"),
        };
        assert_eq!(named, text(&case, "error"), "{}", case["name"]);
    }
    assert_eq!(parse(b"{\"action\":\"\xff\"}"), Err(BadMessage::NotJson));
}

#[test]
fn what_is_told_stands_as_the_vectors_word_it() {
    for case in cases("replies") {
        let meaning = &case["meaning"];
        let count = |of: &Value, key: &str| u32::try_from(of[key].as_u64().unwrap()).unwrap();
        let counts = |of: &Value| SwarmCounts {
            complete: count(of, "complete"),
            incomplete: count(of, "incomplete"),
            downloaded: count(of, "downloaded"),
        };
        let mut out = Vec::new();
        match text(meaning, "type") {
            "reply" => {
                let reply = Reply {
                    interval: meaning["interval"].as_u64().map(Duration::from_secs),
                    counts: counts(meaning),
                    p2p: match text(meaning, "p2p") {
                        "go" => P2p::Go,
                        _ => P2p::Wait,
                    },
                    offers_wanted: count(meaning, "offers_wanted"),
                };
                write_reply(&mut out, &SwarmHash(id(meaning, "swarm")), &reply);
            }
            "offer" => {
                let offer = Offer {
                    id: OfferId(id(meaning, "offer_id")),
                    sdp: Description(text(meaning, "sdp")),
                    to_seeder: false,
                };
                let (swarm, from) = (id(meaning, "swarm"), id(meaning, "peer_id"));
                write_offer(&mut out, &SwarmHash(swarm), &PeerId(from), &offer);
            }
            "answer" => {
                let answer = Answer {
                    swarm: SwarmHash(id(meaning, "swarm")),
                    peer_id: PeerId(id(meaning, "peer_id")),
                    to: PeerId([0; 20]),
                    offer_id: OfferId(id(meaning, "offer_id")),
                    sdp: Description(text(meaning, "sdp")),
                };
                write_answer(&mut out, &answer);
            }
            "scrape" => {
                let files = meaning["files"].as_array().unwrap().iter();
                let files: Vec<_> = files
                    .map(|file| (SwarmHash(id(file, "swarm")), counts(file)))
                    .collect();
                write_scrape(&mut out, &files);
            }
            "failure" => {
                let swarm = SwarmHash(id(meaning, "swarm"));
                let reason = text(meaning, "reason");
                write_failure(&mut out, Action::Announce, Some(&swarm), reason);
            }
            other => panic!("{other}"),
        }
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, text(&case, "json"), "{}", case["name"]);
    }
}

/// An announce with offers whose descriptions are so many bytes of JSON text each.
fn with_offers(sizes: &[usize]) -> String {
    let a = "a".repeat(20);
    let offer = |size: &usize| {
        let sdp = "x".repeat(size - 2);
        json!({"offer_id": a, "offer": {"type": "offer", "sdp": sdp}})
    };
    let offers: Vec<_> = sizes.iter().map(offer).collect();
    json!({"action": "announce", "info_hash": a, "peer_id": a, "offers": offers}).to_string()
}

#[test]
fn bounds_are_where_they_are_said_to_be() {
    let largest = with_offers(&[MAX_DESCRIPTION]);
    assert!(matches!(parse(largest.as_bytes()), Ok(Request::Announce(a)) if a.offers.len() == 1));
    let larger = with_offers(&[10, MAX_DESCRIPTION + 1]);
    let refused = parse(larger.as_bytes());
    assert_eq!(refused, Err(BadMessage::DescriptionTooLong));
    let fits = with_offers(&[10]);
    let fits = fits.clone() + &" ".repeat(MAX_MESSAGE - fits.len());
    assert!(parse(fits.as_bytes()).is_ok());
    let longer = fits + " ";
    assert_eq!(parse(longer.as_bytes()), Err(BadMessage::TooLong));
    let scrape = |n: usize| {
        let all = vec!["b".repeat(20); n];
        json!({"action": "scrape", "info_hash": all}).to_string()
    };
    assert!(parse(scrape(MAX_SCRAPE).as_bytes()).is_ok());
    let refused = parse(scrape(MAX_SCRAPE + 1).as_bytes()).map(|_| ());
    assert_eq!(refused, Err(BadMessage::TooMany));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn an_offer_reaches_the_other_browser_unchanged(
        swarm: [u8; 20],
        from: [u8; 20],
        name: [u8; 20],
        sdp in ".{0,200}",
        to_seeder: bool,
    ) {
        let latin = |id: &[u8; 20]| id.iter().copied().map(char::from).collect::<String>();
        let mut offer = json!({"offer_id": latin(&name), "offer": {"type": "offer", "sdp": sdp}});
        if to_seeder {
            offer["to"] = "seeder".into();
        }
        let sent = json!({
            "action": "announce",
            "info_hash": latin(&swarm),
            "peer_id": latin(&from),
            "offers": [offer],
        });
        let sent = sent.to_string();
        let Ok(Request::Announce(announce)) = parse(sent.as_bytes()) else {
            panic!("{sent}");
        };
        prop_assert_eq!(announce.offers[0].to_seeder, to_seeder);
        let mut out = Vec::new();
        write_offer(&mut out, &announce.swarm, &announce.peer_id, &announce.offers[0]);
        let told: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(told, json!({
            "action": "announce",
            "info_hash": latin(&swarm),
            "peer_id": latin(&from),
            "offer_id": latin(&name),
            "offer": {"type": "offer", "sdp": sdp},
        }));
    }

    #[test]
    fn a_refusal_is_json_whatever_its_words(reason in ".{0,100}") {
        let mut out = Vec::new();
        write_failure(&mut out, Action::Scrape, None, &reason);
        let told: Value = serde_json::from_slice(&out).unwrap();
        let shown: String = reason.chars().filter(|c| !c.is_control()).collect();
        prop_assert_eq!(told, json!({"action": "scrape", "failure reason": shown}));
    }
}
