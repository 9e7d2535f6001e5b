//! Heads and times that nobody sends.

use std::time::{Duration, SystemTime};

use buttress_cache::rfc9111::{Options, RequestHead, Store, StoredHead, Target, Times, store};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::corpus::begin;

/// Names that mean something to a cache, and one that does not.
const NAMES: [&str; 26] = [
    "accept",
    "accept-language",
    "age",
    "authorization",
    "cache-control",
    "cdn-cache-control",
    "connection",
    "content-length",
    "content-location",
    "content-range",
    "date",
    "etag",
    "expires",
    "foo",
    "host",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "location",
    "pragma",
    "range",
    "set-cookie",
    "upgrade",
    "vary",
    "x-http-method-override",
];

/// Values that nearly mean something, and rubbish.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        select(vec![
            "max-age=60",
            "max-age=99999999999999999999999",
            "s-maxage=1, public",
            "no-cache, max-age=1",
            "bytes=0-1",
            "bytes=-5",
            "bytes=18446744073709551615-18446744073709551615",
            "bytes 0-1/2",
            "bytes 18446744073709551613-18446744073709551614/18446744073709551615",
            "18446744073709551615",
            "*",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
            "Thursday, 01-Jan-70 00:00:00 GMT",
            "\"a\"",
            "W/\"a\"",
            "foo",
            "foo, bar, *",
            "http://[",
            "../../..",
            "?",
            "//",
            "0",
            "-1",
            "2147483648",
            "stale-while-revalidate=99999999999, stale-if-error=99999999999",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        "[ -~\t\u{e9}]{0,40}".prop_map(String::into_bytes),
        "[a-z=,\"\\\\;/ *-]{0,60}".prop_map(String::into_bytes),
    ]
}

pub(super) fn any_headers() -> impl Strategy<Value = HeaderMap> {
    vec((select(NAMES.to_vec()), value()), 0..12).prop_map(|fields| {
        fields
            .into_iter()
            .filter_map(|(name, value)| {
                Some((
                    HeaderName::from_static(name),
                    HeaderValue::from_bytes(&value).ok()?,
                ))
            })
            .collect()
    })
}

/// From long before 1970 to long after 9999.
pub(super) fn any_time() -> impl Strategy<Value = SystemTime> {
    prop_oneof![
        (-100_000_i64..100_000).prop_map(|seconds| (begin(), seconds)),
        (-1_000_000_000_000_i64..1_000_000_000_000)
            .prop_map(|seconds| (SystemTime::UNIX_EPOCH, seconds)),
    ]
    .prop_map(|(from, seconds)| {
        let distance = Duration::from_millis(seconds.unsigned_abs().saturating_mul(1_001));
        match seconds < 0 {
            true => from - distance,
            false => from + distance,
        }
    })
}

pub(super) fn any_method() -> impl Strategy<Value = Method> {
    select(vec![
        Method::GET,
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
    ])
}

fn options() -> impl Strategy<Value = Options> {
    any::<bool>().prop_map(|shared| {
        let mut options = if shared {
            Options::shared()
        } else {
            Options::private()
        };
        options.targeted = vec![HeaderName::from_static("cdn-cache-control")];
        options
    })
}

pub(super) fn any_stored() -> impl Strategy<Value = Option<(Options, HeaderMap, StoredHead)>> {
    let status = select(vec![200, 200, 200, 206, 204, 404, 599]);
    (
        options(),
        any_headers(),
        any_headers(),
        status,
        any_time(),
        any_time(),
    )
        .prop_map(
            |(options, request, response, status, requested, responded)| {
                let target: Uri = "https://example.com/a/b?c".parse().unwrap();
                let target = Target::of_uri(&target).unwrap();
                let head = RequestHead::new(&Method::GET, &request);
                let status = StatusCode::from_u16(status).unwrap();
                let times = Times {
                    requested,
                    responded,
                };
                match store(&options, &head, &target, status, &response, times) {
                    Store::Keep(stored) => Some((options, request.clone(), *stored)),
                    _ => None,
                }
            },
        )
}
