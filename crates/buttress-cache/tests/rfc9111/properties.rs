//! What holds for any headers.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use buttress_cache::rfc9111::{
    Answer, Options, RequestHead, Store, StoredHead, Target, Times, admit, answer, answer_head,
    combine, completion, condition, head_response, invalidated_uris, may_collapse, reuse, store,
    unreachable, validated,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use proptest::{array::uniform3, collection::vec, prelude::*, sample::select};

use crate::{
    corpus::begin,
    simulator::{Answered, Ask, Asked, Outcome, Simulator},
};

/// A directive as it is meant, and how it is written.
#[derive(Clone, Debug)]
struct Directive {
    name: &'static str,
    written: String,
}

/// Seldom the plain form: other case, whitespace, quotes.
fn directive() -> impl Strategy<Value = Directive> {
    let names = [
        "no-store",
        "no-cache",
        "private",
        "public",
        "must-revalidate",
        "proxy-revalidate",
        "must-understand",
        "immutable",
        "max-age",
        "s-maxage",
        "stale-while-revalidate",
        "stale-if-error",
        "extension",
    ];
    let seconds = select(vec![
        "0",
        "1",
        "60",
        "\"60\"",
        "3600",
        "99999999999",
        "-1",
        "x",
        "",
    ]);
    (
        select(names.to_vec()),
        seconds,
        any::<u64>(),
        select(vec!["", " ", "\t", "  \t"]),
    )
        .prop_map(|(name, seconds, case, space)| {
            let mut written: String = name
                .char_indices()
                .map(|(at, letter)| match case >> (at % 64) & 1 {
                    0 => letter,
                    _ => letter.to_ascii_uppercase(),
                })
                .collect();
            match name {
                "extension" => written.push_str("=\"no-store, private, max-age=9\""),
                "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error" => {
                    written = format!("{written}={seconds}");
                }
                _ => {}
            }
            let written = format!("{space}{written}{space}");
            Directive { name, written }
        })
}

/// Cache-Control as it is meant, and in how many lines it is written.
fn cache_control() -> impl Strategy<Value = (Vec<&'static str>, Vec<String>)> {
    (vec(directive(), 0..5), any::<u8>()).prop_map(|(directives, breaks)| {
        let mut lines: Vec<String> = vec![String::new()];
        for (at, directive) in directives.iter().enumerate() {
            match lines.last_mut() {
                Some(line) if at == 0 || breaks >> at & 1 == 0 => {
                    *line = format!("{line},{}", directive.written);
                }
                _ => lines.push(directive.written.clone()),
            }
        }
        (
            directives.iter().map(|directive| directive.name).collect(),
            lines,
        )
    })
}

/// One step of a random story.
#[derive(Clone, Debug)]
struct Scene {
    passed: u64,
    method: &'static str,
    request: Vec<(&'static str, &'static str)>,
    status: Option<u16>,
    said: Vec<&'static str>,
    cache_control: Vec<String>,
    response: Vec<(&'static str, &'static str)>,
}

fn scene() -> impl Strategy<Value = Scene> {
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

fn headers<'a, V: AsRef<str> + 'a>(fields: impl IntoIterator<Item = (&'a str, V)>) -> HeaderMap {
    fields
        .into_iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value.as_ref()).unwrap(),
            )
        })
        .collect()
}

/// What the origin once said, and to whom.
struct Said {
    scene: Scene,
    request: HeaderMap,
    /// It may have other fields since.
    updated: bool,
}

fn play(options: &Options, scenes: &[Scene]) -> Result<(), TestCaseError> {
    let mut cache = Simulator::new(options.clone());
    let mut now = begin();
    let mut said: HashMap<String, Said> = HashMap::new();
    for (number, scene) in scenes.iter().enumerate() {
        now += Duration::from_secs(scene.passed);
        let (method, uri): (Method, Uri) = (scene.method.parse().unwrap(), "/".parse().unwrap());
        let request = headers(scene.request.iter().copied());
        let ask = Ask {
            now,
            method: &method,
            uri: &uri,
            headers: &request,
            has_content: false,
        };
        let mut origin = |_: Asked<'_>| Answered {
            response: scene.status.map(|status| {
                let lines = scene
                    .cache_control
                    .iter()
                    .map(|line| ("cache-control", line.as_str()));
                let fields = headers(lines.chain(scene.response.iter().copied()));
                (
                    StatusCode::from_u16(status).unwrap(),
                    fields,
                    number.to_string().into_bytes(),
                )
            }),
            clean: true,
            delay: Duration::ZERO,
        };
        let outcome = cache.handle(&ask, &mut origin);
        let mut scene = scene.clone();
        if outcome.background {
            cache.revalidate(&ask, &mut origin);
            // That was a request of the cache's own.
            scene.request.retain(|(name, _)| *name != "cache-control");
        }
        let body = String::from_utf8(outcome.body.clone()).unwrap();
        if let Some(stored) = said.get(&body) {
            may_be_used(options, stored, &scenes[number], &request, &outcome)?;
        }
        // An answer to HEAD may bring other fields to all that is stored.
        if scene.method == "HEAD" {
            said.values_mut().for_each(|said| said.updated = true);
        }
        said.insert(
            number.to_string(),
            Said {
                scene,
                request,
                updated: false,
            },
        );
    }
    Ok(())
}

/// That this response, which was said to another request, may answer this one.
fn may_be_used(
    options: &Options,
    stored: &Said,
    asked: &Scene,
    request: &HeaderMap,
    outcome: &Outcome,
) -> Result<(), TestCaseError> {
    let has = |name: &str| stored.scene.said.contains(&name);
    prop_assert!(!has("no-store") || has("must-understand"), "no-store");
    prop_assert!(
        !stored
            .scene
            .request
            .contains(&("cache-control", "no-store")),
        "the request's no-store"
    );
    prop_assert!(stored.scene.status != Some(429), "429");
    prop_assert!(!stored.scene.response.contains(&("vary", "*")), "Vary: *");
    if options.shared {
        prop_assert!(!has("private"), "private");
        prop_assert!(
            !stored
                .scene
                .response
                .iter()
                .any(|(name, _)| *name == "set-cookie"),
            "Set-Cookie"
        );
        let shared = has("public") || has("must-revalidate") || has("s-maxage");
        prop_assert!(
            shared || !stored.request.contains_key("authorization"),
            "another's Authorization"
        );
    }
    let stale = matches!(
        outcome.how.as_str(),
        "max-stale" | "stale-while-revalidate" | "stale-if-error" | "unreachable"
    );
    let forbidden = has("must-revalidate")
        || has("no-cache")
        || (options.shared && (has("proxy-revalidate") || has("s-maxage")));
    // A 304, too, might have brought other fields since; without a validator none could.
    let validators = |(name, _): &(&str, &str)| matches!(*name, "etag" | "last-modified");
    if !stored.updated && !stored.scene.response.iter().any(validators) {
        for (_, names) in stored
            .scene
            .response
            .iter()
            .filter(|(name, _)| *name == "vary")
        {
            for name in names
                .split(',')
                .map(|name| name.trim().to_ascii_lowercase())
            {
                let before: Vec<_> = stored.request.get_all(&name).iter().collect();
                let after: Vec<_> = request.get_all(&name).iter().collect();
                prop_assert_eq!(before, after, "varies by {}", name);
            }
        }

        prop_assert!(!(stale && forbidden), "stale");
        prop_assert!(!(outcome.how == "fresh" && has("no-cache")), "no-cache");
    }
    let wants_validation = asked
        .request
        .iter()
        .find(|(name, _)| *name == "cache-control");
    prop_assert!(
        !(outcome.how == "fresh" && wants_validation == Some(&("cache-control", "no-cache"))),
        "the request's no-cache"
    );
    prop_assert!(outcome.headers.contains_key("age"), "Age");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_served_that_is_forbidden(shared: bool, scenes in vec(scene(), 2..8)) {
        let options = if shared { Options::shared() } else { Options::private() };
        play(&options, &scenes)?;
    }
}

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

fn any_headers() -> impl Strategy<Value = HeaderMap> {
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
fn any_time() -> impl Strategy<Value = SystemTime> {
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

fn any_method() -> impl Strategy<Value = Method> {
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

fn any_stored() -> impl Strategy<Value = Option<(Options, HeaderMap, StoredHead)>> {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn freshness_never_grows_with_age(stored in any_stored(), times in uniform3(any_time())) {
        let Some((_, _, stored)) = stored else { return Ok(()) };
        let mut times = times;
        times.sort();
        // The farther from its arrival, by a clock that goes on or was set back, the older.
        let [earlier, between, later] = times.map(|time| stored.age(time));
        prop_assert!(between <= earlier.max(later));

        times.sort_by_key(|time| stored.age(*time));
        let [younger, older, _] = times;
        prop_assert!(stored.ttl(younger) >= stored.ttl(older));
        prop_assert!(stored.is_fresh(younger) || !stored.is_fresh(older));
        let mut marked = stored.clone();
        marked.mark_stale();
        prop_assert!(!marked.is_fresh(younger));
    }

    #[test]
    fn nothing_panics_and_answers_are_within_the_body(
        stored in any_stored(),
        method in any_method(),
        request in any_headers(),
        update in any_headers(),
        status in select(vec![200, 206, 304, 304, 404, 500]),
        (now, requested, responded) in (any_time(), any_time(), any_time()),
        received in prop_oneof![0..20_u64, Just(u64::MAX)],
    ) {
        let head = RequestHead::new(&method, &request);
        let _ = (admit(&head, false), may_collapse(&head), head.directives());
        let uri: Uri = "/a?b".parse().unwrap();
        if let Some(target) = Target::of("https", &uri, &request) {
            for uri in invalidated_uris(&target, &update) {
                prop_assert!(Target::of_uri(&uri).is_some());
            }
        }
        let Some((options, asked, stored)) = stored else { return Ok(()) };
        // It may answer the very request that it answered.
        prop_assert!(stored.matches(&RequestHead::new(&Method::GET, &asked)));
        let status = StatusCode::from_u16(status).unwrap();
        let times = Times { requested, responded };
        let _ = (reuse(&options, &head, &stored, now), unreachable(&options, &head, &stored, now));
        let _ = (stored.keep_for(&options, now), stored.weight());
        let answer = answer(&head, &stored, received, now);
        if let Answer::Part(slice) = answer {
            prop_assert!(slice.length > 0 && slice.offset + slice.length <= received);
            prop_assert_eq!(slice.part.len(), slice.length);
        }
        let (_, fields) = answer_head(&answer, &stored, now);
        // Nothing but what is asked for grows the map.
        prop_assert!(answer != Answer::Stored || fields.len() == stored.headers().len());
        prop_assert!(fields.get_all("age").iter().count() <= 1);
        let mut outgoing = request.clone();
        condition(&stored, &mut outgoing, now);
        completion(&stored, &mut outgoing);
        let _ = validated(&options, &head, &stored, status, &update, times);
        let _ = head_response(&options, &head, &stored, received, status, &update, times);
        if let Ok(complete) = stored.clone().complete(received, true)
            && let Ok(length) = usize::try_from(received)
            && let Some(all) = combine(&stored, length, &complete, length)
        {
            prop_assert!(!all.pieces.is_empty());
        }
    }
}
