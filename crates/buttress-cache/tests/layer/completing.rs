//! A part is stored, and all of it is asked for: the origin is asked for the rest.

mod failing;

use buttress_cache::{CacheLayer, OnDisconnect};
use http_body_util::BodyExt as _;

use crate::support::{Setup, collect, empty, get, method, read, status, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const TAG: (&str, &str) = ("etag", "\"1\"");

/// Stores bytes 0 to 4 of ten, and asks for all of them.
async fn part(setup: &mut Setup) -> Asked {
    part_of(setup, "bytes 0-4/10").await
}

async fn part_of(setup: &mut Setup, range: &str) -> Asked {
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
    let fields = [FRESH, TAG, ("content-range", range)];
    setup.call().await.answer(status(206, &fields, "01234"));
    assert_eq!(read(asked).await.body, "01234");
    let asked = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(call.header("range"), Some("bytes=5-"));
    assert_eq!(call.header("if-range"), Some("\"1\""));
    (asked, call)
}

type Asked = (
    tokio::task::JoinHandle<Result<crate::support::Cached, crate::support::Unreachable>>,
    crate::support::Call,
);

#[tokio::test(start_paused = true)]
async fn the_rest_makes_it_whole() {
    let mut setup = Setup::shared();
    let (asked, call) = part(&mut setup).await;
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    call.answer(status(206, &fields, "56789"));
    let whole = read(asked).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, "0123456789"));
    assert_eq!(setup.hit("/a").await.body, "0123456789");
}

/// What is there is not held back until all of it is, whoever waits for it.
#[tokio::test(start_paused = true)]
async fn it_streams_to_all_who_ask() {
    let mut setup = Setup::shared();
    let (asked, call) = part(&mut setup).await;
    let other = setup.get("/a");
    setup.origin_is_left_alone().await;
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    let (mut origin, mut response) = streaming(&fields);
    *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
    call.answer(response);
    let mut answers = Vec::new();
    for asked in [asked, other] {
        crate::support::settle().await;
        assert!(asked.is_finished(), "it waits for the rest");
        let mut answer = asked.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-length"], "10");
        assert!(!answer.headers().contains_key("content-range"));
        assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(10));
        assert_eq!(crate::support::piece(answer.body_mut()).await, "01234");
        assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(5));
        answers.push(answer);
    }
    let told = answers[0].headers()["cache-status"].to_str().unwrap();
    assert_eq!(told, "Buttress;fwd=partial;fwd-status=206;stored");
    origin.send_data("567".into()).await.unwrap();
    for answer in &mut answers {
        assert_eq!(crate::support::piece(answer.body_mut()).await, "567");
    }
    origin.send_data("89".into()).await.unwrap();
    drop(origin);
    for answer in answers {
        assert_eq!(collect(answer).await.body, "89");
    }
    assert_eq!(setup.hit("/a").await.body, "0123456789");
    assert_eq!(setup.cache.stats().collapsed, 1);
}

/// Who has all of it wants none of the rest, which is stored all the same.
#[tokio::test(start_paused = true)]
async fn who_has_the_whole_is_told_so() {
    let mut setup = Setup::shared();
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
    let fields = [FRESH, TAG, ("content-range", "bytes 0-4/10")];
    setup.call().await.answer(status(206, &fields, "01234"));
    read(asked).await;
    let asked = setup.ask(empty(get("/a").header("if-none-match", "\"1\"")));
    let call = setup.call().await;
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    call.answer(status(206, &fields, "56789"));
    let told = read(asked).await;
    assert_eq!((told.status, told.body.as_str()), (304, ""));
    assert_eq!(setup.hit("/a").await.body, "0123456789");
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_may_not_be_stored_is_the_clients_all_the_same() {
    for (said, why) in [("no-store", "NoStore"), ("private, max-age=60", "Private")] {
        let mut setup = Setup::shared();
        let (asked, call) = part(&mut setup).await;
        let fields = [
            ("cache-control", said),
            TAG,
            ("content-range", "bytes 5-9/10"),
        ];
        let (mut origin, mut response) = streaming(&fields);
        *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
        call.answer(response);
        // As it comes.
        let mut answer = asked.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-length"], "10");
        assert!(!answer.headers().contains_key("content-range"));
        assert_eq!(answer.headers()["cache-control"], said);
        assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(10));
        assert_eq!(crate::support::piece(answer.body_mut()).await, "01234");
        origin.send_data("567".into()).await.unwrap();
        assert_eq!(crate::support::piece(answer.body_mut()).await, "567");
        origin.send_data("89".into()).await.unwrap();
        drop(origin);
        assert_eq!(collect(answer).await.body, "89");
        assert_eq!(setup.heard(why), 1);
        // What is said of the rest is said of the part, too.
        let uri = "http://example.com/a".parse().unwrap();
        assert!(setup.cache.get(&uri).await.unwrap().as_slice().is_empty());
    }
}

/// Who has the end of it is given the beginning first.
#[tokio::test(start_paused = true)]
async fn a_beginning_that_may_not_be_stored_comes_before_the_end() {
    let mut setup = Setup::shared();
    let asked = setup.ask(empty(get("/a").header("range", "bytes=5-9")));
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    setup.call().await.answer(status(206, &fields, "56789"));
    read(asked).await;
    let asked = setup.get("/a");
    let no_store = ("cache-control", "no-store");
    let fields = [no_store, TAG, ("content-range", "bytes 0-4/10")];
    setup.call().await.answer(status(206, &fields, "01234"));
    let mut answer = asked.await.unwrap().unwrap();
    assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(10));
    assert_eq!(crate::support::piece(answer.body_mut()).await, "01234");
    assert_eq!(http_body::Body::size_hint(answer.body()).exact(), Some(5));
    assert_eq!(collect(answer).await.body, "56789");
}

/// What is refused for the request's sake says nothing of the part.
#[tokio::test(start_paused = true)]
async fn a_rest_that_is_one_clients_alone_leaves_the_part() {
    let mut setup = Setup::shared();
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
    let fields = [FRESH, TAG, ("content-range", "bytes 0-4/10")];
    setup.call().await.answer(status(206, &fields, "01234"));
    read(asked).await;
    let asked = setup.ask(empty(get("/a").header("authorization", "Bearer a")));
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/10")];
    setup.call().await.answer(status(206, &fields, "56789"));
    assert_eq!(read(asked).await.body, "0123456789");
    assert_eq!(setup.heard("Authorization"), 1);
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
    setup.origin_is_left_alone().await;
    assert_eq!(read(asked).await.body, "01234");
}

/// It has room for the body, and not for the fields beside it.
#[tokio::test(start_paused = true)]
async fn a_whole_that_is_a_little_too_large_is_not_said_to_be_stored() {
    let builder = CacheLayer::shared()
        .capacity(1 << 20)
        .largest_entry(8 << 10);
    let mut setup = Setup::with(builder);
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-3999")));
    let fields = [FRESH, TAG, ("content-range", "bytes 0-3999/8000")];
    let half = "x".repeat(4_000);
    setup.call().await.answer(status(206, &fields, &half));
    read(asked).await;
    let asked = setup.get("/a");
    let fields = [FRESH, TAG, ("content-range", "bytes 4000-7999/8000")];
    setup.call().await.answer(status(206, &fields, &half));
    let whole = read(asked).await;
    assert_eq!((whole.status, whole.body.len()), (200, 8_000));
    assert_eq!(whole.cache_status(), "Buttress;fwd=partial;fwd-status=206");
    assert_eq!(setup.heard("TooLarge"), 1);

    // Nor are two parts put together then.
    let end = || empty(get("/a").header("range", "bytes=4000-7998"));
    let asked = setup.ask(end());
    let fields = [FRESH, TAG, ("content-range", "bytes 4000-7998/8000")];
    setup.call().await.answer(status(206, &fields, &half[1..]));
    read(asked).await;
    let asked = setup.ask(end());
    setup.origin_is_left_alone().await;
    assert_eq!(read(asked).await.body.len(), 3_999);
    let uri = "http://example.com/a".parse().unwrap();
    let stored = setup.cache.get(&uri).await.unwrap();
    assert!(stored.weight() <= 8 << 10, "{}", stored.weight());
}

/// HEAD asks for nothing that could be put together, and a part tells nothing of the whole.
#[tokio::test(start_paused = true)]
async fn head_is_not_answered_from_a_part() {
    let mut setup = Setup::shared();
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-4")));
    let fields = [FRESH, TAG, ("content-range", "bytes 0-4/10")];
    setup.call().await.answer(status(206, &fields, "01234"));
    read(asked).await;
    let head = || empty(method(http::Method::HEAD, "/a"));
    let asked = setup.ask(head());
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), None);
    call.fail();
    assert!(asked.await.unwrap().is_err());
}

/// Of something whose length is not told, only who asked for it knows what its end is; a validation by somebody else does
/// not change that.
#[tokio::test(start_paused = true)]
async fn what_a_part_was_the_answer_to_outlives_its_validation() {
    let mut setup = Setup::shared();
    let range = |range| empty(get("/a").header("range", range));
    let asked = setup.ask(range("bytes=-5"));
    let fields = [FRESH, TAG, ("content-range", "bytes 5-9/*")];
    setup.call().await.answer(status(206, &fields, "56789"));
    read(asked).await;
    setup.wall.pass(61);
    let asked = setup.ask(range("bytes=6-7"));
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(304, &[FRESH, TAG], ""));
    assert_eq!(read(asked).await.body, "67");
    let asked = setup.ask(range("bytes=-5"));
    setup.origin_is_left_alone().await;
    assert_eq!(read(asked).await.body, "56789");
}

/// However it comes in pieces.
#[tokio::test(start_paused = true)]
async fn a_rest_that_does_not_end_where_it_said_is_not_stored() {
    for (cache_control, more) in [
        (FRESH, Some("890")),
        (("cache-control", "no-store"), Some("890")),
        (FRESH, None),
    ] {
        let mut setup = Setup::shared();
        let (asked, call) = part(&mut setup).await;
        let fields = [cache_control, TAG, ("content-range", "bytes 5-9/10")];
        let (mut origin, mut response) = streaming(&fields);
        *response.status_mut() = http::StatusCode::PARTIAL_CONTENT;
        call.answer(response);
        let answer = asked.await.unwrap().unwrap();
        let sent = tokio::spawn(async move {
            origin.send_data("56789".into()).await.unwrap();
            crate::support::settle().await;
            match more {
                // Nobody may listen any more.
                Some(more) => drop(origin.send_data(more.into()).await),
                None => origin.abort("connection reset".into()),
            }
        });
        let read = answer.into_body().collect().await;
        assert!(read.is_err(), "{cache_control:?} {more:?}");
        sent.await.unwrap();
        let again = setup.get("/a");
        let call = setup.call().await;
        call.answer(status(200, &[FRESH], "all"));
        assert_eq!(crate::support::read(again).await.body, "all");
    }
}

/// Nothing that looks complete and is not.
#[tokio::test(start_paused = true)]
async fn a_rest_that_is_shorter_or_longer_than_it_said_breaks_off() {
    for rest in ["567", "567890123"] {
        let mut setup = Setup::shared();
        let (asked, call) = part(&mut setup).await;
        let fields = [
            ("cache-control", "no-store"),
            TAG,
            ("content-range", "bytes 5-9/10"),
        ];
        call.answer(status(206, &fields, rest));
        let answer = asked.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_err(), "{rest}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_the_rest_streams_through() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(8 << 10);
    let mut setup = Setup::with(builder);
    let (asked, call) = part_of(&mut setup, "bytes 0-4/2005").await;
    // All that is on its way together may take 8 KiB.
    let other = setup.get("/other");
    let (mut holding, answer) = streaming(&[FRESH]);
    setup.call().await.answer(answer);
    let other = other.await.unwrap().unwrap();
    holding.send_data(vec![b'x'; 5 << 10].into()).await.unwrap();
    crate::support::settle().await;
    let fields = [FRESH, TAG, ("content-range", "bytes 5-2004/2005")];
    call.answer(status(206, &fields, &"x".repeat(2_000)));
    let whole = read(asked).await;
    assert_eq!((whole.status, whole.body.len()), (200, 2_005));
    assert_eq!(setup.heard("NoRoom"), 1);
    drop((holding, other));
}

/// Room for the rest is not yet room for all of it, which is what is going to be kept.
#[tokio::test(start_paused = true)]
async fn where_there_is_room_for_the_rest_only_it_streams_through() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(8 << 10);
    let mut setup = Setup::with(builder);
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-3999")));
    let fields = [FRESH, TAG, ("content-range", "bytes 0-3999/6000")];
    let begin = "x".repeat(4_000);
    setup.call().await.answer(status(206, &fields, &begin));
    read(asked).await;
    // Half of what all that is on its way may take.
    let other = setup.get("/other");
    let (mut holding, answer) = streaming(&[FRESH]);
    setup.call().await.answer(answer);
    let other = other.await.unwrap().unwrap();
    holding.send_data(vec![b'x'; 3 << 10].into()).await.unwrap();
    crate::support::settle().await;
    let asked = setup.get("/a");
    let fields = [FRESH, TAG, ("content-range", "bytes 4000-5999/6000")];
    let end = "x".repeat(2_000);
    setup.call().await.answer(status(206, &fields, &end));
    let whole = read(asked).await;
    assert_eq!((whole.status, whole.body.len()), (200, 6_000));
    assert_eq!(setup.heard("NoRoom"), 1);
    drop((holding, other));
}

#[tokio::test(start_paused = true)]
async fn another_representation_takes_its_place_or_is_handed_on() {
    for (said, stays) in [("max-age=60", true), ("no-store", false)] {
        let mut setup = Setup::shared();
        let (asked, call) = part(&mut setup).await;
        let fields = [("cache-control", said), ("etag", "\"2\"")];
        call.answer(status(200, &fields, "another"));
        let answer = read(asked).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "another"));
        if stays {
            assert_eq!(setup.hit("/a").await.body, "another");
        }
    }
}
