//! The tests of the whole product, one binary so that it links once. One module a subject; the harness is the
//! crate's library. Run by `./check`, which builds the binaries and installs the foreign programs first.

#![allow(clippy::unwrap_used, reason = "what a test calls is a test as well")]

/// One module a way, one test an example: `for_each_example!(check; way: argument)` makes tests
/// `way::test_drive` and so on that call `check("test-drive", argument)`.
macro_rules! for_each_example {
    ($check:ident; $($way:ident: $argument:expr),+ $(,)?) => {$(
        mod $way {
            #[allow(unused_imports, reason = "an argument may be a plain literal")]
            use super::*;

            #[test]
            fn test_drive() {
                $check("test-drive", $argument);
            }

            #[test]
            fn author_interviews() {
                $check("author-interviews", $argument);
            }

            #[test]
            fn how_to_manual() {
                $check("how-to-manual", $argument);
            }

            #[test]
            fn garage_band() {
                $check("garage-band", $argument);
            }

            #[test]
            fn service_pack() {
                $check("service-pack", $argument);
            }
        }
    )+};
}
use for_each_example;

mod aria2;
mod bad_input;
mod browser;
mod crowd;
mod derived;
mod dropped;
mod feeds;
mod fetch;
mod formats;
mod hashes;
mod hostile_torrents;
mod killed;
mod libtorrent;
mod magnet_dht;
mod overload;
mod pipeline;
mod status;
mod tidy;
mod tls;
mod tracker;
mod tracker_clients;
mod tracker_elsewhere;
mod tracker_udp;
mod tracker_websocket;
mod transmission;
mod transports;
mod web_server;
