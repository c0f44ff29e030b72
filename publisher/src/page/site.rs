//! One channel's pages: every way from views to files of the site.

use std::io;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tera::{Context, Value};

use super::assets::Assets;
use super::colour::{is_colour, theme_css};
use super::render::{Renderer, at, template_error};
use super::sheets::{self, Listed, Place, Sheet, SheetKind, index_folder};
use super::stage::{PlayerData, buttons, stage};
use super::view::{ChannelView, FeedView, ItemView, PageView, PagerView, ReleaseView, ThemeView};
use super::{Page, PageError, escape, feeds, json_feed, security, sitemap};

/// One channel's pages, feeds and assets. What is the same on all of them is made once.
pub struct Site<'r> {
    renderer: &'r Renderer,
    channel: ChannelView,
    generator: String,
    channel_value: Value,
    assets: Assets,
    policy: String,
    fingerprint: u64,
}

impl<'r> Site<'r> {
    pub(super) fn new(renderer: &'r Renderer, channel: ChannelView, generator: &str) -> Site<'r> {
        let assets = Assets::of(&channel);
        let mut hash = Sha256::new();
        hash.update(renderer.theme);
        hash.update(&assets.folder);
        hash.update(generator);
        serde_json::to_writer(HashWriter(&mut hash), &channel).expect("a channel is texts");
        let hash = hash.finalize();
        Site {
            renderer,
            channel_value: Value::from_serializable(&channel),
            policy: security::content_security_policy(&channel, []),
            generator: generator.to_owned(),
            fingerprint: u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes")),
            assets,
            channel,
        }
    }

    /// Differs when anything differs that all pages show: the channel, its addresses, the theme, the
    /// program. Then every release's page is to be made anew; the keys of sheets have it in them.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// A release's own files: its page, and beside it what follows from the view alone (chapters for
    /// podcast readers, an album's feed, a style sheet for its own colour).
    ///
    /// # Errors
    /// When the slug can't be a folder's name or a template stumbles.
    pub fn release(&self, release: &ReleaseView) -> Result<Vec<Page>, PageError> {
        check_slug(&release.slug, &release.title)?;
        let folder = format!("r/{}/", release.slug);
        let mut pages = Vec::new();
        let mut page = self.page("../../", Some(&folder));
        page.title = format!("{} · {}", release.title, self.channel.title);
        page.description = release.excerpt.clone();
        page.noindex = release.unlisted;
        let files = release
            .renditions
            .iter()
            .flat_map(|rendition| &rendition.files);
        page.policy =
            security::content_security_policy(&self.channel, files.map(|file| file.url.as_str()));
        let (template, og_type) = match release.kind.as_str() {
            "clip" => ("clip.html", "video.other"),
            "album" => ("album.html", "music.album"),
            _ => ("download.html", "website"),
        };
        page.og_type = og_type;
        page.image = feeds::raster_poster(&release.poster)
            .zip(self.channel.base_url.as_deref())
            .map(|(poster, base)| at(poster, base));
        if let Some(style) = self.own_style(release) {
            // Named by its content, so that a browser that keeps it keeps the right one.
            let name = format!("theme-{}.css", &hex(&Sha256::digest(&style))[..8]);
            pages.push(Page {
                path: format!("{folder}{name}"),
                bytes: style.into_bytes(),
            });
            page.own_style = Some(name);
        }
        if !release.chapters.is_empty() {
            pages.push(Page {
                path: format!("{folder}chapters.json"),
                bytes: json_feed::chapters(release),
            });
        }
        if feeds::has_track_feed(release) {
            page.own_feed = Some("feed.xml");
            let (feed, items) = feeds::track_feed(&self.channel, release);
            pages.push(self.feed("feed.xml", feeds::track_feed_path(release), &feed, &items)?);
        }
        let data = PlayerData::of(release, &self.channel, &page.root);
        let player_data = escape::script_json(&data).map_err(|source| PageError::PlayerData {
            slug: release.slug.clone(),
            source,
        })?;
        let mut context = self.context(&page);
        context.insert("release", release);
        context.insert("stage", &stage(release));
        context.insert("buttons", &buttons(release));
        context.insert("player_data", &player_data);
        pages.push(self.render(template, format!("{folder}index.html"), &context)?);
        Ok(pages)
    }

    /// The page of a slug that a release had before: it leads to where the release is now.
    ///
    /// # Errors
    /// When a slug can't be a folder's name or a template stumbles.
    pub fn redirect(&self, from_slug: &str, to_slug: &str, title: &str) -> Result<Page, PageError> {
        check_slug(from_slug, title)?;
        check_slug(to_slug, title)?;
        let target = format!("r/{to_slug}/");
        let mut page = self.page("../../", Some(&target));
        page.title = format!("{title} · {}", self.channel.title);
        page.noindex = true;
        let mut context = self.context(&page);
        context.insert(
            "moved_to",
            &Moved {
                title,
                url: &format!("../../{target}"),
            },
        );
        self.render(
            "redirect.html",
            format!("r/{from_slug}/index.html"),
            &context,
        )
    }

    /// What follows from the channel alone: the page for missing pages, `robots.txt`, assets.
    ///
    /// # Errors
    /// When a template stumbles.
    pub fn fixed(&self) -> Result<Vec<Page>, PageError> {
        let mut page = self.page(&site_path(&self.channel), None);
        page.title = format!("Not found · {}", self.channel.title);
        page.noindex = true;
        let missing = self.render("404.html", "404.html".to_owned(), &self.context(&page))?;
        let mut pages = vec![missing, self.robots()];
        pages.extend(self.assets.pages());
        Ok(pages)
    }

    /// Which pages and feeds show these releases, which stand newest first.
    pub fn plan(&self, listed: &[Listed]) -> Vec<Sheet> {
        sheets::plan(listed, self.fingerprint, self.channel.base_url.is_some())
    }

    /// One of the planned sheets; `views` are those of `listed[sheet.members]`, newest first, or empty where
    /// the sheet needs none.
    ///
    /// # Errors
    /// When a template stumbles.
    pub fn sheet(
        &self,
        sheet: &Sheet,
        listed: &[Listed],
        views: &[ReleaseView],
    ) -> Result<Page, PageError> {
        let path = sheet.path.clone();
        let page = |bytes| Page {
            path: sheet.path.clone(),
            bytes,
        };
        match &sheet.kind {
            SheetKind::Index(place) => self.index(path, place, views),
            SheetKind::Feed(place) => {
                let feed = feeds::archive_head(&self.channel, place, views);
                let items = feeds::media_items(&self.channel, views);
                self.feed("feed.xml", path, &feed, &items)
            }
            SheetKind::Torrents => {
                let feed = feeds::head(&self.channel, &path, views);
                let items = feeds::torrent_items(&self.channel, views);
                self.feed("torrents.xml", path, &feed, &items)
            }
            SheetKind::JsonFeed => Ok(page(json_feed::json_feed(&self.channel, views))),
            SheetKind::Sitemap => {
                let base = self.channel.base_url.as_deref().unwrap_or_default();
                let members = listed.get(sheet.members.clone()).unwrap_or_default();
                Ok(page(sitemap::sitemap(base, members)))
            }
        }
    }

    fn index(&self, path: String, place: &Place, views: &[ReleaseView]) -> Result<Page, PageError> {
        let folder = place.number.map(index_folder);
        let root = if folder.is_some() { "../../" } else { "./" };
        let mut page = self.page(root, Some(folder.as_deref().unwrap_or_default()));
        page.title = match place.number {
            Some(number) => format!("Page {number} · {}", self.channel.title),
            None => self.channel.title.clone(),
        };
        page.description = self.channel.description.clone();
        let newer = place.newer.map(index_folder);
        let pager = PagerView {
            number: place.number,
            newer: place.number.map(|_| newer.unwrap_or_default()),
            older: place.older.map(index_folder),
        };
        let mut context = self.context(&page);
        context.insert("releases", views);
        context.insert("pager", &pager);
        self.render("index.html", path, &context)
    }

    fn feed(
        &self,
        template: &str,
        path: String,
        feed: &FeedView,
        items: &[ItemView],
    ) -> Result<Page, PageError> {
        let mut context = self.context(&self.page("", None));
        context.insert("feed", feed);
        context.insert("items", items);
        self.render(template, path, &context)
    }

    /// The palette made from a release's own accent.
    fn own_style(&self, release: &ReleaseView) -> Option<String> {
        let accent = release
            .accent
            .as_deref()
            .filter(|accent| is_colour(accent))?;
        (accent != self.channel.theme.accent).then(|| {
            theme_css(&ThemeView {
                accent: accent.to_owned(),
                scheme: self.channel.theme.scheme.clone(),
            })
        })
    }

    /// Unlisted releases are not named here: a list of what not to look at is a list.
    fn robots(&self) -> Page {
        let mut text = "User-agent: *\nAllow: /\n".to_owned();
        if let Some(base) = &self.channel.base_url {
            let base: String = base.chars().filter(|c| !c.is_control()).collect();
            text.push_str(&format!("\nSitemap: {base}sitemap.xml\n"));
        }
        Page {
            path: "robots.txt".to_owned(),
            bytes: text.into_bytes(),
        }
    }

    /// A page whose words are still to be filled in; `path` is its own place, if it has one.
    fn page(&self, root: &str, path: Option<&str>) -> PageView {
        let channel = &self.channel;
        PageView {
            root: root.to_owned(),
            assets: format!("{root}{}", self.assets.folder),
            title: String::new(),
            description: String::new(),
            canonical: path
                .zip(channel.base_url.as_deref())
                .map(|(path, base)| at(path, base)),
            image: None,
            own_style: None,
            own_feed: None,
            og_type: "website",
            noindex: false,
            direction: direction(&channel.language),
            color_scheme: match channel.theme.scheme.as_str() {
                "light" => "light",
                "dark" => "dark",
                _ => "light dark",
            },
            policy: self.policy.clone(),
        }
    }

    fn context(&self, page: &PageView) -> Context {
        let mut context = Context::new();
        context.insert_value("channel", self.channel_value.clone());
        context.insert("generator", &self.generator);
        context.insert("page", page);
        context
    }

    fn render(&self, template: &str, path: String, context: &Context) -> Result<Page, PageError> {
        let text = self
            .renderer
            .tera
            .render(template, context)
            .map_err(template_error)?;
        Ok(Page {
            path,
            bytes: text.into_bytes(),
        })
    }
}

/// Where a release has gone. In templates: `moved_to`.
#[derive(Serialize)]
struct Moved<'a> {
    title: &'a str,
    url: &'a str,
}

/// Hashes what is written to it.
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn check_slug(slug: &str, title: &str) -> Result<(), PageError> {
    if is_folder_name(slug) {
        Ok(())
    } else {
        Err(PageError::Slug {
            title: title.to_owned(),
            slug: slug.to_owned(),
        })
    }
}

/// The path part of `base_url`, `/` without one: the root as seen from a page of unknown depth.
fn site_path(channel: &ChannelView) -> String {
    let path = channel
        .base_url
        .as_deref()
        .and_then(|base| base.split_once("://"))
        .and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    path.unwrap_or("/").to_owned()
}

fn is_folder_name(slug: &str) -> bool {
    !slug.is_empty()
        && !slug.starts_with('.')
        && slug
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Writing direction of a BCP 47 tag.
fn direction(language: &str) -> &'static str {
    let mut parts = language.split('-');
    let primary = parts.next().unwrap_or_default().to_ascii_lowercase();
    let script = parts
        .next()
        .filter(|part| part.len() == 4)
        .map(str::to_ascii_lowercase);
    let is_rtl = match script.as_deref() {
        Some(script) => ["arab", "hebr", "thaa", "syrc", "nkoo", "adlm"].contains(&script),
        None => {
            ["ar", "dv", "fa", "he", "ku", "ps", "sd", "ug", "ur", "yi"].contains(&primary.as_str())
        }
    };
    if is_rtl { "rtl" } else { "ltr" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_directions() {
        for (tag, dir) in [
            ("en", "ltr"),
            ("ar", "rtl"),
            ("he-IL", "rtl"),
            ("uz-Arab", "rtl"),
            ("ku-Latn-TR", "ltr"),
            ("", "ltr"),
        ] {
            assert_eq!(direction(tag), dir, "{tag}");
        }
    }

    #[test]
    fn slugs_stay_in_their_folder() {
        assert!(is_folder_name("test-drive_2.1") && is_folder_name("über"));
        for bad in [
            "", ".", "..", "a/b", "a\\b", ".hidden", "a b", "a\0", "a%2e", "a?b",
        ] {
            assert!(!is_folder_name(bad), "{bad}");
        }
    }
}
