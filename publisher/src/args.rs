//! What can be typed.

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use metainfo::Format;
use std::path::PathBuf;

/// Publish video, albums and software so that the audience carries it: a folder of clips in, torrents,
/// pages and feeds out.
#[derive(Debug, Parser)]
#[command(
    name = "publisher",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Begin with `publisher new my-channel`, drop clips into that folder, then `publisher up my-channel`.\n\
                  Exit codes: 0 done, 1 failed, 2 not understood."
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to talk.
    #[command(flatten)]
    pub talk: Talk,
}

/// How to talk.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Talk {
    /// Print one JSON object a line on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print problems only.
    #[arg(long, short, global = true, conflicts_with = "json")]
    pub quiet: bool,
    /// Say why each release is made anew; twice for everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Publish, seed and show a folder of clips at once, and keep in step with it.
    Up(Box<crate::up::Up>),
    /// Publish a folder of clips once.
    Build(Build),
    /// Publish a folder of clips, and again whenever it changes.
    Watch(Folders),
    /// Make a torrent of a file or folder, and nothing else.
    Torrent(Torrent),
    /// Show what a torrent or magnet link holds.
    Show {
        /// A .torrent file, or a magnet link.
        torrent: String,
    },
    /// Check a file or folder against its torrent.
    Verify {
        /// The .torrent file.
        torrent: PathBuf,
        /// The file or folder, or the folder it lies in.
        path: PathBuf,
    },
    /// Make a folder that is ready for clips.
    New {
        /// The folder to make.
        dir: PathBuf,
    },
    /// Take a release away at once, on every layer, and keep it away.
    Withdraw(Withdraw),
    /// Check a published site from outside: pages, media, headers, catalog, tracker.
    Check(Check),
    /// Write a man page for each command.
    Man {
        /// The folder to write to.
        dir: PathBuf,
    },
    /// Print a completion script for a shell.
    #[command(
        after_help = "For bash: publisher completions bash > ~/.local/share/bash-completion/completions/publisher"
    )]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Decode key frames for the program that started this one.
    #[command(hide = true)]
    DecodeKeyFrame,
}

/// Where clips come from, and where they are published to.
#[derive(Debug, ClapArgs)]
pub struct Folders {
    /// The folder of clips.
    pub clips: PathBuf,
    /// Where to publish to.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Take what is gone from the folder off the site, even if that is most of it.
    #[arg(long)]
    pub allow_removals: bool,
}

/// `publisher build`.
#[derive(Debug, ClapArgs)]
pub struct Build {
    /// The folders.
    #[command(flatten)]
    pub folders: Folders,
    /// Print what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// `publisher withdraw`.
#[derive(Debug, ClapArgs)]
pub struct Withdraw {
    /// The folder of clips, or the folder it is published to.
    pub folder: PathBuf,
    /// The release: the part of its address after `r/`.
    pub slug: String,
    /// Where the clips are published to [default: .groundswell in the folder of clips].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Let it be published again.
    #[arg(long)]
    pub undo: bool,
}

/// `publisher check`.
#[derive(Debug, ClapArgs)]
pub struct Check {
    /// The site's address, as people type it.
    pub url: String,
    /// The public key that must have signed the catalog: its text, or the file minisign.pub [default: the one on the site].
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

/// `publisher torrent`.
#[derive(Debug, ClapArgs)]
pub struct Torrent {
    /// The file or folder.
    pub path: PathBuf,
    /// The torrent file to write [default: NAME.torrent here].
    #[arg(long, short, value_name = "F")]
    pub output: Option<PathBuf>,
    /// Which info-hashes it gets.
    #[arg(long, value_enum, default_value_t = FormatArg::V1)]
    pub format: FormatArg,
    /// Bytes in a piece: a power of two, at least 16384 [default: by size].
    #[arg(long, value_name = "N")]
    pub piece_length: Option<i64>,
    /// A tracker's announce URL; each stands for a tier of its own.
    #[arg(long, short, value_name = "URL")]
    pub announce: Vec<String>,
    /// A web seed's URL (BEP 19).
    #[arg(long, short, value_name = "URL")]
    pub web_seed: Vec<String>,
    /// Find peers through its trackers only (BEP 27).
    #[arg(long)]
    pub private: bool,
    /// A tag that gives it another info-hash.
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// A remark for people.
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// Hashing threads [default: one a core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: usize,
}

/// A torrent's format as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Every client takes it (BEP 3).
    V1,
    /// SHA-256 only (BEP 52).
    V2,
    /// Both.
    Hybrid,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::V1 => Self::V1,
            FormatArg::V2 => Self::V2,
            FormatArg::Hybrid => Self::Hybrid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
