//! Whatever Expires says, the lifetime is bounded, and a proper date is the one that it says.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_cache::rfc9111::{Options, Refusal, RequestHead, Source, Store, Target, Times, store};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{DATE, EXPIRES},
};
use libfuzzer_sys::fuzz_target;

const MOST: Duration = Duration::from_secs(1 << 31);

fuzz_target!(|input: &[u8]| {
    // Four bytes of clock, in minutes since 1970, then lines.
    let Some((minutes, lines)) = input.split_first_chunk::<4>() else {
        return;
    };
    let now =
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::from_le_bytes(*minutes)) * 60);
    let mut headers: HeaderMap = lines
        .split(|byte| *byte == b'\n')
        .filter_map(|line| Some((EXPIRES, HeaderValue::from_bytes(line).ok()?)))
        .collect();
    if headers.is_empty() {
        return;
    }
    let only = (headers.len() == 1).then(|| headers[EXPIRES].clone());
    headers.insert(DATE, buttress_http::http_date_value(now));

    let uri = "https://example.com/".parse().expect("a URI");
    let (request, target) = (HeaderMap::new(), Target::of_uri(&uri).expect("a target"));
    let request = RequestHead::new(&Method::GET, &request);
    let times = Times {
        requested: now,
        responded: now,
    };
    let options = Options::shared();
    let kept = match store(&options, &request, &target, StatusCode::OK, &headers, times) {
        Store::Keep(kept) => kept,
        Store::Refuse(Refusal::TooManyFields) if headers.len() > 1024 => return,
        Store::Refuse(why) => panic!("it is to be stored: {why:?}"),
        _ => panic!("a third answer"),
    };
    assert_eq!(kept.source(), Source::Expires);
    assert!(kept.lifetime() <= MOST);

    // What another parser takes for a date, so do we; but for the century of two digits.
    let text = only.as_ref().and_then(|line| line.to_str().ok());
    match text {
        Some(text) if !text.contains('-') => {
            if let Ok(date) = httpdate::parse_http_date(text) {
                // The clock ends with the year 9999, as dates do.
                let said = httpdate::parse_http_date(headers[DATE].to_str().expect("a date"));
                let left = date
                    .duration_since(said.expect("a date"))
                    .unwrap_or_default();
                assert_eq!(kept.lifetime(), left.min(MOST), "{text}");
            }
        }
        Some(_) => {}
        None => assert_eq!(kept.lifetime(), Duration::ZERO),
    }
});
