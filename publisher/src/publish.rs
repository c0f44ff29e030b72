//! One run: the clips folder as it is now → `out/` as it should be. The same run serves `build`,
//! `watch` and `up`; what is unchanged costs a `stat` and no read.
//!
//! Order: library, torrents, state, catalog, pages; then what is stale goes. A kill anywhere leaves
//! pages whose every link works, and loses nothing that was published.

use crate::channel::Channel;
use crate::error::{PublishError, ReleaseError};
use crate::folder::{self, FoundRelease};
use crate::page::Renderer;
use crate::page::view::{ReleaseView, SiteView};
use crate::plan::{Current, plan};
use crate::present::{self, PageFile};
use crate::probe::{ProbedRelease, probe};
use crate::report::Reporter;
use crate::seal::{Addresses, SealedRelease, reseal, seal};
use crate::site::Out;
use crate::{hash, prepare, slug};
use jiff::Timestamp;
use metainfo::catalog::{Catalog, CatalogRelease};
use metainfo::state::{SourceRecord, State, StateRelease, StateTorrent, Status};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Publishes one clips folder into one `out/`, as often as asked.
pub struct Publisher {
    clips: PathBuf,
    out: Out,
    bound: Option<String>,
    renderer: Renderer,
    reporter: Reporter,
    told: BTreeSet<String>,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Releases with a page now.
    pub releases: usize,
    /// Torrents that are new or changed.
    pub published: usize,
    /// Releases whose page went away.
    pub removed: usize,
    /// Releases that could not be published.
    pub problems: usize,
    /// Files of the site that were written.
    pub written: usize,
}

/// A release on its way into catalog and pages.
struct Entry {
    view: ReleaseView,
    catalog: CatalogRelease,
}

impl Publisher {
    /// Takes the folders. `bound` is the address of a seeder that runs in this process: it stands in
    /// torrents where the channel names none.
    pub fn open(
        clips: &Path,
        out: &Path,
        bound: Option<String>,
        reporter: Reporter,
    ) -> Result<Self, PublishError> {
        if !clips.is_dir() {
            let source = std::io::ErrorKind::NotADirectory.into();
            return Err(PublishError::Folder {
                doing: "read the clips folder",
                path: clips.to_owned(),
                source,
            });
        }
        let out = Out::open(out)?;
        Ok(Self {
            clips: clips.to_owned(),
            out,
            bound,
            renderer: Renderer::new()?,
            reporter,
            told: BTreeSet::new(),
        })
    }

    /// Brings `out/` in step with the clips folder.
    pub fn run(&mut self, now: Timestamp) -> Result<Summary, PublishError> {
        let channel = Channel::read(&self.clips)?;
        let addresses = Addresses {
            torrent: channel.seeder_url.clone().or_else(|| self.bound.clone()),
            page: channel.seeder_url.clone(),
        };
        let state = self.out.read_state()?;
        let previous = self.out.read_catalog()?;
        let reserved: Vec<&str> = channel.logo.as_deref().into_iter().collect();
        let listing = folder::list(&self.clips, &reserved)?;
        let mut problems: BTreeMap<String, ReleaseError> = listing.problems.into_iter().collect();
        let mut told = BTreeSet::new();
        for orphan in &listing.orphans {
            let message = format!(
                "{}: belongs to no release (a sidecar bears its name)",
                orphan.display()
            );
            self.tell(&mut told, "warning", &orphan.to_string_lossy(), &message);
        }

        let mut probed = Vec::new();
        for found in listing.releases {
            let source = found.source.clone();
            match probe(found) {
                Ok(release) if release.front.draft => {}
                Ok(release) => {
                    for warning in &release.warnings {
                        self.tell(&mut told, "warning", &source, warning);
                    }
                    probed.push(release);
                }
                Err(error) => {
                    problems.insert(source, error);
                }
            }
        }
        let mut sealed = Vec::new();
        for (slug, release) in with_slugs(probed, &state, &mut problems) {
            let source = release.found.source.clone();
            match self.make(release, sealed.len(), &state, &channel, &addresses) {
                Ok(release) => sealed.push((slug, release)),
                Err(error) => {
                    problems.insert(source, error);
                }
            }
        }
        for (source, error) in &problems {
            self.tell(&mut told, "error", source, &error.to_string());
        }
        self.told = told;

        let published = |sealed: &SealedRelease| published(sealed, &state, now);
        let current: Vec<Current> = sealed
            .iter()
            .map(|(slug, release)| current(slug, release, published(release)))
            .collect();
        let kept: BTreeSet<String> = problems.keys().cloned().collect();
        let grace_s = i64::try_from(channel.grace.as_secs()).unwrap_or(i64::MAX);
        let next = plan(&state, &current, &kept, now.as_second(), grace_s);

        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut entries = Vec::new();
        for (slug, release) in &sealed {
            let (view, beside) =
                present::release_view(release, slug, published(release), &channel, &addresses);
            let catalog = present::catalog_release(release, &view);
            files.extend(
                beside
                    .into_iter()
                    .map(|PageFile { path, bytes }| (path, bytes)),
            );
            files.insert(
                present::torrent_path(&release.id),
                release.torrent_bytes.clone(),
            );
            entries.push(Entry { view, catalog });
        }
        let kept_files = self.keep_entries(&state, &kept, previous.as_ref(), &mut entries);
        entries.sort_by(|a, b| {
            (&b.view.published, &a.view.slug).cmp(&(&a.view.published, &b.view.slug))
        });
        if let Some(logo) = channel.logo.as_deref() {
            match std::fs::read(self.clips.join(logo)) {
                Ok(bytes) => {
                    files.insert(logo.to_owned(), bytes);
                }
                Err(error) => self.reporter.problem(
                    "warning",
                    logo,
                    &format!("the logo `{logo}`: {error}; left out"),
                ),
            }
        }
        let catalog = Catalog {
            version: metainfo::state::VERSION,
            serial: 0,
            channel: present::catalog_channel(&channel),
            releases: entries
                .iter()
                .filter(|entry| !entry.view.unlisted)
                .map(|entry| entry.catalog.clone())
                .collect(),
        };
        let catalog = catalog.following(previous.as_ref());
        let mut channel_view = present::channel_view(&channel, &addresses);
        if !channel
            .logo
            .as_ref()
            .is_some_and(|logo| files.contains_key(logo))
        {
            channel_view.logo = None;
        }
        let site = SiteView {
            channel: channel_view,
            releases: entries.into_iter().map(|entry| entry.view).collect(),
            generator: concat!("Groundswell ", env!("CARGO_PKG_VERSION")).into(),
        };
        let pages = self.renderer.render(&site)?;
        files.extend(pages.into_iter().map(|page| (page.path, page.bytes)));

        let mut summary = self.write(&files, &kept_files, &next, &catalog)?;
        self.save_views(&site.releases)?;
        summary.releases = site.releases.len();
        summary.published = sealed
            .iter()
            .filter(|(_, release)| !release.unchanged)
            .count();
        summary.problems = problems.len();
        let shown: BTreeSet<&str> = site
            .releases
            .iter()
            .map(|view| view.slug.as_str())
            .collect();
        let had_page = |old: &&StateRelease| !old.torrents.is_empty();
        summary.removed = state
            .releases
            .iter()
            .filter(had_page)
            .filter(|old| !shown.contains(old.slug.as_str()))
            .count();
        for (slug, release) in sealed.iter().filter(|(_, release)| !release.unchanged) {
            let title = &release.probed.title;
            self.reporter.line(&format!(
                "  published  {}  r/{slug}/",
                crate::report::one_line(title)
            ));
            self.reporter.event(|| json!({
                "event": "published", "slug": slug, "title": title, "id": release.id, "page": format!("r/{slug}/"),
            }));
        }
        Ok(summary)
    }

    /// ProbedRelease → SealedRelease, by the short way where nothing changed.
    fn make(
        &self,
        probed: ProbedRelease,
        number: usize,
        state: &State,
        channel: &Channel,
        addresses: &Addresses,
    ) -> Result<SealedRelease, ReleaseError> {
        let layout = prepare::layout(&probed, channel)?;
        if let Some(sealed) = reseal(&probed, &layout, state, channel, addresses, self.out.root()) {
            return Ok(sealed);
        }
        let prepared = prepare::prepare(probed, layout, channel, &self.out.incoming(), number)?;
        let hashed = hash::hash(prepared, &self.reporter)?;
        seal(hashed, channel, addresses, &self.out.library())
    }

    /// Writes everything in the order that a kill can't harm, then removes what is stale.
    fn write(
        &self,
        files: &BTreeMap<String, Vec<u8>>,
        kept: &BTreeSet<String>,
        next: &State,
        catalog: &Catalog,
    ) -> Result<Summary, PublishError> {
        let mut all: BTreeSet<String> = files.keys().cloned().collect();
        all.extend(kept.iter().cloned());
        all.insert("catalog.json".to_owned());
        all.extend(
            next.torrents
                .iter()
                .filter(|t| t.status.is_seeded())
                .map(|t| present::torrent_path(&t.id)),
        );
        self.out.claim(&all)?;
        let mut summary = Summary::default();
        let mut write = |path: &str, bytes: &[u8]| -> Result<(), PublishError> {
            summary.written += usize::from(self.out.write_site(path, bytes)?);
            Ok(())
        };
        // Pages link to what stands before them here, and the index to pages.
        let rank = |path: &str| match path {
            path if path.starts_with("t/") => 0,
            path if !path.ends_with(".html") && !path.ends_with(".xml") => 2,
            path if path.starts_with("r/") => 3,
            _ => 4,
        };
        for (path, bytes) in files.iter().filter(|(path, _)| rank(path) == 0) {
            write(path, bytes)?;
        }
        self.out.write_state(next)?;
        write("catalog.json", &catalog.to_bytes())?;
        for wanted in 2..=4 {
            for (path, bytes) in files.iter().filter(|(path, _)| rank(path) == wanted) {
                write(path, bytes)?;
            }
        }
        self.out.keep_only(&all)?;
        let seeded: BTreeSet<&str> = next
            .torrents
            .iter()
            .filter(|torrent| torrent.status.is_seeded())
            .map(|torrent| torrent.id.as_str())
            .collect();
        self.out.keep_library(&seeded)?;
        Ok(summary)
    }

    /// What was published of a release that can't be published now stays as it was: its page, its place
    /// in index and catalog. Gives the files that must not be taken for stale.
    fn keep_entries(
        &self,
        state: &State,
        kept: &BTreeSet<String>,
        previous: Option<&Catalog>,
        entries: &mut Vec<Entry>,
    ) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        for release in state
            .releases
            .iter()
            .filter(|release| kept.contains(&release.source))
        {
            let taken = entries.iter().any(|entry| entry.view.slug == release.slug);
            let view = std::fs::read(self.view_path(&release.slug)).ok();
            let view = view.and_then(|bytes| serde_json::from_slice::<ReleaseView>(&bytes).ok());
            let Some(view) = view.filter(|_| !taken && !release.torrents.is_empty()) else {
                continue;
            };
            let listed = previous
                .and_then(|catalog| catalog.releases.iter().find(|old| old.slug == release.slug));
            let catalog = listed.cloned().unwrap_or_else(|| CatalogRelease {
                slug: view.slug.clone(),
                kind: view.kind.clone(),
                title: view.title.clone(),
                published: view.published.clone(),
                page: format!("r/{}/", view.slug),
                renditions: Vec::new(),
            });
            files.insert(view.poster.url.clone());
            files.extend(view.chapters_url.clone());
            files.extend(view.captions.iter().map(|caption| caption.url.clone()));
            entries.push(Entry { view, catalog });
        }
        files
    }

    fn view_path(&self, slug: &str) -> PathBuf {
        self.out.root().join("views").join(format!("{slug}.json"))
    }

    /// Remembers what pages showed, for a run in which a release can't be read.
    fn save_views(&self, views: &[ReleaseView]) -> Result<(), PublishError> {
        let mut names = BTreeSet::new();
        for view in views {
            let bytes = serde_json::to_vec(view).expect("a view always serialises");
            let path = self.view_path(&view.slug);
            store::write_if_changed(&path, &bytes)?;
            names.extend(path.file_name().map(std::ffi::OsStr::to_owned));
        }
        let folder = self.out.root().join("views");
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !names.contains(&entry.file_name()) {
                // What stays here by mistake is never shown: only releases in the state are.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Tells something once for as long as it stays so.
    fn tell(&self, told: &mut BTreeSet<String>, kind: &str, source: &str, message: &str) {
        if told.insert(message.to_owned()) && !self.told.contains(message) {
            self.reporter.problem(kind, source, message);
        }
    }
}

/// Gives every release its slug: what the publisher wrote, else what it had, else its name made safe.
fn with_slugs(
    probed: Vec<ProbedRelease>,
    state: &State,
    problems: &mut BTreeMap<String, ReleaseError>,
) -> Vec<(String, ProbedRelease)> {
    let remembered = |found: &FoundRelease| {
        state
            .releases
            .iter()
            .find(|release| release.source == found.source)
            .map(|release| release.slug.clone())
    };
    // Slugs of releases that are gone, or can't be read now, stay theirs.
    let mut owners: BTreeMap<String, String> = state
        .releases
        .iter()
        .map(|release| (release.slug.clone(), release.source.clone()))
        .collect();
    for release in &probed {
        if let Some(slug) = &release.front.slug {
            owners
                .entry(slug.clone())
                .or_insert_with(|| release.found.source.clone());
        }
    }
    let mut given = Vec::new();
    for release in probed {
        let source = release.found.source.clone();
        let wanted = release.front.slug.clone();
        let slug = match wanted.or_else(|| remembered(&release.found)) {
            Some(slug) => slug,
            None => {
                let taken: BTreeSet<String> = owners.keys().cloned().collect();
                let name = if release
                    .found
                    .files
                    .first()
                    .is_some_and(|file| file.path.is_empty())
                {
                    source
                        .rsplit_once('.')
                        .map_or(source.as_str(), |(stem, _)| stem)
                } else {
                    source.as_str()
                };
                slug::distinct(&slug::of(name), &taken)
            }
        };
        match owners.get(&slug) {
            Some(owner) if *owner != source => {
                let path = PathBuf::from(&source);
                problems.insert(
                    source,
                    ReleaseError::SlugTaken {
                        path,
                        slug,
                        other: owner.clone(),
                    },
                );
            }
            _ => {
                owners.insert(slug.clone(), source);
                given.push((slug, release));
            }
        }
    }
    given
}

/// The publisher's date, else when it was first published here, else when its newest file was written.
fn published(sealed: &SealedRelease, state: &State, now: Timestamp) -> Timestamp {
    let source = &sealed.probed.found.source;
    let remembered = || {
        let release = state
            .releases
            .iter()
            .find(|release| release.source == *source)?;
        release.first_published.parse().ok()
    };
    let written = || {
        let newest = sealed
            .probed
            .found
            .files
            .iter()
            .map(|file| file.stat.mtime_ns)
            .max()?;
        Timestamp::from_second(newest / 1_000_000_000).ok()
    };
    sealed
        .probed
        .front
        .published
        .or_else(remembered)
        .or_else(written)
        .unwrap_or(now)
}

fn current(slug: &str, sealed: &SealedRelease, published: Timestamp) -> Current {
    let found = &sealed.probed.found;
    let status = if sealed.probed.front.unlisted {
        Status::Unlisted
    } else {
        Status::Public
    };
    let torrent = StateTorrent {
        id: sealed.id.clone(),
        slug: slug.to_owned(),
        title: sealed.probed.title.clone(),
        status,
        until: None,
        torrent: format!("site/{}", present::torrent_path(&sealed.id)),
        data: format!("library/{}", sealed.id),
        info_hash_v1: sealed.torrent.info.info_hash_v1(),
        info_hash_v2: sealed.torrent.info.info_hash_v2(),
        files: sealed.files.clone(),
    };
    Current {
        slug: slug.to_owned(),
        source: found.source.clone(),
        first_published: published.to_string(),
        sources: found
            .files
            .iter()
            .map(|file| {
                // Linking into the library moved the change time, and nothing else.
                let now = store::stat_record(&file.location).ok();
                let now = now.filter(|now| now.same_content(&file.stat));
                SourceRecord {
                    path: file.path.join("/"),
                    stat: now.unwrap_or(file.stat),
                }
            })
            .collect(),
        torrents: vec![torrent],
    }
}
