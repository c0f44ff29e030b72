//! `seeder fetch`: gets a torrent from peers, trackers and web seeds into a folder, verified, and serves it to others
//! meanwhile; afterwards too where that is wanted. The same listeners and connections as `serve`; what is asked of
//! whom is decided in [`crate::torrent`].
//!
//! The way: the torrent is read, or a magnet link's metadata asked for (`metadata`); what a killed run left is
//! looked through (`store::Incoming`); peers are looked for ([`crate::discover`]) and web seeds started (`web`); at the end
//! everything is put in its place by one rename.

mod metadata;
mod report;
mod web;

use crate::args::FetchArgs;
use crate::config::{ServeConfig, Source};
use crate::discover::{self, Seek, Seeking};
use crate::error::ServeError;
use crate::library::{self, LoadError, Served};
use crate::peer;
use crate::serve::{Bound, Shared, blocking};
use crate::torrent::{About, Fetch, Fetcher, Progress, State};
use metainfo::{Magnet, MagnetError, SwarmHash, Torrent};
use report::Report;
use std::collections::HashSet;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use store::{Incoming, IncomingError, PassError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wire::bitfield::Bitfield;

/// The largest torrent file that is fetched by a magnet link's `xs`.
const MOST_TORRENT: u64 = 32 << 20;
/// How many web seeds are asked.
const MOST_WEB_SEEDS: usize = 8;
/// How many peers are asked for metadata at once.
const MOST_ASKED: usize = 8;
/// How many peers are remembered while metadata is asked for.
const MOST_KNOWN: usize = 1000;
/// How many found peers wait to be taken up.
const FOUND: usize = 256;
/// How long until a peer is asked for metadata again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Why a fetch can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The ports, the configuration and the like.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The torrent file can't be read or makes no sense.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The magnet link makes no sense.
    #[error(transparent)]
    Magnet(#[from] MagnetError),
    /// The host of a peer has no address.
    #[error("peer {0} has no address; name it as ADDR:PORT")]
    Peer(String),
    /// It can't be written.
    #[error(transparent)]
    Incoming(#[from] IncomingError),
    /// What is there already can't be looked at.
    #[error(transparent)]
    Check(#[from] PassError),
    /// A thread can't be started.
    #[error("start a thread: {0}")]
    Thread(io::Error),
    /// It can't go on; the reason is a whole sentence.
    #[error("{0}")]
    Failed(String),
    /// It was told to stop before everything was there.
    #[error("stopped before everything was there; the same command goes on from here")]
    Stopped,
}

/// Fetches, and serves on where that is wanted, until told to stop.
pub async fn run(args: &FetchArgs, shutdown: CancellationToken) -> Result<(), FetchError> {
    let wanted = Wanted::parse(&args.source)?;
    let mut config = ServeConfig::new(Source::Torrents {
        files: Vec::new(),
        data: args.out.clone(),
    });
    // Beside a seeder on this machine; who names ports gets them.
    config.http = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    config.peer_port = 0;
    config.udp_tracker.on = false;
    config.stun.on = false;
    // A fetch announces to its torrent's trackers by itself.
    config.discover.further_trackers = Some(false);
    let mut config = args.flags.apply(config)?;
    if args.flags.http.is_none() {
        // The address for peers isn't meant for it.
        config.http.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let bound = Bound::bind(config).await?;
    let shared = bound.shared();
    let mut report = Report::new(args, &bound.peer_addrs());
    let stop = shutdown.child_token();
    let mut loaded = bound.loaded();
    let serving = tokio::spawn(bound.run(stop.clone()));
    let fetching = async {
        // What is added before the library has been loaded would be lost. It fails where the seeder has ended.
        if loaded.wait_for(Option::is_some).await.is_err() {
            return Ok(None);
        }
        fetch(args, wanted, &shared, &mut report).await
    };
    let outcome = tokio::select! {
        outcome = fetching => outcome,
        () = shutdown.cancelled() => Err(FetchError::Stopped),
    };
    if outcome.is_ok() && args.seed {
        shutdown.cancelled().await;
    }
    stop.cancel();
    let served = serving.await;
    outcome?;
    served.map_or(Ok(()), |served| Ok(served?))
}

/// What is to be fetched.
enum Wanted {
    File(PathBuf),
    Magnet(Box<Magnet>),
}

impl Wanted {
    fn parse(source: &str) -> Result<Self, FetchError> {
        let is_magnet = source
            .get(..7)
            .is_some_and(|head| head.eq_ignore_ascii_case("magnet:"));
        Ok(match is_magnet {
            true => Self::Magnet(Box::new(source.parse()?)),
            false => Self::File(source.into()),
        })
    }
}

/// Everything that is known of where to fetch from.
#[derive(Default)]
struct Sources {
    peers: Vec<SocketAddr>,
    web_seeds: Vec<String>,
    /// Begun already for the metadata of a magnet link.
    search: Option<Search>,
}

/// A search for peers that goes on.
struct Search {
    progress: Arc<discover::Progress>,
    found: mpsc::Receiver<SocketAddr>,
    _seeking: Seeking,
}

impl Search {
    fn begin(
        shared: &Shared,
        swarms: Vec<SwarmHash>,
        private: bool,
        trackers: Vec<Vec<String>>,
        nodes: Vec<(String, u16)>,
    ) -> Self {
        let progress: Arc<discover::Progress> = Arc::default();
        let (told, found) = mpsc::channel(FOUND);
        let seek = Seek {
            swarms,
            private,
            trackers,
            nodes,
            progress: progress.clone(),
            found: told,
        };
        Self {
            _seeking: shared.discovery.seek(seek, &shared.tasks),
            progress,
            found,
        }
    }
}

/// Fetches. The torrent's task, where it has got one, lives as long as what this gives.
async fn fetch(
    args: &FetchArgs,
    wanted: Wanted,
    shared: &Arc<Shared>,
    report: &mut Report,
) -> Result<Option<(Fetcher, Search)>, FetchError> {
    let mut sources = Sources::default();
    for peer in &args.peers {
        let found = tokio::net::lookup_host(peer).await;
        let found = found.map_err(|_| FetchError::Peer(peer.clone()))?;
        sources.peers.extend(found);
    }
    let torrent = match wanted {
        Wanted::File(path) => library::read_torrent(&path)?,
        Wanted::Magnet(magnet) => from_magnet(shared, *magnet, &mut sources).await?,
    };
    sources.web_seeds.extend(torrent.web_seeds.iter().cloned());
    let (out, name) = (args.out.clone(), torrent.info.name().to_owned());
    report.begin(&torrent);
    let target = out.join(&name);
    if target.symlink_metadata().is_ok() {
        return already_there(args, shared, torrent, target, report).await;
    }
    let opening = torrent.clone();
    let (incoming, have) = blocking(move || -> Result<_, IncomingError> {
        let incoming = Incoming::open(opening, &out)?;
        let found = incoming.find(&AtomicUsize::new(0))?;
        let mut have = Bitfield::none(incoming.torrent().info.geometry().n_pieces());
        for piece in found {
            have.set(piece);
        }
        Ok((Arc::new(incoming), have))
    })
    .await?;
    report.resumed(have.count());
    let served = Served::incoming(torrent.clone(), &incoming.root());
    let (progress, mut come) = watch::channel(Progress::new(&served.info.geometry()));
    let (verified, mut pieces) = mpsc::unbounded_channel();
    let fetcher = start(shared, &served, |dial| {
        let (payload, root) = (served.clone(), args.out.clone());
        Fetch {
            incoming,
            have,
            dial,
            port: shared.peer_addrs.first().map_or(0, SocketAddr::port),
            progress,
            verified,
            placed: Box::new(move || payload.payload.relocate(&root)),
        }
    })?;
    shared.add(served.clone());
    let info = Arc::new(served.info.clone());
    let mut urls: HashSet<String> = HashSet::new();
    sources
        .web_seeds
        .retain(|url| url.starts_with("http") && urls.insert(url.clone()));
    for url in sources.web_seeds.into_iter().take(MOST_WEB_SEEDS) {
        let member = fetcher.add_web_seed().await;
        web::start(url, info.clone(), member).map_err(FetchError::Thread)?;
    }
    fetcher.add_candidates(sources.peers).await;
    let private = served.info.private();
    // A private torrent is looked for at its trackers alone, and in a link nothing says that it is one.
    let mut search = sources.search.filter(|_| !private).unwrap_or_else(|| {
        let swarms = served.info.swarm_hashes();
        Search::begin(shared, swarms, private, torrent.announce, torrent.nodes)
    });
    loop {
        tokio::select! {
            changed = come.changed() => {
                let progress = come.borrow_and_update().clone();
                let more: Vec<_> = std::iter::from_fn(|| pieces.try_recv().ok()).collect();
                report.pieces(&more);
                report.progress(&progress);
                search.progress.left.store(progress.of - progress.bytes, Ordering::Relaxed);
                search.progress.downloaded.store(progress.received, Ordering::Relaxed);
                let sent = served.figures.read().sent;
                search.progress.uploaded.store(sent, Ordering::Relaxed);
                match progress.state {
                    State::Whole => break,
                    State::Failed(why) => return Err(FetchError::Failed(why)),
                    State::Fetching if changed.is_err() => return Err(FetchError::Stopped),
                    State::Fetching => {}
                }
            }
            Some(piece) = pieces.recv() => {
                let more = std::iter::from_fn(|| pieces.try_recv().ok());
                let come: Vec<_> = std::iter::once(piece).chain(more).collect();
                report.pieces(&come);
            }
            Some(peer) = search.found.recv() => {
                let mut peers = vec![peer];
                while let Ok(peer) = search.found.try_recv() {
                    peers.push(peer);
                }
                fetcher.add_candidates(peers).await;
            }
        }
    }
    report.done(&target, &come.borrow().clone());
    Ok(Some((fetcher, search)))
}

/// Starts the torrent's task.
fn start(
    shared: &Arc<Shared>,
    served: &Arc<Served>,
    fetch: impl FnOnce(Box<dyn Fn(SocketAddr) + Send + Sync>) -> Fetch,
) -> Result<Fetcher, FetchError> {
    let about = About::of(shared, served);
    let swarm = served.info.swarm_hashes().first().copied();
    let (shared_, served_) = (shared.clone(), served.clone());
    let started = served.swarm.fetch(
        about,
        move |undialled| {
            fetch(Box::new(move |remote| {
                let (shared, served) = (shared_.clone(), served_.clone());
                let undialled = undialled.clone();
                shared_.tasks.spawn(async move {
                    if let Some(swarm) = swarm {
                        peer::connect(shared, remote, served, swarm).await;
                    }
                    undialled.tell(remote).await;
                });
            }))
        },
        &shared.tasks,
    );
    started.map_err(FetchError::Thread)
}

/// The file or folder is there: it is either the torrent's, or in the way.
async fn already_there(
    args: &FetchArgs,
    shared: &Arc<Shared>,
    torrent: Torrent,
    target: PathBuf,
    report: &mut Report,
) -> Result<Option<(Fetcher, Search)>, FetchError> {
    let (out, checking) = (args.out.clone(), torrent.clone());
    let verdict =
        blocking(move || store::verify(&checking.info, &out, 0, &Default::default())).await?;
    if !verdict.is_whole() {
        return Err(IncomingError::InTheWay(target).into());
    }
    let progress = Progress::whole(&torrent.info.geometry());
    report.done(&target, &progress);
    if args.seed {
        shared.add(Served::incoming(torrent, &args.out));
    }
    Ok(None)
}

/// Finds the torrent of a magnet link: at the places it names, or from peers, however long that takes.
async fn from_magnet(
    shared: &Arc<Shared>,
    magnet: Magnet,
    sources: &mut Sources,
) -> Result<Torrent, FetchError> {
    sources.web_seeds.clone_from(&magnet.web_seeds);
    for peer in &magnet.peers {
        match tokio::net::lookup_host(peer).await {
            Ok(found) => sources.peers.extend(found),
            Err(error) => tracing::info!("peer {peer} of the magnet link: {error}"),
        }
    }
    let magnet = Arc::new(magnet);
    for url in magnet
        .sources
        .iter()
        .filter(|url| url.starts_with("http"))
        .take(4)
    {
        let (url_, magnet) = (url.clone(), magnet.clone());
        match blocking(move || download(&url_, &magnet)).await {
            Ok(torrent) => return Ok(torrent),
            Err(why) => tracing::info!("{url}: {why}"),
        }
    }
    let nowhere = sources.peers.is_empty() && magnet.trackers.is_empty();
    if nowhere && shared.discovery.dht_address().is_none() {
        let why = "the magnet link names no peers and no trackers; name a peer with --peer";
        return Err(FetchError::Failed(why.into()));
    }
    let v2 = magnet.info_hash_v2.map(|hash| hash.truncated());
    let swarms = magnet
        .info_hash_v1
        .map(SwarmHash::from)
        .into_iter()
        .chain(v2);
    let trackers = magnet.trackers.iter().map(|tracker| vec![tracker.clone()]);
    let mut search = Search::begin(
        shared,
        swarms.collect(),
        false,
        trackers.collect(),
        Vec::new(),
    );
    let (mut asked, mut resting) = (JoinSet::new(), JoinSet::new());
    let mut waiting: Vec<SocketAddr> = sources.peers.clone();
    let mut known: HashSet<SocketAddr> = waiting.iter().copied().collect();
    loop {
        while asked.len() < MOST_ASKED
            && let Some(peer) = waiting.pop()
        {
            let (magnet, settings) = (magnet.clone(), shared.settings);
            asked.spawn(async move { (peer, metadata::from_peer(settings, &magnet, peer).await) });
        }
        tokio::select! {
            Some(peer) = search.found.recv() => {
                if known.len() < MOST_KNOWN && known.insert(peer) {
                    waiting.push(peer);
                }
            }
            Some(Ok((peer, outcome))) = asked.join_next() => match outcome {
                Ok(torrent) => {
                    sources.peers.extend(known);
                    sources.search = Some(search);
                    return Ok(torrent);
                }
                Err(error) => {
                    tracing::info!("metadata from {peer}: {error}");
                    resting.spawn(async move {
                        tokio::time::sleep(ASK_AGAIN).await;
                        peer
                    });
                }
            },
            Some(Ok(peer)) = resting.join_next() => waiting.push(peer),
            else => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

/// Fetches a torrent file by HTTP.
fn download(url: &str, magnet: &Magnet) -> Result<Torrent, String> {
    let response = web::agent()
        .get(url)
        .call()
        .map_err(|error| error.to_string())?;
    if !response.status().is_success() {
        return Err(response.status().to_string());
    }
    let mut bytes = Vec::new();
    let mut reader = response.into_body().into_reader().take(MOST_TORRENT);
    reader
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    let torrent = Torrent::parse(&bytes).map_err(|error| error.to_string())?;
    match metadata::is_of(&torrent.info, magnet) {
        true => Ok(torrent),
        false => Err("is another torrent".into()),
    }
}
