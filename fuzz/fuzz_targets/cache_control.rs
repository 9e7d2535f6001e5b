//! However Cache-Control is written, what forbids is heard, and lines are one list.
#![no_main]

use buttress_cache::rfc9111::{RequestDirectives, ResponseDirectives};
use http::{HeaderMap, HeaderValue, header::CACHE_CONTROL};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let lines: Vec<HeaderValue> = input
        .split(|byte| *byte == b'\n')
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    let mut headers: HeaderMap = lines
        .iter()
        .map(|line| (CACHE_CONTROL, line.clone()))
        .collect();
    let response = ResponseDirectives::read(&headers);
    let request = RequestDirectives::read(&headers);
    for delta in [
        response.max_age,
        response.s_maxage,
        request.max_age,
        request.min_fresh,
    ] {
        assert!(delta.is_none_or(|delta| delta <= 1 << 31));
    }

    // A line more never takes back what was said.
    headers.append(
        CACHE_CONTROL,
        HeaderValue::from_static("\tNo-Store ,max-age=7"),
    );
    let more = ResponseDirectives::read(&headers);
    assert!(more.no_store);
    assert_eq!(more.max_age, response.max_age.or(Some(7)));
    assert_eq!(
        (more.private, more.no_cache),
        (response.private, response.no_cache)
    );
    assert!(RequestDirectives::read(&headers).no_store);

    // Where nothing is quoted, it does not matter how the list is broken into lines.
    if !input.contains(&b'"') {
        let joined: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
        let joined = HeaderValue::from_bytes(&joined.join(&b", "[..])).expect("a value");
        let joined = HeaderMap::from_iter([(CACHE_CONTROL, joined)]);
        assert_eq!(ResponseDirectives::read(&joined), response);
        assert_eq!(RequestDirectives::read(&joined), request);
    }
});
