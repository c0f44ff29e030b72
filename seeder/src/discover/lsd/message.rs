//! The one datagram of BEP 14: a few lines in the manner of HTTP that name a port and some swarms.

use metainfo::SwarmHash;
use std::fmt::Write;
use std::net::SocketAddr;

/// How many swarms one datagram names: it stays within 1,400 bytes (BEP 14).
pub(super) const MAX_SWARMS: usize = 22;
/// The longest cookie that is looked at.
const MAX_COOKIE: usize = 64;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Search {
    /// Where the speaker takes peers.
    pub(super) port: u16,
    /// The swarms it is in.
    pub(super) swarms: Vec<SwarmHash>,
    /// By which it knows its own words.
    pub(super) cookie: Option<String>,
}

impl Search {
    pub(super) fn encode(&self, group: SocketAddr) -> String {
        let mut text = format!(
            "BT-SEARCH * HTTP/1.1\r\nHost: {group}\r\nPort: {}\r\n",
            self.port
        );
        for swarm in self.swarms.iter().take(MAX_SWARMS) {
            let _ = write!(text, "Infohash: {swarm}\r\n");
        }
        if let Some(cookie) = &self.cookie {
            let _ = write!(text, "cookie: {cookie}\r\n");
        }
        text.push_str("\r\n\r\n");
        text
    }

    /// `None` for what isn't one. Lines it doesn't know are passed over, and swarms beyond [`MAX_SWARMS`].
    pub(super) fn parse(datagram: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(datagram).ok()?;
        let mut lines = text.split("\r\n");
        if !lines.next()?.starts_with("BT-SEARCH * HTTP/1.") {
            return None;
        }
        let (mut port, mut swarms, mut cookie) = (None, Vec::new(), None);
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("port") {
                port = value.parse().ok().filter(|port| *port != 0);
            } else if name.eq_ignore_ascii_case("infohash") && swarms.len() < MAX_SWARMS {
                swarms.extend(value.parse::<SwarmHash>().ok());
            } else if name.eq_ignore_ascii_case("cookie") && value.len() <= MAX_COOKIE {
                cookie = Some(value.to_owned());
            }
        }
        Some(Self {
            port: port?,
            swarms,
            cookie,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_clients_send_is_understood() {
        let swarm = "00112233445566778899aabbccddeeff01234567";
        let text = format!(
            "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\nInfohash: {}\r\ncookie: x7\r\n\r\n\r\n",
            swarm.to_uppercase()
        );
        let search = Search {
            port: 6881,
            swarms: vec![swarm.parse().unwrap()],
            cookie: Some("x7".to_owned()),
        };
        assert_eq!(Search::parse(text.as_bytes()), Some(search));
        for bad in [
            "",
            "GET / HTTP/1.1\r\nPort: 1\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 0\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nPort: 70000\r\n\r\n",
            "BT-SEARCH * HTTP/1.1\r\nno colon\r\n\r\n",
        ] {
            assert_eq!(Search::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_undoes_encoding(
            port in 1u16.., hashes in proptest::collection::vec(any::<[u8; 20]>(), 0..MAX_SWARMS),
            cookie in proptest::option::of("[a-z0-9]{1,20}"), v4: bool,
        ) {
            let search = Search { port, swarms: hashes.into_iter().map(SwarmHash).collect(), cookie };
            let group = if v4 { "239.192.152.143:6771" } else { "[ff15::efc0:988f]:6771" };
            let text = search.encode(group.parse().unwrap());
            prop_assert!(text.len() <= 1400, "{}", text.len());
            prop_assert_eq!(Search::parse(text.as_bytes()), Some(search));
        }

        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut datagram = b"BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n".to_vec();
            datagram.extend(bytes);
            let _ = Search::parse(&datagram);
        }
    }
}
