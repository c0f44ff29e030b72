//! What kind of file system a folder lies on, as far as watching goes: some never tell of changes that
//! other machines make.

use std::path::Path;

/// What other machines may write to as well, by name; `None` for a disk of this machine and for what is
/// not known.
pub fn shared(folder: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    {
        let magic = rustix::fs::statfs(folder).ok()?.f_type;
        // The numbers are 32 bits wide; the field's width and sign differ between processors.
        let magic = magic as u64 & 0xffff_ffff;
        SHARED
            .iter()
            .find(|(number, _)| *number == magic)
            .map(|(_, name)| *name)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        None
    }
}

/// statfs(2), and `linux/magic.h` and its neighbours in the kernel.
#[cfg(target_os = "linux")]
const SHARED: [(u64, &str); 10] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x786f_4256, "a VirtualBox folder"),
    (0x7c7c_6673, "a Parallels folder"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_of_this_machine_is_not_shared() {
        for folder in ["/proc", "/nowhere"] {
            assert_eq!(shared(Path::new(folder)), None, "{folder}");
        }
    }
}
