//! Commands run in a mount namespace of their own with a small or read-only file system at one place. The mount goes
//! when the command ends, whatever happens to the test. Needs the rights of root.

use crate::programs::{Tool, foreign};
use std::path::Path;
use std::process::Command;

/// Wraps a command so that a file system of `size` bytes lies over the folder `at`. Prints, after the command ended and when
/// it left any, the temporary files below `at` as lines `LEFT <path>`, and then every file as `FILE <path>`.
pub fn with_small_disk(command: &Command, at: &Path, size: u64) -> Command {
    let script = r#"mount -t tmpfs -o "size=$2,mode=0755" none "$1" || exit 99
        at=$1; shift 2; "$@"; code=$?
        find "$at" -name '*tmp*' -printf 'LEFT %P\n'; find "$at" -type f -printf 'FILE %P\n'; exit $code"#;
    wrap(
        command,
        script,
        &[at.as_os_str(), size.to_string().as_ref()],
    )
}

/// Wraps a command so that the folder `at` is read-only, with what it holds.
pub fn with_read_only(command: &Command, at: &Path) -> Command {
    let script = r#"mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 99
        shift; exec "$@""#;
    wrap(command, script, &[at.as_os_str()])
}

fn wrap(command: &Command, script: &str, args: &[&std::ffi::OsStr]) -> Command {
    let mut wrapped = Command::new(foreign("unshare", Tool::Mount));
    wrapped
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .args(args)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}
