//! The tracker's front ends over the one store, `swarm::tracker`: [`http`] answers announces and scrapes over HTTP. What
//! they share is here.

pub mod http;
pub mod load;
pub mod statistics;
pub mod table;
pub mod udp;
pub mod websocket;

use crate::serve::Shared;
use std::net::{IpAddr, SocketAddr};

/// Where an asker reaches our peer port, in place of what `into` held: at the addresses we were told, or else where it
/// reached us just now, unless peers are taken at one address alone. What is on this machine alone is told to this
/// machine alone.
pub(crate) fn own_addrs(
    shared: &Shared,
    reached: IpAddr,
    asker: IpAddr,
    into: &mut Vec<SocketAddr>,
) {
    into.clear();
    let reached = reached.to_canonical();
    let external = &shared.config.external_addresses;
    let ips = if external.is_empty() {
        std::slice::from_ref(&reached)
    } else {
        &external[..]
    };
    for listening in &shared.peer_addrs {
        for ip in ips.iter().filter(|ip| ip.is_ipv4() == listening.is_ipv4()) {
            let fixed = external.is_empty() && !listening.ip().is_unspecified();
            let ip = if fixed { listening.ip() } else { *ip };
            if asker.is_loopback() || !ip.is_loopback() {
                into.push(SocketAddr::new(ip, listening.port()));
            }
        }
    }
}
