//! A stored part and the rest of it, for a client alone (RFC 9110 §15.3.7.3).

use http::{
    HeaderMap, HeaderValue,
    header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, TRANSFER_ENCODING},
};

use super::{Part, StoredHead, cache_status::CACHE_STATUS, entity_tag};

/// A 200 that is made of a stored part and of what the origin sent as the rest of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Joined {
    /// Its fields: those that came, and the stored ones that did not.
    pub headers: HeaderMap,

    /// Whether the stored part comes before what came, and not after it.
    pub stored_first: bool,

    /// How many bytes of the rest there are to come.
    pub rest: u64,
}

/// Joins a stored part with the 206 to [`completion`](super::completion), where that may not be stored, but is the
/// client's all the same. `None` unless both have the same strong entity tag, and together are the whole; nor where a map
/// has no room for the fields of both.
#[must_use]
pub fn join(stored: &StoredHead, stored_length: u64, headers: &HeaderMap) -> Option<Joined> {
    let tag = entity_tag::of(headers)?;
    if !entity_tag::strongly_equal(stored.entity_tag()?, tag) {
        return None;
    }
    let (had, came) = (stored.part()?, Part::read(headers)?);
    let complete = had.complete.or(came.complete)?;
    let stored_first = had.first == 0;
    let (one, other) = match stored_first {
        true => (had, came),
        false => (came, had),
    };
    // A last position is never the greatest of its type.
    let is_whole = had.len() == stored_length
        && came.complete.is_none_or(|came| came == complete)
        && (one.first, one.last + 1, other.last + 1) == (0, other.first, complete);
    if !is_whole {
        return None;
    }
    let mut joined = headers.clone();
    joined.remove(CONTENT_RANGE);
    // A message has a length or is framed otherwise, and who has both is not believed (RFC 9112 §6.3).
    joined.remove(TRANSFER_ENCODING);
    for name in stored.headers().keys() {
        let is_kept = ![AGE, CACHE_STATUS, CONTENT_RANGE].contains(name);
        if is_kept && !headers.contains_key(name) {
            for value in stored.headers().get_all(name) {
                joined.try_append(name, value.clone()).ok()?;
            }
        }
    }
    let length = HeaderValue::from(complete);
    joined.try_insert(CONTENT_LENGTH, length).ok()?;
    Some(Joined {
        headers: joined,
        stored_first,
        rest: came.len(),
    })
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{HeaderName, Method, StatusCode, Uri};

    use super::*;
    use crate::rfc9111::{Options, RequestHead, Store, Target, Times, store};

    fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|&(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    fn stored(range: &'static str) -> StoredHead {
        let (uri, now) = (
            Uri::from_static("http://example.com/"),
            SystemTime::UNIX_EPOCH,
        );
        let asked = fields(&[("range", "bytes=0-4")]);
        let headers = fields(&[
            ("cache-control", "max-age=60"),
            ("content-range", range),
            ("content-type", "text/plain"),
            ("etag", "\"1\""),
        ]);
        let times = Times {
            requested: now,
            responded: now,
        };
        let head = store(
            &Options::shared(),
            &RequestHead::new(&Method::GET, &asked),
            &Target::of("http", &uri, &asked).unwrap(),
            StatusCode::PARTIAL_CONTENT,
            &headers,
            times,
        );
        match head {
            Store::Keep(head) => *head,
            refused => panic!("{refused:?}"),
        }
    }

    #[test]
    fn a_part_and_its_rest_are_the_whole_from_either_end() {
        for (had, came, stored_first) in [
            ("bytes 0-4/10", "bytes 5-9/10", true),
            ("bytes 5-9/10", "bytes 0-4/10", false),
            ("bytes 0-4/10", "bytes 5-9/*", true),
            ("bytes 0-4/*", "bytes 5-9/10", true),
        ] {
            let headers = fields(&[
                ("cache-control", "no-store"),
                ("content-length", "5"),
                ("content-range", came),
                ("etag", "\"1\""),
                ("transfer-encoding", "chunked"),
            ]);
            let joined = join(&stored(had), 5, &headers).expect(came);
            assert_eq!((joined.stored_first, joined.rest), (stored_first, 5));
            let expected = fields(&[
                ("cache-control", "no-store"),
                ("content-length", "10"),
                ("content-type", "text/plain"),
                ("etag", "\"1\""),
            ]);
            let mut joined = joined.headers;
            joined.remove("date");
            assert_eq!(joined, expected);
        }
    }

    /// A map of headers has an end, beyond which it panics.
    #[test]
    fn there_may_be_no_room_for_the_fields_of_both() {
        let mut headers = fields(&[("content-range", "bytes 5-9/10"), ("etag", "\"1\"")]);
        for n in 0.. {
            let name = HeaderName::try_from(format!("x-{n}")).unwrap();
            if headers
                .try_append(name, HeaderValue::from_static(""))
                .is_err()
            {
                break;
            }
        }
        assert!(join(&stored("bytes 0-4/10"), 5, &headers).is_none());
    }

    #[test]
    fn what_does_not_fit_is_not_joined() {
        for (had, length, came, tag) in [
            ("bytes 0-4/10", 5, "bytes 5-9/10", "\"2\""),
            ("bytes 0-4/10", 5, "bytes 5-9/10", "W/\"1\""),
            ("bytes 0-4/10", 5, "bytes 6-9/10", "\"1\""),
            ("bytes 0-4/10", 5, "bytes 4-9/10", "\"1\""),
            ("bytes 0-4/10", 5, "bytes 5-8/10", "\"1\""),
            ("bytes 0-4/10", 5, "bytes 5-10/11", "\"1\""),
            ("bytes 0-4/*", 5, "bytes 5-9/*", "\"1\""),
            ("bytes 0-4/10", 4, "bytes 5-9/10", "\"1\""),
        ] {
            let headers = fields(&[("content-range", came), ("etag", tag)]);
            assert!(
                join(&stored(had), length, &headers).is_none(),
                "{had} {came} {tag}"
            );
        }
    }
}
