//! STUN against the vectors of RFC 5769, hand-made messages and any bytes.

use super::*;
use data_encoding::HEXLOWER_PERMISSIVE;
use proptest::prelude::*;

const TRANSACTION: [u8; 12] = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).unwrap()
}

/// A binding request with these attributes.
fn request(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = hex("0001 0000 2112a442");
    message.extend(TRANSACTION);
    for (kind, value) in attributes {
        attribute(&mut message, *kind, value);
    }
    let length = (message.len() - HEADER) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message
}

fn with_fingerprint(mut message: Vec<u8>) -> Vec<u8> {
    let length = (message.len() - HEADER + 8) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let sum = fingerprint(&message);
    attribute(&mut message, FINGERPRINT, &sum.to_be_bytes());
    message
}

fn answer(request: &[u8], from: &str) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let parsed = BindingRequest::parse(request).unwrap();
    parsed.answer(from.parse().unwrap(), &mut out);
    out.split_off(6)
}

/// RFC 5769, 2.2 and 2.3: the mapped addresses of the sample responses, without their further attributes.
#[test]
fn addresses_stand_as_in_the_published_vectors() {
    let plain = request(&[]);
    assert_eq!(plain.len(), 20);
    let v4 = answer(&plain, "192.0.2.1:32853");
    let expected = "0101000c 2112a442 b7e7a701bc34d686fa87dfae 00200008 0001a147 e112a643";
    assert_eq!(v4, hex(expected));
    assert_eq!(
        answer(&plain, "[::ffff:192.0.2.1]:32853"),
        v4,
        "a mapped address is the address"
    );
    let v6 = answer(&plain, "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
    let expected = "01010018 2112a442 b7e7a701bc34d686fa87dfae 00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9";
    assert_eq!(v6, hex(expected));
}

/// RFC 5769, 2.1: a request with everything, and the sum behind it.
#[test]
fn a_check_of_ice_is_told_apart_and_its_fingerprint_is_right() {
    let sample = hex("0001 0058 2112a442 b7e7a701bc34d686fa87dfae
        8022 0010 5354554e207465737420636c69656e74
        0024 0004 6e0001ff
        8029 0008 932ff9b151263b36
        0006 0009 6576746a3a68367659202020
        0008 0014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
        8028 0004 e57a3bcf");
    assert_eq!(BindingRequest::parse(&sample), Err(NotTaken::Ice));
    let (message, sum) = sample.split_at(sample.len() - 8);
    assert_eq!(fingerprint(message).to_be_bytes(), sum[4..]);
}

#[test]
fn a_fingerprint_is_given_to_whoever_gave_one() {
    let asked = with_fingerprint(request(&[(0x8022, b"some browser")]));
    let reply = answer(&asked, "192.0.2.1:32853");
    assert_eq!(reply.len(), 40);
    let (message, sum) = reply.split_at(32);
    assert_eq!(message[2..4], [0, 20], "its length counts the fingerprint");
    assert_eq!(sum[..4], [0x80, 0x28, 0, 4]);
    assert_eq!(sum[4..], fingerprint(message).to_be_bytes());
    let mut wrong = asked.clone();
    wrong[24] ^= 1;
    assert_eq!(BindingRequest::parse(&wrong), Err(NotTaken::NotStun));
    let mut not_last = asked;
    attribute(&mut not_last, 0x8022, b"more");
    let length = (not_last.len() - HEADER) as u16;
    not_last[2..4].copy_from_slice(&length.to_be_bytes());
    assert_eq!(BindingRequest::parse(&not_last), Err(NotTaken::NotStun));
}

/// RFC 8489, 6.3.1: CHANGE-REQUEST of the classic protocol is one of these.
#[test]
fn an_attribute_that_must_be_understood_is_named() {
    let reply = answer(&request(&[(3, &[0; 4]), (0x7777, b"odd")]), "192.0.2.1:1");
    let expected = "01110010 2112a442 b7e7a701bc34d686fa87dfae 00090004 00000414 000a0004 00037777";
    assert_eq!(reply, hex(expected));
    let many: Vec<(u16, &[u8])> = (0x7000..0x7020).map(|kind| (kind, &b""[..])).collect();
    let request = request(&many);
    let reply = answer(&request, "192.0.2.1:1");
    assert_eq!(reply.len(), 20 + 8 + 4 + NAMED * 2);
}

#[test]
fn what_is_no_binding_request_is_told_apart() {
    let plain = request(&[]);
    let mut indication = plain.clone();
    indication[1] = 0x11;
    let mut allocate = plain.clone();
    allocate[1] = 3;
    let reply = answer(&plain, "192.0.2.1:1");
    for other in [indication, allocate, reply] {
        assert_eq!(BindingRequest::parse(&other), Err(NotTaken::NotBinding));
    }
    let mut classic = plain.clone();
    classic[4] ^= 1;
    let mut longer = plain.clone();
    longer.push(0);
    let mut dtls = plain.clone();
    dtls[0] = 22;
    let large = request(&[(0x8022, &[b'x'; 600])]);
    for other in [classic, longer, dtls, large, plain[..19].to_vec()] {
        assert_eq!(BindingRequest::parse(&other), Err(NotTaken::NotStun));
    }
}

proptest! {
    #[test]
    fn no_datagram_panics_and_every_answer_is_bounded(
        kind in any::<u8>(), attributes in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..6),
        ip: u128, port: u16, cut in 0usize..300,
    ) {
        let attributes: Vec<(u16, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        let mut message = request(&attributes);
        if kind < 100 {
            message[1] = kind;
        }
        for message in [&message[..], &message[..cut.min(message.len())], &with_fingerprint(message.clone())] {
            let Ok(parsed) = BindingRequest::parse(message) else {
                continue;
            };
            let mut out = Vec::new();
            parsed.answer(SocketAddr::new(IpAddr::from(ip.to_be_bytes()), port), &mut out);
            prop_assert!(out.len() * 10 <= message.len() * 22, "{} for {}", out.len(), message.len());
            prop_assert_eq!(usize::from(u16::from_be_bytes([out[2], out[3]])), out.len() - HEADER);
            prop_assert_eq!(&out[8..20], &TRANSACTION);
            prop_assert!(BindingRequest::parse(&out).is_err(), "no answer is a request");
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = BindingRequest::parse(&bytes);
    }
}
