//! Which fields of a response are kept (RFC 9111 §3.1).

use std::collections::HashSet;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{Options, SetCookie, list::elements};

/// More lines than any response has in earnest. Every use copies them; and a map has an end, beyond which it panics.
const MOST_LINES: usize = 1024;

/// Whether there are more fields than are kept.
pub(super) fn are_too_many(headers: &HeaderMap) -> bool {
    headers.len() > MOST_LINES
}

/// A response's fields without those that belong to one connection, that are not to be kept, and Age, which is reckoned
/// anew for each use.
///
/// The values are copied, all into one allocation of exactly their size: as they arrive they are slices of a connection's
/// read buffer, each of which would keep the whole of it in memory.
pub(super) fn to_keep(options: &Options, headers: &HeaderMap) -> HeaderMap {
    let kept = Kept::new(options, headers);
    copy(headers, |name| kept.includes(name))
}

/// What decides whether a field is kept.
pub(super) struct Kept<'a> {
    options: &'a Options,
    /// The fields that Connection names.
    connection: HashSet<HeaderName>,
}

impl<'a> Kept<'a> {
    pub(super) fn new(options: &'a Options, headers: &HeaderMap) -> Self {
        let connection = headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|line| elements(line.as_bytes()))
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            .collect();
        Self {
            options,
            connection,
        }
    }

    pub(super) fn includes(&self, name: &HeaderName) -> bool {
        let is_barred = |pattern: &super::FieldPattern| pattern.matches(name);
        let is_left_out = is_of_the_connection(name)
            || *name == header::AGE
            || self.connection.contains(name)
            || (is_cookie(name) && self.options.set_cookie != SetCookie::Store)
            || self.options.never_stored.iter().any(is_barred);
        !is_left_out
    }
}

/// Whether the response sets a cookie.
pub(super) fn sets_cookie(headers: &HeaderMap) -> bool {
    headers.keys().any(is_cookie)
}

fn is_cookie(name: &HeaderName) -> bool {
    matches!(name.as_str(), "set-cookie" | "set-cookie2")
}

/// RFC 9110 §7.6.1 and RFC 9111 §3.1.
fn is_of_the_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// A copy of the fields that are chosen.
pub(super) fn copy(headers: &HeaderMap, chosen: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut length = 0;
    let mut lines = Vec::with_capacity(headers.len());
    for name in headers.keys().filter(|name| chosen(name)) {
        for value in headers.get_all(name) {
            length += value.len();
            lines.push((name, value));
        }
    }
    let mut buffer = BytesMut::with_capacity(length);
    for (_, value) in &lines {
        buffer.extend_from_slice(value.as_bytes());
    }
    let buffer = buffer.freeze();

    // Two more are going to be added.
    let mut copy = HeaderMap::with_capacity(lines.len() + 2);
    let mut start = 0;
    for (name, value) in lines {
        let end = start + value.len();
        copy.append(name.clone(), slice(&buffer, start..end, value));
        start = end;
    }
    copy
}

/// A part of the buffer as a value, which it was a moment ago.
fn slice(buffer: &Bytes, range: std::ops::Range<usize>, original: &HeaderValue) -> HeaderValue {
    let mut value =
        HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap_or_else(|_| original.clone());
    value.set_sensitive(original.is_sensitive());
    value
}

/// How much memory the fields take, roughly: their bytes, and the map's entries, also those that are still free. A map has
/// room for 3 · 2ⁿ names, so that for every name there may be nearly another one.
pub(super) fn weight(headers: &HeaderMap) -> usize {
    /// A name, a value, a hash and links: what an entry of the map takes besides bytes.
    const ENTRY: usize = 104;
    /// Its share of the index, of which a quarter stays free.
    const INDEX: usize = 6;
    /// What most names that are no well-known ones have allocated for themselves.
    const NAME: usize = 16;
    let further_lines = headers.len().saturating_sub(headers.keys_len());
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + NAME)
        .sum();
    bytes + headers.capacity() * (ENTRY + INDEX) + further_lines * ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn what_belongs_to_one_connection_is_not_kept() {
        let all = headers(&[
            ("connection", "a, B ,"),
            ("connection", "\"odd\""),
            ("a", "1"),
            ("b", "2"),
            ("c", "3"),
            ("c", "4"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "x"),
            ("proxy-authentication-info", "x"),
            ("proxy-authorization", "x"),
            ("proxy-connection", "x"),
            ("te", "x"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "x"),
            ("age", "1"),
            ("ratelimit", "\"default\";r=1"),
            ("x-ratelimit-remaining-tokens", "1"),
            ("www-authenticate", "Basic"),
        ]);
        let kept = to_keep(&Options::shared(), &all);
        assert_eq!(
            kept,
            headers(&[("c", "3"), ("c", "4"), ("www-authenticate", "Basic")])
        );
    }

    #[test]
    fn cookies_are_stripped_where_that_is_asked() {
        let all = headers(&[
            ("set-cookie", "a=b"),
            ("set-cookie2", "c"),
            ("etag", "\"1\""),
        ]);
        let options = |set_cookie| Options {
            set_cookie,
            ..Options::shared()
        };
        assert_eq!(
            to_keep(&options(SetCookie::Strip), &all),
            headers(&[("etag", "\"1\"")])
        );
        assert_eq!(to_keep(&options(SetCookie::Store), &all), all);
        assert!(sets_cookie(&all) && !sets_cookie(&headers(&[("cookie", "a=b")])));
    }

    /// Else the store would take half as much again as it was given.
    #[test]
    fn the_room_that_a_map_has_left_weighs_too() {
        for names in [6, 7, 12, 13, 24, 25] {
            let mut headers = HeaderMap::with_capacity(names);
            headers.insert("a", HeaderValue::from_static("1"));
            assert!(weight(&headers) > headers.capacity() * 104, "{names}");
            let before = weight(&headers);
            headers.append("a", HeaderValue::from_static("2"));
            assert!(weight(&headers) > before + 104, "{names}");
        }
    }

    #[test]
    fn all_values_are_in_one_buffer_of_their_own() {
        let buffer = Bytes::from(vec![b'x'; 100_000]);
        let mut all = HeaderMap::new();
        let mut secret = HeaderValue::from_maybe_shared(buffer.slice(..10)).unwrap();
        secret.set_sensitive(true);
        all.append("a", secret);
        all.append(
            "a",
            HeaderValue::from_maybe_shared(buffer.slice(10..30)).unwrap(),
        );
        all.append("b", HeaderValue::from_bytes(b"\xe4\xf6").unwrap());
        let kept = to_keep(&Options::shared(), &all);
        assert_eq!(kept, all);
        assert!(kept["a"].is_sensitive());
        let at = |value: &HeaderValue| value.as_bytes().as_ptr() as usize;
        let starts: Vec<usize> = kept.values().map(at).collect();
        assert_eq!(starts, [starts[0], starts[0] + 10, starts[0] + 30]);
        drop(all);
        assert!(buffer.is_unique());
    }
}
