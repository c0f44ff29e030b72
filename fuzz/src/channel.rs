//! `channel.toml`, read from a folder as the publisher does.

use publisher::channel::{Channel, FILE_NAME};
use std::cell::OnceCell;
use tempfile::TempDir;

thread_local! {
    static CLIPS: OnceCell<TempDir> = const { OnceCell::new() };
}

/// What was understood can stand in pages, torrents and style sheets; what was not names the file.
pub fn channel(data: &[u8]) {
    let read = CLIPS.with(|clips| {
        let clips = clips.get_or_init(|| tempfile::tempdir().expect("a folder for clips"));
        std::fs::write(clips.path().join(FILE_NAME), data).expect("room for a small file");
        Channel::read(clips.path())
    });
    let channel = match read {
        Ok(channel) => channel,
        Err(error) => {
            assert!(error.to_string().contains(FILE_NAME), "{error}");
            return;
        }
    };
    let urls = [&channel.base_url, &channel.seeder_url]
        .into_iter()
        .flatten();
    for url in urls.chain(&channel.web_seeds) {
        assert!(
            url.starts_with("http://") || url.starts_with("https://"),
            "{url}"
        );
        assert!(url.ends_with('/'), "{url}");
        assert!(
            !url.contains(|c: char| c.is_whitespace() || c.is_control()),
            "{url:?}"
        );
        assert!(!url.contains(['"', '\'', '<', '>', ';']), "{url}");
    }
    for link in &channel.links {
        assert!(link.url.starts_with("http"), "{}", link.url);
    }
    for tracker in channel.trackers.iter().flatten() {
        assert!(tracker.contains("://"), "{tracker}");
        assert!(!tracker.contains(char::is_control), "{tracker:?}");
    }
    if let Some(logo) = &channel.logo {
        assert_eq!(metainfo::name::check(logo), Ok(()));
    }
    crate::front_matter::check_heights(&channel.renditions);
    let accent = channel.theme.accent.strip_prefix('#').expect("a colour");
    assert!(accent.len() == 6 && accent.bytes().all(|b| b.is_ascii_hexdigit()));
    assert!(["auto", "light", "dark"].contains(&channel.theme.scheme.as_str()));
    if let Some(length) = channel.piece_length {
        assert!(length.is_power_of_two());
    }
}
