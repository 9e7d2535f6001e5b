//! Relative references (RFC 3986 §5), as Location and Content-Location have them.

use http::Uri;

use super::Target;

/// Longer than any reference is meant to be.
const LONGEST: usize = 8 * 1024;

/// What a reference means in an answer about the target; `None` for what is no URI with an authority.
pub(super) fn resolve(target: &Target<'_>, reference: &str) -> Option<Uri> {
    if reference.len() > LONGEST {
        return None;
    }
    let reference = reference.trim_matches([' ', '\t']);
    let reference = reference.split('#').next().unwrap_or_default();
    if has_scheme(reference) {
        return reference.parse().ok();
    }
    let scheme = target.scheme();
    if reference.starts_with("//") {
        return format!("{scheme}:{reference}").parse().ok();
    }
    let (path, query) = split_query(reference);
    let (base_path, base_query) = split_query(target.path_and_query());
    let (path, query) = match (path, query) {
        ("", None) => (base_path.to_owned(), base_query),
        ("", query) => (base_path.to_owned(), query),
        (path, query) if path.starts_with('/') => (without_dots(path), query),
        (path, query) => {
            let folder = base_path.rfind('/').and_then(|end| base_path.get(..=end));
            (
                without_dots(&format!("{}{path}", folder.unwrap_or("/"))),
                query,
            )
        }
    };
    let path_and_query = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    Uri::builder()
        .scheme(scheme)
        .authority(target.authority())
        .path_and_query(path_and_query)
        .build()
        .ok()
}

fn split_query(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    }
}

/// Whether a scheme and a colon come first.
fn has_scheme(reference: &str) -> bool {
    let scheme = reference.split([':', '/', '?']).next().unwrap_or_default();
    reference
        .get(scheme.len()..)
        .is_some_and(|rest| rest.starts_with(':'))
        && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// A path without `.` and `..` segments (§5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(reference: &str) -> Option<String> {
        let base: Uri = "http://a/b/c/d;p?q".parse().unwrap();
        let target = Target::of_uri(&base).unwrap();
        resolve(&target, reference).map(|uri| uri.to_string())
    }

    /// The examples of RFC 3986 §5.4 that are URIs with an authority.
    #[test]
    fn the_examples_of_rfc_3986() {
        for (reference, meant) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://b:1/c?d", "https://b:1/c?d"),
        ] {
            assert_eq!(resolved(reference).as_deref(), Some(meant), "{reference}");
        }
    }

    #[test]
    fn what_is_no_uri_is_none() {
        for odd in [
            "http://",
            "http:g",
            "a b",
            "mailto:a@b",
            "//",
            "http://[/",
            "\u{e9}\u{0}",
        ] {
            let uri = resolved(odd);
            let usable = uri.as_deref().and_then(|uri| uri.parse().ok());
            assert!(
                usable.as_ref().and_then(Target::of_uri).is_none(),
                "{odd}: {uri:?}"
            );
        }
        assert_eq!(resolved(&"x".repeat(LONGEST + 1)), None);
    }
}
