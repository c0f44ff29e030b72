//! What a page may load: its Content-Security-Policy, as a `<meta>` since a static host may not let
//! publishers set headers.
//!
//! Everything comes from the site itself; media and connections also from the seeder. No inline script
//! or style, no form, no base. (`frame-ancestors` has no effect in a `<meta>`; embedding is wanted.)

use std::collections::BTreeSet;

use super::view::ChannelView;

/// The policy for a page that plays these files. Payload may lie elsewhere than the seeder answers; a page
/// must be able to play what it links to.
pub(super) fn content_security_policy<'a>(
    channel: &'a ChannelView,
    files: impl IntoIterator<Item = &'a str>,
) -> String {
    let seeder = channel.seeder_url.as_deref();
    let http: BTreeSet<String> = seeder.into_iter().chain(files).filter_map(origin).collect();
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
    fn the_policy_names_every_origin_once() {
        let mut site = sample::site();
        site.channel.seeder_url = Some("https://seed.example/".into());
        let files = [
            "library/a",
            "https://SEED.example/library/a",
            "https://far.example/b",
        ];
        let policy = content_security_policy(&site.channel, files);
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.contains("media-src 'self' https://far.example https://seed.example; "),
            "{policy}"
        );
        assert!(
            policy.contains(
                "connect-src 'self' https://far.example wss://far.example https://seed.example wss://seed.example; "
            ),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
    }
}
