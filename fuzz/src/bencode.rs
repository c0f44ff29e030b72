//! Bencode: only the canonical form is taken, so what was read and is written again is the same bytes.

use metainfo::bencode::{BencodeError, Limits, Node, Value, decode, decode_prefix, raw_entry};

const LIMITS: Limits = Limits {
    bytes: 64 << 10,
    depth: 24,
    values: 2000,
};

/// Decoding is undone by encoding, stays within its limits, and agrees with its two siblings.
pub fn bencode(data: &[u8]) {
    let value = match decode(data, &LIMITS) {
        Ok(value) => value,
        Err(BencodeError::Trailing(over)) => {
            let (value, used) = decode_prefix(data, &LIMITS).expect("only the end is wrong");
            assert_eq!(used + over, data.len(), "what follows is counted");
            assert_eq!(Ok(value), decode(&data[..used], &LIMITS));
            return;
        }
        Err(_) => {
            assert!(decode_prefix(data, &LIMITS).is_err(), "refused as a whole");
            return;
        }
    };
    assert!(data.len() <= LIMITS.bytes);
    let (values, depth) = measure(&value);
    assert!(values <= LIMITS.values, "{values} values");
    assert!(depth <= LIMITS.depth, "{depth} levels");
    assert_eq!(node(&value).to_bytes(), data, "the canonical form");
    assert_eq!(
        decode_prefix(data, &LIMITS),
        Ok((value.clone(), data.len()))
    );

    let absent = raw_entry(data, "no such key in any corpus", &LIMITS);
    assert_eq!(absent, Ok(None));
    // Each look-up reads all of the input: a few entries say enough.
    for (key, entry) in value.as_dict().into_iter().flatten().take(8) {
        let Ok(key) = std::str::from_utf8(key) else {
            continue;
        };
        let raw = raw_entry(data, key, &LIMITS).expect("decoded before");
        let expected = match entry {
            Value::List(_) | Value::Dict(_) => Some(node(entry).to_bytes()),
            Value::Bytes(_) | Value::Integer(_) => None,
        };
        assert_eq!(raw, expected.as_deref(), "entry {key:?}");
    }
}

/// A decoded value as one to encode.
fn node(value: &Value<'_>) -> Node {
    match value {
        Value::Bytes(bytes) => Node::from(*bytes),
        Value::Integer(number) => Node::from(*number),
        Value::List(items) => Node::List(items.iter().map(node).collect()),
        Value::Dict(entries) => Node::dict(entries.iter().map(|(key, item)| (*key, node(item)))),
    }
}

/// How many values there are, and how deep lists and dictionaries nest.
fn measure(value: &Value<'_>) -> (usize, usize) {
    let below: Vec<_> = match value {
        Value::Bytes(_) | Value::Integer(_) => return (1, 0),
        Value::List(items) => items.iter().map(measure).collect(),
        Value::Dict(entries) => entries.values().map(measure).collect(),
    };
    let values = below.iter().map(|(values, _)| values).sum::<usize>();
    let depth = below.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    (values + 1, depth + 1)
}
