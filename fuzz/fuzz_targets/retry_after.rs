//! Whatever a server says, the wait is bounded, and what we say of it is what is heard.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_http::{RetryAfter, retry_after_value};
use http::HeaderValue;
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
    let Some(heard) = RetryAfter::parse(&value, now) else {
        return;
    };
    let wait = heard.delay_from(now);
    assert!(wait <= RetryAfter::MAX);

    // Said again, it is never earlier, and never a second later than the least that can be said.
    let said = RetryAfter::parse(&retry_after_value(wait), now).expect("our own words");
    let again = said.delay_from(now);
    assert!(wait <= again && again < wait.max(Duration::from_nanos(1)) + Duration::from_secs(1));

    match heard {
        RetryAfter::At(date) => {
            // A date that was heard is heard alike in the form that is to be sent.
            let imf = httpdate::fmt_http_date(date);
            let imf = HeaderValue::from_str(&imf).expect("a date");
            assert_eq!(RetryAfter::parse(&imf, now), Some(heard));
        }
        RetryAfter::Delay(_) => assert_eq!(heard.delay_from(SystemTime::UNIX_EPOCH), wait),
        _ => {}
    }
});
