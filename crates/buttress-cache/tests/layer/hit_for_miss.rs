//! Targets whose answers are not stored: nobody waits for anybody, and what may be stored after all is.

mod taught;

use std::time::Duration;

use buttress_cache::CacheLayer;
use http::Method;

use crate::support::{Setup, answer, empty, get, method, piece, read, settle, status, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
const NO_STORE: (&str, &str) = ("cache-control", "no-store");

/// How many of five who ask at once reach the origin.
async fn of_five(setup: &mut Setup) -> usize {
    let asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
    let calls = setup.calls().await.len();
    for asked in asked {
        asked.abort();
    }
    settle().await;
    calls
}

fn uri() -> http::Uri {
    "http://example.com/a".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_request_goes_straight_on_and_is_cancelled_with_its_client() {
    let mut setup = Setup::shared();
    let first = setup.fill("/a", answer(&[NO_STORE], "one")).await;
    assert_eq!(setup.heard("HitForMiss"), 0);
    let second = setup.fill("/a", answer(&[NO_STORE], "two")).await;
    assert_eq!(setup.heard("HitForMiss"), 1);
    assert_eq!((first.body.as_str(), second.body.as_str()), ("one", "two"));
    for read in [first, second] {
        assert_eq!(read.cache_status(), "Buttress;fwd=uri-miss;fwd-status=200");
    }
    assert_eq!(setup.heard("NotStored { why: Rules(NoStore) }"), 2);

    let asked = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(setup.cache.stats().under_way, 0);
    asked.abort();
    settle().await;
    assert!(call.is_cancelled(), "nothing would have come of it");
}

#[tokio::test(start_paused = true)]
async fn it_streams_and_is_stored_at_its_end_although_who_asked_has_left() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[NO_STORE], "")).await;
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let mut body = asked.await.unwrap().unwrap().into_body();
    origin.send_data("half ".into()).await.unwrap();
    assert_eq!(piece(&mut body).await, "half ");
    drop(body);
    origin.send_data("and half".into()).await.unwrap();
    drop(origin);
    settle().await;
    assert_eq!(setup.hit("/a").await.body, "half and half");
}

#[tokio::test(start_paused = true)]
async fn it_lasts_for_so_long_since_the_last_such_answer() {
    for (span, seconds) in [(None, 120), (Some(7), 7)] {
        let builder = CacheLayer::shared();
        let mut setup = Setup::with(match span {
            Some(span) => builder.hit_for_miss(Duration::from_secs(span)),
            None => builder,
        });
        setup.fill("/a", answer(&[NO_STORE], "")).await;
        setup.wall.pass(seconds - 1);
        setup.fill("/a", answer(&[NO_STORE], "")).await;
        setup.wall.pass(seconds - 1);
        assert_eq!(of_five(&mut setup).await, 5);
        setup.wall.pass(1);
        assert_eq!(of_five(&mut setup).await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_for_no_time() {
    let mut setup = Setup::with(CacheLayer::shared().hit_for_miss(Duration::ZERO));
    setup.fill("/a", answer(&[NO_STORE], "")).await;
    assert_eq!(of_five(&mut setup).await, 1);
    assert_eq!(setup.heard("HitForMiss"), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_forgotten_by_hand_but_not_by_an_unsafe_request() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[NO_STORE], "")).await;
    let posted = setup.ask(empty(method(Method::POST, "/a")));
    setup.call().await.answer(answer(&[], ""));
    read(posted).await;
    assert_eq!(of_five(&mut setup).await, 5);
    setup.cache.invalidate(&uri()).await.unwrap();
    assert_eq!(of_five(&mut setup).await, 1);

    setup.fill("/a", answer(&[NO_STORE], "")).await;
    assert_eq!(of_five(&mut setup).await, 5);
    setup.cache.clear().await.unwrap();
    assert_eq!(of_five(&mut setup).await, 1);
}

/// Who waited for an answer that is not stored goes straight on as well.
#[tokio::test(start_paused = true)]
async fn those_who_waited_go_straight_on() {
    let mut setup = Setup::shared();
    let asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
    setup.call().await.answer(answer(&[NO_STORE], "one's"));
    let calls = setup.calls().await;
    assert_eq!((calls.len(), setup.heard("HitForMiss")), (4, 4));
    for asked in &asked {
        asked.abort();
    }
    settle().await;
    assert!(calls.iter().all(|call| call.is_cancelled()));
}

/// What is stored of another variant is validated in the ordinary way, and not given up.
#[tokio::test(start_paused = true)]
async fn what_is_stored_is_validated_all_the_same() {
    let mut setup = Setup::shared();
    let of = |language: &str| empty(get("/a").header("accept-language", language));
    let fields = [FRESH, ("etag", "\"1\""), ("vary", "accept-language")];
    let asked = setup.ask(of("en"));
    setup.call().await.answer(answer(&fields, "hello"));
    read(asked).await;
    let asked = setup.ask(of("de"));
    setup.call().await.answer(answer(&[NO_STORE], "hallo"));
    read(asked).await;

    setup.wall.pass(61);
    let asked = setup.ask(of("en"));
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "hello");
    assert_eq!(setup.heard("HitForMiss"), 0);
}

/// Its answer may not be left to anybody, so there is nothing that would have to outlive it.
#[tokio::test(start_paused = true)]
async fn who_wants_nothing_stored_goes_straight_on() {
    let mut setup = Setup::shared();
    let no_store = || empty(get("/a").header("cache-control", "no-store"));
    let asked = setup.ask(no_store());
    setup.call().await.answer(answer(&[FRESH], "mine"));
    assert_eq!(read(asked).await.body, "mine");
    assert_eq!(setup.heard("NotStored { why: Rules(RequestNoStore) }"), 1);
    let asked = setup.ask(no_store());
    let call = setup.call().await;
    asked.abort();
    settle().await;
    assert!(call.is_cancelled());
    assert_eq!(of_five(&mut setup).await, 1, "others learn nothing of it");
}

/// What is stored, and yet asked for each time, is fetched for the store, where it is missing: it outlives who asks.
#[tokio::test(start_paused = true)]
async fn what_is_stored_though_not_for_all_is_a_fetch() {
    let mut setup = Setup::shared();
    let of = |language: &str| empty(get("/a").header("accept-language", language));
    let fields = [
        ("cache-control", "no-cache"),
        ("etag", "\"1\""),
        ("vary", "accept-language"),
    ];
    for language in ["en", "de"] {
        let asked = setup.ask(of(language));
        let call = setup.call().await;
        asked.abort();
        settle().await;
        assert!(call.answer(answer(&fields, language)), "{language}");
        settle().await;
        assert_eq!(setup.cache.stats().stored, u64::from(language == "de") + 1);
    }
    assert_eq!(setup.heard("HitForMiss"), 0);
}

/// What an origin answers that fails tells nothing of what it answers when it is well again.
#[tokio::test(start_paused = true)]
async fn after_a_failure_nobody_waits_and_yet_a_fetch_outlives_who_asked() {
    let mut setup = Setup::shared();
    setup.fill("/a", status(503, &[NO_STORE], "")).await;
    assert_eq!(of_five(&mut setup).await, 5);
    assert_eq!(setup.heard("HitForMiss"), 0);
    let asked = setup.get("/a");
    let call = setup.call().await;
    asked.abort();
    settle().await;
    assert!(call.answer(answer(&[FRESH], "well")));
    settle().await;
    assert_eq!(setup.hit("/a").await.body, "well");
}
