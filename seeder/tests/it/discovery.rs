//! A DHT of our own on loopback: what is public is found there, and what is private is never spoken of.

use crate::out::{Out, Running};
use mainline::async_dht::AsyncDht;
use mainline::{Dht, Id, RequestFilter, RequestSpecific, ServerSettings};
use metainfo::{PeerId, SwarmHash};
use seeder::discover::{Discovery, Progress, Seek};
use seeder::metrics::Metrics;
use seeder::{ServeConfig, Source};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Everything that was asked of a node, as it would print it.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<String>>);

impl RequestFilter for Heard {
    fn allow_request(&self, request: &RequestSpecific, _from: SocketAddrV4) -> bool {
        let mut heard = self.0.lock().unwrap();
        heard.push_str(&format!("{request:?}\n"));
        true
    }
}

impl Heard {
    fn names(&self, swarm: SwarmHash) -> bool {
        let id = format!("{:?}", Id::from(swarm.0));
        self.0.lock().unwrap().contains(&id)
    }
}

/// Nodes that know each other.
struct OwnDht {
    nodes: Vec<AsyncDht>,
    bootstrap: Vec<String>,
    heard: Heard,
}

impl OwnDht {
    async fn start() -> Self {
        let heard = Heard::default();
        let (mut nodes, mut bootstrap) = (Vec::new(), Vec::<String>::new());
        for _ in 0..4 {
            let mut builder = Dht::builder();
            builder
                .bind_address(Ipv4Addr::LOCALHOST)
                .server_mode()
                .server_settings(ServerSettings {
                    filter: Box::new(heard.clone()),
                    ..ServerSettings::default()
                })
                .bootstrap(&bootstrap);
            let node = builder.build().unwrap().as_async();
            if bootstrap.is_empty() {
                bootstrap.push(node.info().await.local_addr().to_string());
            } else {
                node.bootstrapped().await;
            }
            nodes.push(node);
        }
        Self {
            nodes,
            bootstrap,
            heard,
        }
    }

    fn config(&self, source: Source) -> ServeConfig {
        let mut config = ServeConfig::loopback(source);
        config.http.set_port(0);
        config.peer_port = 0;
        config.discover.dht_port = Some(0);
        config.discover.dht_bootstrap.clone_from(&self.bootstrap);
        config
    }
}

/// What a fetcher looks for.
fn seek_for(swarm: SwarmHash, private: bool) -> (Seek, mpsc::Receiver<SocketAddr>) {
    let (found, addresses) = mpsc::channel(8);
    let seek = Seek {
        swarms: vec![swarm],
        private,
        trackers: Vec::new(),
        nodes: vec![("127.0.0.1".to_owned(), 1)],
        progress: Arc::new(Progress::default()),
        found,
    };
    (seek, addresses)
}

/// Ends what would hang.
async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(240);
    let done = tokio::time::timeout(patience, wait).await;
    done.unwrap_or_else(|_| panic!("waited for {what}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_public_is_found_and_what_is_private_is_told_to_nobody() {
    let dht = OwnDht::start().await;
    let mut out = Out::new();
    let public = out.add(&[("public.bin", &[1; 100_000])]);
    let private = out.add_private(&[("private.bin", &[2; 100_000])]);
    out.save();
    let config = dht.config(Source::Out(out.path().to_owned()));
    let running = Running::start_with(config).await.unwrap();
    let (public, private) = (public.swarm_hashes()[0], private.swarm_hashes()[0]);
    patiently("both to be dealt with", async {
        let metrics = &running.metrics;
        while metrics.dht_announces.get() == 0 || metrics.torrents_opened.get() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;

    // A fetcher that looks for both, the private one first.
    let config = dht.config(Source::Torrents {
        files: Vec::new(),
        data: "data".into(),
    });
    let metrics: Arc<Metrics> = Arc::default();
    let discovery = Discovery::bind(&config, 7777, PeerId([1; 20]), &metrics).unwrap();
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    discovery.start(config.bind, &tasks, &stop);
    let (seek, mut of_private) = seek_for(private, true);
    let _private = discovery.seek(seek, &tasks);
    let (seek, mut of_public) = seek_for(public, false);
    let _public = discovery.seek(seek, &tasks);
    let found = patiently("the seeder to be found", of_public.recv()).await;
    assert_eq!(found, Some(running.peers));
    assert!(dht.heard.names(public), "the nodes listen");
    assert!(of_private.try_recv().is_err());
    assert!(!dht.heard.names(private), "nobody has heard of it");
    assert_eq!(dht.nodes.len(), 4);
    running.stop().await.unwrap();
}
