//! Whole runs over small channels, time as an argument: what is written, what stays and what goes.

use super::*;
use crate::report::Mode;
use metainfo::state::{State, Status};

struct Channel {
    folder: tempfile::TempDir,
    publisher: Publisher,
}

impl Channel {
    /// A channel of small downloads of these names.
    fn of(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clips = folder.path().join("clips");
        std::fs::create_dir(&clips).unwrap();
        let out = Out::open(&folder.path().join("out")).unwrap();
        let reporter = Reporter::new(Mode::Quiet);
        let publisher =
            Publisher::with(&clips, out, None, None, Tools::default(), reporter).unwrap();
        let channel = Self { folder, publisher };
        for name in names {
            channel.put(name, name.repeat(100).as_bytes());
        }
        channel
    }

    fn clip(&self, name: &str) -> PathBuf {
        self.folder.path().join("clips").join(name)
    }

    fn site(&self, path: &str) -> PathBuf {
        self.publisher.out.site(path)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.clip(name), bytes).unwrap();
    }

    fn run(&mut self) -> Summary {
        self.run_at("2026-11-22T00:00:00Z", false)
    }

    fn run_at(&mut self, now: &str, allow_removals: bool) -> Summary {
        let options = Options {
            allow_removals,
            ..Options::default()
        };
        self.publisher.run(now.parse().unwrap(), options).unwrap()
    }

    fn state(&self) -> State {
        self.publisher.out.read_state().unwrap()
    }

    /// Slugs of releases with a page.
    fn pages(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.site("r")).into_iter().flatten();
        let mut slugs: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        slugs.sort();
        slugs
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.site(path)).unwrap()
    }
}

#[test]
fn what_is_unchanged_is_not_written_again() {
    let mut channel = Channel::of(&["a.bin", "b.bin"]);
    let first = channel.run();
    assert_eq!((first.releases, first.published, first.problems), (2, 2, 0));
    assert_eq!(channel.pages(), ["a", "b"]);
    let second = channel.run();
    assert_eq!((second.published, second.written), (0, 0));
    channel.put("b.md", b"Words.");
    let third = channel.run();
    assert_eq!((third.published, third.releases), (0, 2));
    // Its page, the front page and three feeds; the catalog says nothing of it.
    assert!((1..=6).contains(&third.written), "{third:?}");
    assert!(channel.text("r/b/index.html").contains("Words."));
    assert!(!channel.publisher.out.root().join("claims.json").exists());
}

#[test]
fn what_was_deleted_comes_back() {
    let mut channel = Channel::of(&["a.bin", "b.bin"]);
    channel.run();
    let id = channel.state().torrents[0].id.clone();
    for path in [
        "r/a/index.html".to_owned(),
        "index.html".into(),
        "catalog.json".into(),
        format!("t/{id}.torrent"),
        format!("../views/{}.json", channel.state().torrents[0].slug),
    ] {
        let path = channel.site(&path);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::remove_file(&path).unwrap();
        channel.run();
        let after = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(path.exists(), "{}", path.display());
        if !path.ends_with("catalog.json") {
            assert_eq!(before, after, "{}", path.display());
        }
    }
    assert_eq!(channel.run().written, 0);
}

#[test]
fn a_renamed_file_keeps_its_torrent_and_its_old_page_leads_to_the_new_one() {
    let mut channel = Channel::of(&["a.bin", "b.bin"]);
    channel.run();
    let before = channel.state();
    std::fs::rename(channel.clip("a.bin"), channel.clip("new name.bin")).unwrap();
    let summary = channel.run();
    assert_eq!(
        (summary.renamed, summary.published, summary.removed),
        (1, 0, 0)
    );
    let after = channel.state();
    let of = |state: &State, slug: &str| {
        let mut releases = state.releases.iter();
        releases
            .find(|release| release.slug == slug)
            .cloned()
            .unwrap()
    };
    let (old, new) = (of(&before, "a"), of(&after, "new-name"));
    assert_eq!((&old.torrents, &old.guid), (&new.torrents, &new.guid));
    assert_eq!(old.first_published, new.first_published);
    assert_eq!(new.former, ["a"]);
    assert!(channel.text("r/a/index.html").contains("../../r/new-name/"));
    assert!(!channel.text("index.html").contains("r/a/"));
    assert_eq!(channel.run().written, 0);

    // Back again: the old address is its own once more.
    std::fs::rename(channel.clip("new name.bin"), channel.clip("a.bin")).unwrap();
    channel.run();
    assert_eq!(of(&channel.state(), "a").former, ["new-name"]);
    assert!(channel.text("r/new-name/index.html").contains("../../r/a/"));
    assert_eq!(channel.state().torrents, before.torrents);
}

#[test]
fn what_an_open_page_asks_for_is_there_though_the_page_has_changed() {
    let mut channel = Channel::of(&["b.bin", "c.bin"]);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/test-drive");
    let beside = ["mp4", "de.vtt", "en.vtt", "chapters.vtt", "jpg"];
    for ending in beside {
        let bytes = std::fs::read(example.join(format!("test-drive.{ending}"))).unwrap();
        channel.put(&format!("a.{ending}"), &bytes);
    }
    channel.run();
    let open = channel.text("r/a/index.html");
    let gone = ["captions.de.vtt", "chapters.vtt", "poster.jpg"];
    assert!(gone.iter().all(|name| open.contains(name)), "{open}");
    for ending in ["de.vtt", "chapters.vtt", "jpg"] {
        std::fs::remove_file(channel.clip(&format!("a.{ending}"))).unwrap();
    }
    let files = |channel: &Channel| gone.map(|name| channel.site("r/a").join(name).exists());
    let summary = channel.run();
    let page = channel.text("r/a/index.html");
    assert!(page.contains("captions.en.vtt"), "{page}");
    assert!(!gone.iter().any(|name| page.contains(name)), "{page}");
    assert_eq!(files(&channel), [true; 3]);
    // The channel's grace is a week.
    let end = "2026-11-29T00:00:00Z".parse().unwrap();
    assert_eq!(summary.next, Some(end));
    channel.run_at("2026-11-28T23:59:59Z", false);
    assert_eq!(files(&channel), [true; 3]);
    assert!(channel.site("r/a/captions.en.vtt").exists());
    channel.run_at("2026-11-29T00:00:00Z", false);
    assert_eq!(files(&channel), [false; 3]);
    assert_eq!(channel.run_at("2026-11-29T00:00:01Z", false).written, 0);

    // Renamed, its old page leads on; removed, it takes everything with it.
    for ending in ["mp4", "en.vtt"] {
        std::fs::rename(
            channel.clip(&format!("a.{ending}")),
            channel.clip(&format!("d.{ending}")),
        )
        .unwrap();
    }
    channel.run();
    assert!(channel.site("r/a/captions.en.vtt").exists());
    for ending in ["mp4", "en.vtt"] {
        std::fs::remove_file(channel.clip(&format!("d.{ending}"))).unwrap();
    }
    channel.run();
    assert_eq!(channel.pages(), ["b", "c"]);
}

#[test]
fn withdrawn_is_gone_on_every_layer_and_comes_back_when_undone() {
    let mut channel = Channel::of(&["a.bin", "b.bin"]);
    channel.run();
    let id = channel.state().releases[0].torrents[0].clone();
    let list = channel.publisher.out.withdrawn_path();
    let text = format!(r#"{{"releases":[{{"slug":"a","ids":["{id}"]}}]}}"#);
    std::fs::write(&list, text).unwrap();
    let check_gone = |channel: &Channel| {
        assert_eq!(channel.pages(), ["b"]);
        assert!(!channel.site(&format!("t/{id}.torrent")).exists());
        assert!(!channel.publisher.out.library().join(&id).exists());
        for path in ["index.html", "feed.xml", "catalog.json"] {
            assert!(!channel.text(path).contains("r/a/"), "{path}");
        }
        let state = channel.state();
        let torrent = state.torrents.iter().find(|torrent| torrent.id == id);
        assert_eq!(torrent.unwrap().status, Status::Withdrawn);
    };
    let summary = channel.run();
    assert_eq!((summary.removed, summary.releases), (1, 1));
    check_gone(&channel);
    assert_eq!(channel.run().written, 0);
    // The same bytes under another date are the same.
    channel.put("a.bin", "a.bin".repeat(100).as_bytes());
    channel.run();
    check_gone(&channel);
    channel.run();
    check_gone(&channel);
    // Nor does another name make them others.
    std::fs::rename(channel.clip("a.bin"), channel.clip("z.bin")).unwrap();
    channel.run();
    check_gone(&channel);
    let copy = std::fs::read(channel.clip("z.bin")).unwrap();
    std::fs::remove_file(channel.clip("z.bin")).unwrap();
    channel.put("y.bin", &copy);
    channel.run();
    check_gone(&channel);
    assert_eq!(channel.run().written, 0);
    std::fs::remove_file(&list).unwrap();
    channel.run();
    assert_eq!(channel.pages(), ["b", "y"]);
}

#[test]
fn many_releases_never_go_at_once_unasked() {
    let mut channel = Channel::of(&["a.bin", "b.bin", "c.bin"]);
    channel.run();
    for name in ["a.bin", "b.bin"] {
        std::fs::remove_file(channel.clip(name)).unwrap();
    }
    assert_eq!(channel.run().releases, 3);
    assert_eq!(channel.pages(), ["a", "b", "c"]);
    let aside = channel.folder.path().join("aside");
    std::fs::rename(channel.folder.path().join("clips"), &aside).unwrap();
    assert_eq!(channel.run().releases, 3);
    assert_eq!(channel.pages(), ["a", "b", "c"]);
    std::fs::rename(&aside, channel.folder.path().join("clips")).unwrap();
    let summary = channel.run_at("2026-11-22T00:00:00Z", true);
    assert_eq!((summary.releases, summary.removed), (1, 2));
    assert_eq!(channel.pages(), ["c"]);
}

#[test]
fn a_date_to_come_is_waited_for() {
    let mut channel = Channel::of(&["a.bin", "b.bin"]);
    channel.put(
        "a.md",
        b"+++\npublish_at = 2026-12-24T18:00:00Z\n+++\nLater.",
    );
    let summary = channel.run();
    assert_eq!(channel.pages(), ["b"]);
    assert_eq!(summary.next.unwrap().to_string(), "2026-12-24T18:00:00Z");
    assert_eq!(channel.run_at("2026-12-24T17:59:59Z", false).written, 0);
    let summary = channel.run_at("2026-12-24T18:00:00Z", false);
    assert_eq!((summary.published, summary.next), (1, None));
    assert!(channel.text("feed.xml").contains("24 Dec 2026 18:00:00"));
    // What is published stays as it is until its next date.
    channel.put(
        "a.md",
        b"+++\npublish_at = 2027-01-01T00:00:00Z\n+++\nAnew.",
    );
    channel.run_at("2026-12-25T00:00:00Z", false);
    assert!(channel.text("r/a/index.html").contains("Later."));
    channel.run_at("2027-01-01T00:00:00Z", false);
    assert!(channel.text("r/a/index.html").contains("Anew."));
}

#[test]
fn a_draft_goes_and_what_can_not_be_read_stays() {
    let mut channel = Channel::of(&["a.bin", "b.bin", "c.bin"]);
    channel.run();
    channel.put("a.md", b"+++\ndraft = true\n+++");
    channel.put("b.md", b"+++\ndraft = perhaps\n+++");
    let summary = channel.run();
    assert_eq!((summary.removed, summary.problems), (1, 1));
    assert_eq!(channel.pages(), ["b", "c"]);
    assert!(channel.text("index.html").contains("r/b/"));
    assert_eq!(channel.run().problems, 1);
}

#[test]
fn what_is_not_ready_waits_and_stops_nobody_else() {
    let mut channel = Channel::of(&["a.bin", "b.bin"]);
    let mut asked = Vec::new();
    let mut ready = |found: &FoundRelease| {
        asked.push(found.source.clone());
        match found.source.as_str() {
            "a.bin" => Err("is still being written".to_owned()),
            _ => Ok(()),
        }
    };
    let mut run = |once, channel: &mut Channel| {
        let options = Options {
            once,
            ready: Some(&mut ready),
            ..Options::default()
        };
        channel
            .publisher
            .run(Timestamp::UNIX_EPOCH, options)
            .unwrap()
    };
    let summary = run(false, &mut channel);
    assert_eq!((summary.releases, summary.problems), (1, 0));
    assert_eq!(summary.waiting[0].source, "a.bin");
    assert_eq!(run(true, &mut channel).problems, 1);
    assert_eq!(channel.pages(), ["b"]);
    // What is unchanged is not asked about.
    assert_eq!(asked, ["a.bin", "b.bin", "a.bin"]);
}

#[test]
fn a_look_writes_nothing() {
    let mut channel = Channel::of(&["a.bin", "b.bin", "c.bin"]);
    channel.run();
    std::fs::rename(channel.clip("a.bin"), channel.clip("z.bin")).unwrap();
    std::fs::remove_file(channel.clip("b.bin")).unwrap();
    channel.put("d.bin", b"d");
    channel.put("e.bin", b"");
    let before = channel.state();
    let mut look = Look::at(&channel.publisher, Timestamp::UNIX_EPOCH, false)
        .unwrap()
        .unwrap();
    let mut options = Options::default();
    let previews = channel
        .publisher
        .preview_of(&mut look, Timestamp::UNIX_EPOCH, &mut options);
    let shown: Vec<String> = previews
        .iter()
        .map(|preview| format!("{} {}", preview.action.word(), preview.source))
        .collect();
    assert_eq!(
        shown,
        [
            "removed b.bin",
            "unchanged c.bin",
            "new d.bin",
            "problem e.bin",
            "renamed z.bin"
        ]
    );
    assert_eq!(channel.state(), before);
}
