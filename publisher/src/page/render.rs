//! The renderer: a theme's templates, parsed once, and the walk from a [`SiteView`] to every file.

use std::collections::BTreeMap;

use serde::Serialize;
use tera::{Context, ErrorKind, Kwargs, State, Tera, TeraResult, Value};

use super::assets::{Assets, embedded_templates};
use super::view::{
    ButtonView, ChannelView, PageView, ReleaseView, SiteView, SourceView, StageView,
};
use super::{Page, PageError, escape, feeds, labels, security};

/// The templates every theme must have.
const REQUIRED: [&str; 8] = [
    "404.html",
    "album.html",
    "clip.html",
    "download.html",
    "feed.xml",
    "index.html",
    "sitemap.xml",
    "torrents.xml",
];

/// Makes pages from view structs. Costly to make (it parses the templates), cheap to use again.
#[derive(Debug)]
pub struct Renderer {
    tera: Tera,
}

impl Renderer {
    /// With the built-in theme.
    ///
    /// # Errors
    /// Only when a template of the theme is broken, which the tests would have shown.
    pub fn new() -> Result<Renderer, PageError> {
        Renderer::with_templates(embedded_templates())
    }

    /// With these templates: name (`index.html`, `parts/card.html`) and text.
    fn with_templates(templates: Vec<(String, String)>) -> Result<Renderer, PageError> {
        let mut tera = Tera::new();
        tera.set_escape_fn(escape::write_escaped);
        tera.register_filter("at", at_filter);
        tera.register_filter("bytes", |bytes: u64, _: Kwargs, _: &State<'_>| {
            labels::bytes_label(bytes)
        });
        tera.register_filter("iso_duration", |s: f64, _: Kwargs, _: &State<'_>| {
            labels::duration_iso(s)
        });
        tera.add_raw_templates(templates).map_err(template_error)?;
        for template in REQUIRED {
            if !tera.contains_template(template) {
                return Err(PageError::MissingTemplate { template });
            }
        }
        Ok(Renderer { tera })
    }

    /// Every file of the site but posters, captions, torrents and the catalog, sorted by path.
    ///
    /// # Errors
    /// When two releases want one page, a slug can't be a folder's name, or a template stumbles.
    pub fn render(&self, site: &SiteView) -> Result<Vec<Page>, PageError> {
        let assets = Assets::of(&site.channel);
        let walk = Walk {
            tera: &self.tera,
            site,
            policy: security::content_security_policy(site),
            asset_folder: assets.folder.clone(),
            channel: Value::from_serializable(&site.channel),
        };
        let mut pages = BTreeMap::new();
        let mut add = |page: Page| match pages.insert(page.path.clone(), page.bytes) {
            None => Ok(()),
            Some(_) => Err(PageError::TwoPages { path: page.path }),
        };
        add(walk.index()?)?;
        add(walk.missing()?)?;
        for release in &site.releases {
            add(walk.release(release)?)?;
        }
        add(walk.feed("feed.xml", &feeds::media_items(site))?)?;
        add(walk.feed("torrents.xml", &feeds::torrent_items(site))?)?;
        add(walk.robots())?;
        if let Some(sitemap) = walk.sitemap()? {
            add(sitemap)?;
        }
        for page in assets.into_pages() {
            add(page)?;
        }
        Ok(pages
            .into_iter()
            .map(|(path, bytes)| Page { path, bytes })
            .collect())
    }
}

/// One run over one site.
struct Walk<'a> {
    tera: &'a Tera,
    site: &'a SiteView,
    policy: String,
    asset_folder: String,
    channel: Value,
}

impl Walk<'_> {
    fn index(&self) -> Result<Page, PageError> {
        let channel = &self.site.channel;
        let mut page = self.page("./", Some(""));
        page.title = channel.title.clone();
        page.description = channel.description.clone();
        let mut context = self.context(&page);
        context.insert("releases", &self.public());
        self.render("index.html", "index.html".to_owned(), &context)
    }

    fn missing(&self) -> Result<Page, PageError> {
        let mut page = self.page(&site_path(&self.site.channel), None);
        page.title = format!("Not found · {}", self.site.channel.title);
        page.noindex = true;
        self.render("404.html", "404.html".to_owned(), &self.context(&page))
    }

    fn release(&self, release: &ReleaseView) -> Result<Page, PageError> {
        if !is_folder_name(&release.slug) {
            return Err(PageError::Slug {
                title: release.title.clone(),
                slug: release.slug.clone(),
            });
        }
        let folder = format!("r/{}/", release.slug);
        let mut page = self.page("../../", Some(&folder));
        page.title = format!("{} · {}", release.title, self.site.channel.title);
        page.description = release.excerpt.clone();
        page.noindex = release.unlisted;
        let (template, og_type) = match release.kind.as_str() {
            "clip" => ("clip.html", "video.other"),
            "album" => ("album.html", "music.album"),
            _ => ("download.html", "website"),
        };
        page.og_type = og_type;
        if !release.poster.placeholder {
            page.image = self
                .site
                .channel
                .base_url
                .as_deref()
                .map(|base| at(&release.poster.url, base));
        }
        let player_data = escape::script_json(&PlayerData::of(release, self.site, &page.root))
            .map_err(|source| PageError::PlayerData {
                slug: release.slug.clone(),
                source,
            })?;
        let mut context = self.context(&page);
        context.insert("release", release);
        context.insert("stage", &stage(release));
        context.insert("buttons", &buttons(release));
        context.insert("player_data", &player_data);
        self.render(template, format!("{folder}index.html"), &context)
    }

    fn feed(&self, path: &'static str, items: &[super::view::ItemView]) -> Result<Page, PageError> {
        let mut context = self.context(&self.page("", None));
        context.insert("feed", &feeds::head(self.site, path));
        context.insert("items", items);
        self.render(path, path.to_owned(), &context)
    }

    fn sitemap(&self) -> Result<Option<Page>, PageError> {
        let Some(base) = &self.site.channel.base_url else {
            return Ok(None);
        };
        let mut context = self.context(&self.page(base, None));
        context.insert("releases", &self.public());
        self.render("sitemap.xml", "sitemap.xml".to_owned(), &context)
            .map(Some)
    }

    /// Unlisted releases are not named here: a list of what not to look at is a list.
    fn robots(&self) -> Page {
        let mut text = "User-agent: *\nAllow: /\n".to_owned();
        if let Some(base) = &self.site.channel.base_url {
            let base: String = base.chars().filter(|c| !c.is_control()).collect();
            text.push_str(&format!("\nSitemap: {base}sitemap.xml\n"));
        }
        Page {
            path: "robots.txt".to_owned(),
            bytes: text.into_bytes(),
        }
    }

    fn public(&self) -> Vec<&ReleaseView> {
        self.site
            .releases
            .iter()
            .filter(|release| !release.unlisted)
            .collect()
    }

    /// A page whose words are still to be filled in; `path` is its own place, if it has one.
    fn page(&self, root: &str, path: Option<&str>) -> PageView {
        let channel = &self.site.channel;
        PageView {
            root: root.to_owned(),
            assets: format!("{root}{}", self.asset_folder),
            title: String::new(),
            description: String::new(),
            canonical: path
                .zip(channel.base_url.as_deref())
                .map(|(path, base)| at(path, base)),
            image: None,
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
        context.insert_value("channel", self.channel.clone());
        context.insert("generator", &self.site.generator);
        context.insert("page", page);
        context
    }

    fn render(&self, template: &str, path: String, context: &Context) -> Result<Page, PageError> {
        let text = self
            .tera
            .render(template, context)
            .map_err(template_error)?;
        Ok(Page {
            path,
            bytes: text.into_bytes(),
        })
    }
}

/// What the player's scripts need, as JSON in the page; URLs relative to the page or absolute. Text for
/// people is not here: scripts take it from the page, where it stands already.
#[derive(Serialize)]
struct PlayerData<'a> {
    kind: &'a str,
    seeder: Option<&'a str>,
    renditions: Vec<PlayerRendition<'a>>,
}

#[derive(Serialize)]
struct PlayerRendition<'a> {
    name: &'a str,
    id: &'a str,
    info_hash_v1: Option<&'a str>,
    torrent: String,
    bytes: u64,
    files: Vec<PlayerFile<'a>>,
}

#[derive(Serialize)]
struct PlayerFile<'a> {
    url: String,
    bytes: u64,
    mime: &'a str,
    playable: bool,
}

impl<'a> PlayerData<'a> {
    fn of(release: &'a ReleaseView, site: &'a SiteView, root: &str) -> PlayerData<'a> {
        let renditions = release.renditions.iter().map(|rendition| PlayerRendition {
            name: &rendition.name,
            id: &rendition.id,
            info_hash_v1: rendition.info_hash_v1.as_deref(),
            torrent: at(&rendition.torrent_url, root),
            bytes: rendition.bytes,
            files: rendition
                .files
                .iter()
                .map(|file| PlayerFile {
                    url: at(&file.url, root),
                    bytes: file.bytes,
                    mime: &file.mime,
                    playable: file.playable,
                })
                .collect(),
        });
        PlayerData {
            kind: &release.kind,
            seeder: site.channel.seeder_url.as_deref(),
            renditions: renditions.collect(),
        }
    }
}

/// What plays on a clip's page.
fn stage(release: &ReleaseView) -> StageView {
    let sources: Vec<SourceView> = release
        .renditions
        .iter()
        .filter_map(|rendition| rendition.files.iter().find(|file| file.playable))
        .map(|file| SourceView {
            url: file.url.clone(),
            mime: file.mime.clone(),
        })
        .collect();
    let moving = sources
        .iter()
        .any(|source| !source.mime.starts_with("audio/"));
    // Browsers show captions over a video element only.
    let element = match sources.is_empty() {
        true => "none",
        false if moving || !release.captions.is_empty() => "video",
        false => "audio",
    };
    StageView { element, sources }
}

/// The obvious ways to get a download: its only file, or the one that is most of it, by HTTP, which
/// everybody's browser can do; the two or three that are it together (one for each system, say); all of
/// it by BitTorrent when none stands out.
pub(super) fn buttons(release: &ReleaseView) -> Vec<ButtonView> {
    let Some(rendition) = release.renditions.first() else {
        return Vec::new();
    };
    let share = |bytes: u64| u128::from(bytes) * 100 / u128::from(rendition.bytes.max(1));
    let files = || rendition.files.iter();
    let most = files().find(|file| files().count() == 1 || share(file.bytes) >= 60);
    let large = || files().filter(|file| share(file.bytes) >= 25);
    let picked: Vec<_> = match most {
        Some(file) => vec![file],
        None if share(large().map(|file| file.bytes).sum()) >= 75 => large().collect(),
        None => Vec::new(),
    };
    if picked.is_empty() {
        return vec![ButtonView {
            way: "torrent",
            url: rendition.torrent_url.clone(),
            name: release.title.clone(),
            bytes_label: rendition.bytes_label.clone(),
        }];
    }
    picked
        .into_iter()
        .map(|file| ButtonView {
            way: "file",
            url: file.url.clone(),
            name: file.title.clone(),
            bytes_label: file.bytes_label.clone(),
        })
        .collect()
}

/// A URL seen from elsewhere: below `base`, unless it is absolute already.
pub(super) fn at(url: &str, base: &str) -> String {
    let is_absolute = ["http://", "https://"].iter().any(|scheme| {
        url.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    });
    if is_absolute {
        url.to_owned()
    } else {
        format!("{base}{url}")
    }
}

fn at_filter(url: &str, kwargs: Kwargs, _: &State<'_>) -> TeraResult<String> {
    Ok(at(url, kwargs.must_get::<&str>("base")?))
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

/// Tera's errors print a many-line report with the source; ours is one line with the place.
fn template_error(error: tera::Error) -> PageError {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => PageError::Template {
            template: report.filename().to_owned(),
            line: report.span().start_line,
            message: report.message().lines().collect::<Vec<_>>().join(" "),
        },
        other => PageError::Templates {
            message: other.to_string().lines().collect::<Vec<_>>().join(" "),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_from_elsewhere() {
        assert_eq!(at("r/x/", "../../"), "../../r/x/");
        assert_eq!(at("https://a/b", "../../"), "https://a/b");
        assert_eq!(at("HTTP://a/b", "../../"), "HTTP://a/b");
        assert_eq!(at("é", "./"), "./é");
    }

    #[test]
    fn the_obvious_button() {
        #[track_caller]
        fn check(sizes: &[u64], buttons_wanted: &[(&str, &str)]) {
            use super::super::sample;
            let files = sizes.iter().enumerate().map(|(n, bytes)| {
                let name = format!("f{n}");
                sample::file(&name, &name, "application/octet-stream", *bytes, None)
            });
            let mut release = sample::download();
            release.renditions = vec![sample::rendition("source", "cc", files.collect())];
            let buttons = buttons(&release);
            let found: Vec<_> = buttons.iter().map(|b| (b.way, b.name.as_str())).collect();
            assert_eq!(found, buttons_wanted, "{sizes:?}");
        }
        check(&[0], &[("file", "f0")]);
        check(&[5], &[("file", "f0")]);
        check(&[1, 98, 1], &[("file", "f1")]);
        check(&[49, 2, 49], &[("file", "f0"), ("file", "f2")]);
        check(&[10; 10], &[("torrent", "Firmware 2.1")]);
        check(&[50, 10, 10, 10, 10, 10], &[("torrent", "Firmware 2.1")]);
        check(&[0, 0, 0], &[("torrent", "Firmware 2.1")]);
        check(
            &[u64::MAX / 2, u64::MAX / 2],
            &[("file", "f0"), ("file", "f1")],
        );
    }

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

    #[test]
    fn broken_templates_are_named_with_their_line() {
        let mut templates = embedded_templates();
        let index = templates
            .iter_mut()
            .find(|(name, _)| name == "index.html")
            .unwrap();
        index.1 = "fine\n{% if %}\n".to_owned();
        let error = Renderer::with_templates(templates.clone()).unwrap_err();
        assert!(
            matches!(&error, PageError::Template { template, line: 2, .. } if template == "index.html"),
            "{error}"
        );

        templates.retain(|(name, _)| name != "index.html");
        let error = Renderer::with_templates(templates.clone()).unwrap_err();
        assert_eq!(error.to_string(), "template index.html is missing");

        templates.push((
            "index.html".to_owned(),
            "{% extends \"nowhere.html\" %}".to_owned(),
        ));
        let error = Renderer::with_templates(templates).unwrap_err();
        assert!(
            error.to_string().contains("nowhere.html") && !error.to_string().contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_variable_is_named_with_its_line() {
        let mut templates = embedded_templates();
        templates.retain(|(name, _)| name != "404.html");
        templates.push((
            "404.html".to_owned(),
            "one\ntwo {{ channel.colour }}".to_owned(),
        ));
        let error = Renderer::with_templates(templates)
            .unwrap()
            .render(&super::super::sample::site())
            .unwrap_err();
        assert!(
            matches!(&error, PageError::Template { template, line: 2, .. } if template == "404.html"),
            "{error}"
        );
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
