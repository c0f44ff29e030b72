//! What a run writes, in the order that a kill can't harm: library, torrents, state, catalog, pages. Then
//! what is stale goes.

use super::look::Look;
use super::{Pass, Publisher, Summary};
use crate::error::PublishError;
use crate::ledger::{Entry, Ledger, Shown};
use crate::page::view::ReleaseView;
use crate::page::{Listed, Site};
use crate::plan;
use crate::present;
use crate::sign;
use crate::site::{Origin, Out};
use jiff::Timestamp;
use metainfo::catalog::{Catalog, CatalogRelease};
use metainfo::state::State;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use store::atomic::Batch;

/// The shortest time that pages which are open may ask for files that are no more (seconds).
const RETIRED_KEPT_S: i64 = 3600;

/// From how many new torrents on the library is synced with the file system as a whole.
const SYNC_TOGETHER: usize = 16;

/// What is written at the end, in the order in which it takes its names.
#[derive(Default)]
pub(super) struct Batches {
    torrents: Batch,
    /// Views and pages of releases, and what lies beside them.
    pages: Batch,
    /// Paths below `site/` of all that is staged.
    paths: BTreeSet<String>,
    written: usize,
    /// Torrents whose payload is new in the library.
    pub(super) new_ids: Vec<String>,
}

impl Batches {
    /// Stages a torrent file.
    pub(super) fn torrent(
        &mut self,
        out: &Out,
        path: &str,
        bytes: &[u8],
    ) -> Result<(), PublishError> {
        self.written += usize::from(self.torrents.stage(&out.site(path), bytes)?);
        self.paths.insert(path.to_owned());
        Ok(())
    }

    /// Stages what is remembered of a page.
    pub(super) fn view(&mut self, out: &Out, slug: &str, bytes: &[u8]) -> Result<(), PublishError> {
        self.pages.stage(&out.view(slug), bytes)?;
        Ok(())
    }

    /// Stages a page, or what lies beside it.
    pub(super) fn page(&mut self, out: &Out, path: &str, bytes: &[u8]) -> Result<(), PublishError> {
        self.written += usize::from(self.pages.stage(&out.site(path), bytes)?);
        self.paths.insert(path.to_owned());
        Ok(())
    }
}

impl Publisher {
    /// Writes everything and removes what is stale.
    pub(super) fn commit(
        &self,
        look: Look,
        site: &Site<'_>,
        batches: Batches,
        pass: Pass,
        now: Timestamp,
    ) -> Result<Summary, PublishError> {
        let out = &self.out;
        let now_s = now.as_second();
        let grace_s = i64::try_from(look.channel.grace.as_secs()).unwrap_or(i64::MAX);
        let current: Vec<plan::Current> =
            pass.made.iter().map(|made| made.current.clone()).collect();
        let state = plan::next_state(
            &look.state,
            &current,
            &pass.kept,
            &look.withdrawn,
            now_s,
            grace_s,
        );
        let catalog = self.catalog(&look, &pass);
        let listed = listed(&pass.entries);
        let sheets = site.plan(&listed);

        let mut ledger = Ledger {
            releases: pass.entries,
            serial: catalog.serial,
            ..Ledger::default()
        };
        ledger.sheets = sheets
            .iter()
            .map(|sheet| (sheet.path.clone(), sheet.key))
            .collect();
        let mut front = Batch::new();
        let mut written = batches.written;
        for (path, bytes) in self.fixed(&look, site)? {
            written += usize::from(front.stage(&out.site(&path), &bytes)?);
            ledger.fixed.insert(path);
        }
        let signed = self.sign(
            &catalog,
            look.catalog.as_ref(),
            now,
            &mut ledger,
            &mut written,
        )?;
        let retired_until = now_s.saturating_add(grace_s.max(RETIRED_KEPT_S));
        ledger.retired = retired(&look.ledger, &ledger, now_s, retired_until);

        let mine = files(&ledger, &state);
        let claimed = out.claimed();
        let before = files(&look.ledger, &look.state);
        let stale: BTreeSet<&str> = before
            .iter()
            .copied()
            .chain(claimed.iter().map(String::as_str))
            .chain(batches.paths.iter().map(String::as_str))
            .filter(|path| !mine.contains(path))
            .collect();
        let sheets: Vec<_> = sheets
            .into_iter()
            .filter(|sheet| {
                look.ledger.sheets.get(&sheet.path) != Some(&sheet.key)
                    || !out.site(&sheet.path).is_file()
            })
            .collect();
        let summary = summary(&look, &ledger, &pass.made);
        let changes = batches.torrents.changes()
            + batches.pages.changes()
            + front.changes()
            + signed.changes()
            + sheets.len()
            + stale.len();
        let anything = changes > 0 || state != look.state || ledger != look.ledger;
        let is_first = !out.origin_path().exists();
        if anything || is_first || look.unfinished {
            let new: BTreeSet<String> = mine
                .iter()
                .filter(|path| !before.contains(*path))
                .map(|path| (*path).to_owned())
                .chain(claimed.iter().cloned())
                .chain(batches.paths.iter().cloned())
                .chain(stale.iter().map(|path| (*path).to_owned()))
                .collect();
            out.claim(new)?;
            self.write_origin()?;
            if batches.new_ids.len() <= SYNC_TOGETHER {
                out.sync_library(&batches.new_ids)?;
            }
            batches.torrents.commit()?;
            if state != look.state || !out.state_path().exists() {
                store::atomic::write_atomic_private(&out.state_path(), &state.to_bytes())?;
            }
            signed.commit()?;
            batches.pages.commit()?;
            written += self.write_sheets(site, &sheets, &listed, &mut ledger, front)?;
            let bytes = ledger.to_bytes();
            store::write_if_changed(&out.ledger_path(), &bytes)?;
            self.remove_stale(&look, &state, &ledger, &stale)?;
        }
        out.settle_claims()?;
        self.tell_published(&pass.made);
        Ok(Summary {
            written,
            problems: pass.problems.len(),
            waiting: pass.waiting,
            next: next(&ledger, &state, now),
            ..summary
        })
    }

    /// The catalog of what is listed now, under the serial that follows the last one.
    fn catalog(&self, look: &Look, pass: &Pass) -> Catalog {
        let mut known: HashMap<&str, &CatalogRelease> = look
            .catalog
            .iter()
            .flat_map(|catalog| &catalog.releases)
            .map(|release| (release.slug.as_str(), release))
            .collect();
        let made = pass.made.iter().filter_map(|made| made.catalog.as_ref());
        known.extend(made.map(|release| (release.slug.as_str(), release)));
        let entries = sorted(&pass.entries);
        let releases = entries
            .into_iter()
            .filter(|(_, shown)| !shown.unlisted)
            .filter_map(|(entry, _)| known.get(entry.slug.as_str()).copied().cloned());
        let catalog = Catalog {
            version: metainfo::state::VERSION,
            serial: 0,
            channel: present::catalog_channel(&look.channel),
            releases: releases.collect(),
        };
        let mut catalog = catalog.following(look.catalog.as_ref());
        // One that was lost is followed all the same: the serial only ever rises.
        if look.catalog.is_none() {
            catalog.serial = look.ledger.serial.saturating_add(1);
        }
        catalog
    }

    /// Stages the catalog, and its signature where one is due.
    fn sign(
        &self,
        catalog: &Catalog,
        before: Option<&Catalog>,
        now: Timestamp,
        ledger: &mut Ledger,
        written: &mut usize,
    ) -> Result<Batch, PublishError> {
        const NAMES: [&str; 2] = ["catalog.json", "catalog.json.minisig"];
        let [path, signature] = NAMES.map(|name| self.out.site(name));
        ledger.fixed.extend(NAMES.map(str::to_owned));
        let mut batch = Batch::new();
        let bytes = catalog.to_bytes();
        *written += usize::from(batch.stage(&path, &bytes)?);
        if let Some(signer) = &self.signer {
            let old = std::fs::read_to_string(&signature).unwrap_or_default();
            if batch.changes() > 0 || before.is_none() || !signer.verifies(&bytes, &old) {
                let comment = sign::catalog_comment(now, catalog.serial);
                let text = signer.sign(&bytes, &comment)?;
                *written += usize::from(batch.stage(&signature, text.as_bytes())?);
            }
        }
        Ok(batch)
    }

    /// What follows from the channel alone.
    fn fixed(
        &self,
        look: &Look,
        site: &Site<'_>,
    ) -> Result<BTreeMap<String, Vec<u8>>, PublishError> {
        let pages = site.fixed()?.into_iter();
        let mut files: BTreeMap<String, Vec<u8>> =
            pages.map(|page| (page.path, page.bytes)).collect();
        if let Some(signer) = &self.signer {
            files.insert("minisign.pub".into(), signer.public_file().to_vec());
        }
        if let Some(logo) = look.channel.logo.as_deref() {
            match std::fs::read(self.clips.join(logo)) {
                Ok(bytes) => {
                    files.insert(logo.to_owned(), bytes);
                }
                Err(error) => {
                    let message = format!("the logo `{logo}`: {error}; left out");
                    self.reporter.problem("warning", logo, &message);
                }
            }
        }
        Ok(files)
    }

    /// Writes the pages that show many releases, what they link to first.
    fn write_sheets(
        &self,
        site: &Site<'_>,
        sheets: &[crate::page::Sheet],
        listed: &[Listed],
        ledger: &mut Ledger,
        mut batch: Batch,
    ) -> Result<usize, PublishError> {
        let mut written = 0;
        for sheet in sheets {
            let members = &listed[sheet.members.clone()];
            let views: Vec<Option<ReleaseView>> = if sheet.needs_views() {
                members
                    .iter()
                    .map(|member| self.load_view(&member.slug))
                    .collect()
            } else {
                Vec::new()
            };
            for (member, _) in members
                .iter()
                .zip(&views)
                .filter(|(_, view)| view.is_none())
            {
                // The next run makes it again, and this page with it.
                let lost = ledger
                    .releases
                    .values_mut()
                    .filter(|entry| entry.slug == member.slug);
                lost.for_each(|entry| entry.fingerprint = 0);
                ledger.sheets.insert(sheet.path.clone(), 0);
            }
            let views: Vec<ReleaseView> = views.into_iter().flatten().collect();
            let page = site.sheet(sheet, listed, &views)?;
            written += usize::from(batch.stage(&self.out.site(&page.path), &page.bytes)?);
        }
        batch.commit()?;
        Ok(written)
    }

    fn load_view(&self, slug: &str) -> Option<ReleaseView> {
        let bytes = std::fs::read(self.out.view(slug)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn write_origin(&self) -> Result<(), PublishError> {
        let clips = self
            .clips
            .canonicalize()
            .unwrap_or_else(|_| self.clips.clone());
        let bytes = serde_json::to_vec(&Origin { clips }).unwrap_or_default();
        store::write_if_changed(&self.out.origin_path(), &bytes)?;
        Ok(())
    }

    fn remove_stale(
        &self,
        look: &Look,
        state: &State,
        ledger: &Ledger,
        stale: &BTreeSet<&str>,
    ) -> Result<(), PublishError> {
        self.out.remove(stale)?;
        let seeded: HashSet<&str> = state
            .torrents
            .iter()
            .filter(|torrent| torrent.status.is_seeded())
            .map(|torrent| torrent.id.as_str())
            .collect();
        self.out.keep_library(&seeded)?;
        let shown = |ledger: &Ledger| -> BTreeSet<String> {
            let shown = ledger
                .releases
                .values()
                .filter(|entry| entry.shown.is_some());
            shown.map(|entry| entry.slug.clone()).collect()
        };
        let now = shown(ledger);
        if now != shown(&look.ledger) || look.unfinished {
            self.out
                .keep_views(&now.iter().map(String::as_str).collect());
        }
        if !ledger.jobs().eq(look.ledger.jobs()) || look.unfinished {
            let jobs: Vec<_> = ledger.jobs().map(|asked| asked.job.clone()).collect();
            self.derived.keep_only(&jobs);
        }
        Ok(())
    }
}

/// Every file of `site/` that is ours: torrents in grace have theirs too.
fn files<'a>(ledger: &'a Ledger, state: &'a State) -> HashSet<&'a str> {
    let seeded = state
        .torrents
        .iter()
        .filter(|torrent| torrent.status.is_seeded());
    let torrents = seeded.filter_map(|torrent| torrent.torrent.strip_prefix("site/"));
    ledger.files().chain(torrents).collect()
}

/// What is shown, newest first.
fn sorted(entries: &BTreeMap<String, Entry>) -> Vec<(&Entry, &Shown)> {
    let mut shown: Vec<(&Entry, &Shown)> = entries
        .values()
        .filter_map(|entry| Some((entry, entry.shown.as_ref()?)))
        .collect();
    shown.sort_by(|(a, a_shown), (b, b_shown)| {
        (&b_shown.published, &a.slug).cmp(&(&a_shown.published, &b.slug))
    });
    shown
}

fn listed(entries: &BTreeMap<String, Entry>) -> Vec<Listed> {
    let public = sorted(entries).into_iter();
    public
        .filter(|(_, shown)| !shown.unlisted)
        .map(|(entry, shown)| Listed {
            slug: entry.slug.clone(),
            published: shown.published.clone(),
            fingerprint: shown.view,
            entry: shown.sitemap.clone(),
        })
        .collect()
}

/// Files that are no more but are named by pages which people have open: assets, and what lay beside the page of a
/// release (sizes of its poster, captions, chapters, thumbnails). Each stays until its time is over, or its page goes.
fn retired(before: &Ledger, now: &Ledger, now_s: i64, until_s: i64) -> BTreeMap<String, i64> {
    let mine: HashSet<&str> = now.files().collect();
    let is_asked_for = |path: &str| {
        let page = |slug: &str| mine.contains(format!("r/{slug}/index.html").as_str());
        match path
            .strip_prefix("r/")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((slug, name)) => name != "index.html" && page(slug),
            None => path.starts_with("assets/"),
        }
    };
    before
        .files()
        .filter(|path| !mine.contains(path) && is_asked_for(path))
        .map(|path| {
            let until = before.retired.get(path).copied().unwrap_or(until_s);
            (path.to_owned(), until)
        })
        .filter(|(_, until)| *until > now_s)
        .collect()
}

/// When there is something to do without anybody changing anything.
fn next(ledger: &Ledger, state: &State, now: Timestamp) -> Option<Timestamp> {
    let dates = ledger
        .releases
        .values()
        .filter_map(|entry| match entry.hold {
            Some(crate::ledger::Hold::Until(date)) => Some(date),
            _ => None,
        });
    let ends = state.torrents.iter().filter_map(|torrent| torrent.until);
    let ends = ends.chain(ledger.retired.values().copied());
    let ends = ends.filter_map(|end| Timestamp::from_second(end).ok());
    dates.chain(ends).filter(|at| *at > now).min()
}

fn summary(look: &Look, ledger: &Ledger, made: &[super::release::Made]) -> Summary {
    let shown: HashSet<&str> = ledger
        .releases
        .iter()
        .filter(|(_, entry)| entry.shown.is_some())
        .map(|(source, _)| source.as_str())
        .collect();
    let renamed = made
        .iter()
        .filter(|made| made.current.renamed_from.is_some());
    let renamed: HashSet<&str> = renamed
        .filter_map(|made| made.current.renamed_from.as_deref())
        .collect();
    let had_page = look
        .state
        .releases
        .iter()
        .filter(|old| !old.torrents.is_empty() && !old.withdrawn)
        .map(|old| old.source.as_str());
    let removed = had_page.filter(|source| !shown.contains(source) && !renamed.contains(source));
    let open = ledger.jobs().filter(|asked| asked.open);
    Summary {
        releases: shown.len(),
        published: made.iter().filter(|made| !made.unchanged).count(),
        renamed: renamed.len(),
        removed: removed.count(),
        jobs: open.map(|asked| asked.job.clone()).collect(),
        ..Summary::default()
    }
}
