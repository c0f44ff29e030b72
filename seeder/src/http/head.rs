//! The head of a request, as far as the tracker's own loop needs it: whether it asks the tracker, over WebSocket too, and
//! what. Whatever is anything else, or unusual, is left to hyper.

use super::proxy::{self, Proxies};
use crate::tracker::http::Question;
use std::mem::MaybeUninit;
use std::net::IpAddr;

/// How requests begin that are looked at here.
const STARTS: [&[u8]; 4] = [
    b"GET /announce",
    b"GET /scrape",
    b"HEAD /announce",
    b"HEAD /scrape",
];
/// The most fields that are read here; hyper reads more.
const FIELDS: usize = 64;

/// What the first bytes of a buffer are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head<'a> {
    /// Not enough to tell.
    Partial,
    /// A whole request to the tracker.
    Tracker(Asked<'a>),
    /// A whole request to go on as a WebSocket.
    WebSocket {
        /// Bytes of the head.
        length: usize,
        /// `Sec-WebSocket-Key`.
        key: &'a [u8],
        /// Who asks.
        ip: IpAddr,
    },
    /// Something for hyper.
    Other,
}

/// A request to the tracker.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// Bytes of the head.
    pub length: usize,
    /// What is asked.
    pub question: Question,
    /// What stands behind the `?`.
    pub query: &'a [u8],
    /// Who asks.
    pub ip: IpAddr,
    /// Whether only the head of the answer is wanted.
    pub head_only: bool,
    /// Whether it is HTTP/1.0.
    pub old: bool,
    /// Whether the connection stays.
    pub keep_alive: bool,
}

/// What the fields of a request say of its connection.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fields<'a> {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    websocket: bool,
    version: bool,
    key: Option<&'a [u8]>,
    /// Something that needs more than a glance: a body, or `Expect`.
    unusual: bool,
}

impl<'a> Fields<'a> {
    /// Of all fields of a request.
    pub fn of(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut all = Self::default();
        for (name, value) in fields {
            match name.len() {
                6 if name.eq_ignore_ascii_case("expect") => all.unusual = true,
                7 if name.eq_ignore_ascii_case("upgrade") => {
                    all.websocket |= has_token(value, b"websocket");
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    all.close |= has_token(value, b"close");
                    all.keep_alive |= has_token(value, b"keep-alive");
                    all.upgrade |= has_token(value, b"upgrade");
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    all.unusual |= value.trim_ascii() != b"0";
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => all.unusual = true,
                17 if name.eq_ignore_ascii_case("sec-websocket-key") => {
                    all.key = Some(value.trim_ascii());
                }
                21 if name.eq_ignore_ascii_case("sec-websocket-version") => {
                    all.version = value.trim_ascii() == b"13";
                }
                _ => {}
            }
        }
        all
    }

    /// Whether the connection is to go on as a WebSocket.
    pub fn wants_websocket(&self) -> bool {
        self.upgrade && self.websocket
    }

    /// The key of a WebSocket's opening handshake that can be answered (RFC 6455, 4.2.1).
    pub fn websocket_key(&self) -> Option<&'a [u8]> {
        // Sixteen bytes in base64.
        let key = self.key.filter(|key| key.len() == 24)?;
        (self.wants_websocket() && self.version).then_some(key)
    }
}

/// Whether a list of tokens has this one, whatever its case.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',')
        .any(|entry| entry.trim_ascii().eq_ignore_ascii_case(token))
}

/// Looks at what was read. `remote` is the other end of the connection.
pub(super) fn read<'a>(bytes: &'a [u8], remote: IpAddr, proxies: &[Proxies]) -> Head<'a> {
    let starts = |start: &&[u8]| {
        let length = start.len().min(bytes.len());
        start[..length] == bytes[..length]
    };
    let Some(start) = STARTS.iter().find(|start| starts(start)) else {
        return Head::Other;
    };
    if bytes.len() <= start.len() {
        return Head::Partial;
    }
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Head::Partial,
        // It knows how to say what is wrong.
        Err(_) => return Head::Other,
    };
    let target = request.path.unwrap_or_default().as_bytes();
    let mark = target.iter().position(|byte| *byte == b'?');
    let (path, query) = match mark {
        Some(mark) => (&target[..mark], &target[mark + 1..]),
        None => (target, &b""[..]),
    };
    let Some(question) = Question::of(path) else {
        return Head::Other;
    };
    let named = request
        .headers
        .iter()
        .map(|field| (field.name, field.value));
    let said = Fields::of(named);
    if said.unusual {
        return Head::Other;
    }
    let lines = request.headers.iter().rev();
    let lines = lines.filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"));
    let ip = proxy::asker(remote, proxies, lines.map(|field| field.value));
    let (old, head_only) = (request.version == Some(0), request.method == Some("HEAD"));
    if question == Question::Announce && said.wants_websocket() {
        return match said.websocket_key().filter(|_| !old && !head_only) {
            Some(key) => Head::WebSocket { length, key, ip },
            None => Head::Other,
        };
    }
    Head::Tracker(Asked {
        length,
        question,
        query,
        ip,
        head_only,
        old,
        keep_alive: !said.close && (!old || said.keep_alive),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REMOTE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(5, 5, 5, 5));

    fn look(text: &str) -> Head<'_> {
        read(text.as_bytes(), REMOTE, &[REMOTE.into()])
    }

    fn asked(text: &str) -> Asked<'_> {
        match look(text) {
            Head::Tracker(asked) => asked,
            other => panic!("{text:?} is {other:?}"),
        }
    }

    #[test]
    fn an_announce_is_known_as_soon_as_it_is_whole() {
        let whole = "GET /announce?a=b&c HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(look(&whole[..end]), Head::Partial, "{end}");
        }
        let found = Asked {
            length: whole.len(),
            question: Question::Announce,
            query: b"a=b&c",
            ip: REMOTE,
            head_only: false,
            old: false,
            keep_alive: true,
        };
        assert_eq!(asked(&format!("{whole}GET /scrape")), found);
        assert!(asked("HEAD /scrape HTTP/1.1\r\n\r\n").head_only);
    }

    #[test]
    fn a_connection_stays_as_the_versions_say() {
        let stays = |version: &str, field: &str| {
            asked(&format!("GET /scrape?x HTTP/{version}\r\n{field}\r\n")).keep_alive
        };
        assert!(stays("1.1", ""));
        assert!(!stays("1.1", "connection: foo, Close\r\n"));
        assert!(!stays("1.0", ""));
        assert!(stays("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!stays(
            "1.0",
            "Connection: keep-alive\r\nConnection: close\r\n"
        ));
    }

    #[test]
    fn a_websocket_is_known_by_its_whole_handshake() {
        let head =
            |more: &str| format!("GET /announce HTTP/1.1\r\nUpgrade: WebSocket\r\n{more}\r\n");
        let key = "Sec-WebSocket-Key: Z3JvdW5kc3dlbGxjaGVjaw==\r\n";
        let good = head(&format!(
            "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nX-Forwarded-For: 6.6.6.6\r\n{key}"
        ));
        match look(&good) {
            Head::WebSocket { length, key, ip } => {
                assert_eq!(
                    (length, key),
                    (good.len(), &b"Z3JvdW5kc3dlbGxjaGVjaw=="[..])
                );
                assert_eq!(ip, IpAddr::from([6, 6, 6, 6]));
            }
            other => panic!("{other:?}"),
        }
        for bad in [
            good.replace("13", "12"),
            good.replace("jaw==", ""),
            good.replace("HTTP/1.1", "HTTP/1.0"),
        ] {
            assert_eq!(look(&bad), Head::Other, "{bad}");
        }
        // Without a word in `Connection` the field is about another hop.
        let announce = head(key);
        assert!(asked(&announce).keep_alive);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_head_is_longer_than_what_was_read(
            start in 0..STARTS.len(),
            rest in proptest::collection::vec(
                proptest::sample::select(b"?=& HTTP/1.01\r\n:aUpgrade,\xff".to_vec()), 0..200),
        ) {
            let bytes = [STARTS[start], &rest].concat();
            match read(&bytes, REMOTE, &[]) {
                Head::Tracker(Asked { length, .. }) | Head::WebSocket { length, .. } => {
                    prop_assert!(bytes[..length].ends_with(b"\n"));
                }
                Head::Partial | Head::Other => {}
            }
        }
    }

    #[test]
    fn everything_else_is_not_looked_at() {
        for other in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /announcements HTTP/1.1\r\n\r\n",
            "GET /announce/ HTTP/1.1\r\n\r\n",
            "POST /announce HTTP/1.1\r\n\r\n",
            "get /announce HTTP/1.1\r\n\r\n",
            "GET /announce?x HTTP/2.0\r\n\r\n",
            "GET /announce?x\r\n\r\n",
            "GET /scrape HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
            "GET /scrape HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /scrape HTTP/1.1\r\nno colon\r\n\r\n",
            "\x16\x03\x01",
        ] {
            assert_eq!(look(other), Head::Other, "{other:?}");
        }
        let fields = "X: y\r\n".repeat(FIELDS + 1);
        let many = format!("GET /scrape HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(look(&many), Head::Other);
    }
}
