//! The extension handshake (BEP 10), metadata exchange (BEP 9) and peer exchange (BEP 11).

use bytes::Bytes;
use wire::extended::ExtendedHandshake;
use wire::extended::metadata::{METADATA_PIECE, MetadataMessage, n_pieces, piece_range};
use wire::extended::pex::{MAX_PEERS, PexMessage};

/// The longest client name that is kept, in bytes as they came.
const MAX_CLIENT: usize = 64;

/// An extension handshake is bounded in what it makes us keep, and means the same when written again.
pub fn extended(data: &[u8]) {
    pex(data);
    let Ok(read) = ExtendedHandshake::decode(data) else {
        return;
    };
    assert!(read.extensions.len() <= 64);
    assert!(read.extensions.keys().all(|name| name.len() <= 64));
    assert!(read.port != Some(0) && read.request_queue != Some(0) && read.metadata_size != Some(0));
    let client = read.client.as_deref().unwrap_or_default();
    assert!(client.len() <= MAX_CLIENT, "a name of {}", client.len());
    let again = ExtendedHandshake::decode(&read.encode()).expect("what we write can be read");
    assert_eq!(again, read);
}

/// A list of peers is bounded, leads somewhere, and means the same when written again.
fn pex(data: &[u8]) {
    let Ok((read, _)) = PexMessage::decode(data) else {
        return;
    };
    assert!(read.added.len() <= MAX_PEERS && read.dropped.len() <= MAX_PEERS);
    let addresses = read.added.iter().map(|peer| &peer.address);
    assert!(
        addresses
            .chain(&read.dropped)
            .all(|address| address.port() != 0)
    );
    assert_eq!(PexMessage::decode(&read.encode()), Ok((read, 0)));
}

/// A metadata message means the same when written again, and its pieces lie inside the metadata.
pub fn ut_metadata(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let Ok(read) = MetadataMessage::decode(&payload) else {
        return;
    };
    let again = MetadataMessage::decode(&read.encode().into());
    assert_eq!(again.as_ref(), Ok(&read));
    let (piece, length) = match &read {
        MetadataMessage::Request { piece } | MetadataMessage::Reject { piece } => {
            (*piece, data.len())
        }
        MetadataMessage::Data {
            piece,
            total_size,
            data: block,
        } => {
            assert!(
                data.ends_with(block),
                "the block is what follows the dictionary"
            );
            (*piece, *total_size as usize)
        }
    };
    match piece_range(piece, length) {
        Some(range) => {
            assert!(range.start < range.end && range.end <= length);
            assert!(range.len() <= METADATA_PIECE);
            assert!((piece as usize) < n_pieces(length));
        }
        None => assert!(piece as usize >= n_pieces(length)),
    }
}
