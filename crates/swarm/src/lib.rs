//! Decisions over many connections. Everything here is pure: what is known comes in as plain views, times
//! and seeds as arguments, and what is decided goes out as values.
//!
//! - [`choker`]: whom a seed unchokes;
//! - [`rates`]: how fast something has been going;
//! - [`announces`]: the tracker's store, whatever form its announces come in.
//!
//! What is not here: the connections themselves (crate `wire`), sockets and tasks (the seeder).

pub mod announces;
pub mod choker;
pub mod rates;
