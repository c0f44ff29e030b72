//! MP4 and QuickTime files made with ffmpeg: as they are read, and as they are packed anew.

#![allow(clippy::unwrap_used, reason = "what a test calls is a test as well")]

mod made;
mod reading;
mod rewriting;
