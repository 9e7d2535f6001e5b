//! Targets whose answers are not stored: nobody waits for anybody, and what may be stored after all is.

use std::time::Duration;

use buttress_cache::CacheLayer;
use http::Method;
use http_body_util::BodyExt as _;

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
async fn what_may_be_stored_after_all_is_and_ends_it() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[NO_STORE], "not yet")).await;
    let fields = [FRESH, ("vary", "accept-language")];
    let of = |language: &str| empty(get("/a").header("accept-language", language));
    let asked = setup.ask(of("de"));
    setup.call().await.answer(answer(&fields, "jetzt"));
    let kept = read(asked).await;
    assert_eq!(
        kept.cache_status(),
        "Buttress;fwd=uri-miss;fwd-status=200;stored"
    );
    assert_eq!(read(setup.ask(of("de"))).await.body, "jetzt");
    setup.origin_is_left_alone().await;
    // For whom it is not, there is one fetch again.
    assert_eq!(of_five(&mut setup).await, 1);
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

/// A failure that is too large to be stored is a failure all the same: what comes after it may be stored.
#[tokio::test(start_paused = true)]
async fn a_failure_that_outgrows_the_largest_entry_teaches_no_more_than_any() {
    for (code, passes) in [(503, 0), (200, 1)] {
        let builder = CacheLayer::shared().largest_entry(8 << 10);
        let mut setup = Setup::with(builder);
        let asked = setup.get("/a");
        let (mut origin, mut response) = streaming(&[FRESH]);
        *response.status_mut() = http::StatusCode::from_u16(code).unwrap();
        setup.call().await.answer(response);
        let asked = asked.await.unwrap().unwrap();
        let sent = tokio::spawn(async move {
            for _ in 0..3 {
                origin.send_data(vec![b'x'; 4 << 10].into()).await.unwrap();
            }
        });
        assert_eq!(crate::support::collect(asked).await.body.len(), 12 << 10);
        sent.await.unwrap();
        assert_eq!(setup.heard("TooLarge"), 1);
        setup.fill("/a", answer(&[FRESH], "well again")).await;
        assert_eq!(setup.heard("HitForMiss"), passes, "{code}");
        assert_eq!(setup.hit("/a").await.body, "well again");
    }
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

/// Whom one's credentials are refused for is not whom others are answered for, nor is it forgotten for one alone.
#[tokio::test(start_paused = true)]
async fn those_with_credentials_learn_for_themselves() {
    let mut setup = Setup::shared();
    let mine = || empty(get("/a").header("authorization", "me"));
    for fields in [NO_STORE, ("cache-control", "private"), FRESH] {
        let asked = setup.ask(mine());
        setup.call().await.answer(answer(&[fields], "mine"));
        read(asked).await;
    }
    assert_eq!(setup.heard("HitForMiss"), 2);
    assert_eq!(of_five(&mut setup).await, 1);
    setup.cache.invalidate(&uri()).await.unwrap();
    let _asked: Vec<_> = (0..5).map(|_| setup.ask(mine())).collect();
    assert_eq!(setup.calls().await.len(), 1, "both are forgotten");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_an_invalidation_neither_teaches_nor_is_stored() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let call = setup.call().await;
    setup.cache.invalidate(&uri()).await.unwrap();
    call.answer(answer(&[NO_STORE], "old"));
    read(asked).await;
    assert_eq!(of_five(&mut setup).await, 1);

    setup.fill("/a", answer(&[NO_STORE], "")).await;
    let asked = setup.get("/a");
    let call = setup.call().await;
    let posted = setup.ask(empty(method(Method::POST, "/a")));
    setup.call().await.answer(answer(&[], ""));
    read(posted).await;
    call.answer(answer(&[FRESH], "old"));
    assert_eq!(read(asked).await.body, "old");
    assert_eq!(setup.heard("NotStored { why: Outdated }"), 1);
    assert_eq!(of_five(&mut setup).await, 1, "it is not stored");
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

#[tokio::test(start_paused = true)]
async fn an_origin_that_gives_no_answer_gives_none() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[NO_STORE], "")).await;
    let asked = setup.get("/a");
    setup.call().await.fail();
    assert!(asked.await.unwrap().is_err());
    assert_eq!(of_five(&mut setup).await, 5);
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

/// A part of what may be stored after all ends it too, and is the beginning of the whole.
#[tokio::test(start_paused = true)]
async fn a_part_that_may_be_stored_ends_it() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[NO_STORE], "")).await;
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-1")));
    let fields = [FRESH, ("etag", "\"1\""), ("content-range", "bytes 0-1/4")];
    setup.call().await.answer(status(206, &fields, "ab"));
    assert_eq!(read(asked).await.body, "ab");
    let asked = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(call.header("range"), Some("bytes=2-"));
    let fields = [FRESH, ("etag", "\"1\""), ("content-range", "bytes 2-3/4")];
    call.answer(status(206, &fields, "cd"));
    let body = asked.await.unwrap().unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "abcd");
}

/// What has to be validated for each who asks is for nobody else, however long ago it last came in full.
#[tokio::test(start_paused = true)]
async fn a_304_that_is_not_for_all_is_remembered_as_an_answer_in_full_is() {
    let mut setup = Setup::shared();
    let fields = [("cache-control", "no-cache"), ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    for _ in 0..2 {
        setup.wall.pass(119);
        let validated = setup.fill("/a", status(304, &fields, "")).await;
        assert_eq!(validated.body, "body");
    }
    assert_eq!(of_five(&mut setup).await, 5);
}

#[tokio::test(start_paused = true)]
async fn a_304_that_is_for_all_ends_it() {
    let mut setup = Setup::shared();
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    setup.wall.pass(61);
    setup.fill("/a", status(503, &[], "")).await;
    assert_eq!(of_five(&mut setup).await, 5);
    setup.fill("/a", status(304, &fields, "")).await;
    setup.wall.pass(61);
    assert_eq!(of_five(&mut setup).await, 1);
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

/// As with those that were not stored: the origin may have been told to answer otherwise.
#[tokio::test(start_paused = true)]
async fn what_was_stored_though_not_for_all_teaches_nothing_either_that_was_overtaken() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let call = setup.call().await;
    setup.cache.invalidate(&uri()).await.unwrap();
    call.answer(answer(
        &[("cache-control", "no-cache"), ("etag", "\"1\"")],
        "",
    ));
    read(asked).await;
    assert_eq!(of_five(&mut setup).await, 1);
}

/// Those who read along would go on holding each other back, and the slow ones be cut off, each time anew.
#[tokio::test(start_paused = true)]
async fn what_outgrows_the_largest_entry_is_remembered_too() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(4 << 10);
    let mut setup = Setup::with(builder);
    for _ in 0..2 {
        let asked = setup.get("/a");
        let (mut origin, response) = streaming(&[FRESH]);
        setup.call().await.answer(response);
        let mut body = asked.await.unwrap().unwrap().into_body();
        for n in 0..6 {
            // Nor is it forgotten because of how the next one begins.
            if setup.heard("TooLarge") == 1 {
                assert_eq!(of_five(&mut setup).await, 5, "piece {n}");
            }
            origin.send_data(vec![b'x'; 1 << 10].into()).await.unwrap();
            assert_eq!(piece(&mut body).await.len(), 1 << 10);
        }
    }
    assert_eq!(setup.heard("TooLarge"), 2);

    // One that turns out to be short enough is stored, and ends it.
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[("cache-control", "max-age=1")]);
    setup.call().await.answer(response);
    origin.send_data("short".into()).await.unwrap();
    drop(origin);
    assert_eq!(read(asked).await.body, "short");
    setup.wall.pass(2);
    assert_eq!(of_five(&mut setup).await, 1);
}

/// It was for all who waited for its head, and so will the next one be.
#[tokio::test(start_paused = true)]
async fn what_comes_more_slowly_than_it_is_fresh_for_is_for_all() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let (mut origin, response) = streaming(&[("cache-control", "max-age=1")]);
    setup.call().await.answer(response);
    origin.send_data("slow".into()).await.unwrap();
    settle().await;
    setup.wall.pass(2);
    drop(origin);
    assert_eq!(read(asked).await.body, "slow");
    assert_eq!(of_five(&mut setup).await, 1);
}
