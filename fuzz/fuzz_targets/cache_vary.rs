//! Whatever Vary names, a response answers its own request, and matching goes both ways.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_cache::rfc9111::{Options, RequestHead, Store, StoredHead, Target, Times, store};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, VARY},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Vary, then lines of two requests in turn: each is of the field that its first byte chooses.
    let mut lines = input.split(|byte| *byte == b'\n');
    let Some(Ok(vary)) = lines.next().map(HeaderValue::from_bytes) else {
        return;
    };
    let mut requests = [HeaderMap::new(), HeaderMap::new()];
    for (number, line) in lines.enumerate() {
        let Some((which, value)) = line.split_first() else {
            continue;
        };
        let name = match which % 4 {
            0 => ACCEPT_LANGUAGE,
            1 => ACCEPT,
            2 => HeaderName::from_static("foo"),
            _ => HeaderName::from_static("bar"),
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            requests[number % 2].append(name, value);
        }
    }

    let response = HeaderMap::from_iter([
        (CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
        (VARY, vary),
    ]);
    let [one, other] = requests;
    let (Some(for_one), Some(for_other)) = (keep(&one, &response), keep(&other, &response)) else {
        return;
    };
    let matches =
        |head: &StoredHead, request| head.matches(&RequestHead::new(&Method::GET, request));
    assert!(matches(&for_one, &one) && matches(&for_other, &other));
    assert_eq!(matches(&for_one, &other), matches(&for_other, &one));
    assert_eq!(
        matches(&for_one, &other),
        for_one.vary() == for_other.vary()
    );
    // What is not there matches only what is not there.
    for name in for_one.vary().names() {
        if one.contains_key(name) != other.contains_key(name) {
            assert!(!matches(&for_one, &other));
        }
    }
});

fn keep(request: &HeaderMap, response: &HeaderMap) -> Option<StoredHead> {
    let uri = "https://example.com/".parse().expect("a URI");
    let target = Target::of_uri(&uri).expect("a target");
    let request = RequestHead::new(&Method::GET, request);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let times = Times {
        requested: now,
        responded: now,
    };
    let options = Options::shared();
    match store(&options, &request, &target, StatusCode::OK, response, times) {
        Store::Keep(head) => Some(*head),
        _ => None,
    }
}
