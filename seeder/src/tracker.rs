//! The HTTP tracker: a thin shell over `wire::tracker::http`, which reads and writes, and
//! `swarm::announces`, which knows who is where.

use crate::http::{AskedBy, reply};
use crate::serve::Shared;
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use metainfo::SwarmHash;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use wire::tracker::http as form;

/// `/announce`.
pub async fn announce(
    State(shared): State<Arc<Shared>>,
    Extension(asker): AskedBy,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if let Some(response) = reply::other_method(&method) {
        return response;
    }
    let (announce, peer_form) = match form::parse_announce(query.unwrap_or_default().as_bytes()) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&shared, &error.to_string()),
    };
    let from = asker.ip(&headers, &shared.config.trusted_proxies);
    let own = if is_seeded(&shared, &announce.swarm) {
        own_addrs(&shared, asker.local.ip(), from)
    } else {
        Vec::new()
    };
    let reply = {
        let mut announces = shared.announces();
        let reply = announces.announce(Instant::now(), &announce, from, &own, rand::random());
        let counters = announces.counters();
        shared
            .metrics
            .tracker_full
            .set(counters.address_full + counters.swarm_full);
        reply
    };
    match reply {
        Ok(reply) => {
            shared.metrics.announces.add(1);
            answer(form::encode_reply(&reply, peer_form))
        }
        Err(error) => refuse(&shared, &error.to_string()),
    }
}

/// `/scrape`.
pub async fn scrape(
    State(shared): State<Arc<Shared>>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response {
    if let Some(response) = reply::other_method(&method) {
        return response;
    }
    let swarms = match form::parse_scrape(query.unwrap_or_default().as_bytes()) {
        Ok(swarms) => swarms,
        Err(error) => return refuse(&shared, &error.to_string()),
    };
    let seeded: Vec<bool> = swarms
        .iter()
        .map(|swarm| is_seeded(&shared, swarm))
        .collect();
    let counts: Vec<_> = {
        let mut announces = shared.announces();
        let found = swarms.into_iter().zip(seeded);
        found
            .filter_map(|(swarm, seeded)| Some((swarm, announces.scrape(&swarm, seeded)?)))
            .collect()
    };
    shared.metrics.scrapes.add(1);
    answer(form::encode_scrape(&counts))
}

fn is_seeded(shared: &Shared, swarm: &SwarmHash) -> bool {
    shared
        .library()
        .by_swarm(swarm)
        .is_some_and(|torrent| torrent.is_sound())
}

/// Where an asker reaches our peer port: at the addresses we were told, or else where it reached us just
/// now, unless peers are taken at one address alone. What is on this machine alone is told to this machine alone.
fn own_addrs(shared: &Shared, reached: IpAddr, asker: IpAddr) -> Vec<SocketAddr> {
    let reached = reached.to_canonical();
    let external = &shared.config.external_addresses;
    let ips = if external.is_empty() {
        std::slice::from_ref(&reached)
    } else {
        &external[..]
    };
    let mut own = Vec::new();
    for listening in &shared.peer_addrs {
        for ip in ips.iter().filter(|ip| ip.is_ipv4() == listening.is_ipv4()) {
            let fixed = external.is_empty() && !listening.ip().is_unspecified();
            let ip = if fixed { listening.ip() } else { *ip };
            if asker.is_loopback() || !ip.is_loopback() {
                own.push(SocketAddr::new(ip, listening.port()));
            }
        }
    }
    own
}

/// Trackers say no in a 200: clients read the reason only there.
fn refuse(shared: &Shared, reason: &str) -> Response {
    shared.metrics.announces_refused.add(1);
    answer(form::encode_failure(reason))
}

fn answer(body: Vec<u8>) -> Response {
    let mut response = reply::empty(StatusCode::OK);
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Body::from(body);
    response
}
