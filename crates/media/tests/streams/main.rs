//! Real files of every container but MP4, made with ffmpeg: what is read of them, whether they are whole, and
//! that rewriting them keeps every sample.

#![allow(clippy::unwrap_used, reason = "what a test calls is a test as well")]

mod files;
mod hostile;
mod made;
mod reading;
mod rewriting;
