//! However a reset is written, as a date, a span or a number, it is bounded, and read as others read it.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_http::{RateLimitInfo, RetryAfter};
use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Four bytes of clock, in minutes since 1970, then the value.
    let Some((minutes, value)) = input.split_first_chunk::<4>() else {
        return;
    };
    let now =
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::from_le_bytes(*minutes)) * 60);
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-ratelimit-reset", value.clone());
    let info = RateLimitInfo::of(StatusCode::TOO_MANY_REQUESTS, &headers, now);
    let reset = info.limits().first().and_then(|limit| limit.reset());
    assert!(reset.is_none_or(|reset| reset <= RetryAfter::MAX));
    assert_eq!(info.retry_after(), reset.filter(|reset| !reset.is_zero()));

    // What is longer, if by blanks alone, is not read at all.
    if value.len() > 256 {
        assert_eq!(reset, None);
        return;
    }
    let Ok(text) = value.to_str() else {
        return;
    };
    let text = text.trim_matches([' ', '\t']);
    // Only as humantime would write it: it reads much that RFC 3339 does not allow.
    if text.contains('T')
        && let Ok(date) = humantime::parse_rfc3339(text)
        && (humantime::format_rfc3339_seconds(date).to_string() == text
            || humantime::format_rfc3339_millis(date).to_string() == text)
    {
        let ahead = date.duration_since(now).unwrap_or_default();
        assert_eq!(reset, Some(ahead.min(RetryAfter::MAX)), "{text}");
    }
});
