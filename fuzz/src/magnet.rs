//! Magnet links: what was read is written as a link that reads the same.

use metainfo::Magnet;

/// Links longer than this are refused; one that was read may be written longer than it was, since the
/// writer escapes more.
const MAX_BYTES: usize = 64 * 1024;

/// Reads the text as a link, and as what follows a hash.
pub fn magnet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check(&text);
    check(&format!(
        "magnet:?xt=urn:btih:00112233445566778899aabbccddeeff01234567&{text}"
    ));
}

fn check(text: &str) {
    let Ok(magnet) = text.parse::<Magnet>() else {
        return;
    };
    assert!(text.len() <= MAX_BYTES);
    assert!(magnet.info_hash_v1.is_some() || magnet.info_hash_v2.is_some());
    let written = magnet.to_string();
    assert!(
        written.bytes().all(|byte| byte.is_ascii_graphic()),
        "one word in any text"
    );
    if written.len() <= MAX_BYTES {
        assert_eq!(
            written.parse::<Magnet>().as_ref(),
            Ok(&magnet),
            "{written:?}"
        );
    }
}
