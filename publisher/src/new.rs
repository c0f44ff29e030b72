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

    #[test]
    fn the_new_folder_reads_as_a_channel_and_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("a \"quoted\" name");
        let reporter = Reporter::new(Mode::Quiet);
        new(&dir, reporter).unwrap();
        assert_eq!(Channel::read(&dir).unwrap().title, "A \"quoted\" name");
        assert!(new(&dir, reporter).is_err());
    }
}
