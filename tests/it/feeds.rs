//! What subscribers and programs get: feeds read by a parser that is not ours, the catalog's signature checked by
//! minisign.

use std::fs;
use std::path::{Path, PathBuf};
use tests::clients::{feedparser, minisign};
use tests::folder::{EXAMPLES, copy_example, noise, put, temporary};
use tests::process::run;
use tests::programs::Tool;
use tests::published::{build, publisher, set_channel, state};

const MEDIA: &str = "{http://search.yahoo.com/mrss/}";
const PODCAST: &str = "{https://podcastindex.org/namespace/1.0}";
const HISTORY: &str = "{http://purl.org/syndication/history/1.0}";

fn public(name: &str, at: &Path) -> PathBuf {
    let clips = copy_example(name, at);
    set_channel(&clips, "seeder_url = \"https://seed.example.org/\"");
    set_channel(&clips, "base_url = \"https://video.example.org/\"");
    let out = at.join("out");
    build(&clips, &out).success();
    out
}

#[test]
fn feeds_are_what_a_parser_expects() {
    if Tool::Feedparser.skipped() {
        return;
    }
    for name in EXAMPLES {
        let at = temporary();
        let out = public(name, at.path());
        let torrents = state(&out);
        let feed = feedparser::read(&out.join("site/feed.xml"));
        assert_eq!(feed["bozo"], false, "{name}: {}", feed["why"]);
        assert_eq!(feed["version"], "rss20", "{name}");
        let entries = feed["entries"].as_array().unwrap();
        let mut slugs: Vec<_> = torrents.iter().map(|t| t.slug.clone()).collect();
        slugs.sort();
        slugs.dedup();
        assert_eq!(entries.len(), slugs.len(), "{name}");
        for entry in entries {
            let at = format!("{name}: {entry}");
            for key in ["title", "id", "link", "summary"] {
                assert!(
                    entry[key].as_str().is_some_and(|text| !text.is_empty()),
                    "{key} of {at}"
                );
            }
            assert!(!entry["published"].as_array().unwrap().is_empty(), "{at}");
            let enclosure = &entry["enclosures"][0];
            let href = enclosure["href"].as_str().unwrap();
            let path = href
                .strip_prefix("https://seed.example.org/library/")
                .unwrap_or_else(|| panic!("{at}"));
            let file = out.join("library").join(percent_decoded(path));
            let length: u64 = enclosure["length"].as_str().unwrap().parse().unwrap();
            assert_eq!(fs::metadata(&file).unwrap().len(), length, "{at}");
        }
        // Every torrent is offered beside its file, with a magnet link, and its hash is known.
        let torrent_sources: Vec<_> =
            feedparser::elements(&feed["xml"], &format!("{PODCAST}source"))
                .iter()
                .map(|source| source[1]["uri"].as_str().unwrap().to_owned())
                .collect();
        for torrent in torrents {
            let url = format!("https://video.example.org/t/{}.torrent", torrent.id);
            assert!(
                torrent_sources.contains(&url),
                "{name}: {url} in {torrent_sources:?}"
            );
            let magnet = format!("urn:btih:{}", torrent.id);
            assert!(
                torrent_sources
                    .iter()
                    .any(|source| source.contains(&magnet)),
                "{name}: {magnet}"
            );
        }
        let guids: Vec<_> = feedparser::elements(&feed["xml"], &format!("{PODCAST}guid"))
            .iter()
            .map(|guid| guid[2].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(guids.len(), 1, "{name}: {guids:?}");
        let contents = feedparser::elements(&feed["xml"], &format!("{MEDIA}content"));
        assert!(!contents.is_empty(), "{name}");
        for other in ["torrents.xml", "sitemap.xml"] {
            let other = feedparser::read(&out.join("site").join(other));
            assert!(
                other["xml"][3]
                    .as_array()
                    .is_some_and(|children| !children.is_empty()),
                "{other}"
            );
        }
        let torrents = feedparser::read(&out.join("site/torrents.xml"));
        assert_eq!(torrents["bozo"], false, "{}", torrents["why"]);
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("site/feed.json")).unwrap()).unwrap();
        assert_eq!(json["version"], "https://jsonfeed.org/version/1.1");
        assert_eq!(json["items"].as_array().unwrap().len(), slugs.len());
    }
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path)
        .decode_utf8_lossy()
        .into_owned()
}

#[test]
fn integrity_in_the_feed_is_that_of_the_file() {
    if Tool::Feedparser.skipped() {
        return;
    }
    let at = temporary();
    let out = public("test-drive", at.path());
    let feed = feedparser::read(&out.join("site/feed.xml"));
    let integrity = feedparser::elements(&feed["xml"], &format!("{PODCAST}integrity"));
    let values: Vec<_> = integrity
        .iter()
        .map(|node| node[1]["value"].as_str().unwrap())
        .collect();
    let sum = run(std::process::Command::new("sh").arg("-c").arg(
        "openssl dgst -sha256 -binary \"$0\" 2>/dev/null | base64 || python3 -c \
         'import base64,hashlib,sys;print(base64.b64encode(hashlib.sha256(open(sys.argv[1],\"rb\").read()).digest()).decode())' \"$0\"",
    ).arg(state(&out)[0].payload())).success();
    let expected = format!("sha256-{}", sum.stdout.trim());
    assert!(
        values.contains(&expected.as_str()),
        "{expected} in {values:?}"
    );
}

#[test]
fn hostile_words_stay_words() {
    if Tool::Feedparser.skipped() {
        return;
    }
    let at = temporary();
    let clips = at.path().join("clips");
    put(
        &clips.join("channel.toml"),
        "title = \"<b>&\\\"' ]]> \\u0007 \u{fffe} 🎸\"\nbase_url = \"https://a.example/?x=<&>/\"\n"
            .as_bytes(),
    );
    put(&clips.join("a & b <c>.bin"), &noise(1, 5000));
    put(
        &clips.join("a & b <c>.md"),
        "+++\ntitle = \"]]><script>alert(1)</script>\\u0000\\u000b\"\n+++\n<script>alert(2)</script> ]]> &bogus; \u{1}\n".as_bytes(),
    );
    let out = at.path().join("out");
    let built = build(&clips, &out);
    built.calm();
    // A URL that breaks pages is refused by name; then once more without it.
    if built.code == 1 {
        set_channel(&clips, "base_url = \"https://a.example/x/\"");
        build(&clips, &out).success();
    }
    for name in ["feed.xml", "torrents.xml"] {
        let feed = feedparser::read(&out.join("site").join(name));
        assert_eq!(feed["bozo"], false, "{name}: {}", feed["why"]);
        assert_eq!(feed["entries"].as_array().unwrap().len(), 1, "{name}");
    }
    feedparser::read(&out.join("site/sitemap.xml"));
}

#[test]
fn long_lists_are_cut_into_pages_that_stay() {
    if Tool::Feedparser.skipped() {
        return;
    }
    let at = temporary();
    let clips = at.path().join("clips");
    put(
        &clips.join("channel.toml"),
        b"title = \"Long\"\nbase_url = \"https://a.example/\"\n",
    );
    for n in 0..230u64 {
        put(&clips.join(format!("clip-{n:03}.bin")), &noise(n + 1, 400));
        let day = format!(
            "+++\npublished = 2020-{:02}-{:02}\n+++\n",
            1 + n / 28,
            1 + n % 28
        );
        put(&clips.join(format!("clip-{n:03}.md")), day.as_bytes());
    }
    let out = at.path().join("out");
    build(&clips, &out).success();
    let site = out.join("site");
    // Walk from the newest feed document to the oldest: every release once, newest first.
    let mut seen = Vec::new();
    let mut next = Some("feed.xml".to_owned());
    while let Some(name) = next {
        let feed = feedparser::read(&site.join(&name));
        assert_eq!(feed["bozo"], false, "{name}: {}", feed["why"]);
        let entries = feed["entries"].as_array().unwrap();
        assert!(entries.len() < 200, "{name} has {}", entries.len());
        seen.extend(
            entries
                .iter()
                .map(|entry| entry["link"].as_str().unwrap().to_owned()),
        );
        let is_archive =
            !feedparser::elements(&feed["xml"], &format!("{HISTORY}archive")).is_empty();
        assert_eq!(is_archive, name != "feed.xml", "{name}");
        next = feed["links"].as_array().unwrap().iter().find_map(|link| {
            (link["rel"] == "prev-archive").then(|| {
                let href = link["href"].as_str().unwrap();
                href.strip_prefix("https://a.example/").unwrap().to_owned()
            })
        });
    }
    let expected: Vec<_> = (0..230)
        .rev()
        .map(|n| format!("https://a.example/r/clip-{n:03}/"))
        .collect();
    assert_eq!(seen, expected);
    // The index pages hold every release once, too, and a new one changes only what it must.
    let pages: Vec<_> = tests::folder::files(&site)
        .into_iter()
        .filter(|path| path == "index.html" || path.starts_with("p/"))
        .collect();
    assert!(pages.len() > 2, "{pages:?}");
    let shown: usize = pages
        .iter()
        .map(|page| {
            let html = fs::read_to_string(site.join(page)).unwrap();
            (0..230)
                .filter(|n| html.contains(&format!("r/clip-{n:03}/")))
                .count()
        })
        .sum();
    assert_eq!(shown, 230);
    let before = tests::folder::stats(&out);
    put(&clips.join("clip-999.bin"), &noise(999, 400));
    build(&clips, &out).success();
    let mut changed: Vec<_> = tests::folder::stats(&out)
        .into_iter()
        .filter(|(path, stat)| before.get(path) != Some(stat))
        .map(|(path, _)| path)
        .filter(|path| path.starts_with("site/r/") || path.starts_with("site/p/"))
        .collect();
    changed.retain(|path| !path.starts_with("site/r/clip-999/"));
    assert!(changed.len() <= 1, "a new release rewrote {changed:?}");
    tests::site::assert_whole(&out);
}

#[test]
fn everybody_can_check_the_catalog() {
    if Tool::Minisign.skipped() {
        return;
    }
    let at = temporary();
    let clips = copy_example("test-drive", at.path());
    let out = at.path().join("out");
    let home = at.path().join("home");
    let run_build = || {
        run(publisher(["build"])
            .arg(&clips)
            .arg("--out")
            .arg(&out)
            .env("XDG_CONFIG_HOME", &home))
        .success()
    };
    let first = run_build();
    assert!(
        first.stderr.contains("minisign.key"),
        "the key is told of: {first}"
    );
    let (catalog, key) = (out.join("site/catalog.json"), out.join("site/minisign.pub"));
    minisign::verify(&catalog, &key).success();
    let secret = home.join("groundswell/minisign.key");
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(&secret).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let secret_text = fs::read_to_string(&secret).unwrap();
    let last = secret_text.trim().lines().last().unwrap().to_owned();
    for (path, bytes) in tests::folder::contents(&out) {
        assert!(
            !String::from_utf8_lossy(&bytes).contains(&last),
            "the secret key lies in {path}"
        );
    }
    // Unchanged: neither signed anew nor told of again.
    let signature = fs::read(out.join("site/catalog.json.minisig")).unwrap();
    let second = run_build();
    assert!(!second.stderr.contains("minisign.key"), "{second}");
    assert!(fs::read(out.join("site/catalog.json.minisig")).unwrap() == signature);
    // Changed: the serial rises, and the signature holds.
    put(&clips.join("more.bin"), &noise(1, 5000));
    run_build();
    minisign::verify(&catalog, &key).success();
    let serial = |bytes: &[u8]| -> u64 {
        let value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        value["serial"].as_u64().unwrap()
    };
    assert_eq!(serial(&fs::read(&catalog).unwrap()), 2);
    // A signature that was lost or spoilt is made again.
    put(
        &out.join("site/catalog.json.minisig"),
        b"untrusted comment: no\n",
    );
    run_build();
    minisign::verify(&catalog, &key).success();
    // A changed catalog does not verify.
    let mut spoilt = fs::read(&catalog).unwrap();
    let at = spoilt.len() / 2;
    spoilt[at] ^= 1;
    fs::write(&catalog, &spoilt).unwrap();
    assert_ne!(minisign::verify(&catalog, &key).code, 0);
}
