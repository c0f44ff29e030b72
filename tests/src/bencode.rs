//! A small bencode reader and writer of the tests' own, kept apart from the product's on purpose. It
//! reads well-formed input only, keeps dictionaries in the order they came, and knows where each value stood.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bencode {
    /// Integer.
    Int(i64),
    /// Byte string.
    Bytes(Vec<u8>),
    /// List.
    List(Vec<Bencode>),
    /// Dictionary in the order of the bytes.
    Dict(Vec<(Vec<u8>, Bencode)>),
    /// Bytes put into the output as they are: a raw info dictionary, or something malformed on purpose.
    Raw(Vec<u8>),
}

impl Bencode {
    /// A byte string.
    pub fn text(text: &str) -> Self {
        Bencode::Bytes(text.as_bytes().to_vec())
    }

    /// A dictionary, sorted as the format wants it.
    pub fn dict<const N: usize>(entries: [(&str, Bencode); N]) -> Self {
        let mut entries: Vec<_> = entries
            .into_iter()
            .map(|(key, value)| (key.as_bytes().to_vec(), value))
            .collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Bencode::Dict(entries)
    }

    /// The value under a key of a dictionary.
    pub fn get(&self, key: &str) -> Option<&Bencode> {
        match self {
            Bencode::Dict(entries) => entries
                .iter()
                .find(|(k, _)| k == key.as_bytes())
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The bytes of a byte string.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Bencode::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The integer.
    pub fn int(&self) -> Option<i64> {
        match self {
            Bencode::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn list(&self) -> Option<&[Bencode]> {
        match self {
            Bencode::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value as bytes, in the order it is held.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Bencode::Int(value) => out.extend(format!("i{value}e").bytes()),
            Bencode::Bytes(bytes) => write_bytes(bytes, out),
            Bencode::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write(out));
                out.push(b'e');
            }
            Bencode::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    write_bytes(key, out);
                    value.write(out);
                }
                out.push(b'e');
            }
            Bencode::Raw(raw) => out.extend_from_slice(raw),
        }
    }
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("{}:", bytes.len()).bytes());
    out.extend_from_slice(bytes);
}

/// Reads one value that fills `input`.
#[track_caller]
pub fn decode(input: &[u8]) -> Bencode {
    let (value, rest) = read(input).expect("well-formed bencode");
    assert!(rest.is_empty(), "{} bytes behind the value", rest.len());
    value
}

/// The raw bytes of the value under a key of the dictionary that fills `input`.
#[track_caller]
pub fn raw_value<'a>(input: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut rest = input.strip_prefix(b"d").expect("a dictionary");
    while !rest.starts_with(b"e") {
        let (found, after_key) = read(rest).expect("a key");
        let (_, after_value) = read(after_key).expect("a value");
        if found.bytes() == Some(key.as_bytes()) {
            return Some(&after_key[..after_key.len() - after_value.len()]);
        }
        rest = after_value;
    }
    None
}

fn read(input: &[u8]) -> Option<(Bencode, &[u8])> {
    match input.first()? {
        b'i' => {
            let end = input.iter().position(|b| *b == b'e')?;
            let number = std::str::from_utf8(&input[1..end]).ok()?.parse().ok()?;
            Some((Bencode::Int(number), &input[end + 1..]))
        }
        b'l' => {
            let (mut items, mut rest) = (Vec::new(), &input[1..]);
            while !rest.starts_with(b"e") {
                let (item, after) = read(rest)?;
                items.push(item);
                rest = after;
            }
            Some((Bencode::List(items), &rest[1..]))
        }
        b'd' => {
            let (mut entries, mut rest) = (Vec::new(), &input[1..]);
            while !rest.starts_with(b"e") {
                let (key, after) = read(rest)?;
                let (value, after) = read(after)?;
                entries.push((key.bytes()?.to_vec(), value));
                rest = after;
            }
            Some((Bencode::Dict(entries), &rest[1..]))
        }
        _ => {
            let colon = input.iter().position(|b| *b == b':')?;
            let len: usize = std::str::from_utf8(&input[..colon]).ok()?.parse().ok()?;
            let (bytes, rest) = input[colon + 1..].split_at_checked(len)?;
            Some((Bencode::Bytes(bytes.to_vec()), rest))
        }
    }
}
