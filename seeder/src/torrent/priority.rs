//! Canonical peer priority (BEP 40): an order of connections on which both ends agree without a word, and which
//! nobody can choose for himself.

use std::net::{IpAddr, SocketAddr};

/// The priority of a connection between two addresses: the higher the better.
pub(super) fn priority(a: SocketAddr, b: SocketAddr) -> u32 {
    match (a.ip().to_canonical(), b.ip().to_canonical()) {
        (x, y) if x == y => {
            let (low, high) = (a.port().min(b.port()), a.port().max(b.port()));
            crc32c(&[low.to_be_bytes(), high.to_be_bytes()].concat())
        }
        (IpAddr::V4(x), IpAddr::V4(y)) => of_bytes(&x.octets(), &y.octets(), 2),
        (IpAddr::V6(x), IpAddr::V6(y)) => of_bytes(&x.octets(), &y.octets(), 6),
        // They can't be connected.
        _ => 0,
    }
}

/// Up to `known` bytes count in full; behind them, those that both have in common and one more; of the rest every
/// second bit.
fn of_bytes(x: &[u8], y: &[u8], known: usize) -> u32 {
    let common = x.iter().zip(y).take_while(|(x, y)| x == y).count();
    let full = if common < known { known } else { common + 1 };
    let mask = |bytes: &[u8]| -> Vec<u8> {
        let masked = bytes.iter().enumerate();
        masked
            .map(|(at, byte)| if at < full { *byte } else { byte & 0x55 })
            .collect()
    };
    let (x, y) = (mask(x), mask(y));
    let (low, high) = if x <= y { (x, y) } else { (y, x) };
    crc32c(&[low, high].concat())
}

/// CRC-32C (Castagnoli), bit by bit: it is asked for a few hundred bytes a minute.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_bep() {
        let of = |a: &str, b: &str| {
            let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 6881);
            priority(address(a), address(b))
        };
        assert_eq!(of("123.213.32.10", "98.76.54.32"), 0xec2d_7224);
        assert_eq!(of("98.76.54.32", "123.213.32.10"), 0xec2d_7224);
        assert_eq!(of("123.213.32.10", "123.213.32.234"), 0x9956_8189);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(of("1.2.3.4", "2001:db8::1"), 0);
    }
}
