//! The decoder of peer messages: where the stream is cut must not matter, and nobody fills its buffer.

use crate::draw::Draw;
use wire::decoder::Decoder;
use wire::message::{DecodeError, FrameLimits, Message};

/// Feeds a stream whole, in pieces that the input chooses, and byte by byte.
pub fn decoder(data: &[u8]) {
    let mut draw = Draw::new(data);
    let limits = FrameLimits {
        bitfield: u32::from(draw.u8()),
        extended: u32::from(draw.u16()),
    };
    let cuts: [u8; 4] = draw.array();
    let stream = draw.rest();

    let whole = read(limits, stream, std::iter::once(stream.len()));
    let cut = cuts
        .iter()
        .cycle()
        .map(|cut| usize::from(*cut).pow(2) / 16 + 1);
    assert_eq!(read(limits, stream, cut), whole, "cut at {cuts:?}");
    assert_eq!(
        read(limits, stream, std::iter::repeat(1)),
        whole,
        "byte by byte"
    );

    let mut written = Vec::new();
    for message in &whole.0 {
        message.encode(&mut written);
    }
    assert!(
        stream.starts_with(&written),
        "messages are written as they came"
    );
    if whole.1.is_none() {
        assert!(stream.len() - written.len() < limits.longest());
    }
}

/// The messages in the stream, and why it can't be read on.
fn read(
    limits: FrameLimits,
    stream: &[u8],
    mut cuts: impl Iterator<Item = usize>,
) -> (Vec<Message>, Option<DecodeError>) {
    let mut decoder = Decoder::new(limits);
    let mut messages = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let cut = cuts.next().unwrap_or(rest.len()).clamp(1, rest.len());
        let (mut chunk, after) = rest.split_at(cut);
        rest = after;
        loop {
            match decoder.feed(&mut chunk) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
            assert!(decoder.buffered() <= limits.longest());
        }
        assert!(chunk.is_empty(), "nothing is left lying");
        assert!(decoder.buffered() <= limits.longest());
    }
    (messages, None)
}
