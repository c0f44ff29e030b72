//! What a run finds before it does anything: the channel, what lies in the clips folder, what the last run
//! left, and what is to become of each release.

use super::Publisher;
use crate::channel::Channel;
use crate::derive::{Derived, Found};
use crate::error::{PublishError, ReleaseError};
use crate::fingerprint::Fingerprint;
use crate::folder::{self, FoundRelease};
use crate::ledger::{Entry, Ledger};
use crate::page::view::ChannelView;
use crate::plan::{self, Question, Survey};
use crate::present;
use crate::seal::{self, Addresses};
use crate::sign::Signer;
use crate::site::Out;
use jiff::Timestamp;
use metainfo::MerkleHash;
use metainfo::catalog::Catalog;
use metainfo::state::{State, StateFile, StateRelease, StateTorrent};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Name and version of the program, for `<meta name="generator">`.
pub(super) const GENERATOR: &str = concat!("Groundswell ", env!("CARGO_PKG_VERSION"));

/// Differs when the same release would be made otherwise by another version of this program.
const MAKE: u64 = 1;

/// All that a run goes by.
pub(super) struct Look {
    pub(super) channel: Channel,
    pub(super) channel_view: ChannelView,
    pub(super) addresses: Addresses,
    pub(super) state: State,
    pub(super) catalog: Option<Catalog>,
    pub(super) ledger: Ledger,
    /// The last run was killed while it wrote.
    pub(super) unfinished: bool,
    /// Ids of torrents that are to be gone.
    pub(super) withdrawn: BTreeSet<String>,
    /// What those torrents hold: roots of their files, in order.
    pub(super) withdrawn_bytes: BTreeMap<Vec<MerkleHash>, String>,
    /// What was found, each with its fingerprint.
    pub(super) found: Vec<(FoundRelease, u64)>,
    /// What lies there and can't be published.
    pub(super) refused: BTreeMap<String, ReleaseError>,
    pub(super) orphans: Vec<PathBuf>,
    pub(super) survey: Survey,
    releases: HashMap<String, usize>,
    torrents: HashMap<String, usize>,
}

impl Look {
    /// Looks. `None` where the clips folder is gone or empties at once, and something is published.
    pub(super) fn at(
        publisher: &Publisher,
        now: Timestamp,
        allow_removals: bool,
    ) -> Result<Option<Self>, PublishError> {
        let Publisher { clips, out, .. } = publisher;
        // Three documents of many megabytes in a large channel.
        let (state, catalog, ledger) = std::thread::scope(|scope| {
            let catalog = scope.spawn(|| out.read_catalog());
            let ledger = scope.spawn(|| out.read_ledger());
            let state = out.read_state();
            let read = "reading a document never panics";
            (
                state,
                catalog.join().expect(read),
                ledger.join().expect(read),
            )
        });
        let state = state?;
        let any_published = state
            .releases
            .iter()
            .any(|release| !release.torrents.is_empty());
        if !clips.is_dir() {
            return match any_published {
                true => Ok(None),
                false => check_folder(clips).map(|()| None),
            };
        }
        let is_bare = std::fs::read_dir(clips).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| entry.path() == *out.root()))
        });
        if any_published && is_bare && !allow_removals {
            return Ok(None);
        }
        let channel = Channel::read(clips)?;
        let bound = publisher.bound.as_ref();
        let addresses = Addresses {
            torrent: channel
                .seeder_url
                .clone()
                .or_else(|| bound.map(|bound| bound.url.clone())),
            udp_tracker_port: match &channel.seeder_url {
                Some(_) => channel.udp_tracker_port,
                None => bound.and_then(|bound| bound.udp_tracker_port),
            },
            page: channel.seeder_url.clone(),
        };
        let reserved: Vec<&str> = channel.logo.as_deref().into_iter().collect();
        let listing = folder::list(clips, &reserved)?;
        let mut channel_view = present::channel_view(
            &channel,
            &addresses,
            publisher.signer.as_ref().map(Signer::public_key),
        );
        channel_view.logo = channel_view.logo.filter(|_| {
            channel
                .logo
                .as_ref()
                .is_some_and(|logo| clips.join(logo).is_file())
        });

        let base = {
            let site = publisher.renderer.site(channel_view.clone(), GENERATOR);
            let mut base = Fingerprint::new();
            base.number(MAKE).number(site.fingerprint());
            base.text(&format!("{channel:?} {addresses:?}"));
            base.text(&publisher.tools);
            base
        };
        let found: Vec<(FoundRelease, u64)> = listing
            .releases
            .into_iter()
            .map(|found| {
                let fingerprint = fingerprint(&base, &found);
                (found, fingerprint)
            })
            .collect();
        let refused: BTreeMap<String, ReleaseError> = listing.problems.into_iter().collect();
        let withdrawn = out.read_withdrawn()?.ids();
        let withdrawn_bytes = state
            .torrents
            .iter()
            .filter(|torrent| withdrawn.contains(&torrent.id))
            .map(|torrent| (roots(&torrent.files), torrent.id.clone()))
            .filter(|(roots, _)| !roots.is_empty())
            .collect();
        let mut look = Self {
            channel,
            channel_view,
            addresses,
            catalog: catalog?,
            ledger,
            unfinished: out.is_being_written(),
            withdrawn,
            withdrawn_bytes,
            found,
            refused,
            orphans: listing.orphans,
            survey: Survey::default(),
            releases: places(state.releases.iter().map(|release| &release.source)),
            torrents: places(state.torrents.iter().map(|torrent| &torrent.id)),
            state,
        };
        let device = store::stat_record(clips).ok().map(|stat| stat.device);
        let listed: HashSet<&str> = look
            .catalog
            .iter()
            .flat_map(|catalog| &catalog.releases)
            .map(|release| release.slug.as_str())
            .collect();
        let intact = look.intact(publisher, &listed);
        let survey = plan::survey(&Question {
            found: &look.found,
            refused: &look.refused.keys().cloned().collect(),
            state: &look.state,
            ledger: &look.ledger,
            withdrawn: &look.withdrawn,
            intact: &|source, _| intact.contains(source),
            device,
            now,
            allow_removals,
        });
        look.survey = survey;
        Ok(Some(look))
    }

    /// What the state says of a source.
    pub(super) fn release(&self, source: &str) -> Option<&StateRelease> {
        let place = self.releases.get(source)?;
        self.state.releases.get(*place)
    }

    /// What the state says of a torrent.
    pub(super) fn torrent(&self, id: &str) -> Option<&StateTorrent> {
        let place = self.torrents.get(id)?;
        self.state.torrents.get(*place)
    }

    /// Sources of which all is there that was published, and nothing new was made. Several `stat`s for each
    /// release: shared out among the cores, since they are most of what an unchanged channel costs.
    fn intact(&self, publisher: &Publisher, listed: &HashSet<&str>) -> HashSet<String> {
        let (out, derived) = (&publisher.out, &*publisher.derived);
        let candidates: Vec<(&str, &Entry)> = self
            .found
            .iter()
            .filter_map(|(found, fingerprint)| {
                let entry = self.ledger.releases.get(&found.source)?;
                let same = entry.fingerprint == *fingerprint;
                same.then_some((found.source.as_str(), entry))
            })
            .collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = candidates.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = candidates
                .chunks(share)
                .map(|chunk| {
                    scope.spawn(move || {
                        let intact = chunk.iter().filter(|(source, entry)| {
                            self.is_intact(out, derived, source, entry, listed)
                        });
                        intact
                            .map(|(source, _)| (*source).to_owned())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let joined = threads.into_iter();
            joined
                .flat_map(|thread| thread.join().expect("looking at files never panics"))
                .collect()
        })
    }

    /// Whether what was published of a release is all there, and nothing new was made for it.
    fn is_intact(
        &self,
        out: &Out,
        derived: &Derived,
        source: &str,
        entry: &Entry,
        listed: &HashSet<&str>,
    ) -> bool {
        let (Some(shown), Some(release)) = (&entry.shown, self.release(source)) else {
            return false;
        };
        let mut jobs = shown.jobs.iter().filter(|asked| asked.open);
        (shown.unlisted || listed.contains(entry.slug.as_str()))
            && shown.files.iter().all(|path| is_file(&out.site(path)))
            && is_file(&out.view(&entry.slug))
            && release.torrents.iter().all(|id| {
                self.torrent(id)
                    .is_some_and(|torrent| seal::is_whole(torrent, out.root()))
            })
            && jobs.all(|asked| derived.look(&asked.job) == Found::Missing)
    }
}

/// What files hold, whatever they are called.
pub(super) fn roots(files: &[StateFile]) -> Vec<MerkleHash> {
    let mut roots: Vec<MerkleHash> = files.iter().filter_map(|file| file.merkle_root).collect();
    roots.sort_unstable();
    roots
}

fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file())
}

fn places<'a>(keys: impl Iterator<Item = &'a String>) -> HashMap<String, usize> {
    keys.enumerate()
        .map(|(place, key)| (key.clone(), place))
        .collect()
}

/// Of all that a release is made from.
fn fingerprint(base: &Fingerprint, found: &FoundRelease) -> u64 {
    let mut fingerprint = base.clone();
    fingerprint.text(found.kind.word()).text(&found.source);
    for file in &found.files {
        fingerprint.text(&file.path.join("/")).content(&file.stat);
    }
    for (path, stat) in &found.sidecars.stats {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fingerprint.text(&name).content(stat);
    }
    fingerprint.finish()
}

/// Refuses what is no folder.
pub(super) fn check_folder(clips: &Path) -> Result<(), PublishError> {
    let source = match std::fs::metadata(clips) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => std::io::ErrorKind::NotADirectory.into(),
        Err(error) => error,
    };
    Err(PublishError::Folder {
        doing: "read the clips folder",
        path: clips.to_owned(),
        source,
    })
}
