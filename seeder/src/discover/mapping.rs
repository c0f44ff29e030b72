//! Asks the router to let peers in: PCP, and NAT-PMP where that isn't known, then UPnP. A mapping lasts an hour and is
//! renewed; when the seeder stops, it is taken back.

mod gateway;

use crate::metrics::Metrics;
use crab_nat::{GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, TimeoutConfig};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{PortMappingProtocol, SearchOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a mapping is asked for, in seconds.
const LIFETIME: u32 = 60 * 60;
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(25 * 60);
/// How soon we try again where no router has let us in.
const RETRY: Duration = Duration::from_secs(60 * 60);
/// How long one router may take for one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long taking the mappings back may take.
const FAREWELL: Duration = Duration::from_millis(500);
/// How a router lists it.
const NAME: &str = "Groundswell";

/// One of our ports.
#[derive(Debug, Clone, Copy)]
pub struct Port {
    protocol: InternetProtocol,
    number: u16,
}

impl Port {
    /// A TCP port: the one that peers are told of.
    pub fn tcp(number: u16) -> Self {
        Self {
            protocol: InternetProtocol::Tcp,
            number,
        }
    }

    /// A UDP port.
    pub fn udp(number: u16) -> Self {
        Self {
            protocol: InternetProtocol::Udp,
            number,
        }
    }
}

/// What a router has opened.
enum Opened {
    Pcp(PortMapping),
    Upnp(Box<Gateway<Tokio>>, Port, u16),
}

/// Keeps these ports open until told to stop. `told` becomes the TCP port as the world sees it.
pub(super) async fn run(
    ports: Vec<Port>,
    bind: Option<IpAddr>,
    told: Arc<AtomicU16>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    if bind.is_some_and(|ip| ip.is_ipv6() && !ip.is_unspecified()) {
        // Routers don't translate IPv6.
        return;
    }
    let mut opened: Vec<Opened> = Vec::new();
    let keep = async {
        loop {
            let fresh = open_all(&ports, bind).await;
            metrics.ports_mapped_now.set(fresh.len() as u64);
            if let Some(port) = fresh.iter().find_map(Opened::tcp) {
                told.store(port, Ordering::Relaxed);
            }
            let pause = if fresh.is_empty() { RETRY } else { RENEW };
            // What was there before is the same, renewed.
            opened = fresh;
            tokio::time::sleep(pause).await;
        }
    };
    stop.run_until_cancelled(keep).await;
    let close = async {
        for opened in opened {
            opened.close().await;
        }
    };
    let _ = timeout(FAREWELL, close).await;
}

async fn open_all(ports: &[Port], bind: Option<IpAddr>) -> Vec<Opened> {
    let mut opened = Vec::new();
    if let Some((gateway, own)) = gateway::default_route(bind).await {
        for port in ports {
            match open_by_pcp(gateway, own, *port).await {
                Ok(mapping) => opened.push(Opened::Pcp(mapping)),
                Err(error) => {
                    tracing::debug!("PCP and NAT-PMP at {gateway}: {error}");
                    break;
                }
            }
        }
    }
    if opened.is_empty() {
        match open_by_upnp(ports, bind).await {
            Ok(all) => opened = all,
            Err(error) => tracing::debug!("UPnP: {error}"),
        }
    }
    opened
}

async fn open_by_pcp(
    gateway: Ipv4Addr,
    own: IpAddr,
    port: Port,
) -> Result<PortMapping, Box<dyn std::error::Error + Send + Sync>> {
    let number = NonZeroU16::new(port.number).ok_or("no port")?;
    let options = PortMappingOptions {
        external_port: Some(number),
        lifetime_seconds: Some(LIFETIME),
        timeout_config: Some(TimeoutConfig {
            initial_timeout: Duration::from_millis(250),
            max_retries: 3,
            max_retry_timeout: Some(Duration::from_secs(2)),
        }),
    };
    let gateway = GatewayAddress::IpV4(gateway);
    let mapping = PortMapping::new(gateway, own, port.protocol, number, options);
    Ok(timeout(PATIENCE, mapping).await??)
}

async fn open_by_upnp(
    ports: &[Port],
    bind: Option<IpAddr>,
) -> Result<Vec<Opened>, Box<dyn std::error::Error + Send + Sync>> {
    let mut options = SearchOptions::default();
    options.timeout = Some(PATIENCE);
    if let Some(ip @ IpAddr::V4(_)) = bind {
        options.bind_addr = SocketAddr::new(ip, 0);
    }
    let gateway = search_gateway(options).await?;
    let own = own_address_towards(gateway.addr).await?;
    let mut opened = Vec::new();
    for port in ports {
        let local = SocketAddr::new(own, port.number);
        let protocol = match port.protocol {
            InternetProtocol::Tcp => PortMappingProtocol::TCP,
            InternetProtocol::Udp => PortMappingProtocol::UDP,
        };
        let asked = gateway.add_port(protocol, port.number, local, LIFETIME, NAME);
        match timeout(PATIENCE, asked).await? {
            Ok(()) => {
                opened.push(Opened::Upnp(Box::new(gateway.clone()), *port, port.number));
            }
            Err(error) => tracing::debug!("UPnP: port {}: {error}", port.number),
        }
    }
    Ok(opened)
}

/// Our address as a host sees it that is reached directly.
async fn own_address_towards(host: SocketAddr) -> std::io::Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(host).await?;
    Ok(socket.local_addr()?.ip())
}

impl Opened {
    /// The TCP port as the world sees it.
    fn tcp(&self) -> Option<u16> {
        match self {
            Self::Pcp(mapping) => match mapping.protocol() {
                InternetProtocol::Tcp => Some(mapping.external_port().get()),
                InternetProtocol::Udp => None,
            },
            Self::Upnp(_, port, external) => match port.protocol {
                InternetProtocol::Tcp => Some(*external),
                InternetProtocol::Udp => None,
            },
        }
    }

    async fn close(self) {
        match self {
            Self::Pcp(mapping) => {
                let _ = mapping.try_drop().await;
            }
            Self::Upnp(gateway, port, external) => {
                let protocol = match port.protocol {
                    InternetProtocol::Tcp => PortMappingProtocol::TCP,
                    InternetProtocol::Udp => PortMappingProtocol::UDP,
                };
                let _ = gateway.remove_port(protocol, external).await;
            }
        }
    }
}
