//! The pages and the documents beside them.

use super::finding::Findings;
use super::http::{Answer, Client};
use super::link::{folder, is_local, is_secure, join, origin, references};
use crate::sign;
use anyhow::{Result, bail};
use metainfo::Torrent;
use metainfo::catalog::{Catalog, CatalogRelease, CatalogRendition};

/// The largest page that is read.
const PAGE: usize = 8 << 20;
/// The largest catalog or torrent that is read.
const DOCUMENT: usize = 64 << 20;
/// Pages may be kept this long by browsers without harm, in seconds.
const SHORT: u64 = 3600;

/// A site that has a page and a catalog.
pub(super) struct Site {
    /// Its root, with a trailing slash.
    pub(super) root: String,
    catalog: Catalog,
}

/// A release that stands for all: one torrent of it.
#[derive(Clone, Copy)]
pub(super) struct Example<'a> {
    pub(super) release: &'a CatalogRelease,
    pub(super) rendition: &'a CatalogRendition,
}

impl Site {
    /// The newest clip, else the newest of all.
    pub(super) fn example(&self) -> Option<Example<'_>> {
        let with_torrent = |release: &&CatalogRelease| !release.renditions.is_empty();
        let releases = || self.catalog.releases.iter().filter(with_torrent);
        let release = releases()
            .find(|release| release.kind == "clip")
            .or_else(|| releases().next())?;
        Some(Example {
            release,
            rendition: release.renditions.first()?,
        })
    }
}

/// A public key as it is typed: its text, or a file.
pub(super) fn public_key(text: &str) -> Result<String> {
    match std::fs::read_to_string(text) {
        Ok(key) => Ok(key),
        // 42 bytes in base64.
        Err(_) if text.len() == 56 => Ok(text.to_owned()),
        Err(error) => {
            bail!("--key `{text}` is neither a minisign public key nor a file of one ({error})")
        }
    }
}

/// Checks the page at the address and the documents that lie at the site's root.
pub(super) fn check(
    client: &Client,
    url: &str,
    key: Option<String>,
    findings: &mut Findings,
) -> Option<Site> {
    let page = page(client, url, "page", findings)?;
    let landed = page.url.clone();
    if is_secure(&landed) {
        findings.ok("https", &format!("{} is encrypted", origin(&landed)));
    } else if is_local(&landed) {
        findings.ok("https", "this machine needs no encryption to itself");
    } else {
        let remedy =
            "get a certificate; browsers give the player's worker and peers to secure pages only";
        let text = format!("{} is not encrypted", origin(&landed));
        findings.warn("https", &text, remedy);
    }
    assets(client, &page, findings);
    // A release's page may have been typed: the site lies two folders up.
    let root = folder(&landed);
    let root = root.rfind("/r/").map_or(root, |at| &root[..=at]).to_owned();
    let catalog = catalog(client, &root, key, findings)?;
    feed(client, &root, findings);
    Some(Site { root, catalog })
}

/// Checks a release's page and its torrent file; gives the torrent.
pub(super) fn release(
    client: &Client,
    site: &Site,
    example: Example<'_>,
    findings: &mut Findings,
) -> Option<Torrent> {
    let catalog = format!("{}catalog.json", site.root);
    if let Some(url) = join(&catalog, &example.release.page)
        && let Some(answer) = page(client, &url, "release", findings)
    {
        assets(client, &answer, findings);
    }
    let url = join(&catalog, &example.rendition.torrent)?;
    let answer = match client.get(&url, &[], DOCUMENT) {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            let text = format!("{url} answers {}", answer.status);
            findings.fail("torrent", &text, "upload the folder `t`");
            return None;
        }
        Err(reason) => {
            findings.fail(
                "torrent",
                &format!("{url}: {reason}"),
                "is the host reachable?",
            );
            return None;
        }
    };
    let torrent = match Torrent::parse(&answer.body) {
        Ok(torrent) => torrent,
        Err(error) => {
            let remedy = "upload it anew, in binary mode and without any conversion";
            findings.fail("torrent", &format!("{url}: {error}"), remedy);
            return None;
        }
    };
    let info = &torrent.info;
    let listed = example.rendition;
    if info.info_hash_v1() != listed.info_hash_v1 || info.info_hash_v2() != listed.info_hash_v2 {
        let text = format!("{url} is another torrent than the catalog names");
        findings.fail(
            "torrent",
            &text,
            "upload catalog.json and the folder `t` together",
        );
        return None;
    }
    if answer.mime() == "application/x-bittorrent" {
        findings.ok(
            "torrent",
            &format!("{url} is the torrent that the catalog names"),
        );
    } else {
        let text = format!("{url} is sent as `{}`", answer.header("content-type"));
        findings.warn(
            "torrent",
            &text,
            "let the host send .torrent as application/x-bittorrent",
        );
    }
    Some(torrent)
}

fn page(client: &Client, url: &str, subject: &str, findings: &mut Findings) -> Option<Answer> {
    let answer = match client.get(url, &[], PAGE) {
        Ok(answer) => answer,
        Err(reason) => {
            findings.fail(subject, &reason, "is the address right, and the host up?");
            return None;
        }
    };
    if answer.status != 200 {
        let text = format!("{url} answers {}", answer.status);
        findings.fail(
            subject,
            &text,
            "upload the content of out/site to that address",
        );
        return None;
    }
    if answer.mime() != "text/html" {
        let text = format!("{url} is sent as `{}`", answer.header("content-type"));
        findings.fail(
            subject,
            &text,
            "let the host send .html as text/html; charset=utf-8",
        );
        return None;
    }
    let html = answer.text();
    if !html.contains("content=\"Groundswell") {
        let text = format!("{url} was not made by Groundswell");
        findings.fail(
            subject,
            &text,
            "give the address that out/site is uploaded to",
        );
        return None;
    }
    if is_secure(&answer.url) {
        let insecure = html.split(" src=\"http://").nth(1);
        if let Some(rest) = insecure {
            let rest = rest.split('"').next().unwrap_or_default();
            let text =
                format!("the page is encrypted and loads http://{rest}, which browsers block");
            findings.fail(
                subject,
                &text,
                "give seeder_url and base_url as https:// and publish again",
            );
        }
    }
    match answer.max_age() {
        Some(seconds) if seconds > SHORT => {
            let text = format!("browsers keep {url} for {seconds} s without asking");
            findings.warn(
                subject,
                &text,
                "let the host send `Cache-Control: no-cache` for pages",
            );
        }
        _ => findings.ok(subject, &format!("{} is there", answer.url)),
    }
    Some(answer)
}

/// One style sheet and one script of the page: browsers refuse either with a wrong type.
fn assets(client: &Client, page: &Answer, findings: &mut Findings) {
    let named = references(&page.text());
    for (ending, types) in [
        (".css", &["text/css"][..]),
        (".js", &["text/javascript", "application/javascript"]),
    ] {
        let first = named.iter().find(|name| name.ends_with(ending));
        let Some(url) = first.and_then(|name| join(&page.url, name)) else {
            continue;
        };
        match client.get(&url, &[], PAGE) {
            Ok(answer) if answer.status == 200 && types.contains(&answer.mime().as_str()) => {
                findings.ok("assets", &format!("{url} is there"));
            }
            Ok(answer) if answer.status == 200 => {
                let text = format!("{url} is sent as `{}`", answer.header("content-type"));
                let remedy = format!("let the host send {ending} as {}", types[0]);
                findings.fail("assets", &text, &remedy);
            }
            Ok(answer) => {
                let text = format!("{url} answers {}", answer.status);
                findings.fail("assets", &text, "upload the folder `assets` as well");
            }
            Err(reason) => findings.fail("assets", &reason, "is the host reachable?"),
        }
    }
}

fn catalog(
    client: &Client,
    root: &str,
    key: Option<String>,
    findings: &mut Findings,
) -> Option<Catalog> {
    let url = format!("{root}catalog.json");
    let answer = match client.get(&url, &[], DOCUMENT) {
        Ok(answer) if answer.status == 200 => answer,
        Ok(answer) => {
            let text = format!("{url} answers {}", answer.status);
            findings.fail("catalog", &text, "upload catalog.json as well");
            return None;
        }
        Err(reason) => {
            findings.fail("catalog", &reason, "is the host reachable?");
            return None;
        }
    };
    let catalog = match Catalog::parse(&answer.body) {
        Ok(catalog) => catalog,
        Err(error) => {
            findings.fail("catalog", &format!("{url}: {error}"), "upload it anew");
            return None;
        }
    };
    let releases = catalog.releases.len();
    let word = if releases == 1 { "release" } else { "releases" };
    findings.ok(
        "catalog",
        &format!("{releases} {word}, serial {}", catalog.serial),
    );
    signature(client, root, &answer.body, key, findings);
    Some(catalog)
}

fn signature(
    client: &Client,
    root: &str,
    signed: &[u8],
    key: Option<String>,
    findings: &mut Findings,
) {
    let fetch = |name: &str| {
        let answer = client.get(&format!("{root}{name}"), &[], 64 << 10).ok()?;
        (answer.status == 200).then(|| answer.text())
    };
    let Some(signature) = fetch("catalog.json.minisig") else {
        let remedy = "upload catalog.json.minisig as well";
        findings.warn("signature", "the catalog is not signed", remedy);
        return;
    };
    let given = key.is_some();
    let Some(key) = key.or_else(|| fetch("minisign.pub")) else {
        let remedy = "upload minisign.pub as well, or give the key with --key";
        let text = "there is no public key to check it with";
        findings.warn("signature", text, remedy);
        return;
    };
    if let Err(reason) = sign::verify(&key, signed, &signature) {
        let remedy = if given {
            "is it this channel's key? else upload catalog.json and catalog.json.minisig together"
        } else {
            "upload catalog.json, catalog.json.minisig and minisign.pub together"
        };
        let text = format!("does not belong to this catalog and key ({reason})");
        findings.fail("signature", &text, remedy);
    } else {
        let whose = if given {
            "the key you gave"
        } else {
            "the key on the site"
        };
        findings.ok("signature", &format!("{whose} signed this catalog"));
    }
}

fn feed(client: &Client, root: &str, findings: &mut Findings) {
    let url = format!("{root}feed.xml");
    match client.get(&url, &[], DOCUMENT) {
        Ok(answer) if answer.status == 200 && answer.mime().contains("xml") => {
            findings.ok("feed", &format!("{url} is there"));
        }
        Ok(answer) if answer.status == 200 => {
            let text = format!("{url} is sent as `{}`", answer.header("content-type"));
            findings.warn("feed", &text, "let the host send .xml as application/xml");
        }
        Ok(answer) => {
            let text = format!("{url} answers {}", answer.status);
            findings.fail("feed", &text, "upload feed.xml as well");
        }
        Err(reason) => findings.fail("feed", &reason, "is the host reachable?"),
    }
}
