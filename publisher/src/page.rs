//! Pages, feeds and their assets: from the view structs to bytes, with no file or network in between.
//!
//! A run makes a [`Site`] of its channel, and of it the [`Page`]s of every release that changed, those
//! [`Sheet`]s (index pages, feeds, the sitemap) that show one of them, and what is fixed. The same views give
//! the same bytes. Everything a publisher types (titles,
//! names, file names, texts) is hostile until it has gone through [`escape`] or [`markdown`]; nothing
//! else marks text as safe.
//!
//! Not here: reading sidecars, hashing, copying posters and captions, writing files.

mod assets;
mod colour;
pub mod escape;
#[cfg(test)]
mod feed_tests;
mod feeds;
mod json_feed;
pub mod labels;
pub mod markdown;
pub mod placeholder;
mod render;
#[cfg(test)]
mod render_tests;
#[cfg(test)]
pub(crate) mod sample;
mod security;
mod sheets;
mod site;
mod sitemap;
mod stage;
pub mod view;

pub use render::Renderer;
pub use sheets::{FEED_PAGE, INDEX_PAGE, Listed, Sheet, SitemapEntry, SitemapVideo};
pub use site::Site;

/// One file of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it goes, below `site/`, `/`-separated.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Why the pages could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// A template can't be read, or stumbles over what it was given.
    #[error("template {template}, line {line}: {message}")]
    Template {
        /// File below `templates/`.
        template: String,
        /// Line in it, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// Templates that don't fit together: a missing parent, a circle.
    #[error("templates: {message}")]
    Templates {
        /// What is wrong, naming the templates.
        message: String,
    },
    /// A template that every theme must have is not there.
    #[error("template {template} is missing")]
    MissingTemplate {
        /// File below `templates/`.
        template: &'static str,
    },
    /// A release whose slug can't be a folder's name.
    #[error(
        "release {title:?}: the slug {slug:?} can't be used in a URL (letters, digits, '-', '_' and '.' can)"
    )]
    Slug {
        /// Title of the release.
        title: String,
        /// The slug as given.
        slug: String,
    },
    /// The player's data can't be written as JSON.
    #[error("player data of {slug}: {source}")]
    PlayerData {
        /// Slug of the release.
        slug: String,
        /// The cause.
        source: serde_json::Error,
    },
}
