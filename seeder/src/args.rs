//! What was typed. What it means is in [`crate::config`]. `publisher up` flattens [`ServeFlags`] into its
//! own arguments, so both programs serve alike.

use crate::config::Encryption;
use crate::config::{FileConfig, ServeConfig, Source};
use crate::error::ServeError;
use clap::{ArgAction, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Serves the first swarm: peers, web seed, tracker and site.
#[derive(Debug, Parser)]
#[command(name = "seeder", version, about, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve what the publisher has made, or any torrents with their data
    Serve(ServeArgs),
}

/// `seeder serve`.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The publisher's output folder, or with --data any number of .torrent files
    #[arg(required = true, value_name = "OUT|TORRENT")]
    pub sources: Vec<PathBuf>,
    /// Serve the torrents named, from the files in this folder, after checking them
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Addresses, ports and the like
    #[command(flatten)]
    pub flags: ServeFlags,
    /// How to report
    #[command(flatten)]
    pub report: ReportFlags,
}

/// How a program reports. Humans read the standard error stream.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReportFlags {
    /// Print one JSON object a line on the standard output
    #[arg(long)]
    pub json: bool,
    /// Print errors only
    #[arg(long, short)]
    pub quiet: bool,
    /// Print more; twice for everything
    #[arg(long, short, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Where to serve, and within which limits. Whatever is given overrides the configuration file.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeFlags {
    /// Where site, web seed and tracker are served; port 0 picks a free one
    #[arg(long, value_name = "ADDR:PORT")]
    pub http: Option<SocketAddr>,
    /// TCP and uTP port for BitTorrent peers; 0 picks a free one
    #[arg(long, value_name = "N")]
    pub peer_port: Option<u16>,
    /// Take no peers over uTP, only over TCP
    #[arg(long)]
    pub no_utp: bool,
    /// Encrypted peer connections: taken beside plain ones, alone, or not at all [default: offered]
    #[arg(long, value_enum, value_name = "HOW")]
    pub encryption: Option<Encryption>,
    /// Address to take peers on, and HTTP where --http doesn't say otherwise
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    /// Our address as the world sees it, for the tracker; repeat for IPv4 and IPv6
    #[arg(long, value_name = "IP")]
    pub external_address: Vec<IpAddr>,
    /// Address of a reverse proxy in front, whose X-Forwarded-For is believed; repeat for several
    #[arg(long, value_name = "IP")]
    pub trusted_proxy: Vec<IpAddr>,
    /// Read these settings, and limits, from a TOML file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl ServeArgs {
    /// What to serve.
    pub fn source(&self) -> Result<Source, ServeError> {
        match (&self.data, &self.sources[..]) {
            (Some(data), files) => Ok(Source::Torrents {
                files: files.to_vec(),
                data: data.clone(),
            }),
            (None, [out]) if out.is_dir() => Ok(Source::Out(out.clone())),
            (None, [file, ..]) if file.extension().is_some_and(|ext| ext == "torrent") => {
                Err(ServeError::NoData)
            }
            (None, [out]) => Err(ServeError::NotAFolder(out.clone())),
            (None, _) => Err(ServeError::NoData),
        }
    }
}

impl ServeFlags {
    /// Lays the configuration file, then the flags, over a configuration.
    pub fn apply(&self, mut base: ServeConfig) -> Result<ServeConfig, ServeError> {
        if let Some(path) = &self.config {
            FileConfig::read(path)?.apply(&mut base);
        }
        if let Some(bind) = self.bind {
            base.bind = Some(bind);
            base.http.set_ip(bind);
        }
        if let Some(http) = self.http {
            base.http = http;
        }
        if let Some(port) = self.peer_port {
            base.peer_port = port;
        }
        base.utp &= !self.no_utp;
        if let Some(encryption) = self.encryption {
            base.encryption = encryption.into();
        }
        if !self.external_address.is_empty() {
            base.external_addresses.clone_from(&self.external_address);
        }
        if !self.trusted_proxy.is_empty() {
            base.trusted_proxies.clone_from(&self.trusted_proxy);
        }
        Ok(base)
    }
}
