//! Entity tags (RFC 9110 §8.8.3), compared as the bytes that they are: what breaks the grammar (a tag without quotes) is
//! equal to itself, too.

use http::{HeaderMap, HeaderValue, header::ETAG};

use super::list::{elements, trim};

/// The response's entity tag; `None` where there are none, or several.
pub(super) fn of(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(ETAG).iter();
    let tag = lines.next()?;
    (lines.next().is_none() && !trim(tag.as_bytes()).is_empty()).then_some(tag)
}

/// A strong one changes whenever the content does.
pub(super) fn is_strong(tag: &HeaderValue) -> bool {
    let tag = trim(tag.as_bytes());
    tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"")
}

/// Strong comparison (§8.8.3.2): both are strong, and the same.
pub(super) fn strongly_equal(one: &HeaderValue, other: &HeaderValue) -> bool {
    is_strong(one) && trim(one.as_bytes()) == trim(other.as_bytes())
}

/// Weak comparison: the same but for the marks of weakness.
pub(super) fn weakly_equal(one: &[u8], other: &[u8]) -> bool {
    opaque(one) == opaque(other)
}

/// Whether If-None-Match lists the tag; `*` lists them all.
pub(super) fn listed<'a>(
    tag: Option<&HeaderValue>,
    mut lines: impl Iterator<Item = &'a HeaderValue>,
) -> bool {
    lines.any(|line| {
        elements(line.as_bytes())
            .any(|one| one == b"*" || tag.is_some_and(|tag| weakly_equal(one, tag.as_bytes())))
    })
}

fn opaque(tag: &[u8]) -> &[u8] {
    let tag = trim(tag);
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    /// The table of RFC 9110 §8.8.3.2.
    #[test]
    fn the_two_comparisons() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let (one, other) = (value(one), value(other));
            assert_eq!(strongly_equal(&one, &other), strong, "{one:?} {other:?}");
            assert_eq!(strongly_equal(&other, &one), strong, "{other:?} {one:?}");
            assert_eq!(
                weakly_equal(one.as_bytes(), other.as_bytes()),
                weak,
                "{one:?} {other:?}"
            );
        }
    }

    #[test]
    fn a_list_is_searched_to_its_end_on_every_line() {
        let tag = value("\"a,b\"");
        for (list, found) in [
            (["\"1\"", "\"2\", W/\"a,b\""], true),
            (["*", ""], true),
            (["\"a\"", "\"b\""], false),
            (["a,b", ""], false),
            (["", ","], false),
        ] {
            let list = list.map(value);
            assert_eq!(listed(Some(&tag), list.iter()), found, "{list:?}");
        }
        assert!(listed(None, [value("*")].iter()));
        assert!(!listed(None, [value("\"a\"")].iter()));
    }

    #[test]
    fn a_tag_without_quotes_is_weak_but_equal_to_itself() {
        assert!(
            !is_strong(&value("abc")) && !is_strong(&value("\"")) && !is_strong(&value("w/\"a\""))
        );
        assert!(listed(Some(&value("abc")), [value("abc")].iter()));
    }
}
