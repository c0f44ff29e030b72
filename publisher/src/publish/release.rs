//! One release, from its files to its pages: probed, prepared, hashed, sealed, presented. What the last run
//! left of it and still holds is taken over without being read.

use super::Publisher;
use super::choose::Work;
use super::commit::Batches;
use super::look::{self, Look};
use crate::error::{PublishError, ReleaseError};
use crate::fingerprint::Fingerprint;
use crate::folder::FoundFile;
use crate::hash;
use crate::ledger::{Entry, Hold, Shown};
use crate::page::view::ReleaseView;
use crate::page::{Site, SitemapEntry};
use crate::plan::{Current, has_sources};
use crate::prepare::{self, Payload};
use crate::present::{self, PageFile, Placed};
use crate::probe::{MediaFile, ProbedRelease, probe};
use crate::seal::{SealedRelease, SealedRendition, reseal, seal};
use crate::wanted::{self, Absent, Extras, WantedRendition, Wishes};
use jiff::Timestamp;
use media::Plays;
use metainfo::catalog::CatalogRelease;
use metainfo::state::{SourceRecord, StateRelease, StateTorrent, Status};
use std::collections::BTreeSet;

/// A release that was made: what catalog, state and ledger are to say of it.
pub(super) struct Made {
    pub(super) entry: Entry,
    pub(super) current: Current,
    /// None for an unlisted one.
    pub(super) catalog: Option<CatalogRelease>,
    pub(super) title: String,
    /// Every torrent is that of the last run.
    pub(super) unchanged: bool,
    pub(super) warnings: Vec<String>,
}

/// Why a release was not made.
pub(super) enum Refused {
    /// Something is wrong with it.
    Problem(ReleaseError),
    /// It holds what was withdrawn; the ledger remembers that, so that it is not read in every run.
    Withdrawn(Box<Entry>),
}

impl From<ReleaseError> for Refused {
    fn from(error: ReleaseError) -> Self {
        Self::Problem(error)
    }
}

/// What it takes to make a release.
pub(super) struct Maker<'a> {
    pub(super) publisher: &'a Publisher,
    pub(super) look: &'a Look,
    pub(super) site: &'a Site<'a>,
    /// Slugs that releases have now.
    pub(super) live: &'a BTreeSet<String>,
    pub(super) now: Timestamp,
}

impl Maker<'_> {
    /// Makes it, and stages what is written of it.
    pub(super) fn make(
        &self,
        work: Work,
        batches: &mut Batches,
    ) -> Result<Result<Made, Refused>, PublishError> {
        let Work {
            found,
            fingerprint,
            front,
            slug,
            renamed_from,
            ..
        } = work;
        let before = self
            .look
            .release(renamed_from.as_ref().unwrap_or(&found.source));
        let mut wishes = Wishes::new(&self.publisher.derived);
        let sealed = probe(found, front)
            .map_err(Refused::from)
            .and_then(|probed| self.seal(probed, before, fingerprint, &slug, &mut wishes));
        let (sealed, note) = match sealed {
            Ok(sealed) => sealed,
            Err(refused) => return Ok(Err(refused)),
        };
        let probed = &sealed.probed;
        let published = published(probed, before, self.now);
        let placed = Placed {
            guid: before
                .and_then(|before| before.guid.clone())
                .unwrap_or_else(|| guid(&sealed.renditions[0].id, &slug)),
            slug,
            published,
        };
        let extras = self.extras(&sealed, note, &mut wishes);
        let (view, beside) = present::release_view(
            &sealed,
            &placed,
            &extras,
            &self.look.channel,
            &self.look.addresses,
        );
        let current = self.current(&sealed, &placed, before, renamed_from);
        let entry = self.stage(
            &sealed,
            &view,
            beside,
            &current,
            fingerprint,
            wishes.asked,
            batches,
        )?;
        let mut warnings = sealed.probed.warnings.clone();
        warnings.append(&mut wishes.warnings);
        Ok(Ok(Made {
            catalog: (!view.unlisted).then(|| present::catalog_release(&sealed, &view)),
            title: view.title,
            unchanged: sealed.unchanged,
            entry,
            current,
            warnings,
        }))
    }

    /// ProbedRelease → SealedRelease: the publisher's own files, then every other form that is there. Beside
    /// it stands what a page says where a clip doesn't play.
    fn seal(
        &self,
        mut probed: ProbedRelease,
        before: Option<&StateRelease>,
        fingerprint: u64,
        slug: &str,
        wishes: &mut Wishes<'_>,
    ) -> Result<(SealedRelease, Option<String>), Refused> {
        let same = before.filter(|before| has_sources(&probed.found, &before.sources));
        let mut source = self.rendition(Payload::of_source(&probed), &probed, same);
        if let Err(error @ (ReleaseError::Rewrite { .. } | ReleaseError::RewrittenWrong { .. })) =
            &source
        {
            // It is shared as it is, and encoded anew where that can be done.
            let why = "its file can't be packed anew for browsers".to_owned();
            probed.warnings.push(error.to_string());
            if let Some(track) = probed.tracks.first_mut() {
                track.plays = Some(Plays::Transcode { why });
            }
            source = self.rendition(Payload::of_source(&probed), &probed, same);
        }
        let source = source?;
        let bytes = &self.look.withdrawn_bytes;
        if let Some(id) = bytes.get(&look::roots(&source.files)) {
            return Err(Refused::Withdrawn(Box::new(Entry {
                fingerprint,
                slug: slug.to_owned(),
                hold: Some(Hold::Withdrawn(id.clone())),
                shown: None,
            })));
        }
        let mut renditions = vec![source];
        let mut playable = None;
        for wanted in wanted::renditions(&probed, &self.look.channel) {
            let is_playable = wanted.job.recipe == crate::derive::Recipe::Playable;
            match self.derived(&wanted, &probed, same, wishes)? {
                Ok(rendition) => renditions.push(rendition),
                Err(absent) if is_playable => playable = Some(absent),
                Err(_) => {}
            }
        }
        let note = wanted::note(&probed, playable);
        let unchanged = renditions.iter().all(|rendition| rendition.unchanged)
            && before.is_some_and(|before| before.torrents.len() == renditions.len());
        let sealed = SealedRelease {
            probed,
            renditions,
            unchanged,
        };
        Ok((sealed, note))
    }

    /// Payload → SealedRendition, by the short way where nothing changed.
    fn rendition(
        &self,
        mut payload: Payload,
        probed: &ProbedRelease,
        same: Option<&StateRelease>,
    ) -> Result<SealedRendition, ReleaseError> {
        let Look {
            channel, addresses, ..
        } = self.look;
        let out = &self.publisher.out;
        let media = match probed.tracks.as_slice() {
            [only] if payload.is_single_file() => only.media.clone(),
            _ => None,
        };
        let recorded = same.and_then(|same| self.recorded(same, &payload.rendition));
        if let Some(recorded) = recorded {
            let root = out.root();
            if let Some(sealed) =
                reseal(&payload, media.clone(), recorded, channel, addresses, root)
            {
                return Ok(sealed);
            }
            // The same files under the name that their torrent has are the same torrent.
            let name = recorded
                .files
                .first()
                .and_then(|file| file.path.split('/').next());
            if let Some(name) = name {
                name.clone_into(&mut payload.name);
            }
        }
        let reporter = &self.publisher.reporter;
        let prepared = prepare::prepare(payload, channel, &out.incoming(), reporter)?;
        let hashed = hash::hash(prepared, reporter)?;
        seal(hashed, media, channel, addresses, &out.library())
    }

    /// A form that was made by encoding: the one of the last run, for as long as its source is the same, else
    /// the one that lies in the cache.
    fn derived(
        &self,
        wanted: &WantedRendition,
        probed: &ProbedRelease,
        same: Option<&StateRelease>,
        wishes: &mut Wishes<'_>,
    ) -> Result<Result<SealedRendition, Absent>, ReleaseError> {
        let Look {
            channel, addresses, ..
        } = self.look;
        let out = &self.publisher.out;
        let probe_file = |path: &std::path::Path| {
            let content = MediaFile::open(path).ok()?;
            media::probe(&content).ok()
        };
        let recorded = same.and_then(|same| self.recorded(same, &wanted.name));
        if let Some((recorded, [file])) =
            recorded.map(|recorded| (recorded, recorded.files.as_slice()))
        {
            let path = out.root().join(&recorded.data).join(&file.path);
            let payload = Payload {
                rendition: wanted.name.clone(),
                name: file.path.clone(),
                files: file
                    .stat
                    .iter()
                    .map(|stat| FoundFile {
                        path: Vec::new(),
                        location: path.clone(),
                        stat: *stat,
                    })
                    .collect(),
                rewrite: None,
            };
            let media = probe_file(&path);
            let root = out.root();
            if let Some(sealed) = reseal(&payload, media, recorded, channel, addresses, root) {
                wishes.keep(wanted.job.clone());
                return Ok(Ok(sealed));
            }
        }
        let path = match wishes.rendition(wanted) {
            Ok(path) => path,
            Err(absent) => return Ok(Err(absent)),
        };
        let payload = Payload::of_derived(&wanted.name, &probed.found.source, &path)?;
        let media = probe_file(&path);
        let reporter = &self.publisher.reporter;
        let prepared = prepare::prepare(payload, channel, &out.incoming(), reporter)?;
        let hashed = hash::hash(prepared, reporter)?;
        seal(hashed, media, channel, addresses, &out.library()).map(Ok)
    }

    /// The torrent that the last run left of a form of a release.
    fn recorded(&self, release: &StateRelease, rendition: &str) -> Option<&StateTorrent> {
        let torrents = release.torrents.iter();
        let mut torrents = torrents.filter_map(|id| self.look.torrent(id));
        torrents.find(|torrent| torrent.rendition == rendition)
    }

    /// What was made of it behind its publication.
    fn extras(
        &self,
        sealed: &SealedRelease,
        note: Option<String>,
        wishes: &mut Wishes<'_>,
    ) -> Extras {
        let probed = &sealed.probed;
        let mut extras = Extras {
            pictures: wishes.pictures(probed),
            thumbnails: wishes.thumbnails(probed),
            note,
            ..Extras::default()
        };
        let timed = sealed
            .renditions
            .iter()
            .filter(|rendition| rendition.media.is_some());
        for rendition in timed {
            let [file] = rendition.files.as_slice() else {
                continue;
            };
            let data = self.publisher.out.library().join(&rendition.id);
            let hash = file
                .stat
                .and_then(|stat| wishes.sha256(data.join(&file.path), stat, &file.path));
            extras
                .sha256
                .extend(hash.map(|hash| (rendition.id.clone(), hash)));
        }
        extras
    }

    /// What is to be seeded of it, and remembered.
    fn current(
        &self,
        sealed: &SealedRelease,
        placed: &Placed,
        before: Option<&StateRelease>,
        renamed_from: Option<String>,
    ) -> Current {
        let front = &sealed.probed.front;
        let found = &sealed.probed.found;
        let p2p = front.p2p.unwrap_or(self.look.channel.p2p).word();
        let status = if front.unlisted {
            Status::Unlisted
        } else {
            Status::Public
        };
        let torrents = sealed.renditions.iter().map(|rendition| StateTorrent {
            id: rendition.id.clone(),
            slug: placed.slug.clone(),
            title: sealed.probed.title.clone(),
            rendition: rendition.name.clone(),
            p2p: Some(p2p.to_owned()),
            status,
            until: None,
            torrent: format!("site/{}", present::torrent_path(&rendition.id)),
            data: format!("library/{}", rendition.id),
            info_hash_v1: rendition.torrent.info.info_hash_v1(),
            info_hash_v2: rendition.torrent.info.info_hash_v2(),
            files: rendition.files.clone(),
        });
        let mut former: Vec<String> = before.map_or(Vec::new(), |before| {
            let was_shown = !before.torrents.is_empty();
            let last = was_shown.then(|| before.slug.clone());
            before.former.iter().cloned().chain(last).collect()
        });
        former.retain(|slug| *slug != placed.slug);
        let mut seen = BTreeSet::new();
        former.retain(|slug| seen.insert(slug.clone()));
        Current {
            slug: placed.slug.clone(),
            source: found.source.clone(),
            renamed_from,
            first_published: placed.published.to_string(),
            guid: placed.guid.clone(),
            former,
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
            torrents: torrents.collect(),
        }
    }

    /// Stages its files, what pages link to before the pages.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call; a struct would say the same twice"
    )]
    fn stage(
        &self,
        sealed: &SealedRelease,
        view: &ReleaseView,
        beside: Vec<PageFile>,
        current: &Current,
        fingerprint: u64,
        jobs: Vec<crate::ledger::Asked>,
        batches: &mut Batches,
    ) -> Result<Entry, PublishError> {
        let out = &self.publisher.out;
        let mut files = Vec::new();
        for rendition in &sealed.renditions {
            let path = present::torrent_path(&rendition.id);
            batches.torrent(out, &path, &rendition.torrent_bytes)?;
            if !rendition.unchanged {
                batches.new_ids.push(rendition.id.clone());
            }
            files.push(path);
        }
        let bytes = serde_json::to_vec(view).expect("a view always serialises");
        batches.view(out, &view.slug, &bytes)?;
        let pages = self.site.release(view)?.into_iter();
        let mut pages: Vec<PageFile> = pages
            .map(|page| PageFile {
                path: page.path,
                bytes: page.bytes,
            })
            .collect();
        for slug in current
            .former
            .iter()
            .filter(|slug| !self.live.contains(*slug))
        {
            let page = self.site.redirect(slug, &view.slug, &view.title)?;
            pages.push(PageFile {
                path: page.path,
                bytes: page.bytes,
            });
        }
        for PageFile { path, bytes } in beside.into_iter().chain(pages) {
            batches.page(out, &path, &bytes)?;
            files.push(path);
        }
        Ok(Entry {
            fingerprint,
            slug: view.slug.clone(),
            hold: None,
            shown: Some(Shown {
                published: view.published.clone(),
                unlisted: view.unlisted,
                view: Fingerprint::of(&bytes),
                sitemap: SitemapEntry::of(view),
                files,
                jobs,
            }),
        })
    }
}

/// The publisher's date, else when it was first published here, else the day it was put off to, else when its
/// newest file was written.
fn published(probed: &ProbedRelease, before: Option<&StateRelease>, now: Timestamp) -> Timestamp {
    let remembered = || before?.first_published.parse().ok();
    let written = || {
        let files = probed.found.files.iter();
        let newest = files.map(|file| file.stat.mtime_ns).max()?;
        Timestamp::from_second(newest / 1_000_000_000).ok()
    };
    let front = &probed.front;
    front
        .published
        .or_else(remembered)
        .or(front.publish_at)
        .or_else(written)
        .unwrap_or(now)
}

/// What feeds know a release by: the same wherever these bytes are published first under this name.
fn guid(id: &str, slug: &str) -> String {
    let name = format!("{id}/{slug}");
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).to_string()
}
