//! Foreign programs, one small wrapper each. A wrapper knows how to start its program so that it uses nothing but
//! what the test allows it (no DHT, no local discovery, no peer exchange), and how to tell that it has finished.

pub mod aria2;
pub mod chromium;
pub mod feedparser;
pub mod ffmpeg;
pub mod libtorrent;
pub mod minisign;
pub mod mktorrent;
pub mod pebble;
pub mod rqbit;
pub mod trackers;
pub mod transmission;
