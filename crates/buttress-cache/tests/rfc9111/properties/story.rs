//! Random stories: what a client asks, and what the origin would answer.

use proptest::{collection::vec, prelude::*, sample::select};

use super::cache_control::cache_control;

/// One step of a random story.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) passed: u64,
    pub(super) method: &'static str,
    pub(super) request: Vec<(&'static str, &'static str)>,
    pub(super) status: Option<u16>,
    pub(super) said: Vec<&'static str>,
    pub(super) cache_control: Vec<String>,
    pub(super) response: Vec<(&'static str, &'static str)>,
}

pub(super) fn scene() -> impl Strategy<Value = Scene> {
    let request = vec![
        ("authorization", "me"),
        ("foo", "1"),
        ("foo", "2"),
        ("bar", "x"),
        ("cache-control", "no-store"),
        ("cache-control", "no-cache"),
        ("cache-control", "max-stale"),
        ("cache-control", "max-age=5"),
        ("cache-control", "only-if-cached"),
        ("if-none-match", "\"a\""),
        ("cookie", "c"),
    ];
    let response = vec![
        ("vary", "foo"),
        ("vary", "Foo, BAR"),
        ("vary", "*"),
        ("etag", "\"a\""),
        ("etag", "\"b\""),
        ("expires", "Thu, 18 Aug 2050 02:01:18 GMT"),
        ("expires", "0"),
        ("last-modified", "Sat, 21 Nov 2026 12:00:00 GMT"),
        ("age", "30"),
        ("set-cookie", "a=b"),
    ];
    let status = select(vec![
        Some(200),
        Some(200),
        Some(200),
        Some(200),
        Some(204),
        Some(404),
        Some(429),
        Some(500),
        Some(599),
        Some(304),
        None,
    ]);
    (
        select(vec![0, 1, 30, 100, 10_000]),
        select(vec!["GET", "GET", "GET", "GET", "GET", "HEAD", "POST"]),
        vec(select(request), 0..4),
        status,
        cache_control(),
        vec(select(response), 0..4),
    )
        .prop_map(
            |(passed, method, request, status, (said, cache_control), response)| Scene {
                passed,
                method,
                request,
                status,
                said,
                cache_control,
                response,
            },
        )
}
