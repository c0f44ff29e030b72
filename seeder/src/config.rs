//! What the arguments and the configuration file mean, with every default and every limit.

use crate::control::ControlConfig;
use crate::discover::DiscoverConfig;
use crate::error::ServeError;
use crate::http::proxy::Proxies;
use crate::stun::StunConfig;
use crate::tls::TlsConfig;
use crate::tracker::load::LoadConfig;
use crate::tracker::table::TableConfig;
use crate::tracker::udp::UdpTrackerConfig;
use crate::tracker::websocket;
use crate::uplink::UplinkConfig;
use crate::uplink::rate::Limit;
use crate::uplink::settings::{MonthlyVolume, ScheduleEntry};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::encryption::Policy;

/// Default port for site, web seed and tracker.
pub const HTTP_PORT: u16 = 8080;
/// Default TCP port for peers.
pub const PEER_PORT: u16 = 6881;

/// No peer need be remembered longer than a day without a word from it.
const DAY: u64 = 24 * 60 * 60;

/// What is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The publisher's output folder: site, library and `state.json`, followed as they change.
    Out(PathBuf),
    /// Any torrents, with the files they are about; these are checked before they are served.
    Torrents {
        /// The `.torrent` files.
        files: Vec<PathBuf>,
        /// The folder that holds each torrent's file or folder.
        data: PathBuf,
    },
}

/// Everything a seeder needs to know.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// What is served.
    pub out: Source,
    /// Where site, web seed and tracker are served. `[::]` means every address of both families.
    pub http: SocketAddr,
    /// Where the same is served over TLS.
    pub https: Option<SocketAddr>,
    /// Where certificates for that come from.
    pub tls: TlsConfig,
    /// The address peers are taken on; `None` means every address of both families.
    pub bind: Option<IpAddr>,
    /// TCP and uTP port for peers.
    pub peer_port: u16,
    /// Whether peers are taken over uTP as well (BEP 29).
    pub utp: bool,
    /// Whether peers are shown pieces one by one while copies are scarce.
    pub spread: bool,
    /// Whether encrypted connections are taken, and others.
    pub encryption: Policy,
    /// Our addresses as the world sees them. Where there are none, the tracker tells an asker the address
    /// at which the asker reached it.
    pub external_addresses: Vec<IpAddr>,
    /// Reverse proxies in front of HTTP, whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Proxies>,
    /// Where status and metrics are given.
    pub control: ControlConfig,
    /// How files are checked behind other work.
    pub scrub: Scrub,
    /// Where the seeder remembers the scrub's place across restarts; nowhere without it.
    pub state_dir: Option<PathBuf>,
    /// How peers are found.
    pub discover: DiscoverConfig,
    /// How much may be sent.
    pub uplink: UplinkConfig,
    /// When viewers are introduced to each other.
    pub load: LoadConfig,
    /// Tables that tell countries and networks of addresses.
    pub tables: TableConfig,
    /// The UDP tracker.
    pub udp_tracker: UdpTrackerConfig,
    /// STUN, on the WebRTC port.
    pub stun: StunConfig,
    /// What strangers may take.
    pub limits: Limits,
}

/// How files are read again behind other work, to find damage before a peer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scrub {
    /// The budget; 0 switches it off.
    pub bytes_per_second: u64,
    /// The time from one beginning of a round to the next.
    pub every: Duration,
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            bytes_per_second: 1 << 20,
            every: Duration::from_secs(7 * DAY),
        }
    }
}

impl ServeConfig {
    /// On every address, with the default ports.
    pub fn new(out: Source) -> Self {
        Self {
            out,
            http: SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), HTTP_PORT),
            https: None,
            tls: TlsConfig::default(),
            bind: None,
            peer_port: PEER_PORT,
            utp: true,
            spread: true,
            encryption: Policy::default(),
            external_addresses: Vec::new(),
            trusted_proxies: Vec::new(),
            control: ControlConfig::default(),
            scrub: Scrub::default(),
            state_dir: None,
            discover: DiscoverConfig::default(),
            uplink: UplinkConfig::default(),
            load: LoadConfig::default(),
            tables: TableConfig::default(),
            udp_tracker: UdpTrackerConfig::default(),
            stun: StunConfig::default(),
            limits: Limits::default(),
        }
    }

    /// For this machine alone, with the default ports.
    pub fn loopback(out: Source) -> Self {
        let local = IpAddr::from(Ipv4Addr::LOCALHOST);
        Self {
            http: SocketAddr::new(local, HTTP_PORT),
            bind: Some(local),
            ..Self::new(out)
        }
    }
}

/// Every bound on what strangers may take. Each has a counter that rises when it bites.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Peer connections in all.
    pub peers: usize,
    /// Peer connections from one IPv4 address or IPv6 /64.
    pub peers_per_address: usize,
    /// Peers of one torrent that are served at once.
    pub upload_slots: usize,
    /// Requests of one peer that wait at once.
    pub requests_per_peer: u32,
    /// Bytes under way to one peer.
    pub send_buffer: usize,
    /// Reads from disk at once.
    pub reads: usize,
    /// HTTP connections in all, with and without TLS, WebSockets among them: each viewer holds one of those.
    pub http_connections: usize,
    /// HTTP connections from one IPv4 address or IPv6 /64.
    pub http_connections_per_address: usize,
    /// Seconds an HTTP request's head may take, and a connection may rest between requests.
    pub http_head_seconds: u64,
    /// Seconds an HTTP client may take no byte of an answer.
    pub http_stall_seconds: u64,
    /// Bytes of compressed pages kept in memory.
    pub http_compressed_bytes: usize,
    /// Peers of one swarm the tracker remembers, by address family.
    pub tracker_peers: usize,
    /// Peers of one swarm the tracker remembers from one IPv4 address or IPv6 /64.
    pub tracker_peers_per_address: usize,
    /// Peers in one answer of the tracker.
    pub tracker_reply_peers: u32,
    /// Seconds between two announces of one peer, about.
    pub tracker_interval_seconds: u64,
    /// Seconds between two announces of one browser, about.
    pub tracker_browser_interval_seconds: u64,
    /// Announces a second of one IPv4 address or IPv6 /64 in the long run; offers count as well.
    pub tracker_announces_per_address: u32,
    /// Announces of one IPv4 address or IPv6 /64 at once.
    pub tracker_announce_burst: u32,
    /// Announces a second from which on intervals grow, of clients and of browsers apart.
    pub tracker_announces: u32,
    /// Offers of browsers passed on in a second.
    pub tracker_offers: u32,
    /// Seconds in which no more than ten offers reach one browser, however often it announces, and in which two that were
    /// introduced aren't introduced the other way round; 0 counts anew at each of its announces.
    pub tracker_offer_window_seconds: u64,
    /// Bytes that wait for one browser's socket.
    pub websocket_queue: usize,
    /// Bytes held for all browsers' sockets together.
    pub websocket_memory: usize,
    /// Messages a second of one browser's socket in the long run.
    pub websocket_messages: u32,
    /// Bytes of session descriptions a second of one browser's socket in the long run.
    pub websocket_description_bytes: u32,
    /// STUN requests answered in a second.
    pub stun_rate: u32,
    /// STUN requests of one IPv4 address or IPv6 /64 answered in a second, on average.
    pub stun_rate_per_address: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            peers: 4000,
            peers_per_address: 100,
            upload_slots: 64,
            requests_per_peer: 512,
            send_buffer: 1024 * 1024,
            reads: 64,
            http_connections: 16_000,
            http_connections_per_address: 200,
            http_head_seconds: 30,
            http_stall_seconds: 60,
            http_compressed_bytes: 64 << 20,
            tracker_peers: 100_000,
            tracker_peers_per_address: 64,
            tracker_reply_peers: 100,
            tracker_interval_seconds: 600,
            tracker_browser_interval_seconds: 120,
            tracker_announces_per_address: 50,
            tracker_announce_burst: 1000,
            tracker_announces: 2000,
            tracker_offers: 5000,
            tracker_offer_window_seconds: 60,
            websocket_queue: 128 << 10,
            websocket_memory: 128 << 20,
            websocket_messages: 10,
            websocket_description_bytes: 64 << 10,
            stun_rate: 20_000,
            stun_rate_per_address: 200,
        }
    }
}

impl Limits {
    /// The tracker's part.
    pub(crate) fn tracker(&self) -> swarm::tracker::Limits {
        let interval = Duration::from_secs(self.tracker_interval_seconds.clamp(1, DAY));
        let defaults = swarm::tracker::Limits::default();
        swarm::tracker::Limits {
            peers_per_swarm: self.tracker_peers,
            peers_per_address: self.tracker_peers_per_address,
            max_peers: self.tracker_reply_peers,
            default_peers: defaults.default_peers.min(self.tracker_reply_peers),
            interval,
            min_interval: defaults.min_interval.min(interval),
            browser_interval: Duration::from_secs(
                self.tracker_browser_interval_seconds.clamp(1, DAY),
            ),
            address_rate: self.tracker_announces_per_address,
            address_burst: self.tracker_announce_burst,
            announce_rate: self.tracker_announces,
            offer_rate: self.tracker_offers,
            offer_window: Duration::from_secs(self.tracker_offer_window_seconds),
            ..defaults
        }
    }

    /// The part of browsers' sockets.
    pub(crate) fn websocket(&self) -> websocket::Limits {
        websocket::Limits {
            queue: self.websocket_queue,
            memory: self.websocket_memory,
            messages_per_second: self.websocket_messages,
            description_bytes_per_second: self.websocket_description_bytes,
        }
    }
}

/// Message stream encryption, as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Encrypted and plain connections are taken.
    Offered,
    /// Only encrypted ones.
    Required,
    /// Only plain ones.
    Off,
}

impl From<Encryption> for Policy {
    fn from(encryption: Encryption) -> Self {
        match encryption {
            Encryption::Offered => Self::Offered,
            Encryption::Required => Self::Required,
            Encryption::Off => Self::Off,
        }
    }
}

/// The configuration file. Every key is optional; unknown ones are refused, since they are mistyped ones.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    #[serde(default)]
    acme_domains: Vec<String>,
    acme_contact: Option<String>,
    acme_directory: Option<String>,
    acme_authority: Option<PathBuf>,
    bind: Option<IpAddr>,
    peer_port: Option<u16>,
    utp: Option<bool>,
    spread: Option<bool>,
    encryption: Option<Encryption>,
    #[serde(default)]
    external_addresses: Vec<IpAddr>,
    #[serde(default)]
    trusted_proxies: Vec<Proxies>,
    control: Option<SocketAddr>,
    scrub_bytes_per_second: Option<u64>,
    scrub_days: Option<u64>,
    upload_limit: Option<Limit>,
    upload_limit_per_release: Option<Limit>,
    upload_limit_per_peer: Option<Limit>,
    #[serde(default)]
    schedule: Vec<ScheduleEntry>,
    monthly_volume: Option<MonthlyVolume>,
    dht: Option<bool>,
    dht_port: Option<u16>,
    #[serde(default)]
    dht_bootstrap: Vec<String>,
    lsd: Option<bool>,
    port_mapping: Option<bool>,
    further_trackers: Option<bool>,
    udp_tracker: Option<bool>,
    udp_tracker_port: Option<u16>,
    tracker_threads: Option<usize>,
    stun: Option<bool>,
    webrtc_port: Option<u16>,
    #[serde(default)]
    tracker: TrackerFile,
    limits: Option<Limits>,
}

/// `[tracker]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TrackerFile {
    countries: Option<PathBuf>,
    networks: Option<PathBuf>,
    p2p_above: Option<Limit>,
    p2p_viewers: Option<u32>,
}

impl FileConfig {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|source| ServeError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| ServeError::Config {
            path: path.to_owned(),
            cause: Box::new(error),
        })
    }

    pub(crate) fn apply(self, config: &mut ServeConfig) {
        if let Some(bind) = self.bind {
            config.bind = Some(bind);
            config.http.set_ip(bind);
        }
        config.http = self.http.unwrap_or(config.http);
        config.https = self.https.or(config.https);
        let tls = &mut config.tls;
        tls.certificate = self.tls_cert.or(tls.certificate.take());
        tls.key = self.tls_key.or(tls.key.take());
        let acme = &mut tls.acme;
        if !self.acme_domains.is_empty() {
            acme.domains = self.acme_domains;
        }
        acme.contact = self.acme_contact.or(acme.contact.take());
        acme.directory = self.acme_directory.or(acme.directory.take());
        acme.authority = self.acme_authority.or(acme.authority.take());
        config.peer_port = self.peer_port.unwrap_or(config.peer_port);
        config.utp = self.utp.unwrap_or(config.utp);
        config.spread = self.spread.unwrap_or(config.spread);
        if let Some(encryption) = self.encryption {
            config.encryption = encryption.into();
        }
        if !self.external_addresses.is_empty() {
            config.external_addresses = self.external_addresses;
        }
        if !self.trusted_proxies.is_empty() {
            config.trusted_proxies = self.trusted_proxies;
        }
        config.control.tcp = self.control.or(config.control.tcp);
        if let Some(bytes) = self.scrub_bytes_per_second {
            config.scrub.bytes_per_second = bytes;
        }
        if let Some(days) = self.scrub_days {
            config.scrub.every = Duration::from_secs(days.saturating_mul(DAY));
        }
        let uplink = &mut config.uplink;
        let limits = &mut uplink.limits;
        for (limit, given) in [
            (&mut limits.total, self.upload_limit),
            (&mut limits.per_release, self.upload_limit_per_release),
            (&mut limits.per_asker, self.upload_limit_per_peer),
        ] {
            *limit = given.map_or(*limit, Limit::rate);
        }
        if !self.schedule.is_empty() {
            let entries = self.schedule.into_iter().map(Into::into);
            uplink.schedule.0 = entries.collect();
        }
        uplink.volume = self.monthly_volume.or(uplink.volume.take());
        let discover = &mut config.discover;
        discover.dht = self.dht.or(discover.dht);
        discover.dht_port = self.dht_port.or(discover.dht_port);
        if !self.dht_bootstrap.is_empty() {
            discover.dht_bootstrap = self.dht_bootstrap;
        }
        discover.lsd = self.lsd.or(discover.lsd);
        discover.port_mapping = self.port_mapping.or(discover.port_mapping);
        discover.further_trackers = self.further_trackers.or(discover.further_trackers);
        let udp = &mut config.udp_tracker;
        udp.on = self.udp_tracker.unwrap_or(udp.on);
        udp.port = self.udp_tracker_port.or(udp.port);
        udp.threads = self.tracker_threads.or(udp.threads);
        let stun = &mut config.stun;
        stun.on = self.stun.unwrap_or(stun.on);
        stun.port = self.webrtc_port.or(stun.port);
        let tracker = self.tracker;
        config.tables.countries = tracker.countries.or(config.tables.countries.take());
        config.tables.networks = tracker.networks.or(config.tables.networks.take());
        config.load.above = tracker.p2p_above.map_or(config.load.above, Limit::rate);
        config.load.viewers = tracker.p2p_viewers.or(config.load.viewers);
        if let Some(limits) = self.limits {
            config.limits = limits;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ServeFlags;

    fn flags(config: Option<PathBuf>) -> ServeFlags {
        ServeFlags {
            config,
            ..ServeFlags::default()
        }
    }

    #[test]
    fn tls_and_proxies_are_read_from_the_file_and_flags_go_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seeder.toml");
        let text = "https = \"[::]:443\"\ntls_cert = \"a.pem\"\ntls_key = \"b.pem\"\n\
            acme_domains = [\"a.example.org\"]\nacme_authority = \"ca.pem\"\n\
            trusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n";
        std::fs::write(&path, text).unwrap();
        let given = ServeFlags {
            tls_key: Some("c.pem".into()),
            acme_domain: vec!["b.example.org".into()],
            ..flags(Some(path.clone()))
        };
        let config = given.apply(ServeConfig::new(Source::Out("out".into())));
        let config = config.unwrap();
        assert_eq!(config.https, Some("[::]:443".parse().unwrap()));
        let tls = config.tls;
        assert_eq!(
            (tls.certificate, tls.key),
            (Some("a.pem".into()), Some("c.pem".into()))
        );
        assert_eq!(tls.acme.domains, ["b.example.org"]);
        assert_eq!(tls.acme.authority, Some("ca.pem".into()));
        let proxies = &config.trusted_proxies;
        assert!(proxies[0].contains("10.1.2.3".parse().unwrap()));
        assert!(proxies[1].contains("::1".parse().unwrap()));

        std::fs::write(&path, "trusted_proxies = [\"10.0.0.0/40\"]\n").unwrap();
        let base = ServeConfig::new(Source::Out("out".into()));
        let error = flags(Some(path)).apply(base).unwrap_err().to_string();
        assert!(error.contains("a network like"), "{error}");
    }

    #[test]
    fn flags_go_over_the_file_and_the_file_over_defaults() {
        let base = ServeConfig::new(Source::Out("out".into()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seeder.toml");
        std::fs::write(
            &path,
            "bind = \"127.0.0.2\"\npeer_port = 7000\n[limits]\npeers = 5\n",
        )
        .unwrap();
        let config = flags(Some(path.clone())).apply(base.clone()).unwrap();
        assert_eq!(config.http, "127.0.0.2:8080".parse().unwrap());
        assert_eq!((config.peer_port, config.limits.peers), (7000, 5));
        assert_eq!(config.limits.reads, Limits::default().reads);
        let mut over = flags(Some(path.clone()));
        over.peer_port = Some(0);
        over.http = Some("127.0.0.3:0".parse().unwrap());
        let config = over.apply(base.clone()).unwrap();
        assert_eq!(
            (config.http, config.peer_port),
            ("127.0.0.3:0".parse().unwrap(), 0)
        );
        assert_eq!(config.bind, Some("127.0.0.2".parse().unwrap()));

        let limits = "upload_limit = \"20Mbit/s\"\nupload_limit_per_peer = 50000\n[[schedule]]\nfrom = \"01:00\"\n\
                      to = \"06:00\"\nupload_limit = \"unlimited\"\n[monthly_volume]\nbytes = \"1TB\"\nthen = \"stop\"\n";
        std::fs::write(&path, limits).unwrap();
        let mut limited = flags(Some(path.clone()));
        let config = limited.apply(base.clone()).unwrap().uplink;
        assert_eq!(config.limits.total, Some(2_500_000));
        assert_eq!(config.limits.per_asker, Some(50_000));
        assert_eq!(config.limits.per_release, None);
        assert!(config.schedule.0.len() == 1 && config.volume.is_some());
        limited.upload_limit = Some(Limit::Unlimited);
        let config = limited.apply(base.clone()).unwrap().uplink;
        assert_eq!(
            (config.limits.total, config.limits.per_asker),
            (None, Some(50_000))
        );
        std::fs::write(&path, "upload_limit_per_release = \"5Mb/s\"\n").unwrap();
        let error = flags(Some(path.clone()))
            .apply(base.clone())
            .unwrap_err()
            .to_string();
        assert!(
            ["seeder.toml", "upload_limit_per_release", "5Mbit/s"]
                .iter()
                .all(|word| error.contains(word)),
            "{error}"
        );

        let tracker =
            "[tracker]\ncountries = \"c.csv\"\np2p_above = \"8Mbit/s\"\np2p_viewers = 5\n";
        std::fs::write(&path, tracker).unwrap();
        let config = flags(Some(path.clone())).apply(base.clone()).unwrap();
        let load = LoadConfig {
            above: Some(1_000_000),
            viewers: Some(5),
        };
        assert_eq!(config.load, load);
        assert_eq!(config.tables.countries, Some("c.csv".into()));

        std::fs::write(&path, "per_port = 7000\n").unwrap();
        let error = flags(Some(path)).apply(base).unwrap_err().to_string();
        assert!(
            error.contains("seeder.toml") && error.contains("per_port"),
            "{error}"
        );
    }
}
