//! Which pages show many releases, and which releases each one shows. Pure.
//!
//! Pages are numbered from the oldest release: page k shows the k-th [`INDEX_PAGE`] of them for ever, so
//! that a new release changes the front page and leaves all others alone. The front page shows what is
//! beyond the last full page, and that page: never fewer than a page, if there are as many.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::feeds::{is_video, raster_poster};
use super::view::ReleaseView;

/// Releases of one index page.
pub const INDEX_PAGE: usize = 48;
/// Items of one feed archive (RFC 5005), and of the feeds that have none.
pub const FEED_PAGE: usize = 100;
/// Releases in the sitemap: 50,000 URLs are the most that readers take, the front page is one of them.
const SITEMAP: usize = 49_999;

/// A public release, as far as planning needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// As [`ReleaseView::slug`].
    pub slug: String,
    /// As [`ReleaseView::published`].
    pub published: String,
    /// Differs when anything differs that a page shows of the release.
    pub fingerprint: u64,
    /// What the sitemap says of it.
    pub entry: SitemapEntry,
}

/// What the sitemap says of a release: little enough to be kept for all of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SitemapEntry {
    /// When its page last changed, RFC 3339.
    pub modified: String,
    /// Of a clip with a picture and a poster: what search engines want to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<SitemapVideo>,
}

/// A clip as video search sees it. URLs as in the view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SitemapVideo {
    /// Title.
    pub title: String,
    /// Plain text.
    pub description: String,
    /// A picture that isn't drawn.
    pub thumbnail: String,
    /// The file that plays.
    pub content: String,
    /// Length in seconds.
    pub duration_s: Option<f64>,
}

impl SitemapEntry {
    /// What the sitemap says of this release.
    pub fn of(view: &ReleaseView) -> Self {
        let playing = view
            .renditions
            .iter()
            .flat_map(|rendition| &rendition.files)
            .find(|file| file.playable && is_video(&file.mime));
        let video = playing
            .filter(|_| view.kind == "clip")
            .zip(raster_poster(&view.poster))
            .map(|(file, poster)| SitemapVideo {
                title: view.title.clone(),
                description: super::markdown::shortened(
                    if view.excerpt.is_empty() {
                        &view.title
                    } else {
                        &view.excerpt
                    },
                    500,
                ),
                thumbnail: poster.to_owned(),
                content: file.url.clone(),
                duration_s: view.duration_s,
            });
        SitemapEntry {
            modified: if view.updated.is_empty() {
                view.published.clone()
            } else {
                view.updated.clone()
            },
            video,
        }
    }
}

/// A file that shows many releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Where it goes, below `site/`.
    pub path: String,
    /// Which of the listed releases it shows.
    pub members: Range<usize>,
    /// The same key, the same bytes.
    pub key: u64,
    pub(super) kind: SheetKind,
}

impl Sheet {
    /// Whether the views of its members are needed to make it.
    pub fn needs_views(&self) -> bool {
        self.kind != SheetKind::Sitemap
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SheetKind {
    Index(Place),
    Feed(Place),
    Torrents,
    JsonFeed,
    Sitemap,
}

/// Where a page stands among its like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its number, from the oldest; the newest page, whose end is open, has none.
    pub(super) number: Option<usize>,
    /// Number of the page before it in time.
    pub(super) older: Option<usize>,
    /// Number of the page after it in time, where that isn't the newest.
    pub(super) newer: Option<usize>,
}

impl Place {
    /// This page's file: `newest`, or one made from the number.
    fn path(&self, newest: &str, numbered: impl Fn(usize) -> String) -> String {
        self.number.map_or_else(|| newest.to_owned(), numbered)
    }
}

/// Below the root, without the file's name.
pub(super) fn index_folder(number: usize) -> String {
    format!("p/{number}/")
}

pub(super) fn feed_archive(number: usize) -> String {
    format!("feed-{number}.xml")
}

/// Every sheet of these releases, which stand newest first. `site` is the fingerprint of what all pages
/// share.
pub(super) fn plan(listed: &[Listed], site: u64, with_sitemap: bool) -> Vec<Sheet> {
    let count = listed.len();
    let mut sheets = Vec::new();
    let mut add = |path: String, members: Range<usize>, kind: SheetKind| {
        let key = key(site, &path, &kind, &listed[members.clone()]);
        sheets.push(Sheet {
            path,
            members,
            key,
            kind,
        });
    };
    for (place, members) in pages(count, INDEX_PAGE) {
        let path = place.path("index.html", |k| format!("{}index.html", index_folder(k)));
        add(path, members, SheetKind::Index(place));
    }
    for (place, members) in pages(count, FEED_PAGE) {
        add(
            place.path("feed.xml", feed_archive),
            members,
            SheetKind::Feed(place),
        );
    }
    let newest = 0..count.min(FEED_PAGE);
    add("torrents.xml".into(), newest.clone(), SheetKind::Torrents);
    add("feed.json".into(), newest, SheetKind::JsonFeed);
    if with_sitemap {
        add(
            "sitemap.xml".into(),
            0..count.min(SITEMAP),
            SheetKind::Sitemap,
        );
    }
    sheets
}

/// The newest page first, then the others from the oldest on; members count from the newest release.
fn pages(count: usize, size: usize) -> Vec<(Place, Range<usize>)> {
    let full = count / size;
    let closed = full.saturating_sub(1);
    let newest = Place {
        number: None,
        older: (closed > 0).then_some(closed),
        newer: None,
    };
    let mut pages = vec![(newest, 0..count - closed * size)];
    pages.extend((1..=closed).map(|number| {
        let place = Place {
            number: Some(number),
            older: (number > 1).then(|| number - 1),
            newer: (number < closed).then_some(number + 1),
        };
        (place, count - number * size..count - (number - 1) * size)
    }));
    pages
}

/// Eight bytes of a hash: two of them are never equal by chance in a site's life.
fn key(site: u64, path: &str, kind: &SheetKind, members: &[Listed]) -> u64 {
    let mut hash = Sha256::new();
    let mut add = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    add(&site.to_be_bytes());
    add(path.as_bytes());
    // The neighbours, which a page links to.
    add(format!("{kind:?}").as_bytes());
    for member in members {
        add(member.slug.as_bytes());
        add(member.published.as_bytes());
        add(&member.fingerprint.to_be_bytes());
    }
    let hash = hash.finalize();
    u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn listed(count: usize) -> Vec<Listed> {
        (0..count).rev().map(release).collect()
    }

    fn release(number: usize) -> Listed {
        Listed {
            slug: format!("r{number}"),
            published: String::new(),
            fingerprint: number as u64,
            entry: SitemapEntry::default(),
        }
    }

    fn keys(listed: &[Listed]) -> BTreeMap<String, u64> {
        plan(listed, 1, true)
            .into_iter()
            .map(|sheet| (sheet.path, sheet.key))
            .collect()
    }

    fn is_index(sheet: &Sheet) -> bool {
        matches!(sheet.kind, SheetKind::Index(_))
    }

    fn is_feed(sheet: &Sheet) -> bool {
        matches!(sheet.kind, SheetKind::Feed(_))
    }

    #[test]
    fn pages_at_their_borders() {
        #[track_caller]
        fn check(count: usize, wanted: &[(&str, Range<usize>)]) {
            let sheets = plan(&listed(count), 1, false);
            let found: Vec<_> = sheets
                .iter()
                .filter(|sheet| is_index(sheet))
                .map(|sheet| (sheet.path.as_str(), sheet.members.clone()))
                .collect();
            assert_eq!(found, wanted, "{count}");
        }
        check(0, &[("index.html", 0..0)]);
        check(1, &[("index.html", 0..1)]);
        check(95, &[("index.html", 0..95)]);
        check(96, &[("index.html", 0..48), ("p/1/index.html", 48..96)]);
        check(
            150,
            &[
                ("index.html", 0..54),
                ("p/1/index.html", 102..150),
                ("p/2/index.html", 54..102),
            ],
        );
    }

    #[test]
    fn a_page_knows_its_neighbours() {
        let sheets = plan(&listed(48 * 5), 1, false);
        let places: Vec<_> = sheets
            .iter()
            .filter_map(|sheet| match &sheet.kind {
                SheetKind::Index(place) => Some((place.number, place.older, place.newer)),
                _ => None,
            })
            .collect();
        assert_eq!(
            places,
            [
                (None, Some(4), None),
                (Some(1), None, Some(2)),
                (Some(2), Some(1), Some(3)),
                (Some(3), Some(2), Some(4)),
                (Some(4), Some(3), None),
            ]
        );
    }

    #[test]
    fn the_sitemap_asks_for_no_views_and_only_with_an_address() {
        let with = plan(&listed(3), 1, true);
        let sitemap = with
            .iter()
            .find(|sheet| sheet.path == "sitemap.xml")
            .unwrap();
        assert!(!sitemap.needs_views());
        assert_eq!(with.iter().filter(|sheet| !sheet.needs_views()).count(), 1);
        assert!(
            !plan(&listed(3), 1, false)
                .iter()
                .any(|s| s.path == "sitemap.xml")
        );
    }

    #[test]
    fn what_all_pages_share_is_in_every_key() {
        let listed = listed(200);
        for (a, b) in plan(&listed, 1, true).iter().zip(plan(&listed, 2, true)) {
            assert_ne!(a.key, b.key, "{}", a.path);
        }
    }

    proptest! {
        // A plan of a thousand releases hashes each of them several times.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_release_on_one_index_page_and_in_one_feed(count in 0_usize..1200) {
            let sheets = plan(&listed(count), 1, true);
            for (of_kind, size) in [(is_index as fn(&Sheet) -> bool, INDEX_PAGE), (is_feed, FEED_PAGE)] {
                let mut seen = vec![0; count];
                for sheet in sheets.iter().filter(|sheet| of_kind(sheet)) {
                    let newest = !sheet.path.contains('-') && !sheet.path.contains('/');
                    if newest {
                        prop_assert!(sheet.members.len() < 2 * size);
                        prop_assert!(sheet.members.len() >= size.min(count));
                        prop_assert_eq!(sheet.members.start, 0);
                    } else {
                        prop_assert_eq!(sheet.members.len(), size);
                    }
                    for member in sheet.members.clone() {
                        seen[member] += 1;
                    }
                }
                prop_assert!(seen.iter().all(|times| *times == 1), "{seen:?}");
            }
        }

        #[test]
        fn a_new_release_leaves_old_pages_alone(count in 0_usize..700) {
            let (before, after) = (keys(&listed(count)), keys(&listed(count + 1)));
            let changed = before.iter().filter(|(path, key)| after.get(*path) != Some(*key)).count();
            // Five newest ones, and a page whose newer neighbour has become a page of its own.
            prop_assert!(changed <= 7, "{changed}");
            prop_assert!(before.keys().all(|path| after.contains_key(path)));
            if (count + 1) % INDEX_PAGE != 0 && (count + 1) % FEED_PAGE != 0 {
                prop_assert_eq!(changed, 5);
            }
        }

        #[test]
        fn an_edit_changes_the_sheets_that_show_it(count in 1_usize..700, edited in any::<prop::sample::Index>()) {
            let mut releases = listed(count);
            let before = plan(&releases, 1, true);
            let edited = edited.index(count);
            releases[edited].fingerprint ^= 1 << 40;
            for (old, new) in before.iter().zip(plan(&releases, 1, true)) {
                prop_assert_eq!(&old.path, &new.path);
                prop_assert_eq!(old.key != new.key, old.members.contains(&edited), "{}", old.path);
            }
        }
    }
}
