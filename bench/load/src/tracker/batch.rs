//! One UDP socket that sends from many addresses of this machine, many datagrams a system call.
//!
//! `rustix` has neither `recvmmsg` nor the control message that names a source address, so this calls `libc`.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// The most datagrams of one call.
pub const BATCH: usize = 64;
/// The longest datagram.
const LONGEST: usize = 2048;
/// What a control message of one `in_pktinfo` takes; a test compares it with `CMSG_SPACE`.
const CONTROL: usize = 32;
/// What the socket may hold in each direction, bytes.
const BUFFER: libc::c_int = 8 << 20;

/// The control buffer; the kernel reads headers in it, which want this alignment.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// A socket, what waits to be sent, and what came.
pub struct Batch {
    socket: UdpSocket,
    to: libc::sockaddr_in,
    out: Vec<([u8; LONGEST], usize, Control)>,
    n_out: usize,
    came: Vec<[u8; LONGEST]>,
    lengths: [usize; BATCH],
}

impl Batch {
    /// A socket on a free port of all addresses, towards `to`.
    pub fn new(to: SocketAddrV4) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_nonblocking(true)?;
        let sizes = [
            (libc::SO_RCVBUFFORCE, libc::SO_RCVBUF),
            (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF),
        ];
        for (forced, allowed) in sizes {
            // Who may not go beyond the machine's bound goes up to it.
            set(&socket, forced, BUFFER).or_else(|_| set(&socket, allowed, BUFFER))?;
        }
        // SAFETY: all zeros is a valid sockaddr_in.
        let mut address: libc::sockaddr_in = unsafe { zeroed() };
        address.sin_family = libc::AF_INET as libc::sa_family_t;
        address.sin_port = to.port().to_be();
        address.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
        Ok(Self {
            socket,
            to: address,
            out: vec![([0; LONGEST], 0, Control([0; CONTROL])); BATCH],
            n_out: 0,
            came: vec![[0; LONGEST]; BATCH],
            lengths: [0; BATCH],
        })
    }

    /// Puts a datagram on the batch, which goes out when it is full, or by [`Self::flush`].
    pub fn push(&mut self, from: Ipv4Addr, datagram: &[u8]) -> io::Result<()> {
        if self.n_out == BATCH {
            self.flush()?;
        }
        let (bytes, length, control) = &mut self.out[self.n_out];
        *length = datagram.len().min(LONGEST);
        bytes[..*length].copy_from_slice(&datagram[..*length]);
        *control = source(from);
        self.n_out += 1;
        Ok(())
    }

    /// Sends what waits. What finds no room is dropped, as a network would; it is missed like anything lost.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.n_out == 0 {
            return Ok(());
        }
        // SAFETY: all zeros is a valid mmsghdr and iovec.
        let mut parts: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        for (at, (bytes, length, control)) in self.out[..self.n_out].iter_mut().enumerate() {
            parts[at].iov_base = bytes.as_mut_ptr().cast();
            parts[at].iov_len = *length;
            let head = &mut messages[at].msg_hdr;
            head.msg_name = std::ptr::from_mut(&mut self.to).cast();
            head.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            head.msg_iov = &raw mut parts[at];
            head.msg_iovlen = 1;
            head.msg_control = control.0.as_mut_ptr().cast();
            head.msg_controllen = CONTROL as _;
        }
        // SAFETY: the messages point to buffers that live longer than the call, with their lengths.
        let sent = unsafe {
            libc::sendmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                self.n_out as _,
                0,
            )
        };
        self.n_out = 0;
        if sent < 0 {
            return passing(io::Error::last_os_error()).map(|_| ());
        }
        Ok(())
    }

    /// Takes what has come, waiting for it at most so long; how many datagrams there are.
    pub fn receive(&mut self, patience: Duration) -> io::Result<usize> {
        let count = self.receive_now()?;
        if count > 0 || patience.is_zero() {
            return Ok(count);
        }
        let mut wanted = libc::pollfd {
            fd: self.socket.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = patience.as_millis().clamp(1, 1000) as libc::c_int;
        // SAFETY: one pollfd, as the count says.
        if unsafe { libc::poll(&raw mut wanted, 1, millis) } < 0 {
            passing(io::Error::last_os_error())?;
        }
        self.receive_now()
    }

    /// A datagram of the last [`Self::receive`].
    pub fn came(&self, at: usize) -> &[u8] {
        &self.came[at][..self.lengths[at]]
    }

    fn receive_now(&mut self) -> io::Result<usize> {
        // SAFETY: all zeros is a valid mmsghdr and iovec.
        let mut parts: [libc::iovec; BATCH] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { zeroed() };
        for (at, bytes) in self.came.iter_mut().enumerate() {
            parts[at].iov_base = bytes.as_mut_ptr().cast();
            parts[at].iov_len = LONGEST;
            messages[at].msg_hdr.msg_iov = &raw mut parts[at];
            messages[at].msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the messages point to buffers that live longer than the call, with their lengths.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                messages.as_mut_ptr(),
                BATCH as _,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if count < 0 {
            return passing(io::Error::last_os_error());
        }
        for (length, message) in self.lengths.iter_mut().zip(&messages[..count as usize]) {
            *length = message.msg_len as usize;
        }
        Ok(count as usize)
    }
}

/// Errors that pass by themselves: no room, nothing there, nobody at home yet.
fn passing(error: io::Error) -> io::Result<usize> {
    let passes = matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused
    );
    if passes { Ok(0) } else { Err(error) }
}

/// The control message that says from which address a datagram goes.
fn source(from: Ipv4Addr) -> Control {
    let head = size_of::<libc::cmsghdr>();
    let mut control = Control([0; CONTROL]);
    let bytes = &mut control.0;
    let length = head + size_of::<libc::in_pktinfo>();
    bytes[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
    bytes[head - 8..head - 4].copy_from_slice(&libc::IPPROTO_IP.to_ne_bytes());
    bytes[head - 4..head].copy_from_slice(&libc::IP_PKTINFO.to_ne_bytes());
    // in_pktinfo: interface, then the source ("ipi_spec_dst"), then an address that is not read here.
    bytes[head + 4..head + 8].copy_from_slice(&from.octets());
    control
}

fn set(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option takes an int, whose address and size these are.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_go_from_the_address_that_is_named() {
        // SAFETY: a computation on a number.
        let space = unsafe { libc::CMSG_SPACE(size_of::<libc::in_pktinfo>() as u32) };
        assert_eq!(space as usize, CONTROL);
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(to) = other.local_addr().unwrap() else {
            unreachable!()
        };
        let mut batch = Batch::new(to).unwrap();
        let from = |n: u8| Ipv4Addr::new(127, 9, 8, n);
        for n in 0..3 {
            batch.push(from(n), &[n; 5]).unwrap();
        }
        batch.flush().unwrap();
        for n in 0..3 {
            let mut bytes = [0; 16];
            let (length, address) = other.recv_from(&mut bytes).unwrap();
            assert_eq!(
                (&bytes[..length], address.ip()),
                (&[n; 5][..], from(n).into())
            );
            other.send_to(b"back", address).unwrap();
        }
        let mut came = 0;
        while came < 3 {
            let count = batch.receive(Duration::from_secs(1)).unwrap();
            assert!((0..count).all(|at| batch.came(at) == b"back"));
            came += count;
        }
    }
}
