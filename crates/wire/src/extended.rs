//! The extension protocol (BEP 10): the handshake in which each side numbers the extensions it takes,
//! and below it what they say ([`metadata`], [`pex`]). Called by [`crate::connection`].

pub mod metadata;
pub mod pex;

use metainfo::bencode::{self, BencodeError, Limits, Node, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The number of the handshake itself.
pub const HANDSHAKE_ID: u8 = 0;

/// Metadata exchange (BEP 9).
pub const UT_METADATA: &str = "ut_metadata";
/// Peer exchange (BEP 11).
pub const UT_PEX: &str = "ut_pex";
/// A piece that the sender has no longer (BEP 54): its index, four bytes.
pub const LT_DONTHAVE: &str = "lt_donthave";

/// The most extensions of a stranger that are remembered, and the longest name of one.
const MAX_EXTENSIONS: usize = 64;
const MAX_NAME: usize = 64;
/// The longest client name kept, in bytes.
const MAX_CLIENT: usize = 64;

const LIMITS: Limits = Limits {
    bytes: 64 << 10,
    depth: 8,
    values: 1000,
};

/// What one side says of itself. Everything is optional on the wire; what is unusable reads as absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedHandshake {
    /// The extensions it takes, with the number that messages to it must carry (`m`; 0 switches one off).
    pub extensions: BTreeMap<String, u8>,
    /// Its name and version (`v`).
    pub client: Option<String>,
    /// Its listening TCP port (`p`).
    pub port: Option<u16>,
    /// How many requests it takes before it drops some (`reqq`).
    pub request_queue: Option<u32>,
    /// The length of the info dictionary, where it has one (`metadata_size`, BEP 9).
    pub metadata_size: Option<u32>,
    /// The receiver's address as the sender sees it (`yourip`).
    pub your_ip: Option<IpAddr>,
    /// It wants nothing (`upload_only`, BEP 21).
    pub upload_only: bool,
}

impl ExtendedHandshake {
    /// The number that messages of this extension must carry, where the sender takes them.
    pub fn id_of(&self, extension: &str) -> Option<u8> {
        self.extensions
            .get(extension)
            .copied()
            .filter(|id| *id != HANDSHAKE_ID)
    }

    /// The payload of an [`crate::message::Message::Extended`] with number 0.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = vec![(
            "m",
            Node::dict(
                self.extensions
                    .iter()
                    .map(|(name, id)| (name.as_str(), Node::from(i64::from(*id)))),
            ),
        )];
        let mut number = |key, value: Option<u32>| {
            if let Some(value) = value {
                entries.push((key, Node::from(i64::from(value))));
            }
        };
        number("p", self.port.map(u32::from));
        number("reqq", self.request_queue);
        number("metadata_size", self.metadata_size);
        number("upload_only", self.upload_only.then_some(1));
        if let Some(client) = &self.client {
            entries.push(("v", Node::from(client.as_str())));
        }
        match self.your_ip {
            Some(IpAddr::V4(ip)) => entries.push(("yourip", Node::from(&ip.octets()[..]))),
            Some(IpAddr::V6(ip)) => entries.push(("yourip", Node::from(&ip.octets()[..]))),
            None => {}
        }
        Node::dict(entries).to_bytes()
    }

    /// Reads the payload of a number 0. Bytes behind the dictionary are passed over, as clients do.
    pub fn decode(payload: &[u8]) -> Result<Self, BencodeError> {
        let (value, _) = bencode::decode_prefix(payload, &LIMITS)?;
        let number = |key| value.get(key).and_then(Value::as_int);
        let extensions = value
            .get("m")
            .and_then(Value::as_dict)
            .into_iter()
            .flatten();
        Ok(Self {
            extensions: extensions
                .filter_map(|(name, id)| {
                    let name = std::str::from_utf8(name)
                        .ok()
                        .filter(|name| name.len() <= MAX_NAME)?;
                    Some((name.to_owned(), u8::try_from(id.as_int()?).ok()?))
                })
                .take(MAX_EXTENSIONS)
                .collect(),
            client: value.get("v").and_then(Value::as_bytes).map(client),
            port: number("p")
                .and_then(|n| u16::try_from(n).ok())
                .filter(|port| *port != 0),
            request_queue: number("reqq")
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n != 0),
            metadata_size: number("metadata_size")
                .and_then(|n| u32::try_from(n).ok())
                .filter(|n| *n != 0),
            your_ip: value
                .get("yourip")
                .and_then(Value::as_bytes)
                .and_then(|bytes| {
                    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
                    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
                }),
            upload_only: number("upload_only") == Some(1),
        })
    }
}

/// A name that may be shown: what is no text is marked, and what is too long is cut between characters.
fn client(name: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&name[..name.len().min(4 * MAX_CLIENT)]).into_owned();
    let cut = (0..=MAX_CLIENT.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(cut.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unusable_values_read_as_absent() {
        let check = |bytes: &[u8]| ExtendedHandshake::decode(bytes).unwrap();
        assert_eq!(check(b"de"), ExtendedHandshake::default());
        assert_eq!(
            check(b"d1:m0:1:pi70000e4:reqqi-1e6:yourip3:abce"),
            ExtendedHandshake::default()
        );
        assert_eq!(
            check(b"d1:md1:ai300e1:bi-1e1:c0:ee"),
            ExtendedHandshake::default()
        );
        assert!(ExtendedHandshake::decode(b"d1:md").is_err());
        let off = check(b"d1:md11:ut_metadatai0eee");
        assert_eq!(off.id_of(UT_METADATA), None);
    }

    #[test]
    fn a_long_or_broken_name_is_cut_to_a_text() {
        assert_eq!(client("µTorrent".as_bytes()), "µTorrent");
        assert_eq!(client(b"\xffx"), "\u{fffd}x");
        assert_eq!(client(&[0xff; 500]), "\u{fffd}".repeat(MAX_CLIENT / 3));
        assert_eq!(
            client("ä".repeat(500).as_bytes()),
            "ä".repeat(MAX_CLIENT / 2)
        );
        assert_eq!(
            client(format!("x{}", "ä".repeat(500)).as_bytes()).len(),
            MAX_CLIENT - 1
        );
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(
            extensions in proptest::collection::btree_map("[a-z_]{1,12}", any::<u8>(), 0..6),
            client in proptest::option::of("[a-zA-Z0-9 ./]{0,30}"),
            port in proptest::option::of(1u16..), request_queue in proptest::option::of(1u32..),
            metadata_size in proptest::option::of(1u32..), your_ip in proptest::option::of(any::<IpAddr>()),
            upload_only: bool,
        ) {
            let handshake = ExtendedHandshake {
                extensions, client, port, request_queue, metadata_size, your_ip, upload_only,
            };
            prop_assert_eq!(ExtendedHandshake::decode(&handshake.encode()), Ok(handshake));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(
            proptest::sample::select(b"dlei0123456789:-mpvq\xff".to_vec()), 0..60)) {
            let _ = ExtendedHandshake::decode(&bytes);
        }
    }
}
