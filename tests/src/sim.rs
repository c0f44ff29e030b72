//! Swarms on virtual time: the machines that decide (`swarm::spread`, `swarm::choker`, `swarm::picker`) in a network
//! that is computed. Seeded: the same seed gives the same run.
//!
//! - [`crowd`]: thousands of peers, in events of whole pieces;
//! - [`connected`]: a few dozen, in bytes, with real connections between them;
//! - [`picture`]: what a crowd did, as a drawing.

pub mod bits;
pub mod connected;
pub mod crowd;
pub mod first_seed;
pub mod leecher;
pub mod node;
pub mod picture;
