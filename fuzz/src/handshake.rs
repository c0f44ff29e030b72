//! The first 68 bytes of a connection.

use wire::handshake::{Handshake, may_begin};

/// What is read is written the same, and a beginning is judged as the whole is.
pub fn handshake(data: &[u8]) {
    let Some((bytes, _)) = data.split_first_chunk::<{ Handshake::LENGTH }>() else {
        let _ = may_begin(data);
        return;
    };
    let read = Handshake::decode(bytes);
    for end in 0..bytes.len() {
        assert!(read.is_err() || may_begin(&bytes[..end]));
        assert!(
            may_begin(&bytes[..end]) || !may_begin(bytes),
            "once wrong, always wrong"
        );
    }
    assert_eq!(read.is_ok(), may_begin(bytes));
    if let Ok(read) = read {
        assert_eq!(&read.encode(), bytes);
    }
}
