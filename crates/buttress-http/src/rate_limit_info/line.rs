//! Reading fields without being drawn into what a sender makes of them.

use http::{HeaderMap, HeaderValue, header::AsHeaderName};

/// What says one number, one date or one name is no longer than this.
const LONGEST_LINE: usize = 256;

/// A list of policies is no longer than this, in all its lines.
const LONGEST_LIST: usize = 4_096;

/// The first line of a field, if it is text of a sane length, without the blanks around it.
pub(super) fn first(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    text(headers.get(name)?)
}

/// One line, likewise.
pub(super) fn text(value: &HeaderValue) -> Option<&str> {
    if value.len() > LONGEST_LINE {
        return None;
    }
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    (!text.is_empty()).then_some(text)
}

/// All lines of a list, joined as RFC 9110 §5.3 has it; `None` if there is none, or too much of it.
pub(super) fn list(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut joined = String::new();
    for value in headers.get_all(name) {
        // An empty line costs a separator too, so that thousands of those are too much as well.
        if joined.len() + value.len() + 2 > LONGEST_LIST {
            return None;
        }
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(value.to_str().ok()?.trim_matches([' ', '\t']));
    }
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(lines: impl IntoIterator<Item = String>) -> HeaderMap {
        let name = HeaderName::from_static("ratelimit");
        let lines = lines.into_iter().map(|line| {
            let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            (name.clone(), value)
        });
        HeaderMap::from_iter(lines)
    }

    #[test]
    fn lines_are_joined() {
        let two = headers(["a;r=1".into(), " b;r=2\t".into()]);
        assert_eq!(list(&two, "ratelimit").as_deref(), Some("a;r=1, b;r=2"));
        assert_eq!(first(&two, "ratelimit"), Some("a;r=1"));
        assert_eq!(list(&two, "other"), None);
        assert_eq!(first(&two, "other"), None);
        assert_eq!(first(&headers([" ".into()]), "ratelimit"), None);
        assert_eq!(list(&headers([" ".into()]), "ratelimit"), None);
    }

    #[test]
    fn a_flood_is_ignored() {
        assert_eq!(list(&headers(["1".repeat(1 << 20)]), "ratelimit"), None);
        assert_eq!(first(&headers(["1".repeat(257)]), "ratelimit"), None);
        assert!(first(&headers(["1".repeat(256)]), "ratelimit").is_some());
        let many = headers((0..5_000).map(|n| format!("p{n};r=1")));
        assert_eq!(list(&many, "ratelimit"), None);
        assert_eq!(list(&headers(["a;r=ü".into()]), "ratelimit"), None);
    }
}
