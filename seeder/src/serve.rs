//! The whole seeder: bound first, so that its addresses are known, then run.

use crate::config::{ServeConfig, Source};
use crate::error::ServeError;
use crate::http::compressed::Compressed;
use crate::library::{Library, Load};
use crate::metrics::{Counter, Metrics};
use crate::net::{self, AcceptCounters, Gate, Incoming};
use crate::{http, peer, utp};
use metainfo::PeerId;
use metainfo::state::StatRecord;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};
use swarm::announces::Announces;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wire::connection::Settings;

/// How often the state is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often what can't be served is looked at again.
const RECHECK_FAULTY: Duration = Duration::from_secs(2);
/// How often all files are looked at.
const RECHECK_ALL: Duration = Duration::from_secs(30);
/// How often the tracker forgets whoever hasn't come back.
const EXPIRE: Duration = Duration::from_secs(30);
/// How long connections may take to end when the seeder stops.
const STOP: Duration = Duration::from_millis(800);

const CLIENT: &str = concat!("Groundswell ", env!("CARGO_PKG_VERSION"));
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
    /// The tracker's store. Held for one announce at a time, never across a wait.
    pub announces: Mutex<Announces>,
    /// Pages that were compressed.
    pub compressed: Compressed,
    /// Reads from disk at once.
    pub reads: Semaphore,
    /// Every task of the seeder.
    pub tasks: TaskTracker,
    /// Cancelled when the seeder stops.
    pub stop: CancellationToken,
    /// What all peer connections share.
    pub settings: Settings,
    /// Where peers are taken.
    pub peer_addrs: Vec<SocketAddr>,
    library: RwLock<Arc<Library>>,
}

impl Shared {
    /// What is served now.
    pub fn library(&self) -> Arc<Library> {
        self.library
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The tracker's store.
    pub fn announces(&self) -> std::sync::MutexGuard<'_, Announces> {
        self.announces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, library: Library) {
        self.metrics
            .torrents_now
            .set(library.torrents().len() as u64);
        self.announces().set_allowed(library.swarms());
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
    peers: Vec<TcpListener>,
    utp: Option<utp::Listener>,
    loaded: watch::Sender<Option<Loaded>>,
    nudged: Arc<Notify>,
}

impl Bound {
    /// Takes the ports. Port 0 becomes a real one.
    pub async fn bind(config: ServeConfig) -> Result<Self, ServeError> {
        let http = net::listen(config.http, "--http")?;
        let bind = config.bind.unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        let stop = CancellationToken::new();
        let (peers, utp) = listen_for_peers(&config, bind, &stop).await?;
        let limits = &config.limits;
        let settings = Settings {
            request_queue: limits.requests_per_peer,
            send_window: limits.send_buffer,
            ..Settings::new(peer_id(), CLIENT)
        };
        let metrics: Arc<Metrics> = Arc::default();
        let shared = Shared {
            compressed: Compressed::new(limits.http_compressed_bytes, metrics.clone()),
            metrics,
            announces: Mutex::new(Announces::new(limits.announces())),
            reads: Semaphore::new(limits.reads.max(1)),
            tasks: TaskTracker::new(),
            stop,
            settings,
            peer_addrs: net::local_addrs(&peers),
            library: RwLock::default(),
            config,
        };
        Ok(Self {
            shared: Arc::new(shared),
            http,
            peers,
            utp,
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
        let addr = self.http_addr();
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("http://{}/", SocketAddr::new(ip, addr.port()))
    }

    /// Where peers are taken.
    pub fn peer_addrs(&self) -> Vec<SocketAddr> {
        self.shared.peer_addrs.clone()
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
            peers,
            utp,
            loaded,
            nudged,
        } = self;
        let _stop = shared.stop.clone().drop_guard();
        let mut follower = Follower {
            shared: shared.clone(),
            loaded,
            nudged,
            seen: None,
            next_end: None,
        };
        let skipped = tokio::select! {
            first = follower.load() => first?,
            () = shutdown.cancelled() => return Ok(()),
        };
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
        let proxies = &shared.config.trusted_proxies;
        let gate = Gate::new(
            limits.http_connections,
            limits.http_connections_per_address,
            proxies,
        );
        let gate = Arc::new(gate);
        let router = http::router(shared.clone());
        for listener in http {
            let (serving, router) = (shared.clone(), router.clone());
            shared.tasks.spawn(net::accept(
                listener,
                gate.clone(),
                shared.metrics.clone(),
                |m| AcceptCounters {
                    accepted: &m.http_accepted,
                    refused: &m.http_refused_address,
                    full: &m.http_full,
                },
                shared.stop.clone(),
                move |stream, remote, pass| {
                    let task = http::serve(serving.clone(), router.clone(), stream, remote, pass);
                    serving.tasks.spawn(task);
                },
            ));
        }
        follower.tell(skipped);
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follower.follow() => {}
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

/// Takes peers from a listener until the seeder stops, one task each.
fn take_peers<I>(
    shared: &Arc<Shared>,
    listener: I,
    gate: Arc<Gate>,
    accepted: for<'a> fn(&'a Metrics) -> &'a Counter,
) where
    I: Incoming + Send + Sync + 'static,
    I::Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
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

/// Keeps the library in step with its source.
struct Follower {
    shared: Arc<Shared>,
    loaded: watch::Sender<Option<Loaded>>,
    nudged: Arc<Notify>,
    /// What the state file was when it was read.
    seen: Option<StatRecord>,
    /// When the first grace ends.
    next_end: Option<SystemTime>,
}

impl Follower {
    /// Loads the source: the first time, or because it has changed.
    async fn load(&mut self) -> Result<Vec<String>, ServeError> {
        let (source, before) = (self.shared.config.out.clone(), self.shared.library());
        if let Source::Out(out) = &source {
            self.seen = stat_of(&out.join("state.json")).await;
        }
        let load = blocking(move || match source {
            Source::Out(out) => Library::from_out(&out, &before, SystemTime::now()),
            Source::Torrents { files, data } => Ok(Library::from_torrents(&files, &data)),
        });
        let Load {
            library,
            skipped,
            next_end,
        } = load.await?;
        self.next_end = next_end;
        if library.torrents().len() == 0
            && matches!(self.shared.config.out, Source::Torrents { .. })
        {
            return Err(ServeError::NothingToServe);
        }
        self.shared.replace(library);
        self.loaded.send_if_modified(|loaded| match loaded {
            Some(loaded) => {
                let torrents = self.shared.library().n_sound();
                *loaded = Loaded {
                    torrents,
                    skipped: skipped.clone(),
                };
                true
            }
            None => false,
        });
        Ok(skipped)
    }

    /// Says for the first time that everything is served.
    fn tell(&self, skipped: Vec<String>) {
        let torrents = self.shared.library().n_sound();
        self.loaded.send_replace(Some(Loaded { torrents, skipped }));
    }

    async fn follow(&mut self) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut faulty, mut all, mut expire) = (Instant::now(), Instant::now(), Instant::now());
        loop {
            tokio::select! {
                _ = look.tick() => {}
                () = self.nudged.notified() => {}
            }
            let full = all.elapsed() >= RECHECK_ALL;
            if let Source::Out(out) = &self.shared.config.out {
                let now = stat_of(&out.join("state.json")).await;
                let grace_over = self.next_end.is_some_and(|end| end <= SystemTime::now());
                if (now != self.seen || grace_over)
                    && let Err(error) = self.load().await
                {
                    self.next_end = None;
                    tracing::warn!("what was served before is served on: {error}");
                }
            }
            if full || faulty.elapsed() >= RECHECK_FAULTY {
                self.recheck(full).await;
                faulty = Instant::now();
            }
            if full {
                all = Instant::now();
            }
            if expire.elapsed() >= EXPIRE {
                self.shared.announces().expire(Instant::now());
                expire = Instant::now();
            }
        }
    }

    /// Looks at the files of torrents: of all, or of those that can't be served.
    async fn recheck(&self, all: bool) {
        let library = self.shared.library();
        let in_all = library.torrents().len();
        let sound = blocking(move || {
            let torrents = library.torrents();
            for torrent in torrents.filter(|torrent| all || !torrent.is_sound()) {
                // What is wrong is reported once, where it is found.
                let _ = torrent.recheck();
            }
            library.n_sound()
        });
        let sound = sound.await;
        self.shared
            .metrics
            .torrents_faulty_now
            .set((in_all - sound) as u64);
        self.loaded.send_if_modified(|loaded| match loaded {
            Some(loaded) if loaded.torrents != sound => {
                loaded.torrents = sound;
                true
            }
            _ => false,
        });
    }
}

async fn stat_of(path: &Path) -> Option<StatRecord> {
    let path = path.to_owned();
    blocking(move || store::stat_record(&path).ok()).await
}

/// Runs what blocks on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is going down, and this task with it.
        Err(_) => std::future::pending().await,
    }
}
