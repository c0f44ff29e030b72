//! The publisher: a folder of clips in, torrents, pages, feeds and a catalog out.
//!
//! Life of a clip: [`watch`] says "look" → [`folder`] lists (`FoundRelease`) → [`plan`] says which releases
//! need work, by what [`ledger`] remembers → [`probe`] reads content, sidecars and tags (`ProbedRelease`) →
//! for each of its torrents [`prepare`] brings the payload into the library (`PreparedRendition`), [`hash`]
//! makes the one read pass (`HashedRendition`) and [`seal`] the torrent (together a `SealedRelease`) →
//! [`present`] and [`page`] make catalog and pages → [`plan`] says what to seed from now on → [`site`] writes.
//! [`publish`] walks that way once; `build`, `watch` and `up` differ only in how often. What is slow is made
//! behind publication: [`wanted`] says what, `derive` makes it.
//!
//! Not here: serving anybody. Only [`up`] knows the seeder.

pub mod args;
pub mod build;
pub mod channel;
pub mod chapters;
pub mod check;
pub mod derive;
pub mod error;
pub mod file_type;
pub mod fingerprint;
pub mod folder;
pub mod front_matter;
pub mod hash;
pub mod ledger;
pub mod manual;
pub mod new;
pub mod page;
pub mod place;
pub mod plan;
pub mod prepare;
pub mod present;
pub mod probe;
pub mod publish;
pub mod report;
pub mod run;
pub mod seal;
pub mod sign;
pub mod site;
pub mod slug;
pub mod srt;
pub mod summary;
pub mod torrent;
pub mod up;
pub mod vtt;
pub mod wanted;
pub mod watch;
pub mod withdraw;
