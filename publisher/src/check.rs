//! `publisher check`: is a published site right, seen from outside as a browser and a torrent client see
//! it? One line a finding, with the remedy where something is wrong.
//!
//! Order: the page, what it loads, the documents beside it, then one release: its page, its torrent, its
//! media, its trackers. Nothing is believed: every answer is bounded in size and time.

mod finding;
mod http;
mod link;
mod media;
mod site;
mod tracker;

use crate::args::Check;
use crate::report::Reporter;
use anyhow::{Result, bail};
use finding::Findings;
use http::Client;

/// Checks a site and tells what it finds; gives whether nothing failed.
pub fn check(args: &Check, reporter: Reporter) -> Result<bool> {
    let Some(url) = link::typed(&args.url) else {
        bail!(
            "`{}` is not a web address like https://video.example.org/",
            crate::report::one_line(&args.url)
        );
    };
    let key = args.key.as_deref().map(site::public_key).transpose()?;
    let client = Client::new();
    let mut findings = Findings::new(reporter);
    if let Some(site) = site::check(&client, &url, key, &mut findings)
        && let Some(example) = site.example()
        && let Some(torrent) = site::release(&client, &site, example, &mut findings)
    {
        media::check(&client, &site, example, &torrent, &mut findings);
        tracker::check(&client, &torrent, &mut findings);
    }
    Ok(findings.tell())
}

#[cfg(test)]
mod tests;
