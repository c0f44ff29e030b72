//! Neutral load for seeds and trackers, so that all of them are measured by the same ruler: peers that do what BEP 3
//! says and nothing more, HTTP clients in the same loop, and those who announce. One thread, no runtime, nothing of the
//! seeder. Linux alone.
//!
//! [`peer::Peer`] and [`ranges::Ranges`] are [`client::Client`]s, state machines without socket or clock;
//! [`crowd::Crowd`] has the sockets; [`measure`] says what is measured when. [`tracker`] is the same for trackers. [`switch::Switch`] is another tool's: the
//! links between the peers of a test swarm.

pub mod client;
pub mod latency;
pub mod peer;
pub mod ranges;
pub mod switch;
pub mod target;

#[cfg(target_os = "linux")]
pub mod crowd;
#[cfg(target_os = "linux")]
pub mod measure;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod tracker;
#[cfg(target_os = "linux")]
pub mod tun;

#[cfg(test)]
mod tests;
