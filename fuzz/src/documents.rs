//! The two documents that the publisher leaves for others: the state and the catalog.

use metainfo::catalog::Catalog;
use metainfo::name;
use metainfo::state::State;

/// A state that is accepted means the same when written again, and none of its paths leaves `out/`.
pub fn state(data: &[u8]) {
    let Ok(state) = State::parse(data) else {
        return;
    };
    for torrent in &state.torrents {
        let files = torrent.files.iter().map(|file| &file.path);
        for path in [&torrent.torrent, &torrent.data].into_iter().chain(files) {
            assert!(
                path.split('/').all(|part| name::check(part).is_ok()),
                "{path:?}"
            );
        }
    }
    let bytes = state.to_bytes();
    let again = State::parse(&bytes).expect("our own document can be read");
    assert_eq!(again, state);
    assert_eq!(again.to_bytes(), bytes);
}

/// A catalog that is accepted means the same when written again, and its serial moves with its content.
pub fn catalog(data: &[u8]) {
    let Ok(catalog) = Catalog::parse(data) else {
        return;
    };
    let bytes = catalog.to_bytes();
    let again = Catalog::parse(&bytes).expect("our own document can be read");
    assert_eq!(again, catalog);
    assert_eq!(again.to_bytes(), bytes);
    assert_eq!(again.following(Some(&catalog)), catalog, "nothing changed");
    let mut other = catalog.clone();
    other.channel.title.push('!');
    let following = other.following(Some(&catalog));
    // The last serial there is can't rise, and must not stop the publisher either.
    assert!(
        following.serial > catalog.serial || catalog.serial == u64::MAX,
        "something changed"
    );
}
