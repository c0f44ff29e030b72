//! Addresses: what was typed, what a page names, and where the two differ.

/// The address somebody typed, made whole: `https://` in front where nothing stands there, except for
/// this machine.
pub(super) fn typed(text: &str) -> Option<String> {
    let text = text.trim();
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        let here = ["localhost", "127.", "[::1]"];
        let scheme = if here.iter().any(|start| text.starts_with(start)) {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://{text}")
    };
    let (scheme, rest) = url.split_once("://")?;
    let known = ["http", "https"].contains(&scheme);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let clean = rest.chars().all(|c| c.is_ascii_graphic());
    let rest = rest.split('#').next().unwrap_or_default();
    (known && clean && !host.is_empty()).then(|| {
        if rest.contains('/') {
            format!("{scheme}://{rest}")
        } else {
            format!("{scheme}://{rest}/")
        }
    })
}

/// Scheme, host and port.
pub(super) fn origin(url: &str) -> &str {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find(['/', '?', '#']);
    &url[..end.map_or(url.len(), |end| after + end)]
}

pub(super) fn is_secure(url: &str) -> bool {
    url.starts_with("https://")
}

/// Browsers trust this machine without a certificate.
pub(super) fn is_local(url: &str) -> bool {
    let host = origin(url).split("://").nth(1).unwrap_or_default();
    host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]")
}

/// What a reference on a page leads to (RFC 3986, section 5.2). `None` for what HTTP doesn't fetch.
pub(super) fn join(base: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    if reference.starts_with("http://") || reference.starts_with("https://") {
        return Some(reference.to_owned());
    }
    let scheme_ends = reference.find(':');
    if scheme_ends.is_some_and(|at| !reference[..at].contains(['/', '?'])) {
        return None;
    }
    if let Some(rest) = reference.strip_prefix("//") {
        let scheme = base.split("://").next()?;
        return Some(format!("{scheme}://{rest}"));
    }
    let origin = origin(base);
    let path = base[origin.len()..].split(['?', '#']).next().unwrap_or("/");
    let (reference, query) = reference
        .find('?')
        .map_or((reference, ""), |at| reference.split_at(at));
    let joined = if reference.starts_with('/') {
        reference.to_owned()
    } else if reference.is_empty() {
        path.to_owned()
    } else {
        let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
        format!("{folder}{reference}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/').skip(1) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if joined.ends_with("/.") || joined.ends_with("/..") {
        parts.push("");
    }
    Some(format!("{origin}/{}{query}", parts.join("/")))
}

/// The folder that a page lies in.
pub(super) fn folder(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let root = origin(url).len();
    path[root..]
        .rfind('/')
        .map_or(path, |at| &path[..=root + at])
}

/// What `src` and `href` attributes of a page name.
pub(super) fn references(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in [" src=\"", " href=\""] {
        for part in html.split(attribute).skip(1) {
            if let Some((value, _)) = part.split_once('"') {
                found.push(value.replace("&amp;", "&"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_an_address() {
        for (text, expected) in [
            ("video.example.org", Some("https://video.example.org/")),
            ("127.0.0.1:8080", Some("http://127.0.0.1:8080/")),
            ("http://a.example/x/#top", Some("http://a.example/x/")),
            ("https://a.example", Some("https://a.example/")),
            ("ftp://a.example/", None),
            ("https:///x", None),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(typed(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn references_lead_where_browsers_go() {
        let base = "https://a.example:8/x/r/clip/index.html?q#f";
        for (reference, expected) in [
            (
                "../../assets/1/s.css",
                Some("https://a.example:8/x/assets/1/s.css"),
            ),
            (
                "poster.jpg?v=1",
                Some("https://a.example:8/x/r/clip/poster.jpg?v=1"),
            ),
            ("/t/1.torrent", Some("https://a.example:8/t/1.torrent")),
            ("//b.example/y", Some("https://b.example/y")),
            ("http://b.example/y", Some("http://b.example/y")),
            ("../../../../..", Some("https://a.example:8/")),
            ("./", Some("https://a.example:8/x/r/clip/")),
            ("magnet:?xt=1", None),
            ("data:text/plain,x", None),
        ] {
            assert_eq!(join(base, reference).as_deref(), expected, "{reference}");
        }
        assert_eq!(folder(base), "https://a.example:8/x/r/clip/");
        assert_eq!(origin("https://a.example"), "https://a.example");
        assert_eq!(
            references("<link href=\"a.css\"><img src=\"b?x&amp;y\" data-src=\"no\">"),
            ["b?x&y", "a.css"]
        );
    }
}
