//! The torrents that are announced.

use std::io;
use std::path::Path;

/// An info-hash: v1, or v2 cut to 20 bytes.
pub type InfoHash = [u8; 20];

/// Reads a file of one info-hash a line, in hexadecimal.
pub(super) fn read(path: &Path) -> io::Result<Vec<InfoHash>> {
    let text = std::fs::read_to_string(path)?;
    let hashes: Option<Vec<InfoHash>> = text.lines().map(|line| parse(line.trim())).collect();
    hashes
        .filter(|hashes| !hashes.is_empty())
        .ok_or_else(|| io::Error::other(format!("{}: not a list of info-hashes", path.display())))
}

fn parse(hex: &str) -> Option<InfoHash> {
    let mut hash = [0; 20];
    if hex.len() != 40 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_digits_are_a_hash() {
        assert_eq!(parse(&"0a".repeat(20)), Some([10; 20]));
        for bad in ["", "0a", &"0g".repeat(20), &"é".repeat(20)] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
