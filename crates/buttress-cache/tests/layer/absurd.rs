//! What no peer sends in earnest. (Servers bound what they read; not all of them, and not by so much.)

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;

use crate::support::{OriginBody, Setup, answer, empty, get, read, status};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const ETAG: (&str, &str) = ("etag", "\"1\"");

/// As many names as a map takes; one more, and it would panic.
const MOST: usize = 24_576;

/// Fields of other names up to so many.
fn fill(headers: &mut HeaderMap, names: usize) {
    for number in headers.len()..names {
        let name = HeaderName::try_from(format!("x-{number}")).unwrap();
        headers.append(name, HeaderValue::from_static("1"));
    }
}

fn with_names(mut response: Response<OriginBody>, names: usize) -> Response<OriginBody> {
    fill(response.headers_mut(), names);
    response
}

fn asking(names: usize) -> Request<Full<Bytes>> {
    let mut request = empty(get("/a"));
    fill(request.headers_mut(), names);
    request
}

#[tokio::test(start_paused = true)]
async fn a_response_with_ever_so_many_fields_passes_and_is_not_stored() {
    for names in [1025, MOST - 1, MOST] {
        let mut setup = Setup::shared();
        let response = with_names(answer(&[FRESH], "body"), names);
        let first = setup.fill("/a", response).await;
        assert_eq!(first.body, "body");
        // There is no room for another where the map is full.
        let told = first.one("cache-status");
        assert_eq!(told.is_some(), names < MOST, "{names}");
        assert_eq!(setup.heard("TooManyFields"), 1);
    }
    let mut setup = Setup::shared();
    setup
        .fill("/a", with_names(answer(&[FRESH], "body"), 1024))
        .await;
    assert_eq!(setup.hit("/a").await.one("x-1000"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_304_with_ever_so_many_fields_is_used_once() {
    for names in [1025, MOST] {
        let mut setup = Setup::shared();
        setup.fill("/a", answer(&[FRESH, ETAG], "body")).await;
        setup.wall.pass(61);
        let asked = setup.get("/a");
        let not_modified = with_names(status(304, &[FRESH, ETAG], ""), names);
        setup.call().await.answer(not_modified);
        let read = read(asked).await;
        assert_eq!((read.status, read.body.as_str()), (200, "body"));
        setup.fill("/a", answer(&[FRESH], "new")).await;
    }
}

/// Each 304 may bring names of its own, for ever.
#[tokio::test(start_paused = true)]
async fn fields_do_not_pile_up() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[FRESH, ETAG], "body")).await;
    let mut validations = 0;
    while validations < 10 {
        setup.wall.pass(61);
        let asked = setup.get("/a");
        let call = setup.call().await;
        if call.header("if-none-match").is_none() {
            break;
        }
        let mut not_modified = status(304, &[FRESH, ETAG], "");
        for number in 0..300 {
            let name = HeaderName::try_from(format!("x-{validations}-{number}")).unwrap();
            not_modified
                .headers_mut()
                .append(name, HeaderValue::from_static("1"));
        }
        call.answer(not_modified);
        assert_eq!(read(asked).await.body, "body");
        validations += 1;
    }
    assert_eq!(validations, 4);
}

/// Nor may each part.
#[tokio::test(start_paused = true)]
async fn fields_of_parts_do_not_pile_up() {
    let mut setup = Setup::shared();
    for part in 0..30 {
        let asked = setup.ask(empty(
            get("/a").header("range", format!("bytes={part}-{part}")),
        ));
        let range = format!("bytes {part}-{part}/100");
        let mut response = status(206, &[FRESH, ETAG, ("content-range", &range)], "x");
        for number in 0..1_000 {
            let name = HeaderName::try_from(format!("x-{part}-{number}")).unwrap();
            let headers = response.headers_mut();
            headers.append(name, HeaderValue::from_static("1"));
        }
        setup.call().await.answer(response);
        assert_eq!(read(asked).await.status, 206, "{part}");
        let uri = "http://example.com/a".parse().unwrap();
        let stored = setup.cache.get(&uri).await.unwrap();
        assert!(stored.as_slice()[0].head().headers().len() <= 1_024);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_ever_so_many_fields_is_answered() {
    let mut setup = Setup::shared();
    let part = [FRESH, ETAG, ("content-range", "bytes 0-1/4")];
    let asked = setup.ask(empty(get("/b").header("range", "bytes=0-1")));
    setup.call().await.answer(status(206, &part, "bo"));
    read(asked).await;
    setup.fill("/a", answer(&[FRESH, ETAG], "body")).await;
    assert_eq!(read(setup.ask(asking(MOST))).await.body, "body");
    setup.wall.pass(61);
    // The validator finds no room, so the whole comes.
    let asked = setup.ask(asking(MOST));
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), None);
    call.answer(answer(&[FRESH], "new"));
    assert_eq!(read(asked).await.body, "new");

    // Nor do those that would complete what is stored in part.
    setup.wall.pass(0);
    let mut request = asking(MOST);
    *request.uri_mut() = "http://example.com/b".parse().unwrap();
    let asked = setup.ask(request);
    let call = setup.call().await;
    assert_eq!(call.header("range"), None);
    call.answer(answer(&[FRESH], "whole"));
    assert_eq!(read(asked).await.body, "whole");
}
