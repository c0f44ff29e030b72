//! Markdown of page texts to HTML that can go into a page as it is.
//!
//! Publishers are trusted with words, not with markup: raw HTML becomes text, links lead to the web, to
//! mail or within the site, pictures become their description (the page carries its own), headings start
//! at `h2` below the page's single `h1`. The output has no attribute that a strict
//! Content-Security-Policy would refuse.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

use super::escape::clean;

/// The page text as safe HTML; empty for empty text.
pub fn to_html(markdown: &str) -> String {
    let source = clean(markdown);
    let top = top_level(&source);
    let mut links = Vec::new();
    let events = parse(&source).filter_map(|event| safe(event, top, &mut links));
    let mut out = String::with_capacity(source.len() * 3 / 2);
    html::push_html(&mut out, events);
    // The corner of a table heads nothing. (Written like this it is a tag: text has its `<` escaped.)
    out.replace("<th></th>", "<td></td>")
}

/// The first paragraph as plain text in one line, cut at a word near `max_chars`: what a release says of
/// itself where the publisher wrote no summary.
pub fn first_paragraph(markdown: &str, max_chars: usize) -> String {
    let source = clean(markdown);
    let mut text = String::new();
    let mut inside = false;
    for event in parse(&source) {
        match event {
            Event::Start(Tag::Paragraph) => inside = true,
            Event::End(TagEnd::Paragraph) if !text.trim().is_empty() => break,
            Event::Text(words) | Event::Code(words) if inside => text.push_str(&words),
            Event::SoftBreak | Event::HardBreak if inside => text.push(' '),
            _ => {}
        }
    }
    shortened(&text, max_chars)
}

/// Text in one line, cut between words with an ellipsis when it is longer than `max_chars`.
pub fn shortened(text: &str, max_chars: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max_chars {
        return line;
    }
    let head: String = line.chars().take(max_chars.saturating_sub(1)).collect();
    // A single endless word is cut where it stands.
    let cut = head
        .rfind(' ')
        .filter(|at| *at >= head.len() / 2)
        .unwrap_or(head.len());
    format!(
        "{}…",
        head[..cut].trim_end_matches([' ', ',', ';', ':', '.', '–', '-'])
    )
}

/// The same HTML with links relative to `page_url` made absolute, for feed readers, which have no page to
/// resolve them against. Only for output of [`to_html`], whose `href`s have one fixed form.
pub(super) fn with_absolute_links(html: &str, page_url: &str) -> String {
    const HREF: &str = "<a href=\"";
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(HREF) {
        let (before, after) = rest.split_at(at + HREF.len());
        out.push_str(before);
        let url = after.split('"').next().unwrap_or_default();
        if is_relative(url) && !url.starts_with('/') {
            out.push_str(&super::escape::escaped(page_url));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn parse(source: &str) -> Parser<'_> {
    Parser::new_ext(
        source,
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH,
    )
}

/// The highest heading that the text uses; some write `#` first, some `##`.
fn top_level(source: &str) -> HeadingLevel {
    let levels = parse(source).filter_map(|event| match event {
        Event::Start(Tag::Heading { level, .. }) => Some(level),
        _ => None,
    });
    levels.min().unwrap_or(HeadingLevel::H1)
}

/// One event made harmless, or nothing. `links` remembers for each open link whether it was kept, so that
/// its end goes the same way.
fn safe<'a>(event: Event<'a>, top: HeadingLevel, links: &mut Vec<bool>) -> Option<Event<'a>> {
    Some(match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Heading { level, .. }) => Event::Start(Tag::Heading {
            level: below_title(level, top),
            id: None,
            classes: Vec::new(),
            attrs: Vec::new(),
        }),
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below_title(level, top))),
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            links.push(is_allowed_link(dest_url));
            return links.last().copied().unwrap_or(false).then_some(event);
        }
        Event::End(TagEnd::Link) => return links.pop().unwrap_or(false).then_some(event),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => return None,
        // Alignment would be written as a style attribute, which the page's policy refuses.
        Event::Start(Tag::Table(columns)) => Event::Start(Tag::Table(vec![
                pulldown_cmark::Alignment::None;
                columns.len()
            ])),
        other => other,
    })
}

/// The text's highest heading becomes `h2`, the others keep their distance to it.
fn below_title(level: HeadingLevel, top: HeadingLevel) -> HeadingLevel {
    let number = (level as usize + 2)
        .saturating_sub(top as usize)
        .clamp(2, 6);
    HeadingLevel::try_from(number).unwrap_or(HeadingLevel::H6)
}

fn is_allowed_link(url: &str) -> bool {
    match scheme(url) {
        None => true,
        Some(scheme) => ["http", "https", "mailto"]
            .iter()
            .any(|s| scheme.eq_ignore_ascii_case(s)),
    }
}

fn is_relative(url: &str) -> bool {
    scheme(url).is_none() && !url.starts_with("//")
}

/// What stands before the first `:` as browsers see it: they drop tabs, line breaks and leading controls
/// and spaces, so `java\tscript:` has a scheme too.
fn scheme(url: &str) -> Option<String> {
    let seen: String = url
        .chars()
        .filter(|c| !c.is_control() && !c.is_whitespace())
        .collect();
    let end = seen.find([':', '/', '?', '#'])?;
    seen[end..].starts_with(':').then(|| seen[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(markdown: &str, html: &str) {
        assert_eq!(to_html(markdown).trim_end(), html);
    }

    #[test]
    fn ordinary_text() {
        check(
            "Two *words*\nand `code`.",
            "<p>Two <em>words</em>\nand <code>code</code>.</p>",
        );
        check("# One\n\n## Two", "<h2>One</h2>\n<h3>Two</h3>");
        check(
            "## Two {#id .class}\n\n### Three",
            "<h2>Two {#id .class}</h2>\n<h3>Three</h3>",
        );
        check("# One\n\n###### Six", "<h2>One</h2>\n<h6>Six</h6>");
        check("", "");
    }

    #[test]
    fn raw_html_becomes_text() {
        check(
            "<script>alert(1)</script>",
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>",
        );
        let inline = to_html("a <b onclick=x>b</b> <!-- c --> <img src=x onerror=y>");
        assert!(
            !inline.contains("<b") && !inline.contains("<img") && !inline.contains("<!--"),
            "{inline}"
        );
    }

    #[test]
    fn links_lead_to_the_web_to_mail_or_within_the_site() {
        for good in [
            "https://a.example/?b=1",
            "http://a",
            "mailto:a@b.example",
            "other/",
            "../x#y",
            "#top",
            "//a.example/x",
        ] {
            assert!(
                to_html(&format!("[t](<{good}>)")).contains("<a href="),
                "{good}"
            );
        }
        for bad in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            " javascript:x",
            "java&#10;script:x",
            "java&Tab;script:x",
            "&#1;javascript:x",
            "javascript&colon;x",
        ] {
            let html = to_html(&format!("[t](<{bad}>)"));
            assert_eq!(html.trim_end(), "<p>t</p>", "{bad}");
        }
        check("<javascript:alert(1)>", "<p>javascript:alert(1)</p>");
    }

    #[test]
    fn a_refused_link_does_not_unbalance_its_neighbours() {
        check(
            "[a](javascript:x) [b](b/) ![c [d](e/)](f.png)",
            "<p>a <a href=\"b/\">b</a> c <a href=\"e/\">d</a></p>",
        );
    }

    #[test]
    fn pictures_become_their_description() {
        check(
            "![a *fine* car](https://track.example/p.gif \"t\")",
            "<p>a <em>fine</em> car</p>",
        );
    }

    #[test]
    fn no_attribute_the_policy_refuses() {
        let html = to_html("|a|b|\n|:-:|--:|\n|1|2|\n");
        assert!(
            html.contains("<table>") && !html.contains("style"),
            "{html}"
        );
        assert!(to_html("||b|\n|-|-|\n|1|2|\n").contains("<tr><td></td><th>b</th></tr>"));
        assert!(!to_html("```\" onload=\"x\nboo\n```").contains("\" onload"));
        assert!(!to_html("[t](x/ \"a\\\" onclick=\\\"b\")").contains("\" onclick"));
    }

    #[test]
    fn forbidden_characters_are_gone() {
        check("a\u{202e}b\u{1}c", "<p>abc</p>");
    }

    #[test]
    fn hostile_depth_is_survived() {
        assert!(to_html(&">".repeat(20_000)).len() < 2_000_000);
        assert!(!to_html(&"[".repeat(20_000)).is_empty());
        assert!(!to_html(&"*_".repeat(20_000)).is_empty());
    }

    #[test]
    fn the_first_paragraph_in_one_line() {
        assert_eq!(
            first_paragraph("# Title\n\nTwo *fine*\nlines.\n\nMore.", 80),
            "Two fine lines."
        );
        assert_eq!(first_paragraph("- a list\n- only", 80), "");
        assert_eq!(first_paragraph("One two, three four", 10), "One two…");
        assert_eq!(shortened(&"x".repeat(50), 5), "xxxx…");
        assert_eq!(shortened("", 5), "");
    }

    #[test]
    fn feed_links_are_absolute() {
        let html = to_html("[a](b/) [c](https://d.example/) [e](#f) [g](/h)");
        let absolute = with_absolute_links(&html, "https://x.example/r/y/");
        assert_eq!(
            absolute.trim_end(),
            "<p><a href=\"https://x.example/r/y/b/\">a</a> <a href=\"https://d.example/\">c</a> \
             <a href=\"https://x.example/r/y/#f\">e</a> <a href=\"/h\">g</a></p>"
        );
    }
}
