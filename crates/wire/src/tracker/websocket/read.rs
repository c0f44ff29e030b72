//! Reads what a browser says. Tolerant where clients differ (a number may be a string, null or absent; unknown
//! keys, unknown events), strict where others would be shown what comes in: ids and session descriptions.

use super::{
    Announce, Answer, BadMessage, Description, MAX_DESCRIPTION, MAX_MESSAGE, MAX_OFFERS,
    MAX_SCRAPE, Offer, OfferId, Request, latin,
};
use crate::tracker::Event;
use metainfo::ids::{PeerId, SwarmHash};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Reads one message: a JSON object in UTF-8.
pub fn parse(message: &[u8]) -> Result<Request<'_>, BadMessage> {
    if message.len() > MAX_MESSAGE {
        return Err(BadMessage::TooLong);
    }
    let text = std::str::from_utf8(message).map_err(|_| BadMessage::NotJson)?;
    // A list would be taken for the values of an object in the order of its fields.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(BadMessage::NotJson);
    }
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|_| BadMessage::NotJson)?;
    match fields.action {
        Word::Announce if fields.answer.is_some() => answer(fields).map(Request::Answer),
        Word::Announce => announce(fields).map(Request::Announce),
        Word::Scrape => scrape(fields.info_hash).map(Request::Scrape),
        Word::Absent => Err(BadMessage::Missing("action")),
        _ => Err(BadMessage::Malformed("action")),
    }
}

fn announce(fields: Fields<'_>) -> Result<Announce<'_>, BadMessage> {
    let event = match fields.event {
        Word::Started => Event::Started,
        Word::Completed => Event::Completed,
        Word::Stopped => Event::Stopped,
        _ => Event::Regular,
    };
    let Offers { first, surplus } = fields.offers;
    let mut offers = Vec::with_capacity(first.len());
    // Who leaves invites nobody.
    for raw in first.into_iter().filter(|_| event != Event::Stopped) {
        offers.push(Offer {
            id: OfferId(raw.offer_id.get("offer_id")?),
            sdp: raw.offer.description(Word::Offer, "offer")?,
            to_seeder: raw.to == Word::Seeder,
        });
    }
    Ok(Announce {
        swarm: fields.info_hash.one()?,
        peer_id: PeerId(fields.peer_id.get("peer_id")?),
        left: fields.left.0,
        event,
        offers,
        surplus,
        position_ms: fields.position_ms.0,
    })
}

fn answer(fields: Fields<'_>) -> Result<Answer<'_>, BadMessage> {
    let answer = fields.answer.ok_or(BadMessage::Missing("answer"))?;
    Ok(Answer {
        swarm: fields.info_hash.one()?,
        peer_id: PeerId(fields.peer_id.get("peer_id")?),
        to: PeerId(fields.to_peer_id.get("to_peer_id")?),
        offer_id: OfferId(fields.offer_id.get("offer_id")?),
        sdp: answer.description(Word::Answer, "answer")?,
    })
}

fn scrape(asked: Hashes) -> Result<Vec<SwarmHash>, BadMessage> {
    match asked {
        Hashes::One(id) => Ok(vec![SwarmHash(id.get("info_hash")?)]),
        Hashes::Many(ids) if !ids.is_empty() => ids
            .into_iter()
            .map(|id| id.get("info_hash").map(SwarmHash))
            .collect(),
        // Every swarm at once is not told.
        Hashes::Many(_) => Err(BadMessage::Missing("info_hash")),
        Hashes::TooMany => Err(BadMessage::TooMany),
    }
}

/// Every key that means something, in any kind of message.
#[derive(serde::Deserialize)]
struct Fields<'a> {
    #[serde(default)]
    action: Word,
    #[serde(default)]
    info_hash: Hashes,
    #[serde(default)]
    peer_id: Id,
    #[serde(default)]
    to_peer_id: Id,
    #[serde(default)]
    offer_id: Id,
    #[serde(default)]
    left: Number,
    #[serde(default)]
    position_ms: Number,
    #[serde(default)]
    event: Word,
    #[serde(borrow, default)]
    offers: Offers<'a>,
    #[serde(borrow, default)]
    answer: Option<RawDescription<'a>>,
}

/// A session description with its kind: `{"type": "offer", "sdp": "…"}`.
#[derive(serde::Deserialize)]
struct RawDescription<'a> {
    #[serde(default, rename = "type")]
    kind: Word,
    #[serde(borrow)]
    sdp: &'a RawValue,
}

impl<'a> RawDescription<'a> {
    fn description(&self, kind: Word, key: &'static str) -> Result<Description<'a>, BadMessage> {
        let json = self.sdp.get();
        if self.kind != kind || !json.starts_with('"') {
            return Err(BadMessage::Malformed(key));
        }
        if json.len() > MAX_DESCRIPTION {
            return Err(BadMessage::DescriptionTooLong);
        }
        Ok(Description(json))
    }
}

#[derive(serde::Deserialize)]
struct RawOffer<'a> {
    #[serde(borrow)]
    offer: RawDescription<'a>,
    #[serde(default)]
    offer_id: Id,
    #[serde(default)]
    to: Word,
}

/// The words that are known, wherever they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Word {
    #[default]
    Absent,
    Announce,
    Scrape,
    Started,
    Completed,
    Stopped,
    Offer,
    Answer,
    Seeder,
    Unknown,
}

/// An id where one may stand.
#[derive(Debug, Clone, Copy, Default)]
enum Id {
    #[default]
    Absent,
    Good([u8; 20]),
    Bad,
}

impl Id {
    fn get(self, key: &'static str) -> Result<[u8; 20], BadMessage> {
        match self {
            Self::Good(id) => Ok(id),
            Self::Absent => Err(BadMessage::Missing(key)),
            Self::Bad => Err(BadMessage::Malformed(key)),
        }
    }
}

/// One info-hash, or a list in a scrape.
enum Hashes {
    One(Id),
    Many(Vec<Id>),
    TooMany,
}

impl Default for Hashes {
    fn default() -> Self {
        Self::One(Id::Absent)
    }
}

impl Hashes {
    fn one(self) -> Result<SwarmHash, BadMessage> {
        match self {
            Self::One(id) => id.get("info_hash").map(SwarmHash),
            Self::Many(_) | Self::TooMany => Err(BadMessage::Malformed("info_hash")),
        }
    }
}

/// A number that isn't negative, where there is one.
#[derive(Debug, Clone, Copy, Default)]
struct Number(Option<u64>);

#[derive(Default)]
struct Offers<'a> {
    first: Vec<RawOffer<'a>>,
    surplus: usize,
}

/// Makes a visitor of everything JSON has: what isn't named is passed over as `$other`.
macro_rules! lenient {
    ($visitor:ident for $value:ty, $other:expr; $($named:tt)*) => {
        struct $visitor;

        impl<'de> Visitor<'de> for $visitor {
            type Value = $value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<$value, E> {
                Ok($other)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok($other)
            }

            $($named)*
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any($visitor)
            }
        }
    };
}

/// The methods for what is neither text nor wanted.
macro_rules! pass_over {
    (numbers: $other:expr) => {
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
    (lists: $other:expr) => {
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($other)
        }
    };
    (null: $other:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
}

lenient! { WordVisitor for Word, Word::Unknown;
    pass_over!(numbers: Word::Unknown);
    pass_over!(lists: Word::Unknown);
    pass_over!(null: Word::Absent);

    fn visit_str<E>(self, text: &str) -> Result<Word, E> {
        Ok(match text {
            "" => Word::Absent,
            "announce" => Word::Announce,
            "scrape" => Word::Scrape,
            "started" => Word::Started,
            "completed" => Word::Completed,
            "stopped" => Word::Stopped,
            "offer" => Word::Offer,
            "answer" => Word::Answer,
            "seeder" => Word::Seeder,
            _ => Word::Unknown,
        })
    }
}

lenient! { IdVisitor for Id, Id::Bad;
    pass_over!(numbers: Id::Bad);
    pass_over!(lists: Id::Bad);
    pass_over!(null: Id::Absent);

    fn visit_str<E>(self, text: &str) -> Result<Id, E> {
        Ok(latin::bytes(text).map_or(Id::Bad, Id::Good))
    }
}

lenient! { HashesVisitor for Hashes, Hashes::One(Id::Bad);
    pass_over!(numbers: Hashes::One(Id::Bad));
    pass_over!(null: Hashes::One(Id::Absent));

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Hashes, E> {
        IdVisitor.visit_str(text).map(Hashes::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Hashes, A::Error> {
        let mut ids = Vec::new();
        while ids.len() < MAX_SCRAPE {
            match list.next_element()? {
                Some(id) => ids.push(id),
                None => return Ok(Hashes::Many(ids)),
            }
        }
        let mut further = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            further = true;
        }
        Ok(if further { Hashes::TooMany } else { Hashes::Many(ids) })
    }
}

lenient! { NumberVisitor for Number, Number(None);
    pass_over!(lists: Number(None));
    pass_over!(null: Number(None));

    fn visit_u64<E>(self, n: u64) -> Result<Number, E> {
        // "Unknown" is the largest number there is, in some clients.
        Ok(Number(Some(n).filter(|n| *n <= i64::MAX as u64)))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Number, E> {
        Ok(Number(u64::try_from(n).ok()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Number, E> {
        let whole = (0.0..i64::MAX as f64).contains(&n).then_some(n as u64);
        Ok(Number(whole))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
        match text.trim().parse::<u64>() {
            Ok(n) => self.visit_u64(n),
            Err(_) => Ok(Number(None)),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Offers<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OffersVisitor;

        impl<'de> Visitor<'de> for OffersVisitor {
            type Value = Offers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of offers")
            }

            fn visit_unit<E>(self) -> Result<Offers<'de>, E> {
                Ok(Offers::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Offers<'de>, A::Error> {
                let mut offers = Offers::default();
                while offers.first.len() < MAX_OFFERS {
                    match list.next_element()? {
                        Some(offer) => offers.first.push(offer),
                        None => return Ok(offers),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    offers.surplus += 1;
                }
                Ok(offers)
            }
        }

        from.deserialize_any(OffersVisitor)
    }
}
