//! Whatever a response's Age says, it is never younger than it is, and never gets younger.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_cache::rfc9111::{
    Options, Refusal, RequestHead, Store, Target, Times, age_value, store,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{AGE, CACHE_CONTROL},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Four bytes of seconds that pass, then lines.
    let Some((passed, lines)) = input.split_first_chunk::<4>() else {
        return;
    };
    let passed = Duration::from_secs(u32::from_le_bytes(*passed).into());
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(line) = HeaderValue::from_bytes(line) {
            headers.append(AGE, line);
        }
    }

    let uri = "https://example.com/".parse().expect("a URI");
    let (request, target) = (HeaderMap::new(), Target::of_uri(&uri).expect("a target"));
    let request = RequestHead::new(&Method::GET, &request);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
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

    let (before, after) = (kept.age(now), kept.age(now + passed));
    assert!(after == before + passed);
    assert!(!kept.is_fresh(now + passed) || after < Duration::from_secs(60));
    assert_eq!(kept.headers()[AGE], "0");
    // The first line counts, where it is a number.
    let first = headers.get(AGE).and_then(|line| line.to_str().ok());
    if let Some(Ok(seconds)) = first.map(str::parse::<u32>) {
        let signed = first.is_some_and(|line| line.starts_with('+'));
        let expected = if signed { 0 } else { seconds.min(1 << 31) };
        assert_eq!(before, Duration::from_secs(expected.into()));
    }
    let said = age_value(after);
    let said: u64 = said.to_str().expect("digits").parse().expect("a number");
    assert_eq!(said, after.as_secs().min(1 << 31));
});
