//! Our extension handshake (BEP 10) in a packet of its own: behind the peer's first message, or after a moment.
//!
//! Transmission 3.00 leaves what comes together with the handshake unread until something more comes: over TCP for
//! seconds, over uTP for ever.

use super::timers::Timer;
use super::{Connection, Settings, Stage};
use super::{OUR_LT_DONTHAVE, OUR_UT_METADATA, OUR_UT_PEX, session::Session};
use crate::extended::{self, ExtendedHandshake, LT_DONTHAVE, UT_METADATA, UT_PEX};
use crate::message::Message;
use std::time::Instant;

impl Connection {
    /// Keeps the introduction back.
    pub(super) fn introduce_later(&mut self, now: Instant) {
        let at = now + self.settings.introduction_delay;
        self.timers.set(Timer::Introduction, at);
    }

    /// Sends the introduction, once, to who understands it.
    pub(super) fn introduce(&mut self) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if !session.introduced && session.peer.reserved.extended() {
            session.introduced = true;
            self.timers.stop(Timer::Introduction);
            self.send_introduction();
        }
    }

    /// We want nothing more: said once more, and who doesn't want anything either is let go.
    pub(super) fn upload_only(&mut self) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if !std::mem::replace(&mut session.upload_only, true) && session.introduced {
            self.send_introduction();
        }
        self.part_from_seed();
    }

    fn send_introduction(&mut self) {
        if let Stage::Open(session) = &self.stage {
            let payload = session.introduction(&self.settings).encode().into();
            self.send(&Message::Extended {
                id: extended::HANDSHAKE_ID,
                payload,
            });
        }
    }
}

impl Session {
    /// What we say of ourselves. Complete each time: some clients forget what a second one leaves out.
    fn introduction(&self, settings: &Settings) -> ExtendedHandshake {
        let mut extensions = vec![
            (UT_METADATA.to_owned(), OUR_UT_METADATA),
            (LT_DONTHAVE.to_owned(), OUR_LT_DONTHAVE),
        ];
        if !self.private {
            extensions.push((UT_PEX.to_owned(), OUR_UT_PEX));
        }
        let metadata = self.metadata.as_ref();
        ExtendedHandshake {
            extensions: extensions.into_iter().collect(),
            client: Some(settings.client.to_owned()),
            port: self.port,
            request_queue: Some(settings.request_queue),
            metadata_size: metadata.and_then(|bytes| u32::try_from(bytes.len()).ok()),
            your_ip: self.remote,
            // While we don't show all we have, we have more to give than can be seen: libtorrent leaves who wants
            // nothing and shows nothing that it wants.
            upload_only: self.upload_only && self.shows_all(),
        }
    }
}
