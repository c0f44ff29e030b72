//! A stretch of one file as the kernel sees it, mapped so that a socket can be fed from the page cache without a copy
//! of ours in between. Linux only; elsewhere payload is read.
//!
//! Nothing in this program ever reads through the mapping: its address is only given to system calls. A fault on
//! it therefore never becomes a signal. Where the file has shrunk or the disk fails, the kernel answers `EFAULT`.

use super::{OpenFile, PayloadError};
use rustix::mm::{MapFlags, ProtFlags};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

/// How much of a file is mapped at once: what the kernel's tables for it may cost is a 512th.
const LENGTH: u64 = 1 << 30;
/// How many pages are asked about at once.
const PAGES: usize = 256;
/// How many buffers one call sends; Linux takes 1,024.
const BUFFERS: usize = 128;

/// A stretch of one file, mapped. Offsets are those of the torrent's payload.
#[derive(Debug)]
pub struct Window {
    file: Arc<OpenFile>,
    /// What it covers of the payload.
    covers: Range<u64>,
    mapping: Mapping,
}

/// What goes into a socket, in order.
#[derive(Debug, Clone)]
pub enum Part<'a> {
    /// Bytes of our own.
    Bytes(&'a [u8]),
    /// Bytes of the payload, all within the window.
    Payload(Range<u64>),
}

impl Window {
    /// Maps the stretch of a file that holds this offset of the payload. Blocking, if only for microseconds.
    pub(super) fn open(file: &Arc<OpenFile>, offset: u64) -> io::Result<Self> {
        let whole = &file.place;
        let start = whole.start + (offset - whole.start) / LENGTH * LENGTH;
        let covers = start..whole.end.min(start + LENGTH);
        let mapping = Mapping::new(file, start - whole.start, (covers.end - start) as usize)?;
        Ok(Self {
            file: file.clone(),
            covers,
            mapping,
        })
    }

    /// Whether it shows this file.
    pub(super) fn is_of(&self, file: &OpenFile) -> bool {
        self.file.index == file.index
    }

    /// Whether all of a range of the payload lies in it.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        self.covers.start <= range.start && range.end <= self.covers.end
    }

    /// Checks that the file is what was hashed. One system call; to be asked before each sending.
    pub fn guard(&self) -> Result<(), PayloadError> {
        self.file.guard()
    }

    /// How many bytes from the start of a range are in memory, so that sending them waits for no disk.
    pub fn resident(&self, range: Range<u64>) -> u64 {
        assert!(self.covers(&range), "a range outside the window");
        let page = rustix::param::page_size() as u64;
        let mut pages = [0; PAGES];
        let end = range.end - self.covers.start;
        let mut at = (range.start - self.covers.start) / page * page;
        while at < end {
            let step = (end - at).min(PAGES as u64 * page);
            let asked = &mut pages[..step.div_ceil(page) as usize];
            let known = self.mapping.resident(at as usize, step as usize, asked);
            if let Some(absent) = asked.iter().position(|page| page & 1 == 0 || !known) {
                let resident = self.covers.start + at + absent as u64 * page;
                return resident.saturating_sub(range.start);
            }
            at += step;
        }
        range.end - range.start
    }

    /// Writes parts to a socket in one call, as much as it takes now; says how many bytes. Parts beyond what one call
    /// takes are left. An error may be the file's as well as the socket's: [`Self::blame`] tells.
    pub fn send(&self, socket: BorrowedFd<'_>, parts: &[Part<'_>]) -> io::Result<usize> {
        let mut buffers = [libc::iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }; BUFFERS];
        let n = parts.len().min(BUFFERS);
        for (buffer, part) in buffers.iter_mut().zip(parts) {
            *buffer = match part {
                Part::Bytes(bytes) => libc::iovec {
                    iov_base: bytes.as_ptr().cast_mut().cast(),
                    iov_len: bytes.len(),
                },
                Part::Payload(range) => {
                    assert!(self.covers(range), "a part outside the window");
                    let at = (range.start - self.covers.start) as usize;
                    libc::iovec {
                        iov_base: self.mapping.at(at),
                        iov_len: (range.end - range.start) as usize,
                    }
                }
            };
        }
        // SAFETY: an all-zero message header is a valid one without an address and ancillary data.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = buffers.as_mut_ptr();
        message.msg_iovlen = n as _;
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: `message` points at `n` buffers, and each of these either at a borrowed slice or at a stretch of
        // the mapping, which `self` keeps. The kernel only reads from them, until the call is over.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &message, flags) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// What to make of a failure to send: `EFAULT` is the file's, everything else the socket's.
    pub fn blame(&self, error: &io::Error) -> Option<PayloadError> {
        if error.raw_os_error() != Some(libc::EFAULT) {
            return None;
        }
        let unreadable = || self.file.failed(io::Error::from_raw_os_error(libc::EIO));
        Some(self.guard().err().unwrap_or_else(unreadable))
    }
}

/// A read-only shared mapping of a part of a file.
#[derive(Debug)]
struct Mapping {
    start: *mut libc::c_void,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; it is never written, and read by the kernel alone.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method changes anything.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(file: &OpenFile, offset: u64, length: usize) -> io::Result<Self> {
        // SAFETY: without an address of ours the kernel chooses one that nothing else uses.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                file.file.as_fd(),
                offset,
            )?
        };
        Ok(Self { start, length })
    }

    /// The address of a byte, for the kernel alone.
    fn at(&self, offset: usize) -> *mut libc::c_void {
        debug_assert!(offset <= self.length);
        self.start.wrapping_byte_add(offset)
    }

    /// Marks which pages from a page's start are in memory; `false` where the kernel can't tell.
    fn resident(&self, offset: usize, length: usize, pages: &mut [u8]) -> bool {
        assert!(length.div_ceil(rustix::param::page_size()) <= pages.len());
        // SAFETY: the stretch lies in the mapping, and `pages` has a byte for each of its pages.
        let outcome = unsafe { libc::mincore(self.at(offset), length, pages.as_mut_ptr()) };
        outcome == 0
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is the mapping that was made, and nothing refers to it any more. It can't fail for a whole
        // mapping.
        let _ = unsafe { rustix::mm::munmap(self.start, self.length) };
    }
}
