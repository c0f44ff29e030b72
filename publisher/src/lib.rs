//! The publisher: a folder of clips in, torrents, pages, feeds and a catalog out.
//!
//! Life of a clip: [`watch`] says "look" → [`folder`] lists (`FoundRelease`) → [`probe`] reads sidecars
//! and tags (`ProbedRelease`) → [`prepare`] brings the payload into the library and lays it out
//! (`PreparedRelease`) → [`hash`] makes the one read pass (`HashedRelease`) → [`seal`] makes the torrent
//! (`SealedRelease`) → [`plan`] says what to seed from now on → [`present`] and [`page`] make catalog and
//! pages → [`site`] writes. [`publish`] walks that way once; `build`, `watch` and `up` differ only in how
//! often.
//!
//! Not here: serving anybody. Only [`up`] knows the seeder.

pub mod args;
pub mod channel;
pub mod error;
pub mod file_type;
pub mod folder;
pub mod front_matter;
pub mod hash;
pub mod new;
pub mod page;
pub mod plan;
pub mod prepare;
pub mod present;
pub mod probe;
pub mod publish;
pub mod report;
pub mod run;
pub mod seal;
pub mod site;
pub mod slug;
pub mod torrent;
pub mod up;
pub mod vtt;
pub mod watch;
