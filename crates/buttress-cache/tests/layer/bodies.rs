//! What is stored owns its memory, and shares it.

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt as _, Full};

use crate::support::{Setup, answer, get, read, response, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn hits_share_the_stored_bytes() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[FRESH], "shared")).await;
    let mut at = Vec::new();
    for _ in 0..3 {
        let hit = setup.get("/a").await.unwrap().unwrap();
        let body = hit.into_body().collect().await.unwrap().to_bytes();
        at.push(body.as_ptr());
        assert_eq!(body, "shared");
    }
    at.dedup();
    assert_eq!(at.len(), 1);
}

/// Frames and field values are slices of read buffers: if the store kept them, each entry would keep
/// alive what may be hundreds of times its size.
#[tokio::test(start_paused = true)]
async fn nothing_stored_pins_a_read_buffer() {
    let mut setup = Setup::shared();
    let buffer = Bytes::from(vec![b'x'; 256 << 10]);

    // In one piece, in several, and in a head.
    let asked = setup.get("/one");
    let mut one = answer(&[FRESH], "");
    *one.body_mut() = Full::new(buffer.slice(10..1034))
        .map_err(|never| match never {})
        .boxed_unsync();
    let value = HeaderValue::from_maybe_shared(buffer.slice(2_000..2_100)).unwrap();
    one.headers_mut().insert("x-sliced", value);
    setup.call().await.answer(one);
    read(asked).await;

    let asked = setup.get("/several");
    let (mut origin, several) = streaming(&[FRESH]);
    setup.call().await.answer(several);
    let reader = tokio::spawn(read(asked));
    for at in 0..10 {
        let piece = buffer.slice(at * 100..at * 100 + 100);
        origin.send_data(piece).await.unwrap();
    }
    drop(origin);
    reader.await.unwrap();

    // And by the request's own fields, which `Vary` makes part of what is stored.
    let mut request = crate::support::empty(get("/vary"));
    let value = HeaderValue::from_maybe_shared(buffer.slice(3_000..3_100)).unwrap();
    request.headers_mut().insert("x-kind", value);
    let asked = setup.ask(request);
    let varied = answer(&[FRESH, ("vary", "x-kind")], "varied");
    setup.call().await.answer(varied);
    read(asked).await;

    assert_eq!(setup.cache.stats().stored, 3);
    crate::support::settle().await;
    assert!(buffer.is_unique(), "something stored is a slice of it");

    for path in ["/one", "/several"] {
        let uri = format!("http://example.com{path}").parse().unwrap();
        let stored = setup.cache.get(&uri).await.unwrap();
        let body = stored.as_slice()[0].body().clone();
        drop(stored);
        setup.cache.invalidate(&uri).await.unwrap();
        assert!(body.len() >= 1_000);
        // Alone with its allocation now, it shows how large that is.
        let allocation = Vec::from(body);
        assert_eq!(allocation.capacity(), allocation.len(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn head_has_the_fields_and_no_body() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[FRESH, ("content-length", "4")], "body"))
        .await;
    let head = crate::support::method(http::Method::HEAD, "/a");
    let read = read(setup.ask(crate::support::empty(head))).await;
    assert_eq!((read.status, read.body.as_str()), (200, ""));
    assert_eq!(read.one("content-length"), Some("4"));
    setup.origin_is_left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn ranges_and_conditions_are_answered_from_the_store() {
    let mut setup = Setup::shared();
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "0123456789")).await;
    let ask = |field: (&'static str, &'static str)| {
        setup.ask(crate::support::empty(get("/a").header(field.0, field.1)))
    };
    let part = read(ask(("range", "bytes=2-4"))).await;
    assert_eq!((part.status, part.body.as_str()), (206, "234"));
    assert_eq!(part.one("content-range"), Some("bytes 2-4/10"));
    let suffix = read(ask(("range", "bytes=-3"))).await;
    assert_eq!((suffix.status, suffix.body.as_str()), (206, "789"));
    let outside = read(ask(("range", "bytes=10-"))).await;
    assert_eq!((outside.status, outside.body.as_str()), (416, ""));
    let not_modified = read(ask(("if-none-match", "W/\"1\""))).await;
    assert_eq!((not_modified.status, not_modified.body.as_str()), (304, ""));
    setup.origin_is_left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn odd_statuses_and_bytes_are_kept_as_they_are() {
    let mut setup = Setup::shared();
    let mut odd = response(
        599,
        &[FRESH],
        Full::new(Bytes::from_static(b"\xff\x00"))
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    let value = HeaderValue::from_bytes(b"caf\xe9").unwrap();
    odd.headers_mut().insert("x-odd", value.clone());
    let asked = setup.get("/a");
    setup.call().await.answer(odd);
    let first = asked.await.unwrap().unwrap();
    first.into_body().collect().await.unwrap();
    let hit = setup.get("/a").await.unwrap().unwrap();
    assert_eq!(
        (hit.status().as_u16(), &hit.headers()["x-odd"]),
        (599, &value)
    );
    assert_eq!(
        hit.into_body().collect().await.unwrap().to_bytes(),
        &b"\xff\x00"[..]
    );
}

/// Or a server that knows the length of every body from the body would say that there is none.
#[tokio::test(start_paused = true)]
async fn head_tells_the_length_of_what_get_has() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[FRESH], "body")).await;
    let head = crate::support::method(http::Method::HEAD, "/a");
    let read = read(setup.ask(crate::support::empty(head))).await;
    assert_eq!((read.status, read.body.as_str()), (200, ""));
    assert_eq!(read.one("content-length"), Some("4"));
}
