//! Whom an address belongs to, where each is to have a share and no more.

use std::net::{IpAddr, Ipv6Addr};

/// What one line to the internet usually has: an IPv4 address, or an IPv6 /64, of which a host can take any address
/// it likes. An IPv4 address in IPv6's form (RFC 4291, 2.5.5.2) is the IPv4 address.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            Ipv6Addr::from(network).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_64_is_one_subscriber_and_an_ipv4_address_is_one_in_either_form() {
        let of = |text: &str| subscriber(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3::9"), "2001:db8:1:2::");
        assert_eq!(of("10.0.0.1"), "10.0.0.1");
        assert_eq!(of("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
