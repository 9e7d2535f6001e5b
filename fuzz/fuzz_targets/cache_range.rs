//! Whatever Range and Content-Range say, no byte is served that is not there, and parts fit together.
#![no_main]

use std::time::{Duration, SystemTime};

use buttress_cache::rfc9111::{
    Answer, Options, Piece, RequestHead, Store, Target, Times, answer, answer_head, combine, store,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_RANGE, ETAG, IF_RANGE, RANGE},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The body's length, then the fields of a stored part, of a later part and of a request, a line each.
    let Some(([length], lines)) = input.split_first_chunk::<1>() else {
        return;
    };
    let length = u64::from(*length);
    let mut lines = lines
        .split(|byte| *byte == b'\n')
        .map(|line| HeaderValue::from_bytes(line).ok());
    let mut next = || lines.next().flatten();
    let (Some(range), Some(first), second) = (next(), next(), next()) else {
        return;
    };

    let uri = "https://example.com/".parse().expect("a URI");
    let target = Target::of_uri(&uri).expect("a target");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let times = Times {
        requested: now,
        responded: now,
    };
    let options = Options::shared();
    let mut asked = HeaderMap::from_iter([(RANGE, range)]);
    if let Some(if_range) = next() {
        asked.insert(IF_RANGE, if_range);
    }
    let request = RequestHead::new(&Method::GET, &asked);
    let keep = |status: StatusCode, content_range: &HeaderValue| {
        let headers = HeaderMap::from_iter([
            (CACHE_CONTROL, HeaderValue::from_static("max-age=60")),
            (ETAG, HeaderValue::from_static("\"a\"")),
            (CONTENT_RANGE, content_range.clone()),
        ]);
        match store(&options, &request, &target, status, &headers, times) {
            Store::Keep(head) => head.complete(length, true).ok(),
            _ => None,
        }
    };

    for status in [StatusCode::OK, StatusCode::PARTIAL_CONTENT] {
        let Some(head) = keep(status, &first) else {
            continue;
        };
        let answer = answer(&request, &head, length, now);
        let (status, headers) = answer_head(&answer, &head, now);
        if let Answer::Part(slice) = answer {
            assert!(slice.length > 0 && slice.offset + slice.length <= length);
            assert_eq!(slice.part.len(), slice.length);
            assert_eq!(status, StatusCode::PARTIAL_CONTENT);
            assert_eq!(
                headers[http::header::CONTENT_LENGTH],
                slice.length.to_string().as_str()
            );
            if let Some(held) = head.part() {
                assert!(held.first <= slice.part.first && slice.part.last <= held.last);
            }
        }
    }

    let old = keep(StatusCode::PARTIAL_CONTENT, &first);
    let new = second.and_then(|second| keep(StatusCode::PARTIAL_CONTENT, &second));
    let (Some(old), Some(new)) = (old, new) else {
        return;
    };
    let bytes = usize::try_from(length).expect("a byte");
    if let Some(all) = combine(&old, bytes, &new, bytes) {
        let mut total = 0;
        for piece in &all.pieces {
            let (Piece::Old(range) | Piece::New(range)) = piece else {
                panic!("a third kind of piece");
            };
            assert!(range.start < range.end && range.end <= bytes);
            total += range.end - range.start;
        }
        let whole = all.head.part().map_or(total as u64, |part| part.len());
        assert_eq!(total as u64, whole);
    }
});
