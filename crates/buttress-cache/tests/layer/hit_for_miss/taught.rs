//! What teaches that the answers of a target are not stored, and what ends it.

use buttress_cache::CacheLayer;
use buttress_http::LocalRefusal;
use http::Method;
use http_body_util::BodyExt as _;

use crate::support::{Setup, answer, empty, get, method, piece, read, settle, status, streaming};

use super::{FRESH, NO_STORE, of_five, uri};

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

#[tokio::test(start_paused = true)]
async fn an_origin_that_gives_no_answer_gives_none() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[NO_STORE], "")).await;
    let asked = setup.get("/a");
    setup.call().await.fail();
    assert!(asked.await.unwrap().is_err());
    assert_eq!(of_five(&mut setup).await, 5);
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

/// Nor does the whole that it is made of, or the rest that is one's alone, have others wait for it in vain.
#[tokio::test(start_paused = true)]
async fn what_makes_a_part_whole_teaches_as_well() {
    for said in ["no-cache", "private, max-age=60"] {
        let mut setup = Setup::shared();
        let asked = setup.ask(empty(get("/a").header("range", "bytes=0-1")));
        let fields = [FRESH, ("etag", "\"1\""), ("content-range", "bytes 0-1/4")];
        setup.call().await.answer(status(206, &fields, "ab"));
        read(asked).await;
        let fields = [
            ("cache-control", said),
            ("etag", "\"1\""),
            ("content-range", "bytes 2-3/4"),
        ];
        let whole = setup.fill("/a", status(206, &fields, "cd")).await;
        assert_eq!(whole.body, "abcd");
        assert_eq!(of_five(&mut setup).await, 5, "{said}");
    }
}

/// Who refuses on this side says nothing of what the origin's answers are for.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_validation_teaches_nothing() {
    let mut setup = Setup::shared();
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    setup.wall.pass(61);
    let mut refused = status(503, &[], "");
    LocalRefusal::new(None).mark(&mut refused);
    assert_eq!(setup.fill("/a", refused).await.status, 503);
    assert_eq!(of_five(&mut setup).await, 1);
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
