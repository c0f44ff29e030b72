//! STUN binding (RFC 8489): tells whoever asks at which address it is seen, which is all that a page needs to be met
//! from outside. No state, no credentials: requests as browsers send them are answered; ICE's own checks (with a user
//! name or an integrity tag) are for whoever speaks ICE on the same socket, and are told apart here.
//!
//! A request may come from a forged address, and its answer is longer: 32 bytes to an IPv4 asker and 44 to an IPv6 one for at
//! least 20 (with the headers of UDP and IP 60 for 48 and 92 for 68), 8 more on both sides with a fingerprint, and 1.5 for one where
//! attributes are refused. A factor of 2.2 at most; how often an address is answered is the shell's to bound.

use std::net::{IpAddr, SocketAddr};

/// The longest request that is looked at. A browser's has 20 bytes; with room for a few attributes.
pub const MAX_REQUEST: usize = 576;

const HEADER: usize = 20;
const COOKIE: u32 = 0x2112_a442;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;

const USERNAME: u16 = 0x0006;
const MESSAGE_INTEGRITY: u16 = 0x0008;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const FINGERPRINT: u16 = 0x8028;
/// What a fingerprint is XORed with, so that it isn't the CRC of a protocol carried inside.
const FINGERPRINT_XOR: u32 = 0x5354_554e;
/// From here on an attribute may be passed over by whoever doesn't know it.
const OPTIONAL: u16 = 0x8000;
/// How many unknown attributes an error names.
const NAMED: usize = 8;

/// A binding request that is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingRequest {
    transaction: [u8; 12],
    fingerprint: bool,
    /// Attributes that would have to be understood.
    unknown: ([u16; NAMED], usize),
}

/// Why a datagram isn't answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It is no STUN message, or one that breaks off.
    #[error("no STUN message")]
    NotStun,
    /// It is an answer, an indication or a request of another kind.
    #[error("no binding request")]
    NotBinding,
    /// It has a user name or an integrity tag: a check of ICE.
    #[error("a check of ICE")]
    Ice,
}

impl BindingRequest {
    /// Reads a datagram.
    pub fn parse(datagram: &[u8]) -> Result<Self, NotTaken> {
        Self::read(datagram).ok_or(NotTaken::NotStun)?
    }

    fn read(datagram: &[u8]) -> Option<Result<Self, NotTaken>> {
        let (kind, rest) = number16(datagram)?;
        let (length, rest) = number16(rest)?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let (transaction, mut attributes) = rest.split_first_chunk()?;
        // RFC 7983: what shares the socket begins with a larger byte.
        let is_stun = kind < 0x0400
            && u32::from_be_bytes(*cookie) == COOKIE
            && usize::from(length) == attributes.len()
            && datagram.len() <= MAX_REQUEST;
        if !is_stun || length % 4 != 0 {
            return None;
        }
        if kind != BINDING_REQUEST {
            return Some(Err(NotTaken::NotBinding));
        }
        let mut request = Self {
            transaction: *transaction,
            fingerprint: false,
            unknown: ([0; NAMED], 0),
        };
        while !attributes.is_empty() {
            let before = datagram.len() - attributes.len();
            let (kind, rest) = number16(attributes)?;
            let (length, rest) = number16(rest)?;
            let (value, rest) = rest.split_at_checked(usize::from(length).next_multiple_of(4))?;
            attributes = rest;
            match kind {
                FINGERPRINT => {
                    // It is of all before it, and nothing follows.
                    let is_right = value == fingerprint(&datagram[..before]).to_be_bytes();
                    if !is_right || !attributes.is_empty() {
                        return None;
                    }
                    request.fingerprint = true;
                }
                USERNAME | MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256 => {
                    return Some(Err(NotTaken::Ice));
                }
                kind if kind < OPTIONAL => {
                    let (named, n) = &mut request.unknown;
                    if let Some(free) = named.get_mut(*n) {
                        *free = kind;
                        *n += 1;
                    }
                }
                _ => {}
            }
        }
        Some(Ok(request))
    }

    /// Writes the answer behind what stands in `out`: where the request was seen to come from, or which attributes are not
    /// understood. An IPv6-mapped IPv4 address is told as what it is.
    pub fn answer(&self, from: SocketAddr, out: &mut Vec<u8>) {
        let start = out.len();
        let (unknown, n) = &self.unknown;
        let kind = match n {
            0 => BINDING_SUCCESS,
            _ => BINDING_ERROR,
        };
        out.extend(kind.to_be_bytes());
        out.extend([0; 2]);
        out.extend(COOKIE.to_be_bytes());
        out.extend(self.transaction);
        if *n == 0 {
            self.write_address(from, out);
        } else {
            // 420, without words: it is for programs.
            attribute(out, ERROR_CODE, &[0, 0, 4, 20]);
            let mut named = [0; NAMED * 2];
            for (two, kind) in named.chunks_exact_mut(2).zip(unknown) {
                two.copy_from_slice(&kind.to_be_bytes());
            }
            attribute(out, UNKNOWN_ATTRIBUTES, &named[..n * 2]);
        }
        let attributes = out.len() - start - HEADER;
        // The length counts the fingerprint before it is made.
        let length = attributes + if self.fingerprint { 8 } else { 0 };
        out[start + 2..start + 4].copy_from_slice(&(length as u16).to_be_bytes());
        if self.fingerprint {
            let sum = fingerprint(&out[start..]);
            attribute(out, FINGERPRINT, &sum.to_be_bytes());
        }
    }

    fn write_address(&self, from: SocketAddr, out: &mut Vec<u8>) {
        let mut mask = [0; 16];
        mask[..4].copy_from_slice(&COOKIE.to_be_bytes());
        mask[4..].copy_from_slice(&self.transaction);
        let mut value = [0; 20];
        value[2..4].copy_from_slice(&(from.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
        let mut put = |family, octets: &[u8]| {
            value[1] = family;
            for ((byte, octet), mask) in value[4..].iter_mut().zip(octets).zip(mask) {
                *byte = octet ^ mask;
            }
            4 + octets.len()
        };
        let length = match from.ip().to_canonical() {
            IpAddr::V4(ip) => put(1, &ip.octets()),
            IpAddr::V6(ip) => put(2, &ip.octets()),
        };
        attribute(out, XOR_MAPPED_ADDRESS, &value[..length]);
    }
}

/// An attribute, padded with zeros to a multiple of four.
fn attribute(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend(kind.to_be_bytes());
    out.extend((value.len() as u16).to_be_bytes());
    out.extend(value);
    let padding = value.len().next_multiple_of(4) - value.len();
    out.extend(&[0; 3][..padding]);
}

fn fingerprint(message: &[u8]) -> u32 {
    crc32fast::hash(message) ^ FINGERPRINT_XOR
}

fn number16(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u16::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests;
