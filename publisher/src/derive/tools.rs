//! Programs beside this one: ffmpeg, which is used where it is there and never required, and this program
//! itself, which decodes strangers' H.264 as a child.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Which programs there are.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    /// ffmpeg.
    pub ffmpeg: Option<PathBuf>,
    /// The program that takes `decode-key-frame`: the publisher. `None` where something else runs this code.
    pub decoder: Option<PathBuf>,
}

impl Tools {
    /// Looks on `PATH`, once. `GROUNDSWELL_FFMPEG` names another ffmpeg; empty, it says that there is none.
    pub fn find() -> Self {
        let ffmpeg = match std::env::var_os("GROUNDSWELL_FFMPEG") {
            Some(named) if named.is_empty() => None,
            Some(named) => Some(PathBuf::from(named)),
            None => std::env::var_os("PATH").and_then(|path| on_path(&path, "ffmpeg")),
        };
        Self {
            ffmpeg,
            decoder: own_program(),
        }
    }
}

fn on_path(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        // An empty or relative entry means the working folder, where strangers' files may lie.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| is_program(file))
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

fn own_program() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?;
    let name = path.file_name()?.to_str()?;
    if !matches!(
        name.trim_end_matches(" (deleted)"),
        "publisher" | "publisher.exe"
    ) {
        return None;
    }
    // An upgrade replaces the file under a running program; this name keeps leading to what runs.
    let running = Path::new("/proc/self/exe");
    Some(if running.exists() {
        running.to_owned()
    } else {
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn programs_are_found_in_absolute_folders_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ffmpeg");
        let path = std::env::join_paths([Path::new("."), Path::new(""), folder.path()]).unwrap();
        std::fs::write(&file, "#!/bin/sh").unwrap();
        assert_eq!(on_path(&path, "ffmpeg"), None, "not executable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(on_path(&path, "ffmpeg"), Some(file));
        assert_eq!(on_path(OsStr::new(".:"), "ffmpeg"), None);
    }
}
