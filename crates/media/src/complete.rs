//! Whether a file is whole, by its own account: what a watched folder asks before it publishes.

use crate::read::ReadAt;

/// Whether a file is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Complete {
    /// Its container ends where the file ends.
    Yes,
    /// It can't be whole, and why, as a clause for people.
    No(String),
    /// Files of this kind don't say.
    Unknown,
}

/// Reads as little as tells.
pub fn complete(source: &dyn ReadAt) -> Complete {
    let _ = source;
    Complete::Unknown
}
