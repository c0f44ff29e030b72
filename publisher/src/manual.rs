//! `publisher man`: a man page for each command, made from the same words as `--help`.

use crate::args::Args;
use crate::report::Reporter;
use anyhow::{Context, Result};
use clap::CommandFactory;
use serde_json::json;
use std::path::Path;

/// Writes the pages of both programs: `publisher.1`, `publisher-up.1` …
pub fn write(dir: &Path, reporter: Reporter) -> Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    for command in [Args::command(), crate::up::seeder_command()] {
        clap_mangen::generate_to(command, dir)
            .with_context(|| format!("write man pages into {}", dir.display()))?;
    }
    let shown = dir.display();
    reporter.line(&format!(
        "wrote the man pages into {shown}; read one with `man -l {shown}/publisher.1`"
    ));
    reporter.event(|| json!({"event": "done", "path": dir}));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Mode;

    #[test]
    fn every_command_has_a_page() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("man1"), Reporter::new(Mode::Quiet)).unwrap();
        let page = |name: &str| {
            std::fs::read_to_string(folder.path().join("man1").join(format!("{name}.1")))
                .unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        for command in Args::command()
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
        {
            let page = page(&format!("publisher-{}", command.get_name()));
            assert!(page.contains("NAME"), "{page}");
        }
        assert!(page("publisher").contains("Begin with"));
        assert!(page("seeder-serve").contains("peer"));
    }
}
