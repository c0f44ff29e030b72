//! TUN devices, one in each network namespace of a test swarm, all held by this process.

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Opcode, Setter, opcode};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// The name of the device in its namespace.
pub const DEVICE: &str = "swarm0";

const TUNSETIFF: Opcode = opcode::write::<c_int>(b'T', 202);
/// Packets of IP, without four bytes of protocol information in front (`IFF_TUN | IFF_NO_PI`).
const FLAGS: u16 = 0x0001 | 0x1000;

/// `struct ifreq` as far as `TUNSETIFF` reads it.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes the device in a namespace that `ip netns add` has made. Needs the rights of root.
pub fn make(namespace: &str) -> io::Result<File> {
    let home = File::open("/proc/thread-self/ns/net")?;
    let there = File::open(format!("/run/netns/{namespace}"))?;
    move_into_link_name_space(there.as_fd(), Some(LinkNameSpaceType::Network))?;
    let device = open();
    move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))?;
    device
}

fn open() -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let device = rustix::fs::open("/dev/net/tun", flags, Mode::empty())?;
    let mut request = Request {
        name: [0; 16],
        flags: FLAGS,
        rest: [0; 22],
    };
    request.name[..DEVICE.len()].copy_from_slice(DEVICE.as_bytes());
    // SAFETY: TUNSETIFF reads a `struct ifreq`, which is what it is given, and keeps no pointer to it.
    unsafe { rustix::ioctl::ioctl(&device, Setter::<TUNSETIFF, Request>::new(request)) }?;
    Ok(device.into())
}
