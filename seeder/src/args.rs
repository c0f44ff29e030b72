//! What was typed. What it means is in [`crate::config`]. `publisher up` flattens [`ServeFlags`] into its
//! own arguments, so both programs serve alike.

use crate::config::Encryption;
use crate::config::{FileConfig, ServeConfig, Source};
use crate::control::places;
use crate::error::ServeError;
use crate::http::proxy::Proxies;
use crate::uplink::rate::Limit;
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
    /// Fetch a torrent from peers, trackers and web seeds, and serve it meanwhile
    Fetch(FetchArgs),
    /// Show what a running seeder does: live on a terminal, otherwise one snapshot
    Status(StatusArgs),
}

/// `seeder fetch`.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// A .torrent file or a magnet link
    #[arg(value_name = "TORRENT|MAGNET")]
    pub source: String,
    /// The folder to put its file or folder into; a fetch that was broken off there goes on
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// A peer to ask, beside those that trackers and other peers tell of; repeat for several
    #[arg(long = "peer", value_name = "HOST:PORT")]
    pub peers: Vec<String>,
    /// Serve on once everything is here, until told to stop
    #[arg(long)]
    pub seed: bool,
    /// Addresses, ports and the like; by default a free port for peers, and HTTP on this machine alone
    #[command(flatten)]
    pub flags: ServeFlags,
    /// How to report
    #[command(flatten)]
    pub report: ReportFlags,
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

/// `seeder status`.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_HELP)]
pub struct StatusArgs {
    /// The seeder's control socket, or its --control address [default: the one seeder that runs here]
    #[arg(value_name = "SOCKET|ADDR:PORT")]
    pub place: Option<String>,
    /// Print one snapshot, on a terminal too
    #[arg(long)]
    pub once: bool,
    /// Print one snapshot as a JSON object, with the rates of the second it took
    #[arg(long)]
    pub json: bool,
    /// Draw the audience over time: of everything, or of one release by its slug or its torrent's id
    #[arg(long, value_name = "RELEASE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub history: Option<String>,
}

/// What the columns of the view mean.
const STATUS_HELP: &str = "\
Columns: size, peers by transport (tcp, utp, web: browsers), peers that have everything (seeds), bytes a second to \
peers, over HTTP and from peers, bytes sent, distributed copies among the peers (without ours; browsers' behind a +), \
payload copies sent until the first full copy was out and the time that took, and web offload: 1 - HTTP bytes / useful \
bytes. The busiest come first. Ctrl-C ends it.";

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
    /// Where the same is served over TLS, beside --http; needs --tls-cert and --tls-key, or --acme-domain
    #[arg(long, value_name = "ADDR:PORT")]
    pub https: Option<SocketAddr>,
    /// Certificate for --https, with those that lead to its authority, in PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert, in PEM
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Fetch a certificate for this name and renew it (ACME): from Let's Encrypt, whose terms you accept by this. The
    /// name's port 443 must lead to --https. Repeat for several names
    #[arg(long, value_name = "NAME")]
    pub acme_domain: Vec<String>,
    /// Mail address that the certificate authority may write to
    #[arg(long, value_name = "ADDRESS")]
    pub acme_contact: Option<String>,
    /// Fetch certificates at this ACME directory instead of Let's Encrypt's
    #[arg(long, value_name = "URL")]
    pub acme_directory: Option<String>,
    /// TCP and uTP port for BitTorrent peers; 0 picks a free one
    #[arg(long, value_name = "N")]
    pub peer_port: Option<u16>,
    /// Take no peers over uTP, only over TCP
    #[arg(long)]
    pub no_utp: bool,
    /// Encrypted peer connections: taken beside plain ones, alone, or not at all [default: offered]
    #[arg(long, value_enum, value_name = "HOW")]
    pub encryption: Option<Encryption>,
    /// Neither announce in the DHT nor look for peers there
    #[arg(long)]
    pub no_dht: bool,
    /// UDP port of the DHT; 0 picks a free one [default: 6883, or another where that is taken]
    #[arg(long, value_name = "N")]
    pub dht_port: Option<u16>,
    /// Enter this DHT, one of your own, instead of the public one; repeat for several nodes
    #[arg(long, value_name = "HOST:PORT")]
    pub dht_bootstrap: Vec<String>,
    /// UDP port of the tracker; 0 picks a free one [default: 6969, or another where that is taken]
    #[arg(long, value_name = "N")]
    pub udp_tracker_port: Option<u16>,
    /// UDP port at which browsers are told their address (STUN); 0 picks a free one [default: 6882, or another]
    #[arg(long, value_name = "N")]
    pub webrtc_port: Option<u16>,
    /// Don't look for peers in the local network (BEP 14)
    #[arg(long)]
    pub no_lsd: bool,
    /// Don't ask the router to let peers in (PCP, NAT-PMP, UPnP)
    #[arg(long)]
    pub no_port_mapping: bool,
    /// Don't announce to the further trackers that torrents name
    #[arg(long)]
    pub no_further_trackers: bool,
    /// Address to take peers on, and HTTP where --http doesn't say otherwise
    #[arg(long, value_name = "ADDR")]
    pub bind: Option<IpAddr>,
    /// Our address as the world sees it, for the tracker; repeat for IPv4 and IPv6
    #[arg(long, value_name = "IP")]
    pub external_address: Vec<IpAddr>,
    /// Address of a reverse proxy in front, whose X-Forwarded-For is believed, or a network of them; repeat for several
    #[arg(long, value_name = "IP[/N]")]
    pub trusted_proxy: Vec<Proxies>,
    /// Give status and metrics (Prometheus) at this loopback address as well as on the control socket
    #[arg(long, value_name = "ADDR:PORT")]
    pub control: Option<SocketAddr>,
    /// Send no more than this, over all transports together: 20Mbit/s is bits, 2.5MB/s and 20M are bytes, each by
    /// thousands; or `unlimited`. More limits, a schedule and a month's volume: in the --config file
    #[arg(long, value_name = "RATE")]
    pub upload_limit: Option<Limit>,
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
        base.control.folder = Some(places::runtime_dir());
        base.state_dir = places::state_dir();
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
        base.https = self.https.or(base.https);
        let tls = &mut base.tls;
        for (path, given) in [
            (&mut tls.certificate, &self.tls_cert),
            (&mut tls.key, &self.tls_key),
        ] {
            *path = given.clone().or(path.take());
        }
        let acme = &mut tls.acme;
        if !self.acme_domain.is_empty() {
            acme.domains.clone_from(&self.acme_domain);
        }
        for (text, given) in [
            (&mut acme.contact, &self.acme_contact),
            (&mut acme.directory, &self.acme_directory),
        ] {
            *text = given.clone().or(text.take());
        }
        if let Some(port) = self.peer_port {
            base.peer_port = port;
        }
        base.utp &= !self.no_utp;
        let discover = &mut base.discover;
        for (on, off) in [
            (&mut discover.dht, self.no_dht),
            (&mut discover.lsd, self.no_lsd),
            (&mut discover.port_mapping, self.no_port_mapping),
            (&mut discover.further_trackers, self.no_further_trackers),
        ] {
            if off {
                *on = Some(false);
            }
        }
        discover.dht_port = self.dht_port.or(discover.dht_port);
        let (udp, stun) = (&mut base.udp_tracker, &mut base.stun);
        udp.on |= self.udp_tracker_port.is_some();
        udp.port = self.udp_tracker_port.or(udp.port);
        stun.on |= self.webrtc_port.is_some();
        stun.port = self.webrtc_port.or(stun.port);
        if !self.dht_bootstrap.is_empty() {
            discover.dht_bootstrap.clone_from(&self.dht_bootstrap);
        }
        if let Some(encryption) = self.encryption {
            base.encryption = encryption.into();
        }
        base.control.tcp = self.control.or(base.control.tcp);
        if !self.external_address.is_empty() {
            base.external_addresses.clone_from(&self.external_address);
        }
        if !self.trusted_proxy.is_empty() {
            base.trusted_proxies.clone_from(&self.trusted_proxy);
        }
        if let Some(limit) = self.upload_limit {
            base.uplink.limits.total = limit.rate();
        }
        Ok(base)
    }
}
