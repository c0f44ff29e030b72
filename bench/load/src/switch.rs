//! A switch whose ports are links with a rate each way, a delay and short drop-tail queues: what stands between the
//! peers of a test swarm. Without clock, device or thread; [`crate::tun`] gives it packets.
//!
//! A packet of a host goes up its link, waits its turn, travels, and goes down the link of the host whose address it
//! bears. Times are computed and not waited for, so a late look at the clock changes no rate.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// What every link is like.
#[derive(Debug, Clone, Copy)]
pub struct LinkShape {
    /// From the host, bits of IP packets a second.
    pub up: u64,
    /// To the host, bits of IP packets a second.
    pub down: u64,
    /// How long a packet travels from one host to the other, beside its turns on the two links.
    pub delay: Duration,
    /// How long a packet may wait for its turn; who would wait longer is dropped.
    pub queue: Duration,
}

/// What went over a link since it is there. Bytes of IP packets that got through, but for the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCount {
    /// Up, headers and all.
    pub up: u64,
    /// Up, what TCP and UDP carry.
    pub up_payload: u64,
    /// Down, headers and all.
    pub down: u64,
    /// Down, what TCP and UDP carry.
    pub down_payload: u64,
    /// Packets that found the queue full, both ways.
    pub dropped: u64,
}

/// The switch.
#[derive(Debug)]
pub struct Switch {
    shape: LinkShape,
    ports: HashMap<Ipv4Addr, usize>,
    links: Vec<Link>,
    waiting: BinaryHeap<Reverse<Step>>,
    steps: u64,
}

#[derive(Debug, Default)]
struct Link {
    up_until: Option<Instant>,
    down_until: Option<Instant>,
    count: LinkCount,
}

/// A packet on its way, by when it goes on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    at: Instant,
    nth: u64,
    link: usize,
    /// It has had its turn on the way down.
    leaves: bool,
    packet: Vec<u8>,
}

impl Switch {
    /// A switch with a host of each of these addresses.
    pub fn new(shape: LinkShape, hosts: &[Ipv4Addr]) -> Self {
        Self {
            shape,
            ports: hosts
                .iter()
                .enumerate()
                .map(|(port, host)| (*host, port))
                .collect(),
            links: hosts.iter().map(|_| Link::default()).collect(),
            waiting: BinaryHeap::new(),
            steps: 0,
        }
    }

    /// Takes a packet from a host. What has no host to go to is forgotten.
    pub fn handle_packet(&mut self, now: Instant, from: usize, packet: &[u8]) {
        let Some(Seen { to, payload }) = look(packet) else {
            return;
        };
        let Some(&to) = self.ports.get(&to) else {
            return;
        };
        let link = &mut self.links[from];
        let Some(at) = turn(
            &mut link.up_until,
            now,
            packet.len(),
            self.shape.up,
            self.shape.queue,
        ) else {
            link.count.dropped += 1;
            return;
        };
        link.count.up += packet.len() as u64;
        link.count.up_payload += payload;
        self.wait(at + self.shape.delay, to, false, packet.to_vec());
    }

    /// A packet that has arrived by now, and at which host.
    pub fn poll_arrival(&mut self, now: Instant) -> Option<(usize, Vec<u8>)> {
        while self
            .waiting
            .peek()
            .is_some_and(|Reverse(step)| step.at <= now)
        {
            let Reverse(step) = self.waiting.pop()?;
            if step.leaves {
                return Some((step.link, step.packet));
            }
            let link = &mut self.links[step.link];
            let size = step.packet.len();
            match turn(
                &mut link.down_until,
                step.at,
                size,
                self.shape.down,
                self.shape.queue,
            ) {
                Some(at) => {
                    link.count.down += size as u64;
                    link.count.down_payload += look(&step.packet).map_or(0, |seen| seen.payload);
                    self.wait(at, step.link, true, step.packet);
                }
                None => link.count.dropped += 1,
            }
        }
        None
    }

    /// When [`poll_arrival`](Self::poll_arrival) may have something.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.waiting.peek().map(|Reverse(step)| step.at)
    }

    /// What went over each link.
    pub fn counts(&self) -> impl Iterator<Item = LinkCount> + '_ {
        self.links.iter().map(|link| link.count)
    }

    fn wait(&mut self, at: Instant, link: usize, leaves: bool, packet: Vec<u8>) {
        self.steps += 1;
        self.waiting.push(Reverse(Step {
            at,
            nth: self.steps,
            link,
            leaves,
            packet,
        }));
    }
}

/// When a packet that comes now is through, unless it would wait too long for its turn.
fn turn(
    until: &mut Option<Instant>,
    now: Instant,
    bytes: usize,
    rate: u64,
    queue: Duration,
) -> Option<Instant> {
    let start = until.map_or(now, |until| until.max(now));
    if start - now > queue {
        return None;
    }
    let through = start + Duration::from_nanos(bytes as u64 * 8 * 1_000_000_000 / rate);
    *until = Some(through);
    Some(through)
}

struct Seen {
    to: Ipv4Addr,
    payload: u64,
}

/// Where an IPv4 packet goes, and how much of it is neither its header nor that of TCP or UDP.
fn look(packet: &[u8]) -> Option<Seen> {
    let head = packet.first_chunk::<20>()?;
    if head[0] >> 4 != 4 {
        return None;
    }
    let network = usize::from(head[0] & 15) * 4;
    let transport = match head[9] {
        6 => usize::from(packet.get(network + 12)? >> 4) * 4,
        17 => 8,
        _ => 0,
    };
    Some(Seen {
        to: Ipv4Addr::new(head[16], head[17], head[18], head[19]),
        payload: (packet.len() as u64).saturating_sub((network + transport) as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: LinkShape = LinkShape {
        up: 16_000_000,
        down: 64_000_000,
        delay: Duration::from_millis(10),
        queue: Duration::from_millis(60),
    };

    fn host(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, n)
    }

    /// A TCP packet with a header of 32 bytes, as timestamps make it.
    fn packet(to: Ipv4Addr, length: usize) -> Vec<u8> {
        let mut packet = vec![0; length];
        packet[0] = 0x45;
        packet[9] = 6;
        packet[16..20].copy_from_slice(&to.octets());
        packet[32] = 8 << 4;
        packet
    }

    fn arrivals(switch: &mut Switch) -> Vec<(Instant, usize)> {
        let mut all = Vec::new();
        while let Some(at) = switch.next_timeout() {
            while let Some((host, _)) = switch.poll_arrival(at) {
                all.push((at, host));
            }
        }
        all
    }

    #[test]
    fn a_packet_takes_its_turn_on_both_links_and_travels() {
        let start = Instant::now();
        let mut switch = Switch::new(SHAPE, &[host(1), host(2)]);
        switch.handle_packet(start, 0, &packet(host(2), 1500));
        // 1500 bytes: 750 µs at 16 Mbit/s, 187.5 µs at 64.
        let expected = start + Duration::from_nanos(750_000 + 10_000_000 + 187_500);
        assert_eq!(arrivals(&mut switch), [(expected, 1)]);
        let counts: Vec<_> = switch.counts().collect();
        assert_eq!((counts[0].up, counts[0].up_payload), (1500, 1448));
        assert_eq!((counts[1].down, counts[1].down_payload), (1500, 1448));
    }

    #[test]
    fn a_full_queue_drops_and_the_rest_goes_at_the_rate() {
        let start = Instant::now();
        let mut switch = Switch::new(SHAPE, &[host(1), host(2)]);
        for _ in 0..200 {
            switch.handle_packet(start, 0, &packet(host(2), 1500));
        }
        // The one being sent, those that wait for up to 60 ms behind it.
        let through = 1 + 60_000 / 750;
        let arrived = arrivals(&mut switch);
        assert_eq!(arrived.len(), through);
        assert_eq!(
            switch.counts().next().unwrap().dropped,
            200 - through as u64
        );
        let (first, last) = (arrived[0].0, arrived[through - 1].0);
        assert_eq!(
            last - first,
            Duration::from_micros(750) * (through as u32 - 1)
        );
    }

    #[test]
    fn two_senders_share_the_receivers_link() {
        let start = Instant::now();
        let narrow = LinkShape {
            down: 16_000_000,
            ..SHAPE
        };
        let mut switch = Switch::new(narrow, &[host(1), host(2), host(3)]);
        for nth in 0..40 {
            let now = start + Duration::from_micros(750) * nth;
            switch.handle_packet(now, 0, &packet(host(3), 1500));
            switch.handle_packet(now, 1, &packet(host(3), 1500));
        }
        let arrived = arrivals(&mut switch);
        assert_eq!(arrived.len(), 80);
        assert_eq!(
            arrived[79].0 - arrived[0].0,
            Duration::from_micros(750) * 79
        );
    }

    #[test]
    fn strangers_and_shards_are_forgotten() {
        let start = Instant::now();
        let mut switch = Switch::new(SHAPE, &[host(1)]);
        switch.handle_packet(start, 0, &packet(host(9), 100));
        switch.handle_packet(start, 0, &[0x45, 0, 0]);
        switch.handle_packet(start, 0, &[0x60; 60]);
        assert_eq!(switch.next_timeout(), None);
    }
}
