//! An album as a feed of its own: every track an item, in the words that music players know.

use uuid::Uuid;

use super::item::{content, enclosure_of, item};
use super::{head, public_root, raster_poster};
use crate::page::labels::whole_seconds;
use crate::page::render::at;
use crate::page::view::{
    ChannelView, CreditView, FeedView, FileView, ItemView, ReleaseView, RenditionView,
};

/// Whether the release has a feed of its own: an album with something to hear.
pub(in crate::page) fn has_track_feed(release: &ReleaseView) -> bool {
    release.kind == "album" && tracks(release).next().is_some()
}

/// That feed's place.
pub(in crate::page) fn track_feed_path(release: &ReleaseView) -> String {
    format!("r/{}/feed.xml", release.slug)
}

fn tracks(release: &ReleaseView) -> impl Iterator<Item = (&RenditionView, &FileView)> {
    release.renditions.iter().take(1).flat_map(|rendition| {
        let audio = rendition
            .files
            .iter()
            .filter(|file| file.mime.starts_with("audio/"));
        audio.map(move |file| (rendition, file))
    })
}

/// Head and items of an album's feed.
pub(in crate::page) fn track_feed(
    channel: &ChannelView,
    release: &ReleaseView,
) -> (FeedView, Vec<ItemView>) {
    let root = public_root(channel);
    let page = at(&format!("r/{}/", release.slug), root);
    let mut feed = head(
        channel,
        &track_feed_path(release),
        std::slice::from_ref(release),
    );
    feed.title = release.title.clone();
    if !release.excerpt.is_empty() {
        feed.description = release.excerpt.clone();
    }
    let artists: Vec<&str> = release
        .people
        .iter()
        .filter(|person| person.role.is_none())
        .map(|person| person.name.as_str())
        .collect();
    if !artists.is_empty() {
        feed.author = artists.join(", ");
    }
    feed.medium = "music".to_owned();
    feed.order = "serial";
    feed.home = page;
    feed.image = raster_poster(&release.poster)
        .map(|poster| at(poster, root))
        .or(feed.image);
    let items = tracks(release)
        .enumerate()
        .map(|(index, (rendition, file))| {
            let mut item = item(channel, release, enclosure_of(file, root));
            item.title = file.title.clone();
            item.description = match &file.artist {
                Some(artist) => format!("{} · {artist}", file.title),
                None => file.title.clone(),
            };
            item.html = String::new();
            item.guid = track_guid(&item.guid, &file.path);
            item.guid_is_link = false;
            item.duration_s = file.duration_s.map(whole_seconds);
            item.episode = Some(index + 1);
            item.chapters = None;
            item.transcripts = Vec::new();
            if let Some(artist) = &file.artist {
                item.people.insert(
                    0,
                    CreditView {
                        name: artist.clone(),
                        role: "artist".to_owned(),
                    },
                );
            }
            item.contents = vec![content(rendition, file, file, root)];
            item
        });
    (feed, items.collect())
}

/// What never changes about a track: its file's name in its album.
fn track_guid(album: &str, path: &str) -> String {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, album.as_bytes());
    Uuid::new_v5(&namespace, path.as_bytes()).to_string()
}
