//! STUN: a datagram, read and answered.

use crate::draw::Draw;
use std::net::{IpAddr, SocketAddr};
use wire::stun::{BindingRequest, MAX_REQUEST};

/// Reads the input as a binding request, of which the last bytes also say who asks. An answer is well-formed, bounded, goes
/// with its request and is none.
pub fn stun(data: &[u8]) {
    let Ok(request) = BindingRequest::parse(data) else {
        return;
    };
    assert!((20..=MAX_REQUEST).contains(&data.len()));
    let mut draw = Draw::new(&data[data.len() - 20..]);
    let ip = if draw.u8().is_multiple_of(2) {
        IpAddr::from(draw.array::<4>())
    } else {
        IpAddr::from(draw.array::<16>())
    };
    let from = SocketAddr::new(ip, draw.u16());
    let mut out = b"other replies".to_vec();
    let before = out.len();
    request.answer(from, &mut out);
    let out = &out[before..];
    assert!(out.len() * 10 <= data.len() * 22, "2.2 times at the most");
    assert_eq!(out[4..20], data[4..20], "cookie and transaction");
    assert!(BindingRequest::parse(out).is_err());
    let mut attributes = &out[20..];
    assert_eq!(attributes.len(), usize::from(number(&out[2..])));
    let mut address = None;
    while !attributes.is_empty() {
        let length = usize::from(number(&attributes[2..]));
        if number(attributes) == 0x20 {
            address = Some(mapped(&attributes[4..4 + length], &out[4..20]));
        }
        attributes = &attributes[4 + length.next_multiple_of(4)..];
    }
    let success = out[..2] == [1, 1];
    let canonical = SocketAddr::new(ip.to_canonical(), from.port());
    assert_eq!(address, success.then_some(canonical));
}

/// An XOR-MAPPED-ADDRESS.
fn mapped(value: &[u8], mask: &[u8]) -> SocketAddr {
    let port = number(&value[2..]) ^ number(mask);
    let octets: Vec<u8> = value[4..].iter().zip(mask).map(|(a, b)| a ^ b).collect();
    let ip = match (value[1], octets.len()) {
        (1, 4) => IpAddr::from(<[u8; 4]>::try_from(octets).expect("four")),
        (2, 16) => IpAddr::from(<[u8; 16]>::try_from(octets).expect("sixteen")),
        other => panic!("family and length {other:?}"),
    };
    SocketAddr::new(ip, port)
}

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}
