//! The renderer: a theme's templates, parsed once, and what they can call.

use sha2::{Digest, Sha256};
use tera::{ErrorKind, Kwargs, State, Tera, TeraResult};

use super::assets::embedded_templates;
use super::site::Site;
use super::view::ChannelView;
use super::{PageError, escape, labels};

/// The templates every theme must have.
const REQUIRED: [&str; 8] = [
    "404.html",
    "album.html",
    "clip.html",
    "download.html",
    "feed.xml",
    "index.html",
    "redirect.html",
    "torrents.xml",
];

/// Makes pages from view structs. Costly to make (it parses the templates), cheap to use again.
#[derive(Debug)]
pub struct Renderer {
    pub(super) tera: Tera,
    /// Hash of all templates.
    pub(super) theme: [u8; 32],
}

impl Renderer {
    /// With the built-in theme.
    ///
    /// # Errors
    /// Only when a template of the theme is broken, which the tests would have shown.
    pub fn new() -> Result<Renderer, PageError> {
        Renderer::with_templates(embedded_templates())
    }

    /// With these templates: name (`index.html`, `parts/card.html`) and text.
    pub(super) fn with_templates(templates: Vec<(String, String)>) -> Result<Renderer, PageError> {
        let mut hash = Sha256::new();
        for part in templates.iter().flat_map(|(name, text)| [name, text]) {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut tera = Tera::new();
        tera.set_escape_fn(escape::write_escaped);
        tera.register_filter("at", at_filter);
        tera.register_filter("bytes", |bytes: u64, _: Kwargs, _: &State<'_>| {
            labels::bytes_label(bytes)
        });
        tera.register_filter("iso_duration", |s: f64, _: Kwargs, _: &State<'_>| {
            labels::duration_iso(s)
        });
        tera.add_raw_templates(templates).map_err(template_error)?;
        for template in REQUIRED {
            if !tera.contains_template(template) {
                return Err(PageError::MissingTemplate { template });
            }
        }
        Ok(Renderer {
            tera,
            theme: hash.finalize().into(),
        })
    }

    /// The pages of one channel: what all of them share is made here, once a run. `generator` is the
    /// program's name and version.
    pub fn site(&self, channel: ChannelView, generator: &str) -> Site<'_> {
        Site::new(self, channel, generator)
    }
}

/// A URL seen from elsewhere: below `base`, unless it is absolute already.
pub(super) fn at(url: &str, base: &str) -> String {
    let is_absolute = ["http://", "https://"].iter().any(|scheme| {
        url.get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    });
    if is_absolute {
        url.to_owned()
    } else {
        format!("{base}{url}")
    }
}

fn at_filter(url: &str, kwargs: Kwargs, _: &State<'_>) -> TeraResult<String> {
    Ok(at(url, kwargs.must_get::<&str>("base")?))
}

/// Tera's errors print a many-line report with the source; ours is one line with the place.
pub(super) fn template_error(error: tera::Error) -> PageError {
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => PageError::Template {
            template: report.filename().to_owned(),
            line: report.span().start_line,
            message: report.message().lines().collect::<Vec<_>>().join(" "),
        },
        other => PageError::Templates {
            message: other.to_string().lines().collect::<Vec<_>>().join(" "),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_from_elsewhere() {
        assert_eq!(at("r/x/", "../../"), "../../r/x/");
        assert_eq!(at("https://a/b", "../../"), "https://a/b");
        assert_eq!(at("HTTP://a/b", "../../"), "HTTP://a/b");
        assert_eq!(at("é", "./"), "./é");
    }

    #[test]
    fn broken_templates_are_named_with_their_line() {
        let mut templates = embedded_templates();
        let index = templates
            .iter_mut()
            .find(|(name, _)| name == "index.html")
            .unwrap();
        index.1 = "fine\n{% if %}\n".to_owned();
        let error = Renderer::with_templates(templates.clone()).unwrap_err();
        assert!(
            matches!(&error, PageError::Template { template, line: 2, .. } if template == "index.html"),
            "{error}"
        );

        templates.retain(|(name, _)| name != "index.html");
        let error = Renderer::with_templates(templates.clone()).unwrap_err();
        assert_eq!(error.to_string(), "template index.html is missing");

        templates.push((
            "index.html".to_owned(),
            "{% extends \"nowhere.html\" %}".to_owned(),
        ));
        let error = Renderer::with_templates(templates).unwrap_err();
        assert!(
            error.to_string().contains("nowhere.html") && !error.to_string().contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_variable_is_named_with_its_line() {
        let mut templates = embedded_templates();
        templates.retain(|(name, _)| name != "404.html");
        templates.push((
            "404.html".to_owned(),
            "one\ntwo {{ channel.colour }}".to_owned(),
        ));
        let renderer = Renderer::with_templates(templates).unwrap();
        let channel = super::super::sample::site().channel;
        let error = renderer.site(channel, "test").fixed().unwrap_err();
        assert!(
            matches!(&error, PageError::Template { template, line: 2, .. } if template == "404.html"),
            "{error}"
        );
        assert!(error.to_string().contains("colour"), "{error}");
    }
}
