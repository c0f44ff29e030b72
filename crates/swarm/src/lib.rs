//! Decisions over many connections. Everything here is pure: what is known comes in as plain views, times
//! and seeds as arguments, and what is decided goes out as values.
//!
//! - [`choker`]: whom to unchoke, as a seed and as a fetcher;
//! - [`divide`]: what a release weighs when the uplink is divided over releases;
//! - [`spread`]: what a seed shows to whom while copies are scarce;
//! - [`picker`]: what a fetcher asks of whom;
//! - [`rarity`]: pieces in the order of how many have them;
//! - [`rates`]: how fast something has been going;
//! - [`uplink`]: who may send how much, and when, under one limit;
//! - [`subscriber()`]: whom an address belongs to;
//! - [`tracker`]: the tracker's store behind all its front ends.
//!
//! What is not here: the connections themselves (crate `wire`), sockets and tasks (the seeder).

pub mod choker;
pub mod divide;
mod pace;
pub mod picker;
mod random;
pub mod rarity;
pub mod rates;
pub mod spread;
mod subscriber;
pub mod tracker;
pub mod uplink;

pub use subscriber::subscriber;
