//! Trackers of others, each on a loopback address of its own, and a client of trackers that is none of ours either
//! (bittorrent-tracker from npm). What they know is asked over UDP by hand.

use crate::folder;
use crate::namespace::loopback;
use crate::process::{Running, run};
use crate::programs::{Tool, foreign, root};
use crate::wait::{PATIENCE, until};
use serde_json::Value;
use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running tracker.
pub struct Tracker {
    /// Its process.
    pub process: Running,
    /// Where it is asked over UDP (BEP 15).
    pub udp: SocketAddrV4,
    /// Where over HTTP, if it speaks that.
    pub http: Option<SocketAddrV4>,
}

impl Tracker {
    /// opentracker (Debian), which knows this torrent alone. `folder` keeps its files.
    #[track_caller]
    pub fn opentracker(folder: &Path, info_hash: &str) -> Self {
        let place = free_place();
        // Started by root it becomes nobody, who may not read a test's folder otherwise.
        std::fs::set_permissions(folder, Permissions::from_mode(0o755)).expect("our folder");
        let list = folder.join("whitelist.txt");
        folder::put(&list, format!("{info_hash}\n").as_bytes());
        let config = folder.join("opentracker.conf");
        let text = format!(
            "listen.tcp_udp {place}\naccess.whitelist {}\n",
            list.display()
        );
        folder::put(&config, text.as_bytes());
        let mut command = Command::new(foreign("opentracker", Tool::Opentracker));
        let process = Running::start(command.current_dir(folder).arg("-f").arg(config));
        Self::ready(process, place, Some(place))
    }

    /// aquatic_udp, as `./check` built it.
    #[track_caller]
    pub fn aquatic(folder: &Path) -> Self {
        let program = root().join("target/check/bin/aquatic_udp");
        assert!(
            program.is_file(),
            "{} is missing: run ./check, which builds it, or set GROUNDSWELL_SKIP={}",
            program.display(),
            Tool::Aquatic.name()
        );
        let place = free_place();
        let config = folder.join("aquatic.toml");
        folder::put(
            &config,
            format!("[network]\naddress = \"{place}\"\n").as_bytes(),
        );
        let process = Running::start(Command::new(program).arg("-c").arg(config));
        Self::ready(process, place, None)
    }

    /// bittorrent-tracker (npm).
    #[track_caller]
    pub fn npm() -> Self {
        let mut process = Running::start(&mut node("tracker-server.mjs"));
        let ready = process.wait_event("ready");
        let place = |key: &str| {
            let port = ready[key].as_u64().and_then(|port| port.try_into().ok());
            SocketAddrV4::new(Ipv4Addr::LOCALHOST, port.expect("a port"))
        };
        let (udp, http) = (place("udp"), place("http"));
        Self::ready(process, udp, Some(http))
    }

    #[track_caller]
    fn ready(mut process: Running, udp: SocketAddrV4, http: Option<SocketAddrV4>) -> Self {
        until("the tracker gives connection ids", || {
            assert!(process.is_running(), "it ended: {process}");
            ask(udp, Duration::from_millis(200)).map(drop)
        });
        Self { process, udp, http }
    }

    /// Its announce URL over UDP.
    pub fn udp_url(&self) -> String {
        format!("udp://{}/announce", self.udp)
    }

    /// Its announce URL over HTTP.
    #[track_caller]
    pub fn http_url(&self) -> String {
        format!("http://{}/announce", self.http.expect("it speaks HTTP"))
    }

    /// How many have all of a torrent, by what it says.
    pub fn seeds(&self, info_hash: &[u8]) -> Result<u32, String> {
        let (socket, connection) = ask(self.udp, PATIENCE)?;
        let request = [&connection[..], &[0, 0, 0, 2, 9, 9, 9, 9], info_hash].concat();
        socket.send(&request).map_err(|e| e.to_string())?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).map_err(|e| e.to_string())?;
        match answer[..length] {
            [0, 0, 0, 2, 9, 9, 9, 9, a, b, c, d, ..] => Ok(u32::from_be_bytes([a, b, c, d])),
            _ => Err(format!("no answer to a scrape: {:?}", &answer[..length])),
        }
    }
}

/// A place that is free and known beforehand: nobody else has the address, and its port is below those that programs are
/// given which listen on all addresses.
pub fn free_place() -> SocketAddrV4 {
    let address = loopback();
    let [.., c, d] = address.octets();
    SocketAddrV4::new(address, 20_000 + u16::from_be_bytes([c, d]) % 12_000)
}

/// A socket to a tracker, with a connection id.
fn ask(tracker: SocketAddrV4, patience: Duration) -> Result<(UdpSocket, [u8; 8]), String> {
    let words = |error: std::io::Error| error.to_string();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(words)?;
    socket.connect(tracker).map_err(words)?;
    socket.set_read_timeout(Some(patience)).map_err(words)?;
    socket
        .send(b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\x01\x02\x03\x04")
        .map_err(words)?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).map_err(words)?;
    match answer[..length] {
        [0, 0, 0, 0, 1, 2, 3, 4, ref id @ ..] => id
            .try_into()
            .map(|id| (socket, id))
            .map_err(|_| "no connection id".to_owned()),
        _ => Err(format!("no answer: {:?}", &answer[..length])),
    }
}

/// bittorrent-tracker's client announces to a tracker, scrapes, and leaves; what it was told. Hashes in hex.
#[track_caller]
pub fn npm_client(url: &str, info_hash: &str, port: u16) -> Value {
    let peer_id = data_encoding::HEXLOWER.encode(b"-WW0208-000000000001");
    let mut command = node("tracker-client.mjs");
    command.args([url, info_hash, &peer_id, &port.to_string()]);
    let finished = run(&mut command).success();
    finished
        .json()
        .pop()
        .unwrap_or_else(|| panic!("no answer from {finished}"))
}

#[track_caller]
fn node(script: &str) -> Command {
    let folder = root().join("tests/browser");
    assert!(
        folder.join("node_modules/bittorrent-tracker").is_dir(),
        "bittorrent-tracker isn't installed: run ./check, which installs it, or set GROUNDSWELL_SKIP={}",
        Tool::BittorrentTracker.name()
    );
    let mut command = Command::new(foreign("node", Tool::BittorrentTracker));
    command.arg(folder.join(script));
    command
}
