//! A tracker over UDP (BEP 15).

use super::{AskError, RESOLVE};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};
use wire::tracker::http::asking::BadReply;
use wire::tracker::udp;
use wire::tracker::{Announce, AnnounceReply};

/// How long each sending of a request waits for its answer. BEP 15 has 15 seconds and doubles them; people wait here.
const WAITS: [Duration; 3] = [
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];

pub(super) async fn ask(
    url: &str,
    announce: &Announce,
    key: u32,
) -> Result<AnnounceReply, AskError> {
    let (socket, connection, rest) = connect(url).await?;
    let ipv6 = socket.peer_addr()?.is_ipv6();
    let transaction = rand::random();
    let request = udp::announce(connection, transaction, announce, key, rest);
    let reply = exchange(&socket, &request, |datagram| {
        udp::parse_announce(datagram, transaction, ipv6)
    });
    Ok(reply.await??)
}

/// Sends announces whose answers nobody waits for.
pub(super) async fn farewell(url: &str, announces: &[Announce], key: u32) -> Result<(), AskError> {
    let (socket, connection, rest) = connect(url).await?;
    for announce in announces {
        let request = udp::announce(connection, rand::random(), announce, key, rest);
        socket.send(&request).await?;
    }
    Ok(())
}

/// A socket that hears nobody but this tracker, its connection id, and what follows its place in the URL.
async fn connect(url: &str) -> Result<(UdpSocket, u64, &str), AskError> {
    let (host, rest) = split(url).ok_or(AskError::Url("malformed"))?;
    let resolved = timeout(RESOLVE, tokio::net::lookup_host(host)).await;
    let address = resolved.map_err(|_| AskError::Timeout)??.next();
    let address = address.ok_or(AskError::Url("its host has no address"))?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // From now on nothing is heard from anybody else.
    socket.connect(address).await?;
    let transaction = rand::random();
    let request = udp::connect(transaction);
    let connection = exchange(&socket, &request, |datagram| {
        udp::parse_connect(datagram, transaction)
    });
    let connection = connection.await??;
    Ok((socket, connection, rest))
}

/// Sends a request until its answer comes.
async fn exchange<T>(
    socket: &UdpSocket,
    request: &[u8],
    parse: impl Fn(&[u8]) -> Option<Result<T, BadReply>>,
) -> Result<Result<T, BadReply>, AskError> {
    let mut datagram = [0; udp::MAX_DATAGRAM];
    for wait in WAITS {
        socket.send(request).await?;
        let until = Instant::now() + wait;
        // What isn't the answer is passed over.
        while let Ok(received) = timeout_at(until, socket.recv(&mut datagram)).await {
            if let Some(answer) = parse(&datagram[..received?]) {
                return Ok(answer);
            }
        }
    }
    Err(AskError::Timeout)
}

/// Host and port of `udp://host:port/path?query`, and what follows them.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("udp://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let (_, port) = host.rsplit_once(':')?;
    port.parse::<u16>().ok().filter(|port| *port != 0)?;
    Some((host, rest.split('#').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(split("udp://t.example:6969"), Some(("t.example:6969", "")));
        assert_eq!(
            split("udp://t.example:6969/announce?k=1#x"),
            Some(("t.example:6969", "/announce?k=1"))
        );
        assert_eq!(
            split("udp://[2001:db8::1]:80/a"),
            Some(("[2001:db8::1]:80", "/a"))
        );
        for bad in [
            "udp://t.example",
            "udp://t.example:0",
            "udp://t.example:x/",
            "http://t:1",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }
}
