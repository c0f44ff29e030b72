//! Batches of datagrams on Linux: `recvmmsg` and `sendmmsg`, and the address that was asked (`IP_PKTINFO`, RFC 3542's
//! `IPV6_PKTINFO`), from which the answer leaves. All `unsafe` of the seeder's UDP is here. Nothing is allocated
//! once a thread runs.

use super::{Answer, Datagram, Lost, MAX_DATAGRAM};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use socket2::Socket;
use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

/// The system spreads datagrams over sockets of one port.
pub(super) const SPREADS: bool = true;

/// How many datagrams are taken at once. More would save little and cost the cache.
const BATCH: usize = 32;
/// Room for one `IPV6_PKTINFO` with its header; `IP_PKTINFO` is shorter.
const CONTROL: usize = 40;
/// Room for answers that is made at once.
const REPLIES: usize = BATCH * MAX_DATAGRAM;

/// Ends threads that wait for datagrams.
#[derive(Debug, Clone)]
pub(super) struct Stop(Arc<OwnedFd>);

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    pub(super) fn tell(&self) {
        // It is never read, so it stays told; a count that is full is told as well.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }
}

/// What each thread gets: as it was bound.
pub(super) fn divide(threads: Vec<Vec<UdpSocket>>) -> Vec<Vec<UdpSocket>> {
    threads
}

/// Answers until told to stop.
pub(super) fn run(sockets: &[UdpSocket], stop: &Stop, mut answer: impl Answer) {
    let mut batch = Batch::new();
    let mut sockets: Vec<_> = sockets.iter().map(Listening::new).collect();
    let udp: Vec<&UdpSocket> = sockets.iter().map(|listening| listening.socket).collect();
    let waited = udp.iter().map(|socket| PollFd::new(*socket, PollFlags::IN));
    let mut fds: Vec<_> = waited.collect();
    fds.push(PollFd::new(&*stop.0, PollFlags::IN));
    loop {
        if poll(&mut fds, None).is_err() {
            // A signal; nothing else can go wrong with descriptors that are ours.
            continue;
        }
        let ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        if fds.last().is_some_and(ready) {
            return;
        }
        for (listening, fd) in sockets.iter_mut().zip(&fds) {
            if ready(fd) {
                batch.turn(listening, &mut answer);
            }
        }
    }
}

struct Listening<'a> {
    socket: &'a UdpSocket,
    /// The address it is bound to.
    local: IpAddr,
    /// Whether the system says which address each datagram was sent to.
    asked: bool,
    /// What the system had dropped when it was last asked.
    dropped: u32,
}

impl<'a> Listening<'a> {
    fn new(socket: &'a UdpSocket) -> Self {
        let unspecified = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let local = socket.local_addr().map_or(unspecified, |addr| addr.ip());
        Self {
            socket,
            local,
            asked: local.is_unspecified(),
            dropped: 0,
        }
    }

    /// What was dropped since the last time.
    fn newly_dropped(&mut self) -> u64 {
        let dropped = dropped(self.socket).unwrap_or(self.dropped);
        let new = dropped.wrapping_sub(self.dropped);
        self.dropped = dropped;
        new.into()
    }
}

/// Control data, aligned as its header must be.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// Memory for one turn: datagrams in, answers out.
struct Batch {
    bytes: Box<[[u8; MAX_DATAGRAM]; BATCH]>,
    /// An IPv4 address stands in the front of one.
    names: [libc::sockaddr_in6; BATCH],
    controls: [Control; BATCH],
    received: [Received; BATCH],
    replies: Vec<u8>,
    /// For each answer its datagram and where in `replies` it is.
    answered: Vec<(usize, Range<usize>)>,
}

#[derive(Clone, Copy)]
struct Received {
    length: usize,
    from: SocketAddr,
    to: IpAddr,
    name_length: libc::socklen_t,
    control_length: usize,
}

impl Batch {
    fn new() -> Self {
        let nobody = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let received = Received {
            length: 0,
            from: SocketAddr::new(nobody, 0),
            to: nobody,
            name_length: 0,
            control_length: 0,
        };
        // SAFETY: `sockaddr_in6` is plain numbers, for which zeros are a value.
        let name = unsafe { mem::zeroed() };
        Self {
            bytes: Box::new([[0; MAX_DATAGRAM]; BATCH]),
            names: [name; BATCH],
            controls: [Control([0; CONTROL]); BATCH],
            received: [received; BATCH],
            replies: Vec::with_capacity(REPLIES),
            answered: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what is there, up to a batch, and answers it.
    fn turn(&mut self, listening: &mut Listening<'_>, answer: &mut impl Answer) {
        let Ok(n) = self.receive(listening) else {
            return;
        };
        answer.begin();
        self.replies.clear();
        self.answered.clear();
        for (at, received) in self.received[..n].iter().enumerate() {
            // Nobody can be answered at port 0, so nobody asks from there.
            if received.from.port() == 0 {
                continue;
            }
            let start = self.replies.len();
            let datagram = Datagram {
                bytes: &self.bytes[at][..received.length],
                from: received.from,
                to: received.to,
            };
            answer.answer(&datagram, &mut self.replies);
            if self.replies.len() > start {
                self.answered.push((at, start..self.replies.len()));
            }
        }
        let mut lost = Lost {
            received: 0,
            sent: self.send(listening.socket),
        };
        // Where less waits than a batch holds, nothing is dropped.
        if n == BATCH {
            lost.received = listening.newly_dropped();
        }
        answer.end(lost);
    }

    /// Takes up to a batch; returns how many datagrams there are. Never waits.
    fn receive(&mut self, listening: &Listening<'_>) -> io::Result<usize> {
        let mut vectors = [const { empty_vector() }; BATCH];
        let mut headers = empty_headers();
        let names = self.names.iter_mut().zip(&mut self.controls);
        let memory = self.bytes.iter_mut().zip(names);
        for ((header, vector), (bytes, (name, control))) in
            headers.iter_mut().zip(&mut vectors).zip(memory)
        {
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = size_of_val(name) as _;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            if listening.asked {
                header.msg_control = control.0.as_mut_ptr().cast();
                header.msg_controllen = CONTROL as _;
            }
        }
        // SAFETY: every header points to memory that is alive and as long as it says (`names`, `bytes` and `controls`
        // of self, which nothing else touches during the call, and `vectors` above), and there are `BATCH` of them.
        let n = unsafe {
            libc::recvmmsg(
                listening.socket.as_raw_fd(),
                headers.as_mut_ptr(),
                BATCH as _,
                libc::MSG_DONTWAIT as _,
                ptr::null_mut(),
            )
        };
        let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
        let received = self.received.iter_mut().zip(&self.names);
        for ((received, name), header) in received.zip(&headers[..n]) {
            let mut to = listening.local;
            if let Some(asked) = address_asked(&header.msg_hdr) {
                to = asked;
            }
            #[allow(clippy::unnecessary_cast, reason = "shorter in other C libraries")]
            let control_length = header.msg_hdr.msg_controllen as usize;
            *received = Received {
                length: header.msg_len as usize,
                from: address(name),
                to,
                name_length: header.msg_hdr.msg_namelen,
                control_length,
            };
        }
        Ok(n)
    }

    /// Sends the answers, and returns how many the system did not take. Never waits: who would be answered late
    /// asks again.
    fn send(&mut self, socket: &UdpSocket) -> u64 {
        let mut vectors = [const { empty_vector() }; BATCH];
        let mut headers = empty_headers();
        for ((header, vector), (at, range)) in
            headers.iter_mut().zip(&mut vectors).zip(&self.answered)
        {
            let (received, reply) = (&self.received[*at], &mut self.replies[range.clone()]);
            vector.iov_base = reply.as_mut_ptr().cast();
            vector.iov_len = reply.len();
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[*at]).cast();
            header.msg_namelen = received.name_length;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            if received.control_length > 0 {
                header.msg_control = self.controls[*at].0.as_mut_ptr().cast();
                header.msg_controllen = received.control_length as _;
            }
        }
        let mut left = &mut headers[..self.answered.len()];
        let mut unsent = 0;
        while !left.is_empty() {
            // SAFETY: as many headers as said, each pointing to memory of self or of this call that is alive, as long
            // as the header says and touched by nothing else meanwhile: names and control data as they were received.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    left.as_mut_ptr(),
                    left.len() as _,
                    libc::MSG_DONTWAIT as _,
                )
            };
            let sent = match usize::try_from(sent) {
                Ok(sent) => sent,
                Err(_) => match io::Error::last_os_error().kind() {
                    io::ErrorKind::Interrupted => 0,
                    io::ErrorKind::WouldBlock => return unsent + left.len() as u64,
                    // It is the first that can't be sent: the others may be.
                    _ => {
                        unsent += 1;
                        1
                    }
                },
            };
            left = &mut left[sent..];
        }
        unsent
    }
}

const fn empty_vector() -> libc::iovec {
    libc::iovec {
        iov_base: ptr::null_mut(),
        iov_len: 0,
    }
}

fn empty_headers() -> [libc::mmsghdr; BATCH] {
    // SAFETY: `mmsghdr` is numbers and pointers, for which zeros are a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// The address that a datagram came from; port 0 where it is of no family that we know.
fn address(name: &libc::sockaddr_in6) -> SocketAddr {
    match i32::from(name.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the system has put a `sockaddr_in` there, which is shorter and no more strictly aligned.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
            SocketAddr::new(ip.into(), u16::from_be(name.sin_port))
        }
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            SocketAddr::new(
                IpAddr::from(ip).to_canonical(),
                u16::from_be(name.sin6_port),
            )
        }
        _ => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
    }
}

/// The address of ours that a datagram was sent to, where the system was told to say. The control data is left so
/// that an answer with it leaves from there, by whichever interface leads to the asker.
fn address_asked(header: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the header is as `recvmmsg` has left it: its control data is alive and as long as it says, of which the
    // macro makes sure for the first entry's own header.
    let entry = unsafe { libc::CMSG_FIRSTHDR(header) };
    if entry.is_null() {
        return None;
    }
    // SAFETY: it points to an entry's header, aligned as `Control` is, and the data stands behind that.
    let (level, kind, data) = unsafe {
        (
            (*entry).cmsg_level,
            (*entry).cmsg_type,
            libc::CMSG_DATA(entry),
        )
    };
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            let data = data.cast::<libc::in_pktinfo>();
            // SAFETY: the system puts an `in_pktinfo` into such an entry, in memory that is ours (`Batch::controls`).
            let mut info = unsafe { data.read_unaligned() };
            info.ipi_ifindex = 0;
            // SAFETY: as above.
            unsafe { data.write_unaligned(info) };
            Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into())
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            let data = data.cast::<libc::in6_pktinfo>();
            // SAFETY: the system puts an `in6_pktinfo` into such an entry, in memory that is ours (`Batch::controls`).
            let mut info = unsafe { data.read_unaligned() };
            let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            if !ip.is_unicast_link_local() {
                info.ipi6_ifindex = 0;
                // SAFETY: as above.
                unsafe { data.write_unaligned(info) };
            }
            Some(IpAddr::from(ip))
        }
        _ => None,
    }
}

/// Sets a socket up before it is bound.
pub(super) fn prepare(socket: &Socket, addr: SocketAddr) -> io::Result<()> {
    // Bound to one address, there is no other to answer from. What comes before this is said comes without an address.
    if addr.ip().is_unspecified() {
        match addr {
            SocketAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            SocketAddr::V6(_) => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
        }
    }
    // Answers are short enough for every path. With this the system neither looks for a number by which fragments
    // would be joined, nor lets a forged message lower what it sends.
    if addr.is_ipv4() {
        set(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        )?;
    }
    Ok(())
}

fn set(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is a number, alive during the call and as long as is said.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(&value).cast(),
            size_of_val(&value) as _,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// How many datagrams the system has dropped because a socket's receive buffer was full; it counts to 2^32 and begins
/// again.
fn dropped(socket: &UdpSocket) -> io::Result<u32> {
    let mut figures = [0u32; 16];
    let mut length = size_of_val(&figures) as libc::socklen_t;
    // SAFETY: the system writes at most as many bytes as the array has, which is what is said.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &mut length,
        )
    };
    match result {
        0 => Ok(figures[libc::SK_MEMINFO_DROPS as usize]),
        _ => Err(io::Error::last_os_error()),
    }
}
