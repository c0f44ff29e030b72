//! Whether somebody still writes to a file, asked of the kernel: a read lease can be taken on a file only
//! while nobody has it open for writing. Linux has leases; elsewhere the answer is that nothing is known.

use std::path::Path;

/// Who has a file open for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// Nobody on this machine, at this moment.
    None,
    /// Somebody: the file is not finished.
    Present,
    /// The system can't tell: no leases here, a file of somebody else's, or no plain file.
    Unknown,
}

/// Asks whether anybody has this file open for writing, this process included. Symbolic links are not
/// followed. The lease is given back at once: a writer that comes in between waits for microseconds (or,
/// if it refuses to wait, is told to try again).
pub fn writer(path: &Path) -> Writer {
    #[cfg(target_os = "linux")]
    {
        linux::writer(path).unwrap_or(Writer::Unknown)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = path;
        Writer::Unknown
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Writer;
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    /// Which signal tells of a broken lease (fcntl(2)). The same number on every processor that Rust's
    /// standard library knows under Linux; the `libc` crate doesn't name it.
    const F_SETSIG: libc::c_int = 10;

    pub fn writer(path: &Path) -> io::Result<Writer> {
        // Opening anything but a plain file can have effects (a pipe's other end wakes up).
        if !std::fs::symlink_metadata(path)?.is_file() {
            return Ok(Writer::Unknown);
        }
        // The standard library adds O_CLOEXEC. A file put in this one's place meanwhile must not block.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(path)?;
        // A lease on such a file system speaks for this machine, while the bytes may come from another.
        if rustix::fs::fstatfs(&file)?.f_type == libc::FUSE_SUPER_MAGIC {
            return Ok(Writer::Unknown);
        }
        match Lease::take(&file) {
            Ok(_lease) => Ok(Writer::None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Writer::Present),
            Err(error) => Err(error),
        }
    }

    /// A read lease, given back when it is dropped.
    pub(super) struct Lease<'a>(&'a File);

    impl<'a> Lease<'a> {
        /// Fails with `WouldBlock` while anybody has the file open for writing.
        pub(super) fn take(file: &'a File) -> io::Result<Self> {
            // Who opens the file for writing while the lease is held makes the kernel send a signal to this
            // process: SIGIO, which kills by default, unless another is chosen. SIGURG is ignored by default,
            // and as no real-time signal it never falls back to SIGIO when a queue is full.
            control(file, F_SETSIG, libc::SIGURG)?;
            control(file, libc::F_SETLEASE, libc::F_RDLCK)?;
            Ok(Self(file))
        }
    }

    impl Drop for Lease<'_> {
        fn drop(&mut self) {
            // Closing would do it as well, but not while a process that was just forked shares the
            // descriptor. The only failure is that there is no lease any more.
            let _ = control(self.0, libc::F_SETLEASE, libc::F_UNLCK);
        }
    }

    fn control(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open as long as `file` is borrowed, and the commands used here
        // (F_SETSIG, F_SETLEASE) take an integer and touch no memory of ours.
        match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;
    use std::process::Command;

    #[test]
    fn a_writer_is_seen_while_it_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let other = folder.path().join("other");
        let writing = File::create(&path).unwrap();
        assert_eq!(writer(&path), Writer::Present);
        drop(writing);
        assert_eq!(writer(&path), Writer::None);
        let appending = OpenOptions::new().append(true).open(&path).unwrap();
        std::fs::rename(&path, &other).unwrap();
        assert_eq!(writer(&other), Writer::Present);
        let reading = File::open(&other).unwrap();
        drop(appending);
        assert_eq!(writer(&other), Writer::None, "a reader is no writer");
        drop(reading);
    }

    #[test]
    fn what_is_no_plain_file_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("clip"), b"x").unwrap();
        std::os::unix::fs::symlink("clip", path("link")).unwrap();
        let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for name in ["gone", "link", "pipe", "."] {
            assert_eq!(writer(&path(name)), Writer::Unknown, "{name}");
        }
    }

    #[test]
    fn a_lease_that_is_broken_kills_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        std::fs::write(&path, b"x").unwrap();
        let file = File::open(&path).unwrap();
        let lease = linux::Lease::take(&file).unwrap();
        let open = || {
            OpenOptions::new()
                .write(true)
                .custom_flags(libc::O_NONBLOCK)
                .open(&path)
        };
        // Breaks the lease: the signal is sent, and who doesn't wait is refused until it is given back.
        let refused = open().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(lease);
        open().unwrap();
        assert_eq!(writer(&path), Writer::None);
    }

    #[test]
    fn writers_that_come_and_go_meanwhile_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip");
        std::fs::write(&path, b"").unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                r#"i=0; while [ $i -lt 5000 ]; do echo x >>"$0"; i=$((i+1)); done"#,
            ])
            .arg(&path)
            .spawn()
            .unwrap();
        let mut asked = 0u32;
        while child.try_wait().unwrap().is_none() && asked < 1_000_000 {
            assert_ne!(writer(&path), Writer::Unknown);
            asked += 1;
        }
        assert!(child.wait().unwrap().success(), "after {asked} questions");
        assert_eq!(
            std::fs::metadata(&path).unwrap().len(),
            10_000,
            "no write is lost"
        );
        assert_eq!(writer(&path), Writer::None);
    }
}
