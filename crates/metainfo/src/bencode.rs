//! Bencode (BEP 3) on top of `bendy`, with the bounds a stranger's bytes need: total size, nesting
//! depth and number of values. Decoding accepts the canonical form only (sorted, unique keys; no
//! leading zeros), so that what was parsed is what was hashed. Encoding sorts keys by itself.

use bendy::decoding::{Decoder, Object};
use bendy::encoding::{self, SingleItemEncoder, ToBencode};
use std::collections::BTreeMap;

/// What a decoder may spend on bytes from a stranger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest input, in bytes.
    pub bytes: usize,
    /// Deepest nesting of lists and dictionaries.
    pub depth: usize,
    /// Most values in all, keys not counted: bounds the memory that small values blow up to.
    pub values: usize,
}

impl Limits {
    /// For `.torrent` files: 64 MiB is beyond 50 TB at our piece lengths. The file tree of BEP 52
    /// nests one level a folder.
    pub const TORRENT: Self = Self {
        bytes: 64 << 20,
        depth: 128,
        values: 2_000_000,
    };
    /// For messages between peers and from trackers.
    pub const MESSAGE: Self = Self {
        bytes: 1 << 20,
        depth: 16,
        values: 20_000,
    };
}

/// Why bytes are not the bencode that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BencodeError {
    /// Longer than [`Limits::bytes`].
    #[error("{found} bytes, at most {limit} are taken")]
    TooLong {
        /// How many came.
        found: usize,
        /// How many are taken.
        limit: usize,
    },
    /// More values than [`Limits::values`].
    #[error("more than {limit} values")]
    TooManyValues {
        /// How many are taken.
        limit: usize,
    },
    /// Not canonical bencode, or nested deeper than [`Limits::depth`].
    #[error("malformed bencode: {0}")]
    Malformed(String),
    /// Something follows the value.
    #[error("{0} bytes follow the value")]
    Trailing(usize),
    /// An integer that 64 bits can't hold.
    #[error("integer `{0}` does not fit 64 bits")]
    IntegerRange(String),
}

impl From<bendy::decoding::Error> for BencodeError {
    fn from(error: bendy::decoding::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A decoded value that borrows its byte strings from the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// A byte string.
    Bytes(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A list.
    List(Vec<Value<'a>>),
    /// A dictionary.
    Dict(BTreeMap<&'a [u8], Value<'a>>),
}

impl<'a> Value<'a> {
    /// Looks a key up; `None` where this is no dictionary or has no such key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.as_dict()?.get(key.as_bytes())
    }

    /// The bytes of a byte string.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self {
            Some(bytes)
        } else {
            None
        }
    }

    /// The text of a byte string that is UTF-8.
    pub fn as_str(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The number of an integer.
    pub fn as_int(&self) -> Option<i64> {
        if let Self::Integer(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Value<'a>]> {
        if let Self::List(items) = self {
            Some(items)
        } else {
            None
        }
    }

    /// The entries of a dictionary.
    pub fn as_dict(&self) -> Option<&BTreeMap<&'a [u8], Value<'a>>> {
        if let Self::Dict(entries) = self {
            Some(entries)
        } else {
            None
        }
    }
}

/// Decodes bytes that hold exactly one value.
pub fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Value<'a>, BencodeError> {
    let (value, used) = decode_prefix(bytes, limits)?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(BencodeError::Trailing(bytes.len() - used))
    }
}

/// Decodes the value at the start of the bytes and says how many it took: BEP 9 puts a piece of
/// metadata behind a dictionary.
pub fn decode_prefix<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(Value<'a>, usize), BencodeError> {
    let used = value_length(bytes, limits)?;
    let mut decoder = Decoder::new(&bytes[..used]).with_max_depth(limits.depth);
    let object = decoder
        .next_object()?
        .ok_or_else(|| BencodeError::Malformed("nothing there".into()))?;
    let mut left = limits.values;
    Ok((value(object, limits, &mut left)?, used))
}

/// The raw bytes of one entry of the dictionary that the input holds: an info-hash is taken over
/// these, never over a value encoded anew.
pub fn raw_entry<'a>(
    bytes: &'a [u8],
    key: &str,
    limits: &Limits,
) -> Result<Option<&'a [u8]>, BencodeError> {
    value_length(bytes, limits)?;
    let mut decoder = Decoder::new(bytes).with_max_depth(limits.depth);
    let Some(Object::Dict(mut dict)) = decoder.next_object()? else {
        return Ok(None);
    };
    let mut found = None;
    while let Some((name, object)) = dict.next_pair()? {
        if name != key.as_bytes() {
            continue;
        }
        found = match object {
            Object::Dict(inner) => Some(inner.into_raw()?),
            Object::List(inner) => Some(inner.into_raw()?),
            Object::Bytes(_) | Object::Integer(_) => None,
        };
    }
    Ok(found)
}

/// The length of the first value, found without building it.
fn value_length(bytes: &[u8], limits: &Limits) -> Result<usize, BencodeError> {
    if bytes.len() > limits.bytes {
        return Err(BencodeError::TooLong {
            found: bytes.len(),
            limit: limits.bytes,
        });
    }
    let malformed = |what: &str| BencodeError::Malformed(what.into());
    let mut depth = 0usize;
    let mut values = 0usize;
    let mut at = 0usize;
    loop {
        match bytes.get(at).copied() {
            None => return Err(malformed("the end is missing")),
            Some(b'e') => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| malformed("an end without a start"))?;
                at += 1;
            }
            Some(b'l' | b'd') => {
                depth += 1;
                if depth > limits.depth {
                    return Err(BencodeError::Malformed(format!(
                        "nested deeper than {}",
                        limits.depth
                    )));
                }
                at += 1;
            }
            Some(b'i') => {
                at += 1 + bytes[at..]
                    .iter()
                    .position(|b| *b == b'e')
                    .ok_or_else(|| malformed("an endless integer"))?;
            }
            Some(b'0'..=b'9') => {
                let digits = bytes[at..].iter().take(12).position(|b| *b == b':');
                let digits = digits.ok_or_else(|| malformed("a byte string without a length"))?;
                let length: usize = std::str::from_utf8(&bytes[at..at + digits])
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| malformed("a byte string without a length"))?;
                at += digits + 1;
                at = at
                    .checked_add(length)
                    .filter(|end| *end <= bytes.len())
                    .ok_or_else(|| malformed("a byte string that is longer than what is there"))?;
            }
            Some(other) => {
                return Err(BencodeError::Malformed(format!(
                    "unexpected byte {other:#04x} at {at}"
                )));
            }
        }
        values += 1;
        // Keys and ends are counted here as well, hence three for each value.
        if values > limits.values.saturating_mul(3) {
            return Err(BencodeError::TooManyValues {
                limit: limits.values,
            });
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

fn value<'a>(
    object: Object<'_, 'a>,
    limits: &Limits,
    left: &mut usize,
) -> Result<Value<'a>, BencodeError> {
    *left = left.checked_sub(1).ok_or(BencodeError::TooManyValues {
        limit: limits.values,
    })?;
    match object {
        Object::Bytes(bytes) => Ok(Value::Bytes(bytes)),
        Object::Integer(text) => text
            .parse()
            .map(Value::Integer)
            .map_err(|_| BencodeError::IntegerRange(text.chars().take(40).collect())),
        Object::List(mut list) => {
            let mut items = Vec::new();
            while let Some(item) = list.next_object()? {
                items.push(value(item, limits, left)?);
            }
            Ok(Value::List(items))
        }
        Object::Dict(mut dict) => {
            let mut entries = BTreeMap::new();
            while let Some((key, item)) = dict.next_pair()? {
                entries.insert(key, value(item, limits, left)?);
            }
            Ok(Value::Dict(entries))
        }
    }
}

/// A value to encode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// An integer.
    Integer(i64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A list.
    List(Vec<Node>),
    /// A dictionary; the map keeps its keys in order.
    Dict(BTreeMap<Vec<u8>, Node>),
    /// Bencode that exists already and must not change by a byte: an info dictionary.
    Raw(Vec<u8>),
}

impl Node {
    /// A dictionary of these entries.
    pub fn dict<K: Into<Vec<u8>>>(entries: impl IntoIterator<Item = (K, Node)>) -> Self {
        Self::Dict(
            entries
                .into_iter()
                .map(|(key, node)| (key.into(), node))
                .collect(),
        )
    }

    /// A list of texts.
    pub fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(|text| text.as_ref().into()).collect())
    }

    /// The bencoded bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            // `bendy` checks structure while it emits; what stands here verbatim is the one thing it can't.
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write(out));
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, item) in entries {
                    out.extend_from_slice(&scalar(&Node::Bytes(key.clone())));
                    item.write(out);
                }
                out.push(b'e');
            }
            Self::Integer(_) | Self::Bytes(_) => out.extend_from_slice(&scalar(self)),
        }
    }
}

/// Encodes an integer or a byte string, which `bendy` never refuses.
fn scalar(node: &Node) -> Vec<u8> {
    struct Scalar<'a>(&'a Node);
    impl ToBencode for Scalar<'_> {
        const MAX_DEPTH: usize = 1;
        fn encode(&self, encoder: SingleItemEncoder<'_>) -> Result<(), encoding::Error> {
            match self.0 {
                Node::Integer(number) => encoder.emit_int(*number),
                Node::Bytes(bytes) => encoder.emit_bytes(bytes),
                Node::List(_) | Node::Dict(_) | Node::Raw(_) => encoder.emit_bytes(&[]),
            }
        }
    }
    Scalar(node)
        .to_bencode()
        .expect("an integer or a byte string nests nothing")
}

impl From<i64> for Node {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<&[u8]> for Node {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Limits = Limits {
        bytes: 1000,
        depth: 4,
        values: 20,
    };

    #[test]
    fn hostile_bytes_are_refused_with_a_reason() {
        let deep = [vec![b'l'; 5], vec![b'e'; 5]].concat();
        let many = [b"l".to_vec(), b"le".repeat(30), b"e".to_vec()].concat();
        let huge = format!("i{}e", "9".repeat(30));
        for (bytes, reason) in [
            (&b""[..], "end is missing"),
            (b"i1", "endless integer"),
            (b"i1ei2e", "3 bytes follow"),
            (b"i-0e", "malformed"),
            (b"i01e", "malformed"),
            (b"ie", "malformed"),
            (b"5:abc", "longer than what is there"),
            (b"-1:a", "unexpected byte"),
            (b"99999999999999999999:a", "without a length"),
            (b"d1:b0:1:a0:e", "malformed"),
            (b"d1:a0:1:a0:e", "malformed"),
            (b"di1e0:e", "malformed"),
            (b"d1:ae", "malformed"),
            (b"e", "end without a start"),
            (b"x", "unexpected byte"),
            (&deep, "nested deeper"),
            (&many, "more than 20 values"),
            (huge.as_bytes(), "does not fit 64 bits"),
            (&[b'0'; 1001], "at most 1000"),
        ] {
            let error = decode(bytes, &SMALL)
                .expect_err(&String::from_utf8_lossy(bytes))
                .to_string();
            assert!(
                error.contains(reason),
                "{}: {error}",
                String::from_utf8_lossy(bytes)
            );
        }
    }

    #[test]
    fn a_raw_entry_is_the_bytes_as_they_stand() {
        let bytes = b"d4:infod1:ai1ee4:othe3:xyze";
        assert_eq!(raw_entry(bytes, "info", &SMALL), Ok(Some(&b"d1:ai1ee"[..])));
        assert_eq!(raw_entry(bytes, "none", &SMALL), Ok(None));
    }

    #[test]
    fn a_prefix_tells_its_length() {
        let (value, used) = decode_prefix(b"d1:ai1eerest", &SMALL).unwrap();
        assert_eq!((value.get("a").and_then(Value::as_int), used), (Some(1), 8));
    }

    fn node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Node::Integer),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(Node::Bytes)
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Node::List),
                proptest::collection::btree_map(
                    proptest::collection::vec(any::<u8>(), 0..5),
                    inner,
                    0..5
                )
                .prop_map(Node::Dict),
            ]
        })
    }

    fn same(node: &Node, value: &Value<'_>) -> bool {
        match (node, value) {
            (Node::Integer(a), Value::Integer(b)) => a == b,
            (Node::Bytes(a), Value::Bytes(b)) => a == b,
            (Node::List(a), Value::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
            }
            (Node::Dict(a), Value::Dict(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && same(a, b))
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_the_same(node in node()) {
            let bytes = node.to_bytes();
            let value = decode(&bytes, &Limits::TORRENT).unwrap();
            prop_assert!(same(&node, &value));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(
            proptest::sample::select(b"dlei0123456789:-ab\xff".to_vec()), 0..60)) {
            let _ = decode(&bytes, &SMALL);
            let _ = raw_entry(&bytes, "a", &SMALL);
        }
    }
}
