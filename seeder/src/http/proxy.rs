//! Reverse proxies in front of us: which they are, and for whom they speak. `X-Forwarded-For` is believed of them alone,
//! `Forwarded` (RFC 7239) of nobody.

use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;
use std::str::FromStr;

/// A trusted proxy's address, or a network in which every address is one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Proxies(IpNet);

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address like 10.0.0.1 or a network like 10.0.0.0/8 is wanted")]
pub struct BadNetwork;

impl Proxies {
    /// Whether it is an address of theirs.
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.contains(&ip.to_canonical())
    }
}

impl From<IpAddr> for Proxies {
    fn from(ip: IpAddr) -> Self {
        Self(ip.to_canonical().into())
    }
}

impl FromStr for Proxies {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let network = text.parse().map(Self);
        let address = || text.parse::<IpAddr>().map(Self::from);
        network.or_else(|_| address()).map_err(|_| BadNetwork)
    }
}

impl TryFrom<String> for Proxies {
    type Error = BadNetwork;

    fn try_from(text: String) -> Result<Self, BadNetwork> {
        text.parse()
    }
}

/// The address that asks: the connection's, or where a proxy we trust passes on another's, that one. Only the proxy's
/// own entry, the last that is no proxy of ours, is believed. `forwarded` are the lines of `X-Forwarded-For`, the last
/// one first.
pub(super) fn asker<'a>(
    remote: IpAddr,
    proxies: &[Proxies],
    forwarded: impl Iterator<Item = &'a [u8]>,
) -> IpAddr {
    let remote = remote.to_canonical();
    let trusted = |ip| proxies.iter().any(|proxy| proxy.contains(ip));
    if !trusted(remote) {
        return remote;
    }
    let lines = forwarded.filter_map(|line| std::str::from_utf8(line).ok());
    let mut hops = lines
        .flat_map(|line| line.rsplit(','))
        .map(|hop| hop.trim().parse::<IpAddr>());
    let stranger = hops.find(|hop| !matches!(hop, Ok(ip) if trusted(*ip)));
    stranger
        .and_then(Result::ok)
        .map_or(remote, |ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let check = |remote: &str, forwarded: &[&str], expected: &str| {
            let proxies = ["127.0.0.1".parse().unwrap(), "10.0.0.8/31".parse().unwrap()];
            let lines = forwarded.iter().rev().map(|line| line.as_bytes());
            assert_eq!(
                asker(remote.parse().unwrap(), &proxies, lines),
                expected.parse::<IpAddr>().unwrap(),
                "{forwarded:?}"
            );
        };
        check("5.5.5.5", &["1.1.1.1"], "5.5.5.5");
        check("10.0.0.10", &["1.1.1.1"], "10.0.0.10");
        check("127.0.0.1", &[], "127.0.0.1");
        check("127.0.0.1", &["1.1.1.1"], "1.1.1.1");
        check("127.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1");
        check("127.0.0.1", &["6.6.6.6", "1.1.1.1, 10.0.0.9"], "1.1.1.1");
        check("10.0.0.8", &["6.6.6.6", "::ffff:1.1.1.1"], "1.1.1.1");
        check("::ffff:127.0.0.1", &["2001:db8::1"], "2001:db8::1");
        check("127.0.0.1", &["1.1.1.1, unknown"], "127.0.0.1");
        check("127.0.0.1", &["1.1.1.1, "], "127.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["", "proxy", "10.0.0.0/33", "10.0.0"] {
            assert_eq!(text.parse::<Proxies>(), Err(BadNetwork), "{text}");
        }
    }
}
