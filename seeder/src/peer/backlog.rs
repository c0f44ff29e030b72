//! How much may lie in a peer's TCP socket beyond what the network takes: some milliseconds' worth. Then what was sent
//! nearly is what has left, choking and cancelling take effect soon, and a peer that reads nothing costs the system
//! little; yet a fast one is fed by large writes. Only Linux can be told (`TCP_NOTSENT_LOWAT`).

use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What may always lie there: with less, peers of which there are many would be fed by small writes, unevenly.
const LEAST: u32 = 512 * 1024;
/// How much sending time may lie there.
const WORTH: Duration = Duration::from_millis(50);
/// How long a rate is measured.
const MEASURED: Duration = Duration::from_millis(250);

/// A peer's rate as far as it decides this.
#[derive(Debug, Default)]
pub struct Backlog {
    since: Option<Instant>,
    bytes: usize,
    /// What the socket is set to.
    set: u32,
}

impl Backlog {
    /// Sets a socket for a peer of whom nothing is known.
    pub fn begin(&mut self, socket: &TcpStream) {
        self.set(socket, LEAST);
    }

    /// So many bytes have gone into the socket.
    pub fn handle_sent(&mut self, now: Instant, socket: &TcpStream, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        let elapsed = now.saturating_duration_since(since);
        if elapsed < MEASURED {
            return;
        }
        let wanted = worth(self.bytes, elapsed);
        // Nothing is gained by following each turn of a rate.
        if wanted >= self.set.saturating_mul(2) || wanted <= self.set / 4 {
            self.set(socket, wanted);
        }
        (self.since, self.bytes) = (Some(now), 0);
    }

    fn set(&mut self, socket: &TcpStream, bytes: u32) {
        self.set = bytes;
        // What can't be set costs time, nothing else.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes);
        #[cfg(not(target_os = "linux"))]
        let _ = socket;
    }
}

/// What may lie in the socket of a peer that takes so much in this time.
fn worth(bytes: usize, elapsed: Duration) -> u32 {
    let worth = bytes as u128 * WORTH.as_nanos() / elapsed.as_nanos().max(1);
    u32::try_from(worth).map_or(u32::MAX / 2, |worth| worth.clamp(LEAST, u32::MAX / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_fifty_milliseconds_worth_and_never_too_little() {
        let second = Duration::from_secs(1);
        assert_eq!(worth(0, second), LEAST);
        assert_eq!(worth(2_000_000, second), LEAST);
        assert_eq!(worth(100_000_000, second), 5_000_000);
        assert_eq!(worth(usize::MAX, second), u32::MAX / 2);
        assert_eq!(worth(1 << 30, Duration::ZERO), u32::MAX / 2);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_socket_follows_its_peers_rate() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let set = || socket2::SockRef::from(&socket).tcp_notsent_lowat().unwrap();
        let (mut backlog, start) = (Backlog::default(), Instant::now());
        backlog.begin(&socket);
        assert_eq!(set(), LEAST);
        backlog.handle_sent(start, &socket, 1000);
        backlog.handle_sent(start + Duration::from_millis(200), &socket, 25_000_000);
        assert_eq!(set(), LEAST, "not measured for long enough");
        backlog.handle_sent(start + MEASURED, &socket, 0);
        assert_eq!(set(), 5_000_200);
        // A little more or less changes nothing; much less does.
        backlog.handle_sent(start + 2 * MEASURED, &socket, 20_000_000);
        assert_eq!(set(), 5_000_200);
        backlog.handle_sent(start + 3 * MEASURED, &socket, 1000);
        assert_eq!(set(), LEAST);
    }
}
