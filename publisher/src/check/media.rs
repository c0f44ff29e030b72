//! The media as browsers and torrent clients fetch them: by range, byte for byte, from another origin.

use super::finding::Findings;
use super::http::{Answer, Client};
use super::link::{is_secure, join, origin};
use super::site::{Example, Site};
use crate::seal::segment;
use metainfo::{Format, Torrent};
use sha1::{Digest, Sha1};

/// As much as one probe may bring: more than two bytes, to see that there are more.
const PROBE: usize = 64;

/// Checks every place that gives the release's first file by HTTP.
pub(super) fn check(
    client: &Client,
    site: &Site,
    example: Example<'_>,
    torrent: &Torrent,
    findings: &mut Findings,
) {
    let Some(file) = torrent
        .info
        .files()
        .iter()
        .find(|file| !file.pad && file.length >= 2)
    else {
        return;
    };
    let wanted = Wanted {
        bytes: file.length,
        mime: (example.release.kind == "clip").then_some(example.rendition.mime.as_str()),
        page: &site.root,
        torrent,
    };
    let path: Vec<String> = torrent
        .info
        .stored_path(file)
        .split('/')
        .map(segment)
        .collect();
    let mut places: Vec<String> = example
        .rendition
        .sources
        .iter()
        .filter_map(|source| {
            let source = join(&format!("{}catalog.json", site.root), source)?;
            // BEP 19: below an address that ends in a slash lie name and path.
            let below = if source.ends_with('/') {
                path.join("/")
            } else {
                String::new()
            };
            Some(format!("{source}{below}"))
        })
        .collect();
    if places.is_empty() {
        places.push(format!(
            "{}library/{}/{}",
            site.root,
            torrent.info.id(),
            path.join("/")
        ));
    }
    for url in places.iter().take(8) {
        probe(client, url, &wanted, findings);
    }
}

struct Wanted<'a> {
    bytes: u64,
    mime: Option<&'a str>,
    page: &'a str,
    torrent: &'a Torrent,
}

fn probe(client: &Client, url: &str, wanted: &Wanted<'_>, findings: &mut Findings) {
    if is_secure(wanted.page) && !is_secure(url) {
        let text = format!("the page is encrypted and {url} is not, so browsers block it");
        findings.fail(
            "media",
            &text,
            "give seeder_url as https:// and publish again",
        );
    }
    let foreign = origin(url) != origin(wanted.page);
    let asked = [
        ("Range", "bytes=0-1"),
        ("Origin", origin(wanted.page)),
        ("Accept-Encoding", "gzip, deflate, br"),
    ];
    let answer = match client.get(url, &asked, PROBE) {
        Ok(answer) => answer,
        Err(reason) => {
            let remedy = "is the seeder up, and seeder_url the address it is reached by?";
            findings.fail("media", &reason, remedy);
            return;
        }
    };
    if !exact(&answer, url, wanted, findings) {
        return;
    }
    cors(client, &answer, url, wanted, foreign, findings);
    if let Some(mime) = wanted.mime {
        let mime = mime.split(';').next().unwrap_or(mime).trim();
        if answer.mime() == mime {
            findings.ok("media", &format!("is sent as {mime}"));
        } else {
            let text = format!("{url} is sent as `{}`", answer.header("content-type"));
            findings.fail("media", &text, &format!("let the host send it as {mime}"));
        }
    }
    if answer.header("etag").is_empty() && answer.header("last-modified").is_empty() {
        let remedy = "without ETag or Last-Modified a download that broke off begins anew";
        findings.warn("media", &format!("{url} has no validator"), remedy);
    }
    if answer.header("cache-control").contains("no-store") {
        let remedy = "what lies under library/ never changes: let it be kept";
        findings.warn("media", &format!("browsers may not keep {url}"), remedy);
    }
    first_piece(client, url, wanted, findings);
}

/// Two bytes, and only these: Safari plays nothing where this is not answered to the letter.
fn exact(answer: &Answer, url: &str, wanted: &Wanted<'_>, findings: &mut Findings) -> bool {
    let remedy = match answer.status {
        206 => {
            let said = format!("bytes 0-1/{}", wanted.bytes);
            let encoding = answer.header("content-encoding");
            if !["", "identity"].contains(&encoding) {
                let text = format!("{url} is compressed ({encoding}), so ranges mean other bytes");
                findings.fail("media", &text, "switch compression off below library/");
                return false;
            }
            if answer.header("content-range") != said {
                let text = format!(
                    "asked for two bytes, {url} says `{}` where `{said}` is right",
                    answer.header("content-range")
                );
                findings.fail(
                    "media",
                    &text,
                    "is it the file that was published? is a proxy in between?",
                );
                return false;
            }
            if answer.body.len() != 2 {
                let text = format!("asked for two bytes, {url} sends another number of them");
                findings.fail("media", &text, "is a proxy in between that changes ranges?");
                return false;
            }
            if answer.header("accept-ranges") != "bytes" {
                let text = format!("{url} does not say `Accept-Ranges: bytes`");
                findings.warn("media", &text, "some players seek only where it is said");
            }
            findings.ok(
                "media",
                &format!("{url} gives exactly the bytes that are asked for"),
            );
            return true;
        }
        200 => "the host must answer ranges (206); without them nobody can seek",
        404 => "run `seeder serve` there, or upload out/library beside the site",
        403 => "let the host give the file to everybody",
        503 => "the seeder does not serve it now: see its log",
        _ => "is the seeder up, and seeder_url the address it is reached by?",
    };
    let text = format!("{url} answers {} to a range", answer.status);
    findings.fail("media", &text, remedy);
    false
}

/// Whether scripts of the page may read the media, and what is said of them.
fn cors(
    client: &Client,
    answer: &Answer,
    url: &str,
    wanted: &Wanted<'_>,
    foreign: bool,
    findings: &mut Findings,
) {
    let mut missing = Vec::new();
    let allowed = answer.header("access-control-allow-origin");
    if allowed != "*" && allowed != origin(wanted.page) {
        missing.push("Access-Control-Allow-Origin: *".to_owned());
    }
    let exposed = answer
        .header("access-control-expose-headers")
        .to_ascii_lowercase();
    let exposed: Vec<&str> = exposed.split(',').map(str::trim).collect();
    for name in ["content-range", "content-length", "etag"] {
        // The length is always to be read.
        if name != "content-length" && !exposed.contains(&name) && !exposed.contains(&"*") {
            missing.push(format!("Access-Control-Expose-Headers: {name}"));
        }
    }
    if missing.is_empty() {
        findings.ok("media", "other sites may read it (CORS)");
    } else {
        let text = format!("{url} lacks {}", missing.join(", "));
        let remedy = "let the host send these headers below library/";
        if foreign {
            findings.fail("media", &text, remedy);
        } else {
            findings.warn("media", &text, remedy);
        }
    }
    if foreign {
        let asked = client.preflight(url, origin(wanted.page));
        let granted = asked.is_ok_and(|answer| {
            let headers = answer
                .header("access-control-allow-headers")
                .to_ascii_lowercase();
            (200..300).contains(&answer.status) && (headers.contains("range") || headers == "*")
        });
        if !granted {
            let text = format!("{url} does not grant the header Range (CORS preflight)");
            findings.warn(
                "media",
                &text,
                "older browsers ask before they fetch ranges",
            );
        }
    }
}

/// Whether the bytes are those of the torrent: the first piece tells.
fn first_piece(client: &Client, url: &str, wanted: &Wanted<'_>, findings: &mut Findings) {
    let info = &wanted.torrent.info;
    let length =
        u64::from(info.geometry().piece_length().get()).min(info.geometry().total_length());
    let first = info.piece_hashes().and_then(|hashes| hashes.first());
    // A piece that goes on in the next file would need that as well.
    let (Some(hash), true) = (first, length <= wanted.bytes && info.format() != Format::V2) else {
        return;
    };
    let limit = usize::try_from(length).unwrap_or(0);
    let range = format!("bytes=0-{}", length - 1);
    match client.get(url, &[("Range", &range)], limit) {
        Ok(answer) if answer.status == 206 && !answer.cut => {
            if Sha1::digest(&answer.body).as_slice() == hash.as_bytes() {
                findings.ok(
                    "media",
                    "its first piece has the hash that the torrent names",
                );
            } else {
                let text = format!("the first piece of {url} is not that of the torrent");
                findings.fail(
                    "media",
                    &text,
                    "upload out/library anew, in binary mode and without any conversion",
                );
            }
        }
        Ok(answer) => {
            let text = format!("{url} answers {} to a longer range", answer.status);
            findings.fail("media", &text, "is a proxy in between that changes ranges?");
        }
        Err(reason) => findings.fail("media", &reason, "is the connection broken off by a limit?"),
    }
}
