//! Targeted Cache-Control fields (RFC 9213).

use http::{HeaderMap, HeaderName};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::ResponseDirectives;

/// Longer than any directives are: what is longer is not looked at.
const LONGEST: usize = 8 * 1024;

/// What the first of the fields says that is there, is valid and is not empty. It takes the place of Cache-Control and
/// Expires (§2.2).
pub(super) fn read(headers: &HeaderMap, fields: &[HeaderName]) -> Option<ResponseDirectives> {
    fields.iter().find_map(|field| read_one(headers, field))
}

/// One field, a Structured Fields Dictionary (§2.1). One that cannot be parsed is as if it were not there, all of it.
fn read_one(headers: &HeaderMap, field: &HeaderName) -> Option<ResponseDirectives> {
    let mut lines = headers.get_all(field).iter().peekable();
    lines.peek()?;
    let mut value = Vec::new();
    for line in lines {
        if value.len() + line.len() > LONGEST {
            return None;
        }
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(line.as_bytes());
    }
    let members: Dictionary = Parser::new(&value).parse().ok()?;
    if members.is_empty() {
        return None;
    }

    let mut directives = ResponseDirectives::default();
    for (name, member) in &members {
        // An inner list is an argument that no directive takes.
        let item = match member {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        if matches!(item, Some(BareItem::Boolean(false))) {
            continue;
        }
        let bare = matches!(item, Some(BareItem::Boolean(true)));
        let seconds = match item {
            Some(BareItem::Integer(seconds)) => delta(i64::from(*seconds)),
            _ => None,
        };
        directives.add(name.as_str().as_bytes(), bare, seconds);
    }
    Some(directives)
}

fn delta(seconds: i64) -> Option<u32> {
    let seconds = u64::try_from(seconds).ok()?;
    Some(u32::try_from(seconds).map_or(1 << 31, |seconds| seconds.min(1 << 31)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");
    const OURS: HeaderName = HeaderName::from_static("ours-cache-control");

    fn of(fields: &[(HeaderName, &'static str)]) -> Option<ResponseDirectives> {
        let headers = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        read(&headers, &[OURS, CDN])
    }

    fn max_age(seconds: u32) -> Option<ResponseDirectives> {
        Some(ResponseDirectives {
            max_age: Some(seconds),
            ..ResponseDirectives::default()
        })
    }

    #[test]
    fn the_first_valid_one_in_our_order_counts() {
        assert_eq!(of(&[(CDN, "max-age=1"), (OURS, "max-age=2")]), max_age(2));
        assert_eq!(of(&[(CDN, "max-age=1"), (OURS, "")]), max_age(1));
        assert_eq!(of(&[(CDN, "max-age=1"), (OURS, "&&&")]), max_age(1));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn lines_are_one_dictionary_in_which_the_last_counts() {
        assert_eq!(of(&[(CDN, "max-age=1"), (CDN, "max-age=3")]), max_age(3));
        assert_eq!(of(&[(CDN, "max-age=1"), (CDN, "&")]), None);
    }

    #[test]
    fn what_is_absurdly_long_is_not_looked_at() {
        let of_length = |length: usize| {
            let mut value = String::from("max-age=1");
            value.push_str(&" ".repeat(length - value.len()));
            let value = HeaderValue::try_from(value).unwrap();
            read(&HeaderMap::from_iter([(CDN, value)]), &[CDN])
        };
        assert_eq!(of_length(LONGEST), max_age(1));
        assert_eq!(of_length(LONGEST + 1), None);
    }

    #[test]
    fn it_is_structured_or_nothing() {
        for none in [
            "",
            "max-age=10000, &&&&&",
            "max-age =1",
            "max-age= 1",
            "MaX-aGe=1",
            "max-age='1'",
        ] {
            assert_eq!(of(&[(CDN, none)]), None, "{none}");
        }
        // Of the wrong type, a lifetime cannot be read.
        for odd in [
            "max-age=\"10000\"",
            "max-age=1.5",
            "max-age",
            "max-age=-1",
            "max-age=(1 2)",
        ] {
            assert_eq!(of(&[(CDN, odd)]), max_age(0), "{odd}");
        }
        assert_eq!(
            of(&[(CDN, "max-age=99999999999;x=1, foo=bar")]),
            max_age(1 << 31)
        );
    }

    #[test]
    fn what_is_false_is_not_said() {
        let read = of(&[(CDN, "no-store=?0, private=?1, no-cache, public=1")]).unwrap();
        assert!(!read.no_store && read.private && read.no_cache && !read.public);
    }
}
