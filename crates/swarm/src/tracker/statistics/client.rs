//! Which program a peer runs, told by how its id begins. Peers may claim what they like; nothing but statistics depends
//! on it.

use metainfo::PeerId;

/// A kind of program. Few enough that a count of each costs little; whatever isn't here is [`Self::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Client {
    /// None of the others, or an id that says nothing.
    #[default]
    Other = 0,
    /// A page in a browser: known by its connection to the tracker, not by its id.
    Browser,
    /// qBittorrent.
    QBittorrent,
    /// Transmission.
    Transmission,
    /// Deluge.
    Deluge,
    /// aria2.
    Aria2,
    /// µTorrent and BitTorrent, which are one program.
    UTorrent,
    /// libtorrent (Rasterbar) under no name of its own.
    Libtorrent,
    /// rTorrent.
    RTorrent,
    /// BiglyBT and Vuze.
    BiglyBt,
    /// Tixati.
    Tixati,
    /// KTorrent.
    KTorrent,
    /// WebTorrent Desktop and webtorrent in Node, as far as they are no browsers.
    WebTorrent,
    /// FrostWire.
    FrostWire,
    /// Our own: hubs, other seeders, fetches.
    Groundswell,
}

impl Client {
    /// How many kinds there are.
    pub const COUNT: usize = 15;

    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Other,
        Self::Browser,
        Self::QBittorrent,
        Self::Transmission,
        Self::Deluge,
        Self::Aria2,
        Self::UTorrent,
        Self::Libtorrent,
        Self::RTorrent,
        Self::BiglyBt,
        Self::Tixati,
        Self::KTorrent,
        Self::WebTorrent,
        Self::FrostWire,
        Self::Groundswell,
    ];

    /// The kind of a native client, by the first bytes of its id: BEP 20's `-XX`, and aria2's own form.
    pub fn of(id: &PeerId) -> Self {
        match &id.0[..3] {
            b"-qB" => Self::QBittorrent,
            b"-TR" => Self::Transmission,
            b"-DE" => Self::Deluge,
            b"A2-" => Self::Aria2,
            b"-UT" | b"-UM" | b"-UW" | b"-BT" => Self::UTorrent,
            b"-LT" => Self::Libtorrent,
            b"-lt" => Self::RTorrent,
            b"-BI" | b"-AZ" => Self::BiglyBt,
            b"TIX" => Self::Tixati,
            b"-KT" => Self::KTorrent,
            b"-WD" | b"-WW" => Self::WebTorrent,
            b"-FW" => Self::FrostWire,
            b"-GW" => Self::Groundswell,
            _ => Self::Other,
        }
    }

    /// A number as it was stored; what is none of ours is [`Self::Other`].
    pub fn from_u8(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or_default()
    }

    /// As people, and metrics' labels, call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Browser => "browser",
            Self::QBittorrent => "qBittorrent",
            Self::Transmission => "Transmission",
            Self::Deluge => "Deluge",
            Self::Aria2 => "aria2",
            Self::UTorrent => "µTorrent",
            Self::Libtorrent => "libtorrent",
            Self::RTorrent => "rTorrent",
            Self::BiglyBt => "BiglyBT",
            Self::Tixati => "Tixati",
            Self::KTorrent => "KTorrent",
            Self::WebTorrent => "WebTorrent",
            Self::FrostWire => "FrostWire",
            Self::Groundswell => "Groundswell",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|client| client.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_its_number_and_its_name() {
        for (number, client) in Client::ALL.into_iter().enumerate() {
            assert_eq!(client as usize, number);
            assert_eq!(Client::from_u8(number as u8), client);
            assert_eq!(Client::named(client.name()), Some(client));
        }
        assert_eq!(Client::from_u8(255), Client::Other);
        assert_eq!(Client::named("nonsense"), None);
    }

    #[test]
    fn ids_of_real_clients_are_told_apart() {
        let check = |id: &[u8; 20], expected| assert_eq!(Client::of(&PeerId(*id)), expected);
        check(b"-qB4630-abcdefghijkl", Client::QBittorrent);
        check(b"-TR3000-abcdefghijkl", Client::Transmission);
        check(b"-DE211s-abcdefghijkl", Client::Deluge);
        check(b"A2-1-36-0-abcdefghij", Client::Aria2);
        check(b"-UT355W-abcdefghijkl", Client::UTorrent);
        check(b"-LT20B0-abcdefghijkl", Client::Libtorrent);
        check(b"-lt0D80-abcdefghijkl", Client::RTorrent);
        check(b"-GW0100-abcdefghijkl", Client::Groundswell);
        check(&[0; 20], Client::Other);
    }
}
