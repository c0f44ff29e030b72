//! STUN on the WebRTC port: tells browsers at which address they are seen, so that a page needs no foreign server.
//! A thin shell over `wire::stun`, on a thread of its own ([`crate::datagrams`]).
//!
//! One kind of datagram is answered: binding requests without credentials. What else comes to this port (ICE's checks, DTLS:
//! RFC 7983 tells them apart by their first byte) is passed over and counted, until somebody speaks WebRTC here.
//!
//! An answer goes to an address that may be forged and is up to 2.2 times as long as its request (1.4 times with the headers
//! of IP and UDP), so how many an address gets in a second is bounded, and how many go out in all (`ration`).

mod ration;

use crate::config::Limits;
use crate::datagrams::{Answer, Datagram, Lost, Port, Running, Sockets};
use crate::error::ServeError;
use crate::metrics::Metrics;
use ration::Ration;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use wire::stun::BindingRequest;

/// Default port.
pub const WEBRTC_PORT: u16 = 6882;

/// Whether STUN is answered, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StunConfig {
    /// Whether it is.
    pub on: bool,
    /// UDP port; 0 picks a free one. `None`: [`WEBRTC_PORT`], or another where that is taken.
    pub port: Option<u16>,
}

impl Default for StunConfig {
    fn default() -> Self {
        Self {
            on: true,
            port: None,
        }
    }
}

/// Takes the port, on this address.
pub fn bind(config: &StunConfig, ip: IpAddr) -> Result<Option<Sockets>, ServeError> {
    let port = config.port.map_or(Port::Rather(WEBRTC_PORT), Port::Exactly);
    let sockets = config
        .on
        .then(|| Sockets::bind(ip, port, 1, "--webrtc-port"));
    sockets.transpose()
}

/// Starts answering.
pub fn start(sockets: Sockets, limits: &Limits, metrics: &Arc<Metrics>) -> io::Result<Running> {
    sockets.start("stun", || Stun {
        ration: Ration::new(
            limits.stun_rate,
            limits.stun_rate_per_address,
            Instant::now(),
        ),
        now: Instant::now(),
        counted: Counted::default(),
        metrics: metrics.clone(),
    })
}

struct Stun {
    ration: Ration,
    now: Instant,
    counted: Counted,
    metrics: Arc<Metrics>,
}

/// Since the batch began.
#[derive(Default)]
struct Counted {
    answered: u64,
    passed_over: u64,
    refused: u64,
}

impl Answer for Stun {
    fn begin(&mut self) {
        self.now = Instant::now();
    }

    fn answer(&mut self, datagram: &Datagram<'_>, out: &mut Vec<u8>) {
        let Ok(request) = BindingRequest::parse(datagram.bytes) else {
            self.counted.passed_over += 1;
            return;
        };
        if !self.ration.take(datagram.from.ip(), self.now) {
            self.counted.refused += 1;
            return;
        }
        self.counted.answered += 1;
        request.answer(datagram.from, out);
    }

    fn end(&mut self, lost: Lost) {
        let counted = std::mem::take(&mut self.counted);
        let metrics = &self.metrics;
        metrics.stun_answered.add(counted.answered);
        metrics.stun_passed_over.add(counted.passed_over);
        metrics.stun_refused.add(counted.refused);
        metrics.stun_full.add(lost.received);
        metrics.stun_unsent.add(lost.sent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn a_binding_request_is_answered_and_nothing_else_is() {
        let metrics: Arc<Metrics> = Arc::default();
        let sockets = Sockets::bind("127.0.0.1".parse().unwrap(), Port::Exactly(0), 1, "--x");
        let sockets = sockets.unwrap();
        let addr = sockets.addrs()[0];
        let limits = Limits {
            stun_rate_per_address: 2,
            ..Limits::default()
        };
        let running = start(sockets, &limits, &metrics).unwrap();
        let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
        asker.connect(addr).unwrap();
        asker
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let request = b"\0\x01\0\0\x21\x12\xa4\x42transaction!";
        for other in [&b""[..], b"nonsense", &[22; 100], &request[..19]] {
            asker.send(other).unwrap();
        }
        asker.send(request).unwrap();
        let mut answer = [0; 100];
        let n = asker.recv(&mut answer).unwrap();
        assert_eq!(
            (n, &answer[..4], &answer[8..20]),
            (32, &b"\x01\x01\0\x0c"[..], &request[8..])
        );
        let port = u16::from_be_bytes([answer[26] ^ 0x21, answer[27] ^ 0x12]);
        assert_eq!(port, asker.local_addr().unwrap().port());
        // A flood from one address gets what the burst allows, far less than it asks for.
        for _ in 0..200 {
            asker.send(request).unwrap();
        }
        // Whoever else asks is answered, and by then the flood has been looked through.
        let other = UdpSocket::bind("127.0.0.2:0").unwrap();
        other.send_to(request, addr).unwrap();
        other
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        assert_eq!(other.recv(&mut answer).unwrap(), 32);
        drop(running);
        let count = metrics.snapshot();
        assert_eq!(count["stun_passed_over"], 4);
        let refused = metrics.stun_refused.get();
        assert!(refused >= 100, "{count}");
    }
}
