//! Whether something is as it was, in eight bytes: a hash over what it depends on, the same in every run and
//! on every machine. Equal fingerprints stand for "nothing to do"; they protect against nothing.

use metainfo::state::StatRecord;
use sha2::{Digest, Sha256};

/// A fingerprint in the making.
#[derive(Debug, Clone, Default)]
pub struct Fingerprint(Sha256);

impl Fingerprint {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a few bytes alone.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut fingerprint = Self::new();
        fingerprint.bytes(bytes);
        fingerprint.finish()
    }

    /// Adds bytes; their length counts, so that neighbours don't run together.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    /// Adds what tells a file's content: see [`StatRecord::same_content`].
    pub fn content(&mut self, stat: &StatRecord) -> &mut Self {
        self.number(stat.device)
            .number(stat.inode)
            .number(stat.bytes)
            .bytes(&stat.mtime_ns.to_le_bytes())
    }

    /// The fingerprint.
    pub fn finish(&self) -> u64 {
        let hash = self.0.clone().finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&hash[..8]);
        u64::from_le_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_do_not_run_together() {
        let of = |parts: &[&str]| {
            let mut fingerprint = Fingerprint::new();
            for part in parts {
                fingerprint.text(part);
            }
            fingerprint.finish()
        };
        assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", "c"]), of(&["ab", "c", ""]));
    }

    #[test]
    fn it_is_the_same_for_ever() {
        // Kept in `out/` from run to run: another value here would publish everything anew, once.
        assert_eq!(Fingerprint::of(b"groundswell"), 13_043_762_675_690_351_337);
    }
}
