//! Parts of which no whole comes.

use super::*;

/// Whatever comes instead of the rest, and may not be stored: if it is an answer, the part is of something that is no more.
#[tokio::test(start_paused = true)]
async fn another_answer_outdates_the_part_and_a_failure_does_not() {
    for (code, said, stays) in [
        (200, "no-store", false),
        (404, "private", false),
        (503, "no-store", true),
        (401, "no-store", true),
    ] {
        let mut setup = Setup::shared();
        let (asked, call) = part(&mut setup).await;
        let fields = [("cache-control", said), ("etag", "\"2\"")];
        call.answer(status(code, &fields, "another"));
        let answer = read(asked).await;
        assert_eq!((answer.status, answer.body.as_str()), (code, "another"));
        let _asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
        assert_eq!(setup.calls().await.is_empty(), stays, "{code}");
    }
}

/// A part cannot stand in for the whole, so that it is as where nothing is stored.
#[tokio::test(start_paused = true)]
async fn where_the_origin_is_gone_the_error_is_handed_on_and_the_part_stays() {
    let mut setup = Setup::shared();
    let (asked, call) = part(&mut setup).await;
    call.fail();
    assert!(asked.await.unwrap().is_err());
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
    setup.origin_is_left_alone().await;
    assert_eq!(read(asked).await.body, "01234");
}

/// There is nothing to give to somebody who asked for all of it; who asks next gets it.
#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_an_error_once() {
    let other_tag = ("etag", "\"2\"");
    let no_store = ("cache-control", "no-store");
    for (code, cache_control, tag, range, body) in [
        (206, FRESH, other_tag, "bytes 5-9/10", "56789"),
        (206, no_store, other_tag, "bytes 5-9/10", "56789"),
        (206, FRESH, TAG, "bytes 7-9/10", "789"),
        (206, no_store, TAG, "bytes 7-9/10", "789"),
        // Less than the rest, after which there would be a gap before the end; and less than is said.
        (206, FRESH, TAG, "bytes 5-8/10", "5678"),
        (206, FRESH, TAG, "bytes 5-9/10", "567"),
        (416, FRESH, TAG, "bytes */5", ""),
    ] {
        let mut setup = Setup::shared();
        let (asked, call) = part(&mut setup).await;
        let fields = [cache_control, tag, ("content-range", range)];
        call.answer(status(code, &fields, body));
        assert_eq!(read(asked).await.status, 502, "{code} {fields:?}");
        let next = setup.get("/a");
        let call = setup.call().await;
        assert_eq!(call.header("range"), None);
        call.answer(status(200, &[FRESH], "all"));
        assert_eq!(read(next).await.body, "all");
    }
}

/// What breaks off says nothing of what is stored.
#[tokio::test(start_paused = true)]
async fn a_rest_that_breaks_off_leaves_the_part() {
    let mut setup = Setup::shared();
    let (asked, call) = part(&mut setup).await;
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    let (mut origin, mut response) = streaming(&fields);
    *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
    call.answer(response);
    origin.send_data("56".into()).await.unwrap();
    origin.abort("connection reset".into());
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    let error = answer.into_body().collect().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "connection reset");
    assert_eq!(setup.heard("Incomplete"), 1);
    let again = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(call.header("range"), Some("bytes=5-"));
    call.answer(status(206, &fields, "56789"));
    assert_eq!(read(again).await.body, "0123456789");
}

/// Whoever leaves says nothing of it either.
#[tokio::test(start_paused = true)]
async fn a_rest_that_nobody_waits_for_leaves_the_part() {
    let mut setup = Setup::with(CacheLayer::shared().on_disconnect(OnDisconnect::Abort));
    let (asked, call) = part(&mut setup).await;
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    let (_origin, mut response) = streaming(&fields);
    *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
    call.answer(response);
    drop(asked.await.unwrap().unwrap());
    crate::support::settle().await;
    assert_eq!(setup.heard("Deserted"), 1);
    let uri = "http://example.com/a".parse().unwrap();
    let stored = setup.cache.get(&uri).await.unwrap();
    assert_eq!(stored.as_slice().len(), 1);
}
