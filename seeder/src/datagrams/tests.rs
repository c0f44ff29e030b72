//! Datagrams over loopback: who is answered, from where, by which thread, and what is lost.

use super::*;
use std::sync::mpsc;
use std::time::Duration;

/// Answers with what came, where it came from and where to; says nothing to silence.
struct Echo(mpsc::Sender<Lost>);

impl Answer for Echo {
    fn begin(&mut self) {}

    fn answer(&mut self, datagram: &Datagram<'_>, out: &mut Vec<u8>) {
        if datagram.bytes != b"silence" {
            let text = format!("{} {} ", datagram.from, datagram.to);
            out.extend(text.as_bytes());
            out.extend(datagram.bytes);
        }
    }

    fn end(&mut self, lost: Lost) {
        let _ = self.0.send(lost);
    }
}

fn echo(ip: &str, threads: usize) -> (Running, Vec<SocketAddr>) {
    let sockets = Sockets::bind(ip.parse().unwrap(), Port::Exactly(0), threads, "--x").unwrap();
    let addrs = sockets.addrs().to_vec();
    let running = sockets.start("echo", || Echo(mpsc::channel().0)).unwrap();
    (running, addrs)
}

fn asker(bind: &str, to: SocketAddr) -> UdpSocket {
    let asker = UdpSocket::bind(bind).unwrap();
    // Connected: what comes from elsewhere than was asked is not seen.
    asker.connect(to).unwrap();
    asker
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    asker
}

fn ask(asker: &UdpSocket, words: &str) -> String {
    asker.send(words.as_bytes()).unwrap();
    let mut answer = [0; 2000];
    let n = asker.recv(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

#[test]
fn many_askers_are_answered_by_several_threads_each_with_its_own() {
    let (running, addrs) = echo("127.0.0.1", 3);
    let askers: Vec<_> = (0..40).map(|_| asker("127.0.0.1:0", addrs[0])).collect();
    for round in 0..50 {
        for asker in &askers {
            asker.send(format!("round {round}").as_bytes()).unwrap();
            asker.send(b"silence").unwrap();
        }
        for asker in &askers {
            let mut answer = [0; 100];
            let n = asker.recv(&mut answer).unwrap();
            let own = asker.local_addr().unwrap();
            let expected = format!("{own} 127.0.0.1 round {round}");
            assert_eq!(String::from_utf8_lossy(&answer[..n]), expected);
        }
    }
    drop(running);
    // The port is free again.
    Sockets::bind(addrs[0].ip(), Port::Exactly(addrs[0].port()), 1, "--x").unwrap();
}

/// Every address of 127/8 is this machine: an answer leaves from the one that was asked.
#[cfg(target_os = "linux")]
#[test]
fn bound_to_everything_the_answer_comes_from_the_address_asked() {
    let (_running, addrs) = echo("::", 2);
    let port = addrs[0].port();
    for ip in ["127.0.0.1", "127.0.0.77"] {
        let asker = asker("127.0.0.9:0", SocketAddr::new(ip.parse().unwrap(), port));
        let own = asker.local_addr().unwrap();
        assert_eq!(ask(&asker, "where"), format!("{own} {ip} where"));
    }
    if let Some(v6) = addrs.iter().find(|addr| addr.is_ipv6()) {
        let asker = asker(
            "[::1]:0",
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), v6.port()),
        );
        let own = asker.local_addr().unwrap();
        assert_eq!(ask(&asker, "where"), format!("{own} ::1 where"));
    }
}

#[test]
fn a_long_datagram_is_cut_and_an_empty_one_is_one() {
    let (_running, addrs) = echo("127.0.0.1", 1);
    let asker = asker("127.0.0.1:0", addrs[0]);
    let answer = ask(&asker, &"x".repeat(1800));
    assert_eq!(answer.matches('x').count(), MAX_DATAGRAM);
    assert!(ask(&asker, "").ends_with(" 127.0.0.1 "));
}

#[test]
fn nobody_shares_our_port() {
    let (_running, addrs) = echo("127.0.0.1", 2);
    let (ip, port) = (addrs[0].ip(), addrs[0].port());
    let error = Sockets::bind(ip, Port::Exactly(port), 2, "--x").unwrap_err();
    let expected = format!(
        "the address {} is in use; stop the other program or choose another with --x",
        addrs[0]
    );
    assert_eq!(error.to_string(), expected);
    let other = Sockets::bind(ip, Port::Rather(port), 2, "--x").unwrap();
    assert_ne!(other.addrs()[0].port(), port);
}

#[test]
fn one_at_a_time_works_as_well() {
    let sockets = Sockets::bind("127.0.0.1".parse().unwrap(), Port::Exactly(0), 1, "--x").unwrap();
    let addr = sockets.addrs()[0];
    let sockets = portable::divide(sockets.threads);
    let stop = portable::Stop::new().unwrap();
    thread::scope(|scope| {
        let (said, heard) = mpsc::channel();
        scope.spawn(|| portable::run(&sockets[0], &stop, Echo(said)));
        let asker = asker("127.0.0.1:0", addr);
        asker.send(b"silence").unwrap();
        let own = asker.local_addr().unwrap();
        assert_eq!(ask(&asker, "one"), format!("{own} 127.0.0.1 one"));
        stop.tell();
        drop(asker);
        assert_eq!(heard.recv(), Ok(Lost::default()));
    });
}

/// Answers nothing before it may.
struct Slow {
    gate: mpsc::Receiver<()>,
    lost: mpsc::Sender<Lost>,
}

impl Answer for Slow {
    fn begin(&mut self) {
        let _ = self.gate.recv();
    }

    fn answer(&mut self, _: &Datagram<'_>, _: &mut Vec<u8>) {}

    fn end(&mut self, lost: Lost) {
        let _ = self.lost.send(lost);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_system_drops_is_counted() {
    let sockets = Sockets::bind("127.0.0.1".parse().unwrap(), Port::Exactly(0), 1, "--x").unwrap();
    let addr = sockets.addrs()[0];
    let (open, gate) = mpsc::channel();
    let (lost, counted) = mpsc::channel();
    let mut slow = Some(Slow { gate, lost });
    let running = sockets
        .start("slow", || slow.take().expect("one thread"))
        .unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let n = 40_000;
    for _ in 0..n {
        sender.send_to(&[0; 1000], addr).unwrap();
    }
    drop(open);
    let dropped = counted
        .iter()
        .map(|lost| lost.received)
        .find(|dropped| *dropped > 0);
    assert!(dropped.is_some_and(|dropped| dropped < n), "{dropped:?}");
    drop(running);
}
