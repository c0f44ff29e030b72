//! Our extension handshake (BEP 10) in a packet of its own: behind the peer's first message, or after a moment.
//!
//! Transmission 3.00 leaves what comes together with the handshake unread until something more comes: over TCP for
//! seconds, over uTP for ever.

use super::timers::Timer;
use super::{Connection, Stage};
use crate::extended::{self, ExtendedHandshake};
use crate::message::Message;
use std::time::Instant;

impl Connection {
    /// Keeps the introduction back.
    pub(super) fn introduce_later(&mut self, now: Instant, handshake: ExtendedHandshake) {
        if let Stage::Open(session) = &mut self.stage {
            session.introduction = Some(handshake);
            let at = now + self.settings.introduction_delay;
            self.timers.set(Timer::Introduction, at);
        }
    }

    /// Sends the introduction, once.
    pub(super) fn introduce(&mut self) {
        let Stage::Open(session) = &mut self.stage else {
            return;
        };
        if let Some(handshake) = session.introduction.take() {
            self.timers.stop(Timer::Introduction);
            let payload = handshake.encode().into();
            self.send(&Message::Extended {
                id: extended::HANDSHAKE_ID,
                payload,
            });
        }
    }
}
