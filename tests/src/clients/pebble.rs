//! pebble, the ACME server by which Let's Encrypt has its clients tested: it looks whether a name is ours as the real one
//! does, asking a DNS server of its own for which every name is on this machine.

use crate::certificates::Certificates;
use crate::folder;
use crate::process::Running;
use crate::programs::{Tool, foreign};
use crate::wait::until;
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;

/// The ports it will listen on: it can't choose free ones itself.
#[derive(Debug)]
pub struct Ports {
    acme: u16,
    management: u16,
}

/// A running server. It forgets everything when it goes.
pub struct Pebble {
    _server: Running,
    _names: Running,
}

impl Default for Ports {
    fn default() -> Self {
        let (acme, management) = (free_port(), free_port());
        Self { acme, management }
    }
}

impl Ports {
    /// Where the certificate will be by which what it signs is checked.
    pub fn root(&self) -> String {
        format!("https://localhost:{}/roots/0", self.management)
    }

    /// Where its directory will be.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.acme)
    }
}

fn free_port() -> u16 {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
    taken.expect("a free port").port()
}

impl Pebble {
    /// Starts it. It looks for whoever has a name on this port instead of 443; `certificates` are its own.
    #[track_caller]
    pub fn start(folder: &Path, ports: &Ports, tls_port: u16, certificates: &Certificates) -> Self {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|it| it.local_addr());
        let names = SocketAddr::from((Ipv4Addr::LOCALHOST, free.expect("a free port").port()));
        let mut command = Command::new(foreign("pebble-challtestsrv", Tool::Pebble));
        let management = format!("127.0.0.1:{}", free_port());
        command.args(["-dns01", &names.to_string(), "-management", &management]);
        command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let answering = Running::start(&mut command);

        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", ports.acme),
            "managementListenAddress": format!("127.0.0.1:{}", ports.management),
            "certificate": certificates.certificate, "privateKey": certificates.key,
            "httpPort": 1, "tlsPort": tls_port,
        }});
        let path = folder.join("pebble.json");
        folder::put(&path, config.to_string().as_bytes());
        let mut command = Command::new(foreign("pebble", Tool::Pebble));
        command
            .arg("-config")
            .arg(&path)
            .args(["-dnsserver", &names.to_string()]);
        // It neither waits nor refuses at random: both are there to try a client's patience.
        command
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0");
        let server = Running::start(&mut command);
        for port in [ports.acme, ports.management] {
            until("pebble listens", || {
                let reached = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
                reached.map(drop).map_err(|error| error.to_string())
            });
        }
        Self {
            _server: server,
            _names: answering,
        }
    }
}
