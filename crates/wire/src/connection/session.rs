//! What there is of a connection once a torrent is agreed on: what both sides have said of themselves, and what
//! waits to be answered or told.

use super::asking::Asking;
use super::metadata::MetadataServer;
use super::requests::Requests;
use super::{Event, Introduced, Own, ProtocolError, Served, Tally};
use crate::bitfield::Bitfield;
use crate::decoder::Decoder;
use crate::handshake::{Handshake, Reserved};
use crate::message::{FrameLimits, HashRange, Message};
use bytes::Bytes;
use metainfo::geometry::Geometry;
use metainfo::ids::{PeerId, PieceIndex};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

/// How often a peer may say anew what it has. Clients say it once; some once more when metadata has come.
const MAX_RESTATED: u8 = 8;
/// How many new pieces a statement may add to count as so many `have` messages.
const MAX_GAINED: usize = 64;
/// How many pieces we allow a peer fast.
const MAX_ALLOWED: usize = 64;

/// What there is once a torrent is agreed on.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) geometry: Option<Geometry>,
    pub(super) metadata: Option<Bytes>,
    pub(super) has_v2: bool,
    pub(super) private: bool,
    pub(super) upload_only: bool,
    pub(super) own: Own,
    /// Whether we want anything of the peer.
    pub(super) interested: bool,
    /// Whether we choke the peer.
    pub(super) choked: bool,
    pub(super) decoder: Decoder,
    pub(super) peer: Peer,
    pub(super) requests: Requests,
    /// The pieces we serve though the peer is choked.
    pub(super) allowed_fast: Vec<PieceIndex>,
    pub(super) serving: MetadataServer,
    pub(super) hash_requests: VecDeque<HashRange>,
    pub(super) asking: Asking,
    /// For the shell; nothing more is read while many wait.
    pub(super) events: VecDeque<Event>,
    /// While all pieces are being shown one by one: those to show, the next one first.
    showing: Option<(Bitfield, u32)>,
    /// Our listening port, where peers may be told of it.
    pub(super) port: Option<u16>,
    /// The peer's address as we see it.
    pub(super) remote: Option<IpAddr>,
    /// Whether our extension handshake is sent.
    pub(super) introduced: bool,
    /// When the peer last told of other peers.
    pub(super) last_pex: Option<Instant>,
    /// When we last told the peer.
    pub(super) last_pex_sent: Option<Instant>,
}

/// What we know of the other side.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) reserved: Reserved,
    pub(super) interested: bool,
    pub(super) has: Has,
    restated: u8,
    pub(super) introduced: Option<Box<Introduced>>,
}

/// The pieces of a peer: most have none or all, and cost no bits.
#[derive(Debug)]
pub(super) enum Has {
    None,
    Some(Bitfield),
    All,
}

impl Session {
    /// The session that follows this handshake of the peer's.
    pub(super) fn new(served: Served, theirs: &Handshake, remote: Option<IpAddr>) -> Self {
        let mut limits = FrameLimits::default();
        if let Some(geometry) = served.geometry {
            limits.bitfield = Bitfield::byte_len(geometry.n_pieces()) as u32;
        }
        Self {
            geometry: served.geometry,
            metadata: served.metadata,
            has_v2: served.v2.is_some(),
            private: served.private,
            upload_only: served.upload_only,
            own: served.own,
            interested: false,
            choked: true,
            decoder: Decoder::new(limits),
            peer: Peer {
                id: theirs.peer_id,
                reserved: theirs.reserved,
                interested: false,
                has: Has::None,
                restated: 0,
                introduced: None,
            },
            requests: Requests::default(),
            allowed_fast: Vec::new(),
            serving: MetadataServer::default(),
            hash_requests: VecDeque::new(),
            asking: Asking::default(),
            events: VecDeque::new(),
            showing: None,
            port: served.port,
            remote,
            introduced: false,
            last_pex: None,
            last_pex_sent: None,
        }
    }

    /// How many pieces there are; none while the geometry isn't known.
    pub(super) fn n_pieces(&self) -> u32 {
        self.geometry.map_or(0, |geometry| geometry.n_pieces())
    }

    /// Whether a piece that the shell names is one of this torrent.
    pub(super) fn exists(&self, piece: PieceIndex) -> bool {
        piece.get() < self.n_pieces()
    }

    /// Whether the peer has everything, neither side wants anything, and it has been told what it wanted to know.
    pub(super) fn is_done(&self) -> bool {
        let n_pieces = self.n_pieces();
        let complete = n_pieces > 0 && self.peer.n_pieces(n_pieces) == n_pieces;
        complete
            && self.upload_only
            && !self.peer.interested
            && self.serving.is_idle()
            && self.requests.is_empty()
    }

    /// The name of a message whose extension wasn't agreed on.
    pub(super) fn not_agreed(&self, message: &Message) -> Option<&'static str> {
        let reserved = self.peer.reserved;
        match message {
            Message::HaveAll if !reserved.fast() => Some("have all"),
            Message::HaveNone if !reserved.fast() => Some("have none"),
            Message::Suggest { .. } if !reserved.fast() => Some("suggest"),
            Message::Reject(_) if !reserved.fast() => Some("reject"),
            Message::AllowedFast { .. } if !reserved.fast() => Some("allowed fast"),
            Message::Extended { .. } if !reserved.extended() => Some("extended"),
            Message::HashRequest(_) | Message::Hashes { .. } | Message::HashReject(_)
                if !self.has_v2 =>
            {
                Some("hashes")
            }
            _ => None,
        }
    }

    // What the peer wants and has.

    pub(super) fn handle_interest(&mut self, interested: bool) {
        if self.peer.interested != interested {
            self.peer.interested = interested;
            self.events.push_back(Event::Interested(interested));
        }
    }

    pub(super) fn handle_have(&mut self, piece: u32) -> Result<(), ProtocolError> {
        let Some(geometry) = self.geometry else {
            return Ok(());
        };
        let piece = geometry
            .piece(piece)
            .ok_or(ProtocolError::NoSuchPiece(piece))?;
        if self.peer.add(piece, geometry.n_pieces()) {
            self.events.push_back(Event::Have(piece));
        }
        Ok(())
    }

    pub(super) fn handle_bitfield(&mut self, bits: &[u8]) -> Result<(), ProtocolError> {
        let Some(geometry) = self.geometry else {
            return Ok(());
        };
        let field = Bitfield::from_bytes(bits, geometry.n_pieces())?;
        self.restate(match field.count() {
            0 => Has::None,
            _ if field.is_complete() => Has::All,
            _ => Has::Some(field),
        })
    }

    /// The peer says anew what it has. Who tells of new pieces so, as aria2 does, may do it at each; anything else
    /// is borne a few times.
    pub(super) fn restate(&mut self, has: Has) -> Result<(), ProtocolError> {
        let Some(geometry) = self.geometry else {
            return self.count_restated();
        };
        if let Some(gained) = self.gained(&has, &geometry) {
            for piece in gained {
                self.peer.add(piece, geometry.n_pieces());
                self.events.push_back(Event::Have(piece));
            }
            return Ok(());
        }
        self.count_restated()?;
        self.events.push_back(match &has {
            Has::None => Event::HasNone,
            Has::Some(field) => Event::Bitfield(field.clone()),
            Has::All => Event::HasAll,
        });
        self.peer.has = has;
        Ok(())
    }

    /// The pieces that are new, where a later statement adds a few to an earlier one and takes none away.
    fn gained(&self, has: &Has, geometry: &Geometry) -> Option<Vec<PieceIndex>> {
        let had = |piece| match &self.peer.has {
            Has::None => false,
            Has::Some(field) => field.has(piece),
            Has::All => true,
        };
        let Has::Some(field) = has else {
            return None;
        };
        if self.peer.restated == 0
            || !geometry
                .pieces()
                .all(|piece| field.has(piece) || !had(piece))
        {
            return None;
        }
        let gained = geometry
            .pieces()
            .filter(|piece| field.has(*piece) && !had(*piece));
        let gained: Vec<PieceIndex> = gained.take(MAX_GAINED + 1).collect();
        (1..=MAX_GAINED).contains(&gained.len()).then_some(gained)
    }

    fn count_restated(&mut self) -> Result<(), ProtocolError> {
        self.peer.restated += 1;
        if self.peer.restated > MAX_RESTATED {
            return Err(ProtocolError::RestatedPieces);
        }
        Ok(())
    }

    /// The peer has a piece no longer (BEP 54).
    pub(super) fn handle_dont_have(&mut self, piece: u32) -> Result<(), ProtocolError> {
        let Some(geometry) = self.geometry else {
            return Ok(());
        };
        let piece = geometry
            .piece(piece)
            .ok_or(ProtocolError::NoSuchPiece(piece))?;
        if self.peer.remove(piece, geometry.n_pieces()) {
            self.events.push_back(Event::DontHave(piece));
        }
        Ok(())
    }

    // What we show.

    /// Shows the pieces that aren't shown yet, a few at a time: see [`Self::next_shown`].
    pub(super) fn show_all(&mut self) {
        if let Own::Some(shown) = std::mem::replace(&mut self.own, Own::All)
            && self.showing.is_none()
        {
            self.showing = Some((shown, 0));
        }
    }

    /// Whether the peer has been shown everything.
    pub(super) fn shows_all(&self) -> bool {
        self.own.is_all() && self.showing.is_none()
    }

    /// Up to `most` pieces to show next.
    pub(super) fn next_shown(&mut self, most: usize) -> Vec<PieceIndex> {
        let mut pieces = Vec::new();
        if let (Some(geometry), Some((shown, from))) = (self.geometry, &mut self.showing) {
            while let Some(piece) = geometry.piece(*from).filter(|_| pieces.len() < most) {
                *from += 1;
                if !shown.has(piece) && self.own.has(piece) {
                    pieces.push(piece);
                }
            }
            if geometry.piece(*from).is_none() {
                self.showing = None;
            }
        }
        pieces
    }

    /// Notes that a piece is served though the peer is choked; says whether that is news.
    pub(super) fn allow_fast(&mut self, piece: PieceIndex) -> bool {
        let news = self.allowed_fast.len() < MAX_ALLOWED && !self.allowed_fast.contains(&piece);
        if news {
            self.allowed_fast.push(piece);
        }
        news
    }

    /// Whether requests for this piece are served now.
    pub(super) fn serves(&self, piece: PieceIndex) -> bool {
        !self.choked || self.allowed_fast.contains(&piece)
    }

    // What waits.

    pub(super) fn next_metadata(&mut self, tally: &mut Tally) -> Option<Message> {
        let id = self.peer.introduced.as_ref()?.metadata?;
        let metadata = self.metadata.as_ref()?;
        let payload = self.serving.pop(metadata)?.encode().into();
        tally.metadata_pieces += 1;
        Some(Message::Extended { id, payload })
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            self.events.shrink_to(4);
        }
        event
    }
}

impl Peer {
    fn add(&mut self, piece: PieceIndex, n_pieces: u32) -> bool {
        if let Has::None = self.has {
            self.has = Has::Some(Bitfield::none(n_pieces));
        }
        let Has::Some(field) = &mut self.has else {
            return false;
        };
        let news = field.set(piece);
        if field.is_complete() {
            self.has = Has::All;
        }
        news
    }

    fn remove(&mut self, piece: PieceIndex, n_pieces: u32) -> bool {
        if let Has::All = self.has {
            self.has = Has::Some(Bitfield::all(n_pieces));
        }
        let Has::Some(field) = &mut self.has else {
            return false;
        };
        let news = field.unset(piece);
        if field.count() == 0 {
            self.has = Has::None;
        }
        news
    }

    pub(super) fn n_pieces(&self, of: u32) -> u32 {
        match &self.has {
            Has::None => 0,
            Has::Some(field) => field.count(),
            Has::All => of,
        }
    }
}
