//! `publisher new`: a folder that is ready for clips and builds at once.

use crate::report::Reporter;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::Path;

/// Makes the folder with a `channel.toml` whose every key is explained. What exists is left alone.
pub fn new(dir: &Path, reporter: Reporter) -> Result<()> {
    let path = dir.join(crate::channel::FILE_NAME);
    if path.exists() {
        bail!(
            "{} exists already; edit it, or choose another folder",
            path.display()
        );
    }
    let name = dir.file_name().map_or_else(
        || "My channel".into(),
        |name| crate::probe::readable(&name.to_string_lossy()),
    );
    let title = toml::Value::String(name).to_string();
    let text = format!(include_str!("new/channel.toml"), title = title);
    store::write_atomic(&path, text.as_bytes()).context("make the folder")?;
    let shown = dir.display();
    reporter.line(&format!(
        "made {shown}; drop clips into it, then run `publisher up {shown}`"
    ));
    reporter.event(|| json!({"event": "done", "path": dir}));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use crate::report::Mode;

    fn made(name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join(name);
        new(&dir, Reporter::new(Mode::Quiet)).unwrap();
        (folder, dir)
    }

    #[test]
    fn the_new_folder_reads_as_a_channel_and_is_not_overwritten() {
        let (_folder, dir) = made("a \"quoted\" name");
        assert_eq!(Channel::read(&dir).unwrap().title, "A \"quoted\" name");
        assert!(new(&dir, Reporter::new(Mode::Quiet)).is_err());
        let listing = crate::folder::list(&dir, &[]).unwrap();
        assert!(listing.releases.is_empty() && listing.orphans.is_empty());
    }

    #[test]
    fn what_is_commented_out_can_be_used_as_it_stands() {
        let (_folder, dir) = made("channel");
        let path = dir.join(crate::channel::FILE_NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        let keys: Vec<&str> = text
            .lines()
            .map(|line| {
                let bare = line.strip_prefix("# ").unwrap_or(line);
                let name = bare.split([' ', '=']).next().unwrap_or_default();
                let is_key = bare.starts_with('[') || bare[name.len()..].starts_with(" = ");
                if is_key { bare } else { "" }
            })
            .collect();
        std::fs::write(&path, keys.join("\n")).unwrap();
        let channel = Channel::read(&dir).unwrap();
        assert_eq!(channel.renditions, [1080, 720, 480]);
        assert_eq!(channel.logo.as_deref(), Some("logo.png"));
        let plain = Channel {
            email: None,
            category: None,
            medium: None,
            base_url: None,
            seeder_url: None,
            udp_tracker_port: None,
            logo: None,
            links: Vec::new(),
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            renditions: Vec::new(),
            piece_length: None,
            author: channel.title.clone(),
            ..channel
        };
        std::fs::write(&path, text).unwrap();
        assert_eq!(
            Channel::read(&dir).unwrap(),
            plain,
            "a key that is named with another default"
        );
    }
}
