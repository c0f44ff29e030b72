//! What a page may load: its Content-Security-Policy, as a `<meta>` since a static host may not let
//! publishers set headers.
//!
//! Everything comes from the site itself; media and connections also from the seeder. No inline script
//! or style, no form, no base. (`frame-ancestors` has no effect in a `<meta>`; embedding is wanted.)

use std::collections::BTreeSet;

use super::view::SiteView;

/// The policy for every page of the site.
pub(super) fn content_security_policy(site: &SiteView) -> String {
    let mut http = BTreeSet::new();
    if let Some(origin) = site.channel.seeder_url.as_deref().and_then(origin) {
        http.insert(origin);
    }
    // Payload may lie elsewhere than the seeder answers; a page must be able to play what it links to.
    for release in &site.releases {
        for rendition in &release.renditions {
            for file in &rendition.files {
                if let Some(origin) = origin(&file.url) {
                    http.insert(origin);
                }
            }
        }
    }
    let media: String = http.iter().map(|o| format!(" {o}")).collect();
    let connect: String = http
        .iter()
        .map(|o| format!(" {o} {}", web_socket(o)))
        .collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'{media}; \
         connect-src 'self'{connect}; base-uri 'none'; form-action 'none'"
    )
}

/// `scheme://host:port` of an absolute http(s) URL, in lower case, if a policy can name it. A policy has
/// no way to write IPv6 addresses; a page served from one is covered by `'self'`.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let authority = rest
        .split(['/', '?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
    (!authority.is_empty() && authority.chars().all(is_plain))
        .then(|| format!("{scheme}://{authority}"))
}

fn web_socket(origin: &str) -> String {
    // http → ws, https → wss
    origin.replacen("http", "ws", 1)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn origins() {
        assert_eq!(
            origin("https://Seed.example:8443/x/y?z").as_deref(),
            Some("https://seed.example:8443")
        );
        assert_eq!(
            origin("http://127.0.0.1:8080/").as_deref(),
            Some("http://127.0.0.1:8080")
        );
        for none in [
            "library/x",
            "ftp://a/",
            "https://",
            "https://[::1]:80/",
            "https://a;script-src/*",
            "https://u@h/",
            "https://é/",
        ] {
            assert_eq!(origin(none), None, "{none}");
        }
        assert_eq!(web_socket("https://a"), "wss://a");
        assert_eq!(web_socket("http://http.example"), "ws://http.example");
    }

    #[test]
    fn the_policy_names_the_seeder_once() {
        let mut site = sample::site();
        site.channel.seeder_url = Some("https://seed.example/".into());
        let policy = content_security_policy(&site);
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.contains("media-src 'self' https://seed.example; "),
            "{policy}"
        );
        assert!(
            policy.contains("connect-src 'self' https://seed.example wss://seed.example; "),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
    }
}
