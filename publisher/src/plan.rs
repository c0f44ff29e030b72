//! What to seed from now on: a pure function of the last state and of what is published now. Nothing
//! that was published stops being seeded at once: it enters grace.

use metainfo::state::{SourceRecord, State, StateRelease, StateTorrent, Status};
use std::collections::{BTreeMap, BTreeSet};

/// One release as it is published now.
#[derive(Debug, Clone)]
pub struct Current {
    /// Its place in URLs.
    pub slug: String,
    /// Name of its file or folder.
    pub source: String,
    /// When it was first published, RFC 3339.
    pub first_published: String,
    /// What its source files are.
    pub sources: Vec<SourceRecord>,
    /// Its torrents, public or unlisted.
    pub torrents: Vec<StateTorrent>,
}

/// The next state: `current` releases as they are; `kept` sources (found, but not publishable now) as
/// they were; everything else in grace until `now_s + grace_s` (Unix seconds), or gone where its grace
/// is over.
pub fn plan(
    before: &State,
    current: &[Current],
    kept: &BTreeSet<String>,
    now_s: i64,
    grace_s: i64,
) -> State {
    let mut torrents: BTreeMap<String, StateTorrent> = BTreeMap::new();
    let mut releases: BTreeMap<String, StateRelease> = BTreeMap::new();
    for release in current {
        for torrent in &release.torrents {
            torrents.insert(torrent.id.clone(), torrent.clone());
        }
        releases.insert(
            release.slug.clone(),
            StateRelease {
                slug: release.slug.clone(),
                source: release.source.clone(),
                first_published: release.first_published.clone(),
                torrents: release
                    .torrents
                    .iter()
                    .map(|torrent| torrent.id.clone())
                    .collect(),
                sources: release.sources.clone(),
                withdrawn: false,
            },
        );
    }
    for release in &before.releases {
        if kept.contains(&release.source) || release.withdrawn {
            releases
                .entry(release.slug.clone())
                .or_insert_with(|| release.clone());
        } else {
            // Without torrents it keeps its slug and date for the day the file comes back.
            releases
                .entry(release.slug.clone())
                .or_insert_with(|| StateRelease {
                    torrents: Vec::new(),
                    sources: Vec::new(),
                    ..release.clone()
                });
        }
    }
    let kept_ids: BTreeSet<&String> = before
        .releases
        .iter()
        .filter(|release| kept.contains(&release.source))
        .flat_map(|release| &release.torrents)
        .collect();
    for torrent in &before.torrents {
        if torrents.contains_key(&torrent.id) {
            continue;
        }
        let next = match torrent.status {
            Status::Withdrawn => Some(torrent.clone()),
            _ if kept_ids.contains(&torrent.id) => Some(torrent.clone()),
            Status::Grace => Some(torrent.clone())
                .filter(|torrent| torrent.until.is_some_and(|until| until > now_s)),
            Status::Public | Status::Unlisted => Some(StateTorrent {
                status: Status::Grace,
                until: Some(now_s.saturating_add(grace_s)),
                ..torrent.clone()
            })
            .filter(|_| grace_s > 0),
        };
        torrents.extend(next.map(|torrent| (torrent.id.clone(), torrent)));
    }
    State {
        version: metainfo::state::VERSION,
        torrents: torrents.into_values().collect(),
        releases: releases.into_values().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(id: &str, status: Status) -> StateTorrent {
        StateTorrent {
            id: id.into(),
            slug: "s".into(),
            title: "t".into(),
            status,
            until: None,
            torrent: format!("site/t/{id}.torrent"),
            data: format!("library/{id}"),
            info_hash_v1: None,
            info_hash_v2: None,
            files: Vec::new(),
        }
    }

    fn current(source: &str, id: &str) -> Current {
        Current {
            slug: source.into(),
            source: source.into(),
            first_published: "2026-01-01T00:00:00Z".into(),
            sources: Vec::new(),
            torrents: vec![torrent(id, Status::Public)],
        }
    }

    fn shown(state: &State) -> Vec<String> {
        let until = |torrent: &StateTorrent| {
            torrent
                .until
                .map(|until| format!(" {until}"))
                .unwrap_or_default()
        };
        state
            .torrents
            .iter()
            .map(|torrent| format!("{} {:?}{}", torrent.id, torrent.status, until(torrent)))
            .collect()
    }

    #[test]
    fn a_changed_clip_leaves_its_old_torrent_in_grace_and_then_goes() {
        let none = BTreeSet::new();
        let first = plan(&State::default(), &[current("a", "1")], &none, 100, 50);
        assert_eq!(shown(&first), ["1 Public"]);
        let second = plan(&first, &[current("a", "2")], &none, 110, 50);
        assert_eq!(shown(&second), ["1 Grace 160", "2 Public"]);
        let same = plan(&second, &[current("a", "2")], &none, 159, 50);
        assert_eq!(shown(&same), ["1 Grace 160", "2 Public"]);
        let later = plan(&second, &[current("a", "2")], &none, 160, 50);
        assert_eq!(shown(&later), ["2 Public"]);
        let back = plan(&second, &[current("a", "1")], &none, 120, 50);
        assert_eq!(shown(&back), ["1 Public", "2 Grace 170"]);
    }

    #[test]
    fn a_removed_clip_keeps_its_slug_and_its_torrent_goes_after_grace() {
        let none = BTreeSet::new();
        let first = plan(&State::default(), &[current("a", "1")], &none, 100, 50);
        let gone = plan(&first, &[], &none, 110, 50);
        assert_eq!(shown(&gone), ["1 Grace 160"]);
        assert_eq!(
            (gone.releases.len(), gone.releases[0].torrents.len()),
            (1, 0)
        );
        assert!(plan(&first, &[], &none, 110, 0).torrents.is_empty());
    }

    #[test]
    fn what_fails_now_stays_as_it_was() {
        let first = plan(
            &State::default(),
            &[current("a", "1")],
            &BTreeSet::new(),
            100,
            50,
        );
        let kept = plan(&first, &[], &["a".to_owned()].into(), 110, 50);
        assert_eq!(kept, first);
    }

    #[test]
    fn withdrawn_stays_withdrawn() {
        let before = State {
            torrents: vec![torrent("1", Status::Withdrawn)],
            ..State::default()
        };
        assert_eq!(
            shown(&plan(&before, &[], &BTreeSet::new(), i64::MAX, 0)),
            ["1 Withdrawn"]
        );
    }
}
