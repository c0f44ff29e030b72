//! Where a daemon's own files lie: its control socket, and what it remembers. Under systemd the folders that the unit
//! gives it; otherwise the user's.

use std::path::PathBuf;

/// The name of a control socket begins so; the process id follows.
const SOCKET: &str = "seeder-";

/// The folder of the control socket: `$RUNTIME_DIRECTORY`, or `groundswell` in `$XDG_RUNTIME_DIR`, or a folder of the
/// user's own beside other temporary files.
pub fn runtime_dir() -> PathBuf {
    let given = folder_of("RUNTIME_DIRECTORY");
    let session = || folder_of("XDG_RUNTIME_DIR").map(|dir| dir.join("groundswell"));
    given.or_else(session).unwrap_or_else(temporary)
}

/// The folder of what outlives a restart: `$STATE_DIRECTORY`, or `groundswell` in `$XDG_STATE_HOME` or
/// `~/.local/state`. `None` where there is no home.
pub fn state_dir() -> Option<PathBuf> {
    let below = |dir: PathBuf| dir.join("groundswell");
    folder_of("STATE_DIRECTORY")
        .or_else(|| folder_of("XDG_STATE_HOME").map(below))
        .or_else(|| folder_of("LOCALAPPDATA").map(below))
        .or_else(|| folder_of("HOME").map(|home| below(home.join(".local/state"))))
}

/// The socket, or the file that names the address, of this process in a folder.
pub fn socket(folder: &std::path::Path) -> PathBuf {
    let extension = if cfg!(unix) { "sock" } else { "addr" };
    folder.join(format!("{SOCKET}{}.{extension}", std::process::id()))
}

/// The control sockets of each folder where a daemon of this user, or of the system, puts its own: the user's
/// first.
pub fn sockets() -> Vec<Vec<PathBuf>> {
    let mut folders = vec![runtime_dir(), temporary()];
    folders.dedup();
    if cfg!(unix) {
        folders.push("/run/groundswell".into());
    }
    let entries = folders.iter().map(std::fs::read_dir);
    entries
        .flatten()
        .map(|entries| {
            let named = |path: &PathBuf| {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().starts_with(SOCKET)
            };
            let paths = entries.flatten().map(|entry| entry.path());
            let mut found: Vec<PathBuf> = paths.filter(named).collect();
            found.sort();
            found
        })
        .collect()
}

/// The first absolute folder that a variable names; systemd may give several, with colons between.
fn folder_of(variable: &str) -> Option<PathBuf> {
    let value = std::env::var_os(variable)?;
    let first = std::env::split_paths(&value).next()?;
    Some(first).filter(|folder| folder.is_absolute())
}

fn temporary() -> PathBuf {
    let folder = std::env::temp_dir();
    #[cfg(unix)]
    let name = format!("groundswell-{}", rustix::process::getuid().as_raw());
    #[cfg(not(unix))]
    let name = "groundswell";
    folder.join(name)
}
