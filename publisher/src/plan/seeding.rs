//! What to seed from now on: a pure function of the last state and of what is published now. Nothing
//! that was published stops being seeded at once: it enters grace. Only what is withdrawn goes at once.

use metainfo::state::{SourceRecord, State, StateRelease, StateTorrent, Status};
use std::collections::{BTreeMap, BTreeSet};

/// One release as it is published now.
#[derive(Debug, Clone)]
pub struct Current {
    /// Its place in URLs.
    pub slug: String,
    /// Name of its file or folder.
    pub source: String,
    /// The name it had in the last run, where that was another.
    pub renamed_from: Option<String>,
    /// When it was first published, RFC 3339.
    pub first_published: String,
    /// What feeds know it by.
    pub guid: String,
    /// Its earlier places in URLs.
    pub former: Vec<String>,
    /// What its source files are.
    pub sources: Vec<SourceRecord>,
    /// Its torrents, public or unlisted.
    pub torrents: Vec<StateTorrent>,
}

/// The next state: `current` releases as they are; `kept` sources (unchanged, or not publishable now) as
/// they were; torrents in `withdrawn` refused; everything else in grace until `now_s + grace_s` (Unix
/// seconds), or gone where its grace is over.
pub fn next_state(
    before: &State,
    current: &[Current],
    kept: &BTreeSet<String>,
    withdrawn: &BTreeSet<String>,
    now_s: i64,
    grace_s: i64,
) -> State {
    let mut torrents: BTreeMap<&str, StateTorrent> = BTreeMap::new();
    let mut releases: BTreeMap<&str, StateRelease> = BTreeMap::new();
    let mut replaced: BTreeSet<&str> = BTreeSet::new();
    for release in current {
        replaced.insert(&release.source);
        replaced.extend(release.renamed_from.as_deref());
        for torrent in &release.torrents {
            torrents.insert(&torrent.id, torrent.clone());
        }
        let ids = release.torrents.iter().map(|torrent| torrent.id.clone());
        releases.insert(
            &release.slug,
            StateRelease {
                slug: release.slug.clone(),
                source: release.source.clone(),
                first_published: release.first_published.clone(),
                torrents: ids.collect(),
                sources: release.sources.clone(),
                guid: Some(release.guid.clone()),
                former: release.former.clone(),
                withdrawn: false,
            },
        );
    }
    let mut kept_ids: BTreeSet<&str> = BTreeSet::new();
    let mut refused: BTreeSet<&str> = withdrawn.iter().map(String::as_str).collect();
    for release in &before.releases {
        if replaced.contains(release.source.as_str()) {
            continue;
        }
        // With one of its torrents go all of them.
        let is_withdrawn = release.torrents.iter().any(|id| withdrawn.contains(id));
        let next = if is_withdrawn {
            refused.extend(release.torrents.iter().map(String::as_str));
            // Its files are remembered, so that the same ones are refused without being read.
            StateRelease {
                withdrawn: true,
                ..release.clone()
            }
        } else if kept.contains(&release.source) && !release.withdrawn {
            kept_ids.extend(release.torrents.iter().map(String::as_str));
            release.clone()
        } else {
            // Without torrents it keeps its slug and date for the day the file comes back.
            StateRelease {
                torrents: Vec::new(),
                sources: Vec::new(),
                withdrawn: false,
                ..release.clone()
            }
        };
        releases.entry(&release.slug).or_insert(next);
    }
    for torrent in &before.torrents {
        let id = torrent.id.as_str();
        if refused.contains(id) {
            let torrent = StateTorrent {
                status: Status::Withdrawn,
                until: None,
                ..torrent.clone()
            };
            torrents.insert(id, torrent);
            continue;
        }
        if torrents.contains_key(id) {
            continue;
        }
        let next = match torrent.status {
            // Nobody asks for it to be refused any more.
            Status::Withdrawn => None,
            _ if kept_ids.contains(id) => Some(torrent.clone()),
            Status::Grace => Some(torrent.clone())
                .filter(|torrent| torrent.until.is_some_and(|until| until > now_s)),
            Status::Public | Status::Unlisted => Some(StateTorrent {
                status: Status::Grace,
                until: Some(now_s.saturating_add(grace_s)),
                ..torrent.clone()
            })
            .filter(|_| grace_s > 0),
        };
        torrents.extend(next.map(|torrent| (id, torrent)));
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
            rendition: "source".into(),
            p2p: None,
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
            renamed_from: None,
            first_published: "2026-01-01T00:00:00Z".into(),
            guid: "g".into(),
            former: Vec::new(),
            sources: Vec::new(),
            torrents: vec![torrent(id, Status::Public)],
        }
    }

    fn plan(
        before: &State,
        current: &[Current],
        kept: &BTreeSet<String>,
        now_s: i64,
        grace_s: i64,
    ) -> State {
        next_state(before, current, kept, &BTreeSet::new(), now_s, grace_s)
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
    fn withdrawn_is_refused_until_it_is_undone() {
        let none = BTreeSet::new();
        let first = plan(
            &State::default(),
            &[current("a", "1"), current("b", "2")],
            &none,
            100,
            50,
        );
        let changed = plan(
            &first,
            &[current("a", "3"), current("b", "2")],
            &none,
            110,
            50,
        );
        let ids = ["1", "3"].map(str::to_owned).into();
        let all = ["a", "b"].map(str::to_owned).into();
        let gone = next_state(&changed, &[], &all, &ids, 120, 50);
        assert_eq!(shown(&gone), ["1 Withdrawn", "2 Public", "3 Withdrawn"]);
        assert!(gone.releases[0].withdrawn && !gone.releases[0].torrents.is_empty());
        let later = next_state(&gone, &[], &all, &ids, i64::MAX, 0);
        assert_eq!(later, gone);
        let undone = next_state(&gone, &[current("a", "3")], &all, &none, 130, 50);
        assert_eq!(shown(&undone), ["2 Public", "3 Public"]);
        assert!(!undone.releases[0].withdrawn);
    }

    #[test]
    fn another_name_or_slug_leaves_no_second_release() {
        let none = BTreeSet::new();
        let first = plan(&State::default(), &[current("a", "1")], &none, 100, 50);
        let renamed = Current {
            renamed_from: Some("a".into()),
            former: vec!["a".into()],
            ..current("b", "1")
        };
        let second = plan(&first, &[renamed], &none, 110, 50);
        assert_eq!(shown(&second), ["1 Public"]);
        assert_eq!(
            (second.releases.len(), second.releases[0].source.as_str()),
            (1, "b")
        );
        let moved = Current {
            source: "b".into(),
            ..current("c", "1")
        };
        let third = plan(&second, &[moved], &none, 120, 50);
        assert_eq!(
            (third.releases.len(), third.releases[0].slug.as_str()),
            (1, "c")
        );
    }
}
