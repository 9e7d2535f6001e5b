mod for_one;

use std::time::Duration;

use buttress_cache::{CacheLayer, rfc9111::FieldPattern};
use buttress_http::LocalRefusal;
use http::HeaderName;

use crate::support::{Setup, answer, collect, empty, get, piece, read, settle, status, streaming};

const ETAG: (&str, &str) = ("etag", "\"1\"");

fn fresh(directives: &'static str) -> (&'static str, &'static str) {
    ("cache-control", directives)
}

#[tokio::test(start_paused = true)]
async fn a_304_makes_what_is_stored_fresh_again() {
    let mut setup = Setup::shared();
    setup
        .fill(
            "/a",
            answer(&[fresh("max-age=60"), ETAG, ("x-old", "1")], "body"),
        )
        .await;
    setup.wall.pass(61);
    let asked = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(
        304,
        &[fresh("max-age=100"), ETAG, ("x-new", "2")],
        "",
    ));
    let first = read(asked).await;
    assert_eq!((first.status, first.body.as_str()), (200, "body"));
    assert_eq!(
        (first.one("x-old"), first.one("x-new")),
        (Some("1"), Some("2"))
    );
    assert_eq!(first.cache_status(), "Buttress;fwd=stale;fwd-status=304");
    setup.wall.pass(99);
    assert_eq!(
        setup.hit("/a").await.one("cache-control"),
        Some("max-age=100")
    );
}

#[tokio::test(start_paused = true)]
async fn the_clients_own_condition_is_answered_after_ours_was() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[fresh("max-age=60"), ETAG], "body"))
        .await;
    setup.wall.pass(61);
    for (theirs, code) in [("\"1\"", 304), ("\"0\"", 200)] {
        setup.wall.pass(61);
        let asked = setup.ask(empty(get("/a").header("if-none-match", theirs)));
        let call = setup.call().await;
        assert_eq!(call.header("if-none-match"), Some("\"1\""));
        call.answer(status(304, &[ETAG], ""));
        assert_eq!(read(asked).await.status, code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_304_to_the_clients_own_condition_is_the_clients() {
    let mut setup = Setup::shared();
    let asked = setup.ask(empty(get("/a").header("if-none-match", "\"1\"")));
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(304, &[ETAG, fresh("max-age=60")], ""));
    assert_eq!(read(asked).await.status, 304);
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1, "a 304 was stored");
}

#[tokio::test(start_paused = true)]
async fn another_answer_takes_its_place() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[fresh("max-age=60"), ETAG], "old"))
        .await;
    setup.wall.pass(61);
    let new = answer(&[fresh("max-age=60"), ("etag", "\"2\"")], "new");
    assert_eq!(setup.fill("/a", new).await.body, "new");
    assert_eq!(setup.hit("/a").await.body, "new");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_stored_outdates_the_one_that_is() {
    let mut setup = Setup::shared();
    let old = answer(&[fresh("max-age=60"), ETAG], "old");
    setup.fill("/a", old).await;
    let asked = setup.ask(empty(get("/a").header("cache-control", "max-age=0")));
    setup.wall.pass(1);
    let new = answer(&[fresh("private"), ("etag", "\"2\"")], "new");
    setup.call().await.answer(new);
    assert_eq!(read(asked).await.body, "new");
    // It would be fresh for another 59 seconds.
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1);
}

/// Also where that turns out only when its head has long been handed on.
#[tokio::test(start_paused = true)]
async fn a_replacement_that_outgrows_the_largest_entry_outdates_what_it_was_to_replace() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(4 << 10);
    let mut setup = Setup::with(builder);
    let old = answer(&[fresh("max-age=60"), ETAG], "old");
    setup.fill("/a", old).await;
    let asked = setup.ask(empty(get("/a").header("cache-control", "no-cache")));
    let (mut origin, response) = streaming(&[fresh("max-age=60"), ("etag", "\"2\"")]);
    setup.call().await.answer(response);
    let mut body = asked.await.unwrap().unwrap().into_body();
    for _ in 0..6 {
        let kibibyte = vec![b'x'; 1 << 10];
        origin.send_data(kibibyte.into()).await.unwrap();
        assert_eq!(piece(&mut body).await.len(), 1 << 10);
    }
    assert_eq!(setup.heard("TooLarge"), 1);
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn stale_while_revalidate_asks_once_in_the_background() {
    let mut setup = Setup::shared();
    let fields = [fresh("max-age=60, stale-while-revalidate=30"), ETAG];
    setup.fill("/a", answer(&fields, "old")).await;
    setup.wall.pass(61);
    for _ in 0..5 {
        let stale = read(setup.get("/a")).await;
        assert_eq!(stale.body, "old");
        assert!(stale.cache_status().starts_with("Buttress;hit;ttl=-"));
    }
    let mut calls = setup.calls().await;
    assert_eq!(calls.len(), 1);
    let call = calls.remove(0);
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    let new = answer(&[fresh("max-age=60"), ("etag", "\"2\"")], "new");
    call.answer(new);
    settle().await;
    assert_eq!(setup.hit("/a").await.body, "new");
}

#[tokio::test(start_paused = true)]
async fn a_background_validation_that_hangs_is_given_up() {
    let builder = CacheLayer::shared().background_timeout(Duration::from_secs(7));
    let mut setup = Setup::with(builder);
    let said = "max-age=60, stale-while-revalidate=30, stale-if-error=600";
    let fields = [fresh(said), ETAG];
    setup.fill("/a", answer(&fields, "old")).await;
    setup.wall.pass(61);
    assert_eq!(read(setup.get("/a")).await.body, "old");
    let hangs = setup.call().await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert!(hangs.is_cancelled());
    // The next one tries again.
    assert_eq!(read(setup.get("/a")).await.body, "old");
    let fails = setup.calls().await.pop().unwrap();
    fails.answer(status(503, &[], ""));
    settle().await;
    assert_eq!(setup.heard("StaleOnFailure"), 0, "nobody waited for it");
}

#[tokio::test(start_paused = true)]
async fn stale_if_error_stands_in_for_all_who_wait() {
    let mut setup = Setup::shared();
    let fields = [fresh("max-age=60, stale-if-error=600"), ETAG];
    setup.fill("/a", answer(&fields, "old")).await;
    setup.wall.pass(61);
    let asked: Vec<_> = (0..3).map(|_| setup.get("/a")).collect();
    setup.call().await.answer(status(503, &[], "down"));
    for asked in asked {
        let read = read(asked).await;
        assert_eq!((read.status, read.body.as_str()), (200, "old"));
    }
    setup.origin_is_left_alone().await;
    assert_eq!(setup.heard("StaleOnFailure { status: Some(503) }"), 3);
}

/// Whoever waits for the validation of a part may want the whole, which no failure makes of it.
#[tokio::test(start_paused = true)]
async fn a_part_does_not_stand_in_for_the_whole() {
    let mut setup = Setup::shared();
    let part = || empty(get("/a").header("range", "bytes=0-1"));
    let said = fresh("max-age=60, stale-while-revalidate=30, stale-if-error=600");
    let asked = setup.ask(part());
    let fields = [said, ("content-range", "bytes 0-1/4")];
    setup.call().await.answer(status(206, &fields, "bo"));
    read(asked).await;
    setup.wall.pass(61);
    assert_eq!(read(setup.ask(part())).await.body, "bo");
    let validation = setup.call().await;
    let whole = setup.get("/a");
    setup.origin_is_left_alone().await;
    validation.answer(status(503, &[], "down"));
    for call in setup.calls().await {
        call.answer(answer(&[], "body"));
    }
    let whole = read(whole).await;
    assert_eq!((whole.status, whole.body.as_str()), (200, "body"));
}

#[tokio::test(start_paused = true)]
async fn without_it_the_error_is_handed_on() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[fresh("max-age=60"), ETAG], "old"))
        .await;
    setup.wall.pass(61);
    let read = setup.fill("/a", status(503, &[], "down")).await;
    assert_eq!((read.status, read.body.as_str()), (503, "down"));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_is_gone_is_stood_in_for_unless_that_is_forbidden() {
    for (directives, code) in [
        ("max-age=60", 200),
        ("max-age=60, must-revalidate", 504),
        ("max-age=60, proxy-revalidate", 504),
        ("s-maxage=60", 504),
        ("no-cache", 504),
    ] {
        let mut setup = Setup::shared();
        setup
            .fill("/a", answer(&[fresh(directives), ETAG], "old"))
            .await;
        setup.wall.pass(61);
        let asked = setup.get("/a");
        setup.call().await.fail();
        assert_eq!(read(asked).await.status, code, "{directives}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_with_nothing_stored_is_the_services_own_error() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    setup.call().await.fail();
    assert_eq!(
        asked.await.unwrap().unwrap_err(),
        crate::support::Unreachable
    );
}

#[tokio::test(start_paused = true)]
async fn after_a_304_about_something_else_the_whole_is_asked_for() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[fresh("max-age=60"), ETAG], "old"))
        .await;
    setup.wall.pass(61);
    let read = setup
        .fill("/a", status(304, &[("etag", "\"other\"")], ""))
        .await;
    // The origin said of our validator that nothing has changed.
    assert_eq!((read.status, read.body.as_str()), (200, "old"));
    assert_eq!(read.one("etag"), Some(ETAG.1));
    let asked = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), None);
    call.answer(answer(&[fresh("max-age=60")], "new"));
    assert_eq!(crate::support::read(asked).await.body, "new");
}

#[tokio::test(start_paused = true)]
async fn head_tells_of_a_stored_get() {
    let head = || empty(crate::support::method(http::Method::HEAD, "/a"));
    for (etag, still_right) in [("\"1\"", true), ("\"2\"", false)] {
        let mut setup = Setup::shared();
        setup
            .fill("/a", answer(&[fresh("max-age=60"), ETAG], "body"))
            .await;
        setup.wall.pass(61);
        let asked = setup.ask(head());
        let fields = [fresh("max-age=60"), ("etag", etag)];
        setup.call().await.answer(answer(&fields, ""));
        assert_eq!(read(asked).await.status, 200);
        if still_right {
            assert_eq!(setup.hit("/a").await.body, "body");
        } else {
            let _asked = setup.get("/a");
            assert_eq!(setup.calls().await.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn head_validates_what_get_is_answered_with() {
    let mut setup = Setup::shared();
    let fields = [fresh("max-age=60"), ETAG];
    setup.fill("/a", answer(&fields, "body")).await;
    setup.wall.pass(61);
    let asked = setup.ask(empty(crate::support::method(http::Method::HEAD, "/a")));
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(304, &fields, ""));
    let read = read(asked).await;
    assert_eq!((read.status, read.body.as_str()), (200, ""));
    assert_eq!(setup.heard("Validated"), 1);
    assert_eq!(setup.hit("/a").await.body, "body");
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_asks_nobody() {
    let mut setup = Setup::shared();
    let only = || empty(get("/a").header("cache-control", "only-if-cached"));
    let refused = setup.ask(only()).await.unwrap().unwrap();
    assert!(
        LocalRefusal::of(&refused).is_some(),
        "no word of the origin's"
    );
    let refused = collect(refused).await;
    assert_eq!(refused.status, 504);
    // It was no hit, and it did not go forward.
    assert_eq!(refused.cache_status(), "Buttress;detail=only-if-cached");
    setup.origin_is_left_alone().await;
    setup
        .fill("/a", answer(&[fresh("max-age=60")], "body"))
        .await;
    assert_eq!(read(setup.ask(only())).await.body, "body");
}

/// A refusal of our own is no word of the origin's about what is stored.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_our_own_while_validating_outdates_nothing() {
    for code in [403, 429, 503] {
        let mut setup = Setup::shared();
        let old = answer(&[fresh("max-age=60"), ETAG], "old");
        setup.fill("/a", old).await;
        let asked = setup.ask(empty(get("/a").header("cache-control", "no-cache")));
        let mut refused = status(code, &[], "not now");
        LocalRefusal::new(None).mark(&mut refused);
        setup.call().await.answer(refused);
        assert_eq!(read(asked).await.status, code);
        let _asked = setup.get("/a");
        setup.origin_is_left_alone().await;
        assert_eq!(setup.cache.stats().hits, 1);
    }
}
