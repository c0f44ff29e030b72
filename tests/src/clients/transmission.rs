//! transmission-daemon 3.00. It takes no 127.x peer from a tracker, so it lives in a network namespace of its own, where
//! its ports are nobody else's; the test talks to its RPC over the veth link.

use crate::http;
use crate::namespace::Namespace;
use crate::process::Running;
use crate::programs::{Tool, foreign};
use crate::wait::until;
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const RPC_PORT: u16 = 9091;

/// A running daemon.
pub struct Transmission {
    daemon: Running,
    url: String,
    folder: PathBuf,
    /// Where it lives; the seeder must listen on `space.outside`.
    pub space: Namespace,
}

/// What a fetch came to.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Most peers it downloaded from at once.
    pub peers: u64,
    /// Most web seeds it downloaded from at once.
    pub web_seeds: u64,
    /// It met a peer over uTP.
    pub over_utp: bool,
    /// It met a peer behind an encrypted handshake.
    pub encrypted: bool,
    /// What its tracker said last, for messages.
    pub tracker: String,
}

impl Transmission {
    /// Starts a daemon with nothing but trackers, peers and web seeds; `folder` keeps its settings and downloads. As it
    /// comes, peers are met over uTP, behind an encrypted handshake.
    #[track_caller]
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, true, true)
    }

    /// The same, with or without uTP, and with encryption preferred or merely put up with.
    #[track_caller]
    pub fn start_with(folder: &Path, utp: bool, encrypted: bool) -> Self {
        let space = Namespace::make();
        let settings = json!({
            "rpc-enabled": true, "rpc-port": RPC_PORT, "rpc-bind-address": "0.0.0.0",
            "rpc-whitelist-enabled": false, "rpc-host-whitelist-enabled": false,
            "rpc-authentication-required": false,
            "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false,
            "port-forwarding-enabled": false, "utp-enabled": utp, "encryption": i32::from(encrypted),
            "download-dir": folder.join("downloads"), "incomplete-dir-enabled": false,
            "start-added-torrents": true, "trash-original-torrent-files": false,
            "watch-dir-enabled": false, "blocklist-enabled": false,
        });
        crate::folder::put(
            &folder.join("settings.json"),
            settings.to_string().as_bytes(),
        );
        let program = foreign("transmission-daemon", Tool::Transmission);
        let daemon = Running::start(
            space
                .command(&program)
                .args(["--foreground", "--log-debug", "--config-dir"])
                .arg(folder),
        );
        let url = format!("http://{}:{RPC_PORT}/transmission/rpc", space.inside);
        let mut this = Transmission {
            daemon,
            url,
            folder: folder.to_owned(),
            space,
        };
        until("transmission's RPC", || {
            assert!(this.daemon.is_running(), "it ended: {}", this.daemon);
            this.call("session-get", &json!({}))
        });
        this
    }

    /// Fetches a `.torrent`'s bytes; the result lies in [`Self::downloads`].
    #[track_caller]
    pub fn fetch_torrent(&self, torrent: &[u8]) -> Fetched {
        self.fetch(&json!({ "metainfo": BASE64.encode(torrent) }))
    }

    /// Fetches a magnet link; the result lies in [`Self::downloads`].
    #[track_caller]
    pub fn fetch_magnet(&self, magnet: &str) -> Fetched {
        self.fetch(&json!({ "filename": magnet }))
    }

    /// Adds a `.torrent`'s bytes; how its only tracker has answered an announce and a scrape, once it has answered both.
    #[track_caller]
    pub fn ask_tracker(&self, torrent: &[u8]) -> Value {
        let source = json!({ "metainfo": BASE64.encode(torrent) });
        let added = self
            .call("torrent-add", &source)
            .unwrap_or_else(|e| panic!("torrent-add: {e}\n{}", self.daemon));
        let id = added["torrent-added"]["id"].as_i64().expect("it was added");
        let ask = json!({ "ids": [id], "fields": ["trackerStats"] });
        until("transmission's tracker has answered", || {
            let answer = self.call("torrent-get", &ask)?;
            let tracker = &answer["torrents"][0]["trackerStats"][0];
            match tracker["hasAnnounced"] == true && tracker["hasScraped"] == true {
                true => Ok(tracker.clone()),
                false => Err(format!("{tracker}\n{}", self.daemon)),
            }
        })
    }

    /// Where it puts what it fetched.
    pub fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    #[track_caller]
    fn fetch(&self, source: &Value) -> Fetched {
        let added = self
            .call("torrent-add", source)
            .unwrap_or_else(|e| panic!("torrent-add: {e}\n{}", self.daemon));
        let id = added["torrent-added"]["id"]
            .as_i64()
            .unwrap_or_else(|| panic!("not added: {added}\n{}", self.daemon));
        let ask = json!({ "ids": [id], "fields": [
            "metadataPercentComplete", "percentDone", "leftUntilDone", "sizeWhenDone", "status", "error", "errorString",
            "peersSendingToUs", "webseedsSendingToUs", "peersFrom", "haveValid", "corruptEver", "trackerStats", "peers",
        ]});
        let mut fetched = Fetched {
            peers: 0,
            web_seeds: 0,
            over_utp: false,
            encrypted: false,
            tracker: String::new(),
        };
        let complete = crate::wait::within(crate::wait::PATIENCE, || {
            let answer = self.call("torrent-get", &ask)?;
            let torrent = &answer["torrents"][0];
            let number = |key: &str| torrent[key].as_u64().unwrap_or(0);
            let from_tracker = torrent["peersFrom"]["fromTracker"].as_u64().unwrap_or(0);
            fetched.peers = fetched
                .peers
                .max(from_tracker)
                .max(number("peersSendingToUs"));
            fetched.web_seeds = fetched.web_seeds.max(number("webseedsSendingToUs"));
            let some_peer = |key: &str| {
                let peers = torrent["peers"].as_array();
                peers.is_some_and(|peers| peers.iter().any(|peer| peer[key] == true))
            };
            fetched.over_utp |= some_peer("isUTP");
            fetched.encrypted |= some_peer("isEncrypted");
            fetched.tracker = torrent["trackerStats"].to_string();
            let whole = torrent["metadataPercentComplete"].as_f64() == Some(1.0)
                && number("sizeWhenDone") > 0
                && number("leftUntilDone") == 0
                && number("haveValid") == number("sizeWhenDone");
            // 4 is "downloading"; it verifies what it has before it leaves that state.
            if whole && number("status") != 4 {
                return Ok(());
            }
            Err(torrent.to_string())
        });
        if let Err(last) = complete {
            panic!("transmission isn't complete: {last}\n{}", self.daemon)
        }
        fetched
    }

    fn call(&self, method: &str, arguments: &Value) -> Result<Value, String> {
        let body = json!({ "method": method, "arguments": arguments }).to_string();
        let mut session = String::new();
        // The first answer is 409 with the session id that every later request has to carry.
        for _ in 0..2 {
            let headers = [("X-Transmission-Session-Id", session.as_str())];
            let response = http::request("POST", &self.url, &headers, body.as_bytes())
                .map_err(|e| format!("{method}: {e}"))?;
            if response.status == 409 {
                session = response
                    .header("x-transmission-session-id")
                    .ok_or("409 without a session id")?
                    .to_owned();
                continue;
            }
            let value: Value = serde_json::from_slice(&response.body)
                .map_err(|e| format!("{method}: {e}: {}", response.text()))?;
            if value["result"] != "success" {
                return Err(format!("{method}: {value}"));
            }
            return Ok(value["arguments"].clone());
        }
        Err("the session id isn't taken".to_owned())
    }
}
