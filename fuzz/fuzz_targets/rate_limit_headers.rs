//! Whatever a server says in its header fields, the wait is bounded, and a refusal is one.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_http::{
    RateLimitInfo, RetryAfter,
    rate_limit_info::{Advice, BodyHints, Source},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // As a response is written: a line with the status, the fields, an empty line, the body.
    let mut lines = input.split(|&byte| byte == b'\n');
    let status = lines
        .next()
        .and_then(|line| StatusCode::from_bytes(line).ok())
        .unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    let mut headers = HeaderMap::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let body = lines.next().unwrap_or_default();

    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_011_200);
    let info = RateLimitInfo::of(status, &headers, now);
    assert!(
        info.retry_after()
            .is_none_or(|wait| wait <= RetryAfter::MAX)
    );
    assert_eq!(info.retry_after().is_some(), info.source().is_some());
    assert!(info.limits().len() <= 16);
    assert!(info.verdict().is_some() || status != StatusCode::TOO_MANY_REQUESTS);
    if let Some(verdict) = info.verdict() {
        assert!(!status.is_redirection() && !status.is_informational());
        assert!(info.should_retry() != Some(false) || verdict.advice == Advice::GiveUp);
    }

    let more = info.clone().with_body(body, &BodyHints::default());
    assert!(info.verdict().is_none() || more.verdict().is_some());
    if info.source().is_some_and(|source| source != Source::Vendor) {
        assert_eq!(more.retry_after(), info.retry_after());
    }
});
