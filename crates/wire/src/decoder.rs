//! Cuts a stream of bytes into messages. A length prefix is judged before a byte of its message is
//! kept, so whatever a peer claims, no more than one allowed frame is ever held; and nothing is held
//! between messages, so an idle peer costs no buffer. Called by [`crate::connection`].

use crate::message::{DecodeError, FrameLimits, Message};

/// The incoming side of one connection, after the handshake.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: FrameLimits,
    /// The beginning of a frame whose end hasn't come yet, with its length prefix.
    partial: Vec<u8>,
}

const PREFIX: usize = 4;

impl Decoder {
    /// A decoder that takes frames up to these limits.
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            partial: Vec::new(),
        }
    }

    /// Takes bytes from the front of `input` until a message is whole. `None` means that all of the input
    /// was taken and more is needed. After an error the stream can't be read on.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Message>, DecodeError> {
        if self.partial.is_empty() {
            // The usual case: the whole frame has come, and is read where it lies.
            let end = match frame_end(&self.limits, input)? {
                Some(end) if end <= input.len() => end,
                _ => {
                    self.partial.extend_from_slice(input);
                    *input = &[];
                    return Ok(None);
                }
            };
            let (frame, rest) = input.split_at(end);
            *input = rest;
            return Message::decode(&frame[PREFIX..]).map(Some);
        }
        loop {
            let known = frame_end(&self.limits, &self.partial)?;
            // With the prefix and the message's number, the frame's end is known and allowed.
            let wanted = known.unwrap_or(if self.partial.len() < PREFIX {
                PREFIX
            } else {
                PREFIX + 1
            });
            let take = wanted.saturating_sub(self.partial.len()).min(input.len());
            let (taken, rest) = input.split_at(take);
            self.partial.extend_from_slice(taken);
            *input = rest;
            if self.partial.len() < wanted {
                return Ok(None);
            }
            if known.is_some() {
                let message = Message::decode(&self.partial[PREFIX..]);
                self.partial = Vec::new();
                return message.map(Some);
            }
        }
    }

    /// How many bytes are held back: at most one frame.
    pub fn buffered(&self) -> usize {
        self.partial.len()
    }
}

/// Where the frame at the front ends, its prefix counted, or `None` while too little has come to judge it.
fn frame_end(limits: &FrameLimits, bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*prefix);
    if length > 0 {
        let Some(&id) = rest.first() else {
            return Ok(None);
        };
        limits.check(id, length)?;
    }
    Ok(Some(PREFIX + length as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::message;
    use proptest::prelude::*;

    fn decode_all(decoder: &mut Decoder, chunks: &[&[u8]]) -> Result<Vec<Message>, DecodeError> {
        let mut messages = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(message) = decoder.feed(&mut input)? {
                messages.push(message);
            }
            assert!(input.is_empty(), "everything was taken");
        }
        Ok(messages)
    }

    #[test]
    fn a_claimed_length_is_refused_before_its_bytes_come() {
        let check = |bytes: &[u8], error: DecodeError| {
            assert_eq!(decode_all(&mut Decoder::default(), &[bytes]), Err(error));
            let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(decode_all(&mut Decoder::default(), &bytewise), Err(error));
        };
        check(
            b"\xff\xff\xff\xff\x07",
            DecodeError::BadLength {
                id: 7,
                length: u32::MAX,
            },
        );
        check(
            b"\x80\x00\x00\x01\x00",
            DecodeError::BadLength {
                id: 0,
                length: 0x8000_0001,
            },
        );
        check(
            b"\x00\x02\x00\x0a\x07",
            DecodeError::BadLength {
                id: 7,
                length: 131_082,
            },
        );
        check(
            b"\x00\x00\x00\x0e\x06",
            DecodeError::BadLength { id: 6, length: 14 },
        );
        check(
            b"\x00\x00\x00\x01\x14",
            DecodeError::BadLength { id: 20, length: 1 },
        );
        check(
            b"\x00\x00\x00\x01\x63",
            DecodeError::UnknownMessage { id: 99 },
        );
    }

    #[test]
    fn a_bitfield_is_bounded_by_the_torrent() {
        let limits = FrameLimits {
            bitfield: 3,
            extended: 10,
        };
        let mut decoder = Decoder::new(limits);
        assert_eq!(
            decode_all(&mut decoder, &[b"\0\0\0\x04\x05\xff\xff\xff"]).map(|m| m.len()),
            Ok(1)
        );
        let error = DecodeError::BadLength { id: 5, length: 5 };
        assert_eq!(
            decode_all(&mut decoder, &[b"\0\0\0\x05\x05\xff\xff\xff\xff"]),
            Err(error)
        );
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_messages(
            messages in proptest::collection::vec(message(), 0..8), cuts in proptest::collection::vec(1usize..40, 1..40)
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                message.encode(&mut stream);
            }
            let mut chunks = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let mut decoder = Decoder::default();
            prop_assert_eq!(decode_all(&mut decoder, &chunks), Ok(messages));
            prop_assert_eq!(decoder.buffered(), 0);
        }

        #[test]
        fn noise_neither_panics_nor_fills_memory(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
            limits in (0u32..100, 0u32..100)
        ) {
            let limits = FrameLimits { bitfield: limits.0, extended: limits.1 };
            let mut decoder = Decoder::new(limits);
            'stream: for chunk in &chunks {
                let mut input = &chunk[..];
                loop {
                    prop_assert!(decoder.buffered() <= limits.longest());
                    match decoder.feed(&mut input) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
            }
        }

        #[test]
        fn plausible_prefixes_neither_panic_nor_fill_memory(
            frames in proptest::collection::vec((0u32..200_000, 0u8..24, 0usize..400), 1..30)
        ) {
            let mut decoder = Decoder::default();
            'stream: for (length, id, body) in frames {
                let mut bytes = length.to_be_bytes().to_vec();
                bytes.push(id);
                bytes.resize(bytes.len() + body, 0xaa);
                let mut input = &bytes[..];
                loop {
                    prop_assert!(decoder.buffered() <= FrameLimits::default().longest());
                    match decoder.feed(&mut input) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'stream,
                    }
                }
            }
        }
    }
}
