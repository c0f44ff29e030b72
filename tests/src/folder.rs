//! Folders: copies of the examples to work on, contents to publish, comparisons byte by byte.

use crate::programs::root;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The five example channels.
pub const EXAMPLES: [&str; 5] = [
    "test-drive",
    "author-interviews",
    "how-to-manual",
    "garage-band",
    "service-pack",
];

/// A temporary folder that goes with the value.
pub fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix("groundswell-")
        .tempdir()
        .expect("a temporary folder can be made")
}

/// A private copy of an example channel below `into`.
#[track_caller]
pub fn copy_example(name: &str, into: &Path) -> PathBuf {
    let from = root().join("examples").join(name);
    assert!(from.is_dir(), "{} is missing", from.display());
    let to = into.join(name);
    for (path, bytes) in contents(&from) {
        if path.split('/').any(|part| part.starts_with('.')) {
            continue;
        }
        put(&to.join(&path), &bytes);
    }
    to
}

/// Writes a file, with the folders above it.
#[track_caller]
pub fn put(path: &Path, bytes: &[u8]) {
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).unwrap_or_else(|e| panic!("create {}: {e}", above.display()));
    }
    fs::write(path, bytes).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
}

/// Reads a file.
#[track_caller]
pub fn get(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()))
}

/// All regular files below a folder (or the one file) by path relative to it, `/`-separated; a file alone has the path "".
#[track_caller]
pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let kind = fs::symlink_metadata(&path)
            .unwrap_or_else(|e| panic!("look at {}: {e}", path.display()))
            .file_type();
        if kind.is_dir() {
            for entry in
                fs::read_dir(&path).unwrap_or_else(|e| panic!("list {}: {e}", path.display()))
            {
                waiting.push(entry.expect("a listed entry can be read").path());
            }
        } else if kind.is_file() {
            let below = path.strip_prefix(folder).expect("found below it");
            found.push(below.to_str().expect("UTF-8 names").to_owned());
        }
    }
    found.sort();
    found
}

/// Path and bytes of all files below a folder.
#[track_caller]
pub fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder)
        .into_iter()
        .map(|path| {
            let bytes = get(&folder.join(&path));
            (path, bytes)
        })
        .collect()
}

/// Inode, length and modification time of all files below a folder: equal before and after means nothing was written.
#[track_caller]
pub fn stats(folder: &Path) -> BTreeMap<String, (u64, u64, i64, i64)> {
    files(folder)
        .into_iter()
        .map(|path| {
            let meta = fs::metadata(folder.join(&path)).expect("a listed file can be looked at");
            (
                path,
                (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()),
            )
        })
        .collect()
}

/// Panics with the first difference between two files or folders.
#[track_caller]
pub fn assert_same(got: &Path, wanted: &Path, who: &str) {
    let (names_got, names_wanted) = (files(got), files(wanted));
    assert_eq!(
        names_got,
        names_wanted,
        "{who}: other files in {} than in {}",
        got.display(),
        wanted.display()
    );
    for name in names_wanted {
        let join = |base: &Path| {
            if name.is_empty() {
                base.to_owned()
            } else {
                base.join(&name)
            }
        };
        let (a, b) = (get(&join(got)), get(&join(wanted)));
        let at = a.iter().zip(&b).position(|(x, y)| x != y);
        assert!(
            a == b,
            "{who}: `{name}` differs: {} bytes got, {} wanted, first difference at {at:?}",
            a.len(),
            b.len()
        );
    }
}

/// Bytes that don't repeat within a piece and are the same in each run.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    // xorshift64*: enough to make every block another one.
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        out.extend_from_slice(&x.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    out.truncate(len);
    out
}
