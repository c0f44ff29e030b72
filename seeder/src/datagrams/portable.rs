//! Datagrams where the system has no batches: one thread a socket, one datagram at a time. Tested on Linux too, where
//! nothing else uses it.

use super::{Answer, Datagram, Lost, MAX_DATAGRAM};
use socket2::Socket;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Several sockets of one port would not share its datagrams.
#[cfg_attr(test, allow(dead_code, reason = "asked elsewhere only"))]
pub(super) const SPREADS: bool = false;

/// How long a thread waits before it looks whether it is to end.
const WAIT: Duration = Duration::from_millis(200);

/// Ends threads that wait for datagrams.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::default()))
    }

    pub(super) fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What each thread gets: one socket.
#[cfg_attr(test, allow(dead_code, reason = "asked elsewhere only"))]
pub(super) fn divide(threads: Vec<Vec<UdpSocket>>) -> Vec<Vec<UdpSocket>> {
    threads.into_iter().flatten().map(|one| vec![one]).collect()
}

/// There is no portable way to learn which address was asked.
#[cfg_attr(test, allow(dead_code, reason = "asked elsewhere only"))]
pub(super) fn prepare(_: &Socket, _: SocketAddr) -> io::Result<()> {
    Ok(())
}

/// Answers until told to stop.
pub(super) fn run(sockets: &[UdpSocket], stop: &Stop, mut answer: impl Answer) {
    let [socket] = sockets else {
        return;
    };
    let (Ok(local), Ok(())) = (socket.local_addr(), socket.set_read_timeout(Some(WAIT))) else {
        return;
    };
    let mut bytes = [0; MAX_DATAGRAM];
    let mut reply = Vec::with_capacity(MAX_DATAGRAM);
    while !stop.0.load(Ordering::Relaxed) {
        // Nothing came in time, or an answer of before did not reach anybody.
        let Ok((length, from)) = socket.recv_from(&mut bytes) else {
            continue;
        };
        let datagram = Datagram {
            bytes: &bytes[..length],
            from,
            to: local.ip(),
        };
        answer.begin();
        reply.clear();
        answer.answer(&datagram, &mut reply);
        let mut lost = Lost::default();
        if !reply.is_empty() && socket.send_to(&reply, from).is_err() {
            lost.sent = 1;
        }
        answer.end(lost);
    }
}
