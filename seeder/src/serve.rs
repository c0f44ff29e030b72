//! The whole seeder: bound first, so that its addresses are known, then run.

mod follower;

use crate::config::ServeConfig;
use crate::control::Control;
use crate::datagrams::Sockets;
use crate::discover::{self, Discovery};
use crate::error::ServeError;
use crate::http::compressed::Compressed;
use crate::library::guard::{self, Guard};
use crate::library::memory::Memory;
use crate::library::{Library, Listed, Served};
use crate::metrics::{Counter, Metrics};
use crate::net::{self, AcceptCounters, Gate, Incoming};
use crate::tls::Tls;
use crate::tracker::statistics::{self, Statistics};
use crate::tracker::{load, udp, websocket};
use crate::uplink::{self, Uplink};
use crate::{http, peer, stun, utp};
use follower::Follower;
use metainfo::PeerId;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use swarm::tracker::Tracker;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::connection::Settings;

/// How long a torrent without a peer stays parsed.
const KEEP_OPEN: Duration = Duration::from_secs(30);
/// How many torrents without a peer stay parsed.
const KEPT_OPEN: usize = 64;
/// The most lines that tell what isn't served and why.
const SKIPPED_LINES: usize = 1000;
/// How long connections may take to end when the seeder stops.
const STOP: Duration = Duration::from_millis(800);

pub(crate) const CLIENT: &str = concat!("Groundswell ", env!("CARGO_PKG_VERSION"));
/// BEP 20: two letters of the client, four digits of its version.
const PEER_ID_PREFIX: &[u8; 8] = b"-GW0100-";

/// What was loaded: told first when everything is served, then at every change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Torrents that are served.
    pub torrents: usize,
    /// A line for each that isn't: what and why.
    pub skipped: Vec<String>,
}

/// What all tasks share.
pub struct Shared {
    /// What was asked for.
    pub config: ServeConfig,
    /// Every counter.
    pub metrics: Arc<Metrics>,
    /// The tracker's store.
    pub tracker: Arc<Tracker>,
    /// The tracker's WebSockets.
    pub websocket: Arc<websocket::Sockets>,
    /// What is kept of the audience.
    pub statistics: Arc<Statistics>,
    /// Pages that were compressed.
    pub compressed: Compressed,
    /// Reads from disk at once.
    pub reads: Arc<Semaphore>,
    /// The one upload limit.
    pub uplink: Arc<Uplink>,
    /// Every task of the seeder.
    pub tasks: TaskTracker,
    /// Cancelled when the seeder stops.
    pub stop: CancellationToken,
    /// What all peer connections share.
    pub settings: Settings,
    /// How peers are found.
    pub discovery: Discovery,
    /// Where peers are taken.
    pub peer_addrs: Vec<SocketAddr>,
    /// How peers are called over uTP, where it is on.
    pub utp: Option<utp::Dialer>,
    /// When the seeder was bound.
    pub started: Instant,
    library: RwLock<Arc<Library>>,
    /// What was opened last, with the time.
    kept: Mutex<Vec<(Arc<Served>, Instant)>>,
}

impl Shared {
    /// What is served now.
    pub fn library(&self) -> Arc<Library> {
        self.library
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A torrent's parsed form: at once where it is open, otherwise parsed on a thread that may block. `None`
    /// where it can't be served; that is told where it is found.
    pub async fn open(&self, listed: &Arc<Listed>) -> Option<Arc<Served>> {
        if !listed.is_sound() {
            return None;
        }
        let served = match listed.opened() {
            Some(served) => served,
            None => {
                let _place = self.reads.acquire().await.ok()?;
                let opening = listed.clone();
                match blocking(move || opening.open()).await {
                    Ok(served) => {
                        self.metrics.torrents_opened.add(1);
                        served
                    }
                    Err(_) => {
                        self.metrics.torrents_unreadable.add(1);
                        return None;
                    }
                }
            }
        };
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter_mut().find(|(kept, _)| Arc::ptr_eq(kept, &served)) {
            Some((_, used)) => *used = now,
            None => {
                if kept.len() >= KEPT_OPEN {
                    let oldest = kept.iter().enumerate().min_by_key(|(_, (_, used))| *used);
                    if let Some((oldest, _)) = oldest {
                        kept.swap_remove(oldest);
                    }
                }
                kept.push((served.clone(), now));
            }
        }
        Some(served).filter(|served| served.is_sound())
    }

    /// Forgets the parsed form of what nobody has asked for in a while.
    pub(crate) fn close_idle(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(served, used)| used.elapsed() < KEEP_OPEN && served.is_sound());
    }

    /// Serves one more torrent.
    pub fn add(&self, served: Arc<Served>) {
        self.replace(self.library().with(served));
    }

    /// What is served now, and what isn't.
    pub(crate) fn loaded(&self) -> Loaded {
        let library = self.library();
        for listed in library.torrents() {
            for swarm in listed.swarms() {
                self.tracker.set_seeded(swarm, listed.is_sound());
            }
        }
        let (all, sound) = (library.torrents().len(), library.n_sound());
        self.metrics.torrents_now.set(all as u64);
        self.metrics.torrents_faulty_now.set((all - sound) as u64);
        let faulty = library.torrents().iter().filter_map(|listed| listed.why());
        let skipped = library.skipped.iter().cloned().chain(faulty);
        Loaded {
            torrents: sound,
            skipped: skipped.take(SKIPPED_LINES).collect(),
        }
    }

    fn replace(&self, library: Library) {
        self.tracker.set_tracked(library.tracked());
        self.tracker.retire(library.withdrawn().iter().copied());
        let library = Arc::new(library);
        let before = {
            let mut current = self.library.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, library.clone())
        };
        library.retire(&before);
    }
}

/// A seeder with its sockets bound and nothing served yet.
pub struct Bound {
    shared: Arc<Shared>,
    http: Vec<TcpListener>,
    https: Vec<TcpListener>,
    tls: Option<Tls>,
    peers: Vec<TcpListener>,
    utp: Option<utp::Listener>,
    udp_tracker: Option<Sockets>,
    stun: Option<Sockets>,
    control: Vec<Control>,
    loaded: watch::Sender<Option<Loaded>>,
    nudged: Arc<Notify>,
}

impl Bound {
    /// Takes the ports. Port 0 becomes a real one.
    pub async fn bind(config: ServeConfig) -> Result<Self, ServeError> {
        let http = net::listen(config.http, "--http")?;
        let state = config.state_dir.as_deref();
        let tls = Tls::new(config.https.is_some(), &config.tls, state)?;
        let https = match config.https {
            Some(addr) => net::listen(addr, "--https")?,
            None => Vec::new(),
        };
        let bind = config.bind.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let stop = CancellationToken::new();
        let (peers, utp) = listen_for_peers(&config, bind, &stop).await?;
        let udp_tracker = udp::bind(&config.udp_tracker, bind)?;
        let stun = stun::bind(&config.stun, bind)?;
        let control = Control::listen(&config.control)?;
        let limits = &config.limits;
        let settings = Settings {
            request_queue: limits.requests_per_peer,
            send_window: limits.send_buffer,
            ..Settings::new(peer_id(), CLIENT)
        };
        let metrics: Arc<Metrics> = Arc::default();
        let peer_addrs = net::local_addrs(&peers);
        let peer_port = peer_addrs
            .first()
            .map_or(config.peer_port, SocketAddr::port);
        let discovery = Discovery::bind(&config, peer_port, settings.peer_id, &metrics)?;
        let tracker = Arc::new(Tracker::new(limits.tracker(), rand::random()));
        let statistics = Arc::new(Statistics::new(&config, metrics.clone()));
        let shared = Shared {
            discovery,
            websocket: Arc::new(websocket::Sockets::new(
                tracker.clone(),
                statistics.clone(),
                metrics.clone(),
                limits.websocket(),
            )),
            uplink: Uplink::new(&config, metrics.clone())?,
            compressed: Compressed::new(limits.http_compressed_bytes, metrics.clone()),
            statistics,
            metrics,
            tracker,
            reads: Arc::new(Semaphore::new(limits.reads.max(1))),
            tasks: TaskTracker::new(),
            stop,
            settings,
            peer_addrs,
            utp: utp.as_ref().map(utp::Listener::dialer),
            started: Instant::now(),
            library: RwLock::default(),
            kept: Mutex::default(),
            config,
        };
        Ok(Self {
            shared: Arc::new(shared),
            http,
            https,
            tls,
            peers,
            utp,
            udp_tracker,
            stun,
            control,
            loaded: watch::Sender::new(None),
            nudged: Arc::default(),
        })
    }

    /// Makes the seeder look at its state at once, for a publisher in the same process: by itself it looks
    /// every fifth of a second.
    pub fn nudge(&self) -> impl Fn() + Send + 'static {
        let nudged = self.nudged.clone();
        move || nudged.notify_one()
    }

    /// Where site, web seed and tracker are served.
    pub fn http_addr(&self) -> SocketAddr {
        net::local_addrs(&self.http)
            .first()
            .copied()
            .unwrap_or(self.shared.config.http)
    }

    /// The same as a URL that works on this machine, with a trailing slash.
    pub fn http_url(&self) -> String {
        format!("http://{}/", on_this_machine(self.http_addr()))
    }

    /// Where the same is served over TLS, if it is.
    pub fn https_addr(&self) -> Option<SocketAddr> {
        net::local_addrs(&self.https).first().copied()
    }

    /// The same as a URL with this machine's address; the certificate is for a name.
    pub fn https_url(&self) -> Option<String> {
        let addr = self.https_addr()?;
        Some(format!("https://{}/", on_this_machine(addr)))
    }

    /// Where peers are taken.
    pub fn peer_addrs(&self) -> Vec<SocketAddr> {
        self.shared.peer_addrs.clone()
    }

    /// Where status and metrics are asked for: a socket's path, or an address.
    pub fn control(&self) -> Vec<String> {
        self.control.iter().map(Control::place).collect()
    }

    /// What all its tasks share.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Where its node of the DHT listens, if it has one.
    pub fn dht_addr(&self) -> Option<SocketAddr> {
        self.shared.discovery.dht_address()
    }

    /// Where announces are taken over UDP, if they are: the first of its addresses.
    pub fn udp_tracker_addr(&self) -> Option<SocketAddr> {
        self.udp_tracker.as_ref()?.addrs().first().copied()
    }

    /// Where STUN is answered, if it is: the first of its addresses.
    pub fn stun_addr(&self) -> Option<SocketAddr> {
        self.stun.as_ref()?.addrs().first().copied()
    }

    /// Becomes `Some` once everything is served, and changes with what is.
    pub fn loaded(&self) -> watch::Receiver<Option<Loaded>> {
        self.loaded.subscribe()
    }

    /// Every counter.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.shared.metrics.clone()
    }

    /// Loads, serves and follows changes until told to stop; connections are closed then within a second.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), ServeError> {
        let Self {
            shared,
            http,
            https,
            tls,
            peers,
            utp,
            udp_tracker,
            stun,
            control,
            loaded,
            nudged,
        } = self;
        let _stop = shared.stop.clone().drop_guard();
        let (alarm, alarms) = mpsc::unbounded_channel();
        let memory = match guard::memory_path(&shared) {
            Some(path) => blocking(move || Memory::read(&path)).await,
            None => None,
        };
        let memory = memory.unwrap_or_default();
        let (changed, changes) = watch::channel(0);
        let guard = Guard::new(shared.clone(), alarms, changed, memory.clone());
        let mut follower = Follower::new(shared.clone(), loaded, nudged, alarm, memory);
        tokio::select! {
            first = follower.load() => first?,
            () = shutdown.cancelled() => return Ok(()),
        }
        statistics::begin(&shared).await;
        shared.tasks.spawn(statistics::run(shared.clone()));
        shared.tasks.spawn(load::run(shared.clone()));
        let sockets = shared.websocket.clone();
        shared.tasks.spawn(sockets.run(shared.stop.clone()));
        shared.tasks.spawn(guard.run());
        let limit = uplink::run(shared.uplink.clone(), shared.stop.clone());
        shared.tasks.spawn(limit);
        let discovery = &shared.discovery;
        discovery.start(shared.config.bind, &shared.tasks, &shared.stop);
        let own = net::local_addrs(&http).into_iter();
        let own = own.chain(udp_tracker.iter().flat_map(|s| s.addrs().iter().copied()));
        let own = own.map(|addr| addr.port()).collect();
        shared.tasks.spawn(discover::announce(shared.clone(), own));
        for listener in control {
            shared.tasks.spawn(listener.serve(shared.clone()));
        }
        if !shared.config.trusted_proxies.is_empty() && shared.config.external_addresses.is_empty()
        {
            tracing::warn!(
                "behind a proxy the tracker can't tell our own address; name it with --external-address"
            );
        }
        let limits = &shared.config.limits;
        let places = || Arc::new(Gate::new(limits.peers, limits.peers_per_address, &[]));
        let gate = places();
        for listener in peers {
            take_peers(&shared, listener, gate.clone(), |m| &m.peers_accepted);
        }
        if let Some(listener) = utp {
            // Places of its own: a flood of datagrams must not keep TCP's peers out.
            take_peers(&shared, listener, places(), |m| &m.peers_accepted_utp);
        }
        if let Some(sockets) = udp_tracker {
            let running = udp::start(sockets, &shared).map_err(ServeError::Thread)?;
            shared.tasks.spawn(running.until(shared.stop.clone()));
        }
        if let Some(sockets) = stun {
            let running = stun::start(sockets, limits, &shared.metrics);
            let running = running.map_err(ServeError::Thread)?;
            shared.tasks.spawn(running.until(shared.stop.clone()));
        }
        let proxies = &shared.config.trusted_proxies;
        let gate = Gate::new(
            limits.http_connections,
            limits.http_connections_per_address,
            proxies,
        );
        let gate = Arc::new(gate);
        let router = http::router(shared.clone());
        let acceptor = tls.map(|tls| tls.start(&shared));
        let plain = http.into_iter().map(|listener| (listener, None));
        let secure = https
            .into_iter()
            .map(|listener| (listener, acceptor.clone()));
        for (listener, acceptor) in plain.chain(secure) {
            let (gate, router) = (gate.clone(), router.clone());
            http::take_connections(&shared, listener, gate, router, acceptor);
        }
        follower.tell();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follower.follow(changes) => {}
        }
        shared.stop.cancel();
        shared.tasks.close();
        if tokio::time::timeout(STOP, shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::debug!("{} tasks were still busy", shared.tasks.len());
        }
        tracing::debug!("counted: {}", shared.metrics.snapshot());
        Ok(())
    }
}

/// The address by which this machine reaches itself.
fn on_this_machine(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// Takes peers from a listener until the seeder stops, one task each.
fn take_peers<I>(
    shared: &Arc<Shared>,
    listener: I,
    gate: Arc<Gate>,
    accepted: for<'a> fn(&'a Metrics) -> &'a Counter,
) where
    I: Incoming + Send + Sync + 'static,
    I::Stream: peer::Stream,
{
    let serving = shared.clone();
    shared.tasks.spawn(net::accept(
        listener,
        gate,
        shared.metrics.clone(),
        move |m| AcceptCounters {
            accepted: accepted(m),
            refused: &m.peers_refused_address,
            full: &m.peers_full,
        },
        shared.stop.clone(),
        move |stream, remote, pass| {
            let task = peer::serve(serving.clone(), stream, remote, pass);
            serving.tasks.spawn(task);
        },
    ));
}

/// How often a port is looked for that is free for TCP and for uTP.
const PORT_TRIES: usize = 20;

/// Listens for peers over TCP and, on the same port, uTP.
async fn listen_for_peers(
    config: &ServeConfig,
    bind: IpAddr,
    stop: &CancellationToken,
) -> Result<(Vec<TcpListener>, Option<utp::Listener>), ServeError> {
    const FLAG: &str = "--peer-port";
    let wanted = SocketAddr::new(bind, config.peer_port);
    let mut tries = 0;
    loop {
        let peers = net::listen(wanted, FLAG)?;
        if !config.utp {
            return Ok((peers, None));
        }
        let addrs = net::local_addrs(&peers);
        // Where the machine has no IPv6, TCP listens on IPv4 alone, and so does uTP.
        let addr = match addrs.as_slice() {
            [only] => *only,
            all => SocketAddr::new(bind, all.first().map_or(0, SocketAddr::port)),
        };
        tries += 1;
        match utp::Listener::bind(addr, config.limits.peers, stop.clone()).await {
            Ok(utp) => return Ok((peers, Some(utp))),
            // Free for TCP by chance: another may be free for both.
            Err(_) if wanted.port() == 0 && tries < PORT_TRIES => {}
            Err(source) => {
                let flag = FLAG;
                return Err(ServeError::Listen { addr, flag, source });
            }
        }
    }
}

fn peer_id() -> PeerId {
    let mut id = [0; 20];
    id[..8].copy_from_slice(PEER_ID_PREFIX);
    id[8..].copy_from_slice(&rand::random::<[u8; 12]>());
    PeerId(id)
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down, and this task with it.
        Err(_) => std::future::pending().await,
    }
}
