//! How a connection opens: both handshakes, whichever side speaks first, and the first messages behind ours.

use super::session::Session;
use super::timers::Timer;
use super::{CloseReason, Connection, Own, ProtocolError, Served, Stage};
use crate::bitfield::Bitfield;
use crate::handshake::{self, Handshake, Reserved};
use crate::message::Message;
use metainfo::ids::SwarmHash;
use std::net::IpAddr;
use std::time::Instant;

/// What we have sent before the peer's handshake came: nothing where it has opened the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// The swarm we have named.
    pub(super) swarm: SwarmHash,
    /// The other name that a hybrid torrent has; the peer may answer with it.
    pub(super) v2: Option<SwarmHash>,
}

impl Connection {
    /// Sends our handshake.
    pub(super) fn greet_with(&mut self, swarm: SwarmHash, v2: bool) {
        let mut reserved = Reserved::default().with_extended().with_fast();
        if v2 {
            reserved = reserved.with_v2();
        }
        let ours = Handshake {
            reserved,
            swarm,
            peer_id: self.settings.peer_id,
        };
        self.control.extend_from_slice(&ours.encode());
    }

    /// Judges what has come of the peer's handshake.
    pub(super) fn greet(&mut self) {
        let Stage::Greeting {
            bytes,
            filled,
            asked,
        } = &self.stage
        else {
            return;
        };
        if !handshake::may_begin(&bytes[..*filled]) {
            return self.fail(ProtocolError::NotBitTorrent);
        }
        if *filled < Handshake::LENGTH {
            return;
        }
        let asked = *asked;
        match Handshake::decode(bytes) {
            Ok(theirs) if theirs.peer_id == self.settings.peer_id => {
                self.fail(ProtocolError::SelfConnection);
            }
            Ok(theirs)
                if asked.is_some_and(|asked| {
                    theirs.swarm != asked.swarm && Some(theirs.swarm) != asked.v2
                }) =>
            {
                self.fail(ProtocolError::WrongSwarm);
            }
            Ok(theirs) => {
                self.stage = Stage::Identified {
                    theirs,
                    told: false,
                    asked: asked.is_some(),
                }
            }
            Err(handshake::NotBitTorrent) => self.fail(ProtocolError::NotBitTorrent),
        }
    }

    /// The torrent is served: the connection opens. `remote` is the peer's address as we see it.
    pub fn admit(&mut self, now: Instant, served: Served, remote: Option<IpAddr>) {
        let Stage::Identified { theirs, asked, .. } = self.stage else {
            return;
        };
        if !asked {
            // BEP 52's upgrade: who came by the v1 hash of a hybrid and speaks v2 is answered with the v2 hash.
            // libtorrent 2.0 insists on it once it has heard of us in the v2 swarm as well; and a v2 bit that
            // nobody asked for makes some of its versions crash on v1 magnet links.
            let upgraded = served
                .v2
                .filter(|v2| theirs.reserved.v2() || theirs.swarm == *v2);
            self.greet_with(upgraded.unwrap_or(theirs.swarm), upgraded.is_some());
        }
        self.show_own(&served, theirs.reserved.fast());
        self.stage = Stage::Open(Box::new(Session::new(served, &theirs, remote)));
        self.timers.stop(Timer::Handshake);
        self.timers
            .set(Timer::Silence, now + self.settings.silence_timeout);
        if theirs.reserved.extended() {
            self.introduce_later(now);
        }
    }

    /// The torrent isn't served.
    pub fn refuse(&mut self) {
        self.end(CloseReason::NotServed);
    }

    /// Says what we have. BEP 6 wants this to be the first message.
    fn show_own(&mut self, served: &Served, fast: bool) {
        let n_pieces = served.geometry.map_or(0, |geometry| geometry.n_pieces());
        let shown = match &served.own {
            Own::All => n_pieces,
            Own::Some(pieces) => pieces.count().min(n_pieces),
        };
        let bits = |field: &Bitfield| Message::Bitfield(field.as_bytes().to_vec().into());
        match &served.own {
            _ if shown == 0 && fast => self.send(&Message::HaveNone),
            _ if shown == 0 => {}
            _ if shown == n_pieces && fast => self.send(&Message::HaveAll),
            Own::All => self.send(&bits(&Bitfield::all(n_pieces))),
            Own::Some(pieces) => self.send(&bits(pieces)),
        }
    }
}
