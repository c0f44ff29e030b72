//! Frames of RFC 6455 as a server sees them: cut out of a buffer, unmasked in place, put together where a message
//! comes in parts, and written. Headers are read and written by `tungstenite`; its own sockets are not used, since
//! they keep buffers for as long as they live and browsers mostly rest. No socket, no JSON.

use std::borrow::Cow;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use wire::tracker::websocket::MAX_MESSAGE;

/// The longest payload of a ping, a pong or a close (RFC 6455, section 5.5).
const MAX_CONTROL: u64 = 125;
/// The longest header of a frame that a client sends.
pub const MAX_HEADER: usize = 14;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole message; text and binary are not told apart.
    Message(Cow<'a, [u8]>),
    /// A part of a message: more is to come.
    Part,
    /// It wants to know whether we are there.
    Ping(&'a [u8]),
    /// It is there.
    Pong,
    /// It goes.
    Close,
}

/// What breaks RFC 6455, or a bound of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No frame of a client: not masked, an unknown kind, an extension that nobody has agreed to, parts in a wrong order.
    Malformed,
    /// A message longer than [`MAX_MESSAGE`].
    TooLong,
}

/// The frames of one client.
#[derive(Debug, Default)]
pub struct Frames {
    /// The parts of a message that has not ended yet.
    parts: Vec<u8>,
    /// Whether there is such a message; its parts may be empty.
    open: bool,
}

impl Frames {
    /// Takes one frame off the front of what has come in, unmasking it in place, and tells how many bytes it took.
    /// `None`: there is no whole frame yet.
    pub fn next<'a>(&mut self, buffer: &'a mut [u8]) -> Result<Option<(usize, Frame<'a>)>, Fault> {
        let mut cursor = Cursor::new(&*buffer);
        let header = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Malformed)?;
        let Some((header, length)) = header else {
            return Ok(None);
        };
        let start = usize::try_from(cursor.position()).map_err(|_| Fault::Malformed)?;
        let Some(mask) = header.mask else {
            return Err(Fault::Malformed);
        };
        let is_control = matches!(header.opcode, OpCode::Control(_));
        if header.rsv1
            || header.rsv2
            || header.rsv3
            || is_control && (!header.is_final || length > MAX_CONTROL)
        {
            return Err(Fault::Malformed);
        }
        let length = usize::try_from(length).map_err(|_| Fault::TooLong)?;
        if !is_control && length > MAX_MESSAGE - self.parts.len() {
            return Err(Fault::TooLong);
        }
        let continues = matches!(header.opcode, OpCode::Data(Data::Continue));
        if !is_control && continues != self.open {
            return Err(Fault::Malformed);
        }
        let end = start + length;
        let Some(payload) = buffer.get_mut(start..end) else {
            return Ok(None);
        };
        unmask(payload, mask);
        let payload = &*payload;
        let frame = match header.opcode {
            OpCode::Control(Control::Ping) => Frame::Ping(payload),
            OpCode::Control(Control::Pong) => Frame::Pong,
            OpCode::Control(_) => Frame::Close,
            OpCode::Data(_) if header.is_final && !self.open => {
                Frame::Message(Cow::Borrowed(payload))
            }
            OpCode::Data(_) => {
                self.parts.extend_from_slice(payload);
                self.open = !header.is_final;
                if self.open {
                    Frame::Part
                } else {
                    Frame::Message(Cow::Owned(std::mem::take(&mut self.parts)))
                }
            }
        };
        Ok(Some((end, frame)))
    }

    /// Whether a message has begun in an earlier frame and not ended.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Bytes kept of a message that has not ended yet.
    pub fn held(&self) -> usize {
        self.parts.len()
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    // Eight bytes at a time: the compiler makes vector instructions of it.
    let word = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends a text message, whose text `write` appends.
pub fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // What we say is mostly between 126 and 65,535 bytes, which takes a header of four.
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = out.len() - start - 4;
    let mut header = Cursor::new([0; MAX_HEADER]);
    format(&mut header, OpCode::Data(Data::Text), length);
    let written = usize::try_from(header.position()).unwrap_or(MAX_HEADER);
    let header = &header.get_ref()[..written];
    match out.get_mut(start..start + 4) {
        Some(place) if header.len() == 4 => place.copy_from_slice(header),
        _ => drop(out.splice(start..start + 4, header.iter().copied())),
    }
}

/// Appends a ping without payload.
pub fn ping(out: &mut Vec<u8>) {
    format(out, OpCode::Control(Control::Ping), 0);
}

/// Appends the answer to a ping.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    format(out, OpCode::Control(Control::Pong), payload.len());
    out.extend_from_slice(payload);
}

/// Appends a close with its code (RFC 6455, section 7.4).
pub fn close(out: &mut Vec<u8>, code: u16) {
    format(out, OpCode::Control(Control::Close), 2);
    out.extend_from_slice(&code.to_be_bytes());
}

fn format(out: &mut impl std::io::Write, opcode: OpCode, length: usize) {
    let header = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    header
        .format(length as u64, out)
        .expect("memory takes what is written to it");
}
