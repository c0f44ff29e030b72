//! `sitemap.xml`, with what video search wants to know of clips. A document of fixed shape and up to 50,000
//! entries, so it is no template.

use super::escape::escaped;
use super::labels::whole_seconds;
use super::render::at;
use super::sheets::Listed;

/// The sitemap of these releases, on a site at `base`.
pub(super) fn sitemap(base: &str, listed: &[Listed]) -> Vec<u8> {
    let mut out = String::with_capacity(200 + listed.len() * 600);
    out.push_str(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
        "<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\" ",
        "xmlns:video=\"http://www.google.com/schemas/sitemap-video/1.1\">\n  <url>\n"
    ));
    element(&mut out, 4, "loc", base);
    out.push_str("  </url>\n");
    for release in listed {
        out.push_str("  <url>\n");
        element(&mut out, 4, "loc", &format!("{base}r/{}/", release.slug));
        element(&mut out, 4, "lastmod", &release.entry.modified);
        if let Some(video) = &release.entry.video {
            out.push_str("    <video:video>\n");
            element(
                &mut out,
                6,
                "video:thumbnail_loc",
                &at(&video.thumbnail, base),
            );
            element(&mut out, 6, "video:title", &video.title);
            element(&mut out, 6, "video:description", &video.description);
            element(&mut out, 6, "video:content_loc", &at(&video.content, base));
            // The format knows lengths from one second to eight hours.
            let seconds = video.duration_s.map(whole_seconds);
            if let Some(seconds) = seconds.filter(|s| (1..=28_800).contains(s)) {
                element(&mut out, 6, "video:duration", &seconds.to_string());
            }
            element(&mut out, 6, "video:publication_date", &release.published);
            out.push_str("    </video:video>\n");
        }
        out.push_str("  </url>\n");
    }
    out.push_str("</urlset>\n");
    out.into_bytes()
}

fn element(out: &mut String, indent: usize, name: &str, text: &str) {
    out.extend(std::iter::repeat_n(' ', indent));
    out.push_str(&format!("<{name}>{}</{name}>\n", escaped(text)));
}
