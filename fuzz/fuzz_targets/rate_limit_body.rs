//! Whatever a body says, and wherever it breaks off, the wait is bounded, and the user's rows go first.
#![no_main]

use std::{sync::LazyLock, time::SystemTime};

use buttress_http::{
    RateLimitInfo, RetryAfter,
    rate_limit_info::{BodyHints, Cause, WaitUnit},
};
use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;

static OWN: LazyLock<BodyHints> = LazyLock::new(|| {
    BodyHints::builder()
        .code("x", Cause::Overload)
        .phrase("y", Cause::Window)
        .wait("w", WaitUnit::Millis)
        .build()
        .expect("rows that are filled in")
});

fuzz_target!(|body: &[u8]| {
    let silent = RateLimitInfo::of(
        StatusCode::TOO_MANY_REQUESTS,
        &HeaderMap::new(),
        SystemTime::UNIX_EPOCH,
    );
    assert!(silent.needs_body());
    for hints in [&BodyHints::default(), &*OWN] {
        let info = silent.clone().with_body(body, hints);
        assert!(
            info.retry_after()
                .is_none_or(|wait| wait <= RetryAfter::MAX)
        );
        assert!(info.verdict().is_some());

        // What is past the limit is not looked at.
        let beginning = body.get(..RateLimitInfo::MAX_BODY).unwrap_or(body);
        assert_eq!(silent.clone().with_body(beginning, hints), info);
    }

    // What is JSON as a whole has the wait that serde_json finds in it.
    if let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(body)
        && body.len() <= RateLimitInfo::MAX_BODY
        && let Some(wait) = members.get("w").and_then(serde_json::Value::as_f64)
        && wait >= 0.0
    {
        let heard = silent.with_body(body, &OWN).retry_after();
        assert!(
            heard.is_some_and(|heard| heard.as_secs_f64() >= (wait / 1_000.0).min(1e9) * 0.999)
        );
    }
});
