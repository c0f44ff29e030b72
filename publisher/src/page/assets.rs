//! The theme's files, and where their copies go: one folder per site, named by all their contents.
//!
//! Script modules import each other by relative paths, so they have to lie together; the folder's name
//! changes when any of them does, and a host may let browsers keep it for ever.

use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

use super::colour::theme_css;
use super::view::ChannelView;
use super::{Page, placeholder};

// Only these three: the folder beside them holds tests and development tools, which stay out of the binary.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../site-template/templates");
static CSS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../site-template/css");
static PLAYER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../site-template/player");

/// The templates of the built-in theme: name below `templates/`, text.
pub(super) fn embedded_templates() -> Vec<(String, String)> {
    files(&TEMPLATES)
        .into_iter()
        .map(|(path, bytes)| (path, String::from_utf8_lossy(bytes).into_owned()))
        .collect()
}

/// The assets of one site, and the name of their folder.
pub(super) struct Assets {
    /// Below the root, with a trailing slash: `assets/<hash>/`.
    pub(super) folder: String,
    files: Vec<(String, Vec<u8>)>,
}

impl Assets {
    /// The theme's files, with the style sheet and the icon made for this channel.
    pub(super) fn of(channel: &ChannelView) -> Assets {
        let mut all: Vec<(String, Vec<u8>)> = Vec::new();
        for (path, bytes) in files(&CSS) {
            all.push((path, bytes.to_vec()));
        }
        for (path, bytes) in files(&PLAYER) {
            all.push((format!("player/{path}"), bytes.to_vec()));
        }
        all.push((
            "theme.css".to_owned(),
            theme_css(&channel.theme).into_bytes(),
        ));
        let icon = placeholder::icon(&channel.title, &channel.theme.accent);
        all.push(("icon.svg".to_owned(), icon.into_bytes()));
        all.sort();
        Assets {
            folder: format!("assets/{}/", content_hash(&all)),
            files: all,
        }
    }

    pub(super) fn pages(&self) -> impl Iterator<Item = Page> {
        self.files.iter().map(|(path, bytes)| Page {
            path: format!("{}{path}", self.folder),
            bytes: bytes.clone(),
        })
    }
}

/// 16 hex digits over paths and contents, each with its length in front so that no two sets run together.
fn content_hash(files: &[(String, Vec<u8>)]) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize()[..8]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// Every file below a folder, with `/` between the parts of its path.
fn files(dir: &'static Dir<'static>) -> Vec<(String, &'static [u8])> {
    let mut out = Vec::new();
    for entry in dir.files() {
        let parts: Vec<_> = entry
            .path()
            .components()
            .map(|c| c.as_os_str().to_string_lossy())
            .collect();
        out.push((parts.join("/"), entry.contents()));
    }
    for inner in dir.dirs() {
        out.extend(files(inner));
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn the_folder_is_named_by_its_contents() {
        let mut channel = sample::site().channel;
        let one = Assets::of(&channel).folder;
        assert_eq!(one, Assets::of(&channel).folder);
        channel.theme.accent = "#00aa55".into();
        assert_ne!(
            one,
            Assets::of(&channel).folder,
            "another accent is another style sheet"
        );
        assert_eq!(one.len(), "assets/".len() + 17);
    }

    #[test]
    fn tests_and_tools_of_the_theme_stay_out() {
        let paths: Vec<String> = Assets::of(&sample::site().channel)
            .pages()
            .map(|p| p.path)
            .collect();
        assert!(
            paths.iter().any(|p| p.ends_with("/player/main.js")),
            "{paths:?}"
        );
        assert!(paths.iter().any(|p| p.ends_with("/site.css")));
        assert!(
            !paths
                .iter()
                .any(|p| p.contains("test") || p.contains("node_modules") || p.contains("json"))
        );
    }
}
