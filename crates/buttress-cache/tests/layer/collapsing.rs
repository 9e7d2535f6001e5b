use std::time::Duration;

use buttress_cache::CacheLayer;
use buttress_core::{Clock as _, clock::TokioClock};
use http_body_util::BodyExt as _;

use crate::support::{Setup, answer, collect, empty, get, piece, read, settle, status, streaming};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn fifty_misses_are_one_request() {
    let mut setup = Setup::shared();
    let asked: Vec<_> = (0..50).map(|_| setup.get("/a")).collect();
    let mut calls = setup.calls().await;
    assert_eq!(calls.len(), 1);
    calls.remove(0).answer(answer(&[FRESH], "one for all"));
    let mut collapsed = 0;
    for asked in asked {
        let read = read(asked).await;
        assert_eq!(read.body, "one for all");
        collapsed += usize::from(read.cache_status().contains(";collapsed"));
    }
    assert_eq!(collapsed, 49);
    setup.origin_is_left_alone().await;
    assert_eq!(
        (setup.cache.stats().forwarded, setup.cache.stats().collapsed),
        (1, 49)
    );
    assert_eq!(setup.cache.stats().under_way, 0);
}

#[tokio::test(start_paused = true)]
async fn all_of_them_read_the_body_as_it_arrives() {
    let mut setup = Setup::shared();
    let (one, two) = (setup.get("/a"), setup.get("/a"));
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let (mut one, mut two) = (
        one.await.unwrap().unwrap().into_body(),
        two.await.unwrap().unwrap().into_body(),
    );
    origin.send_data("first".into()).await.unwrap();
    assert_eq!(piece(&mut one).await, "first");
    assert_eq!(piece(&mut two).await, "first");
    // Whoever comes now gets all of it, too.
    let mut three = setup.get("/a").await.unwrap().unwrap().into_body();
    assert_eq!(piece(&mut three).await, "first");
    origin.send_data("second".into()).await.unwrap();
    drop(origin);
    for body in [one, two, three] {
        assert_eq!(body.collect().await.unwrap().to_bytes(), "second");
    }
    assert_eq!(setup.hit("/a").await.body, "firstsecond");
}

/// Its head is all that it takes to tell whoever has it already.
#[tokio::test(start_paused = true)]
async fn who_has_it_already_is_told_so_and_asks_nobody() {
    let mut setup = Setup::shared();
    let leader = setup.get("/a");
    let call = setup.call().await;
    let theirs = setup.ask(empty(get("/a").header("if-none-match", "\"1\"")));
    settle().await;
    let (_origin, response) = streaming(&[FRESH, ("etag", "\"1\"")]);
    call.answer(response);
    setup.origin_is_left_alone().await;
    let told = read(theirs).await;
    assert_eq!((told.status, told.body.as_str()), (304, ""));
    assert!(told.cache_status().contains(";collapsed"));
    assert_eq!(leader.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_leaders_leaving_fails_nobody() {
    for leaves_after_head in [false, true] {
        let mut setup = Setup::shared();
        let leader = setup.get("/a");
        settle().await;
        let followers: Vec<_> = (0..3).map(|_| setup.get("/a")).collect();
        let call = setup.call().await;
        let (mut origin, response) = streaming(&[FRESH]);
        if leaves_after_head {
            call.answer(response);
            let mut body = leader.await.unwrap().unwrap().into_body();
            origin.send_data("half ".into()).await.unwrap();
            assert_eq!(piece(&mut body).await, "half ");
        } else {
            leader.abort();
            settle().await;
            assert!(call.answer(response), "the fetch was given up");
            origin.send_data("half ".into()).await.unwrap();
        }
        origin.send_data("and half".into()).await.unwrap();
        drop(origin);
        for follower in followers {
            assert_eq!(read(follower).await.body, "half and half");
        }
        setup.origin_is_left_alone().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_one_sends_the_others_on_at_once() {
    let cases = [
        &[("cache-control", "private, max-age=60")][..],
        &[("cache-control", "no-store")],
        &[("cache-control", "no-cache"), ("etag", "\"1\"")],
        &[],
    ];
    for fields in cases {
        let mut setup = Setup::shared();
        let asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
        let mut calls = setup.calls().await;
        assert_eq!(calls.len(), 1);
        calls.remove(0).answer(answer(fields, "yours"));
        // All four of them, before any is answered.
        let calls = setup.calls().await;
        assert_eq!(calls.len(), 4, "{fields:?}");
        for call in calls {
            call.answer(answer(fields, "yours"));
        }
        for asked in asked {
            assert_eq!(read(asked).await.body, "yours");
        }
        // It is remembered: the next ones do not queue up behind each other.
        let _asked = [setup.get("/a"), setup.get("/a"), setup.get("/a")];
        assert_eq!(setup.calls().await.len(), 3, "{fields:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_variant_goes_on_by_itself() {
    let mut setup = Setup::shared();
    let of = |language: &str| empty(get("/a").header("accept-language", language));
    let asked: Vec<_> = ["en", "de", "en", "fr"]
        .map(|language| (language, setup.ask(of(language))))
        .into();
    let fields = [FRESH, ("vary", "Accept-Language")];
    let mut calls = setup.calls().await;
    assert_eq!(calls.len(), 1);
    calls.remove(0).answer(answer(&fields, "en"));
    let calls = setup.calls().await;
    assert_eq!(calls.len(), 2);
    for call in calls {
        let language = call.header("accept-language").unwrap().to_owned();
        call.answer(answer(&fields, &language));
    }
    for (language, asked) in asked {
        assert_eq!(read(asked).await.body, language);
    }
    for language in ["en", "de", "fr"] {
        let hit = read(setup.ask(of(language))).await;
        assert_eq!(hit.body, language);
    }
    setup.origin_is_left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_one_and_the_others_try_for_themselves() {
    let mut setup = Setup::shared();
    let asked: Vec<_> = (0..3).map(|_| setup.get("/a")).collect();
    setup.call().await.fail();
    let calls = setup.calls().await;
    assert_eq!(calls.len(), 2);
    for call in calls {
        call.answer(answer(&[FRESH], "there"));
    }
    let mut failed = 0;
    for asked in asked {
        match asked.await.unwrap() {
            Ok(response) => assert_eq!(collect(response).await.body, "there"),
            Err(_) => failed += 1,
        }
    }
    assert_eq!(failed, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_another_longer_than_told() {
    let wait = Duration::from_secs(3);
    let mut setup = Setup::with(CacheLayer::shared().collapse_wait(wait));
    let (leader, follower) = (setup.get("/a"), setup.get("/a"));
    let first = setup.call().await;
    setup.origin_is_left_alone().await;
    tokio::time::sleep(wait + Duration::from_millis(1)).await;
    let second = setup.call().await;
    second.answer(answer(&[FRESH], "second"));
    assert_eq!(read(follower).await.body, "second");
    first.answer(answer(&[FRESH], "first"));
    assert_eq!(read(leader).await.body, "first");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_the_leaders_alone() {
    let mut setup = Setup::shared();
    let (leader, follower) = (setup.get("/a"), setup.get("/a"));
    // Its future panics when nobody is left to answer it.
    drop(setup.call().await);
    assert!(leader.await.unwrap_err().is_panic());
    setup.call().await.answer(answer(&[FRESH], "fine"));
    assert_eq!(read(follower).await.body, "fine");
}

#[tokio::test(start_paused = true)]
async fn a_validation_is_shared_too() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[FRESH, ("etag", "\"1\"")], "body"))
        .await;
    setup.wall.pass(61);
    let asked: Vec<_> = (0..10).map(|_| setup.get("/a")).collect();
    let mut calls = setup.calls().await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].header("if-none-match"), Some("\"1\""));
    calls
        .remove(0)
        .answer(status(304, &[FRESH, ("etag", "\"1\"")], ""));
    for asked in asked {
        let read = read(asked).await;
        assert_eq!((read.status, read.body.as_str()), (200, "body"));
    }
    setup.origin_is_left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_cut_off_for_being_slow_is_told_and_the_rest_goes_on() {
    let builder = CacheLayer::shared()
        .capacity(1 << 20)
        .largest_entry(64 << 10)
        .patience(Duration::from_secs(2));
    let mut setup = Setup::with(builder);
    let (fast, slow) = (setup.get("/a"), setup.get("/a"));
    let (mut origin, response) = streaming(&[FRESH]);
    setup.call().await.answer(response);
    let fast = fast.await.unwrap().unwrap().into_body();
    let slow = slow.await.unwrap().unwrap().into_body();
    let fast = tokio::spawn(fast.collect());
    let clock = TokioClock::starting_now();
    for _ in 0..64 {
        origin.send_data(vec![b'x'; 32 << 10].into()).await.unwrap();
    }
    drop(origin);
    let whole = fast.await.unwrap().unwrap().to_bytes();
    assert_eq!(whole.len(), 64 * (32 << 10));
    assert_eq!(clock.now().as_nanos() / 1_000_000_000, 2);
    let error = slow.collect().await.unwrap_err();
    assert!(error.is_too_slow(), "{error}");
}

/// Who has gone on alone reads nothing here, and so must not hold back those who do.
#[tokio::test(start_paused = true)]
async fn who_went_on_alone_holds_nobody_back() {
    let wait = Duration::from_secs(3);
    let builder = CacheLayer::shared()
        .capacity(1 << 20)
        .largest_entry(64 << 10)
        .collapse_wait(wait);
    let mut setup = Setup::with(builder);
    let (leader, _follower) = (setup.get("/a"), setup.get("/a"));
    let first = setup.call().await;
    tokio::time::sleep(wait + Duration::from_millis(1)).await;
    let _second = setup.call().await;
    let (mut origin, response) = streaming(&[FRESH]);
    first.answer(response);
    let body = leader.await.unwrap().unwrap().into_body();
    let read = tokio::spawn(body.collect());
    let clock = TokioClock::starting_now();
    for _ in 0..64 {
        origin.send_data(vec![b'x'; 32 << 10].into()).await.unwrap();
    }
    drop(origin);
    let whole = read.await.unwrap().unwrap().to_bytes();
    assert_eq!(whole.len(), 64 * (32 << 10));
    assert_eq!(clock.now().as_nanos(), 0, "it was held back");
}

/// What one request asks for itself says nothing of the answers that others get.
#[tokio::test(start_paused = true)]
async fn a_request_with_demands_of_its_own_teaches_nothing_of_others() {
    for demand in ["no-cache", "no-store", "max-age=0"] {
        let mut setup = Setup::shared();
        let asked = setup.ask(empty(get("/a").header("cache-control", demand)));
        let call = setup.call().await;
        setup.wall.pass(1);
        call.answer(answer(&[FRESH], "mine"));
        read(asked).await;
        setup.wall.pass(100);
        let _asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
        assert_eq!(setup.calls().await.len(), 1, "{demand}");
    }
}

/// Somebody else's may be there by the time that one goes on.
#[tokio::test(start_paused = true)]
async fn who_goes_on_alone_looks_into_the_store_once_more() {
    let wait = Duration::from_secs(3);
    let mut setup = Setup::with(CacheLayer::shared().collapse_wait(wait));
    let (_leader, follower) = (setup.get("/a"), setup.get("/a"));
    let _hangs = setup.call().await;
    settle().await;
    let uri = "http://example.com/a".parse().unwrap();
    setup.cache.invalidate(&uri).await.unwrap();
    setup.fill("/a", answer(&[FRESH], "there")).await;
    tokio::time::sleep(wait + Duration::from_millis(1)).await;
    setup.origin_is_left_alone().await;
    assert_eq!(read(follower).await.body, "there");
}

/// What a shared cache may not keep of one user's answer says nothing of what anybody gets, and nobody waits for it.
#[tokio::test(start_paused = true)]
async fn who_comes_with_credentials_neither_teaches_nor_holds_up_those_who_come_without() {
    let mut setup = Setup::shared();
    let mine = || empty(get("/a").header("authorization", "me"));
    let asked = setup.ask(mine());
    let _one = setup.get("/a");
    let _two = setup.get("/a");
    let mut calls = setup.calls().await;
    assert_eq!(calls.len(), 2, "one in a name, one in none");
    calls.remove(0).answer(answer(&[FRESH], "mine"));
    read(asked).await;
    let asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
    setup.origin_is_left_alone().await;
    calls.remove(0).answer(answer(&[FRESH], "anybody's"));
    for asked in asked {
        assert_eq!(read(asked).await.body, "anybody's");
    }

    // It was learnt of those who come in a name that waiting is in vain.
    setup.wall.pass(100);
    let _asked: Vec<_> = (0..3).map(|_| setup.ask(mine())).collect();
    assert_eq!(setup.calls().await.len(), 3);
}

/// Nor do those wait who come with credentials after a change.
#[tokio::test(start_paused = true)]
async fn a_change_ends_the_fetches_of_those_with_credentials_as_well() {
    let mut setup = Setup::shared();
    let mine = || empty(get("/a").header("authorization", "me"));
    let _asked = setup.ask(mine());
    let _before = setup.call().await;
    let uri = "http://example.com/a".parse().unwrap();
    setup.cache.invalidate(&uri).await.unwrap();
    let _asked = setup.ask(mine());
    assert_eq!(setup.calls().await.len(), 1);
}

/// Nor does a refusal of the one, which says nothing of what the others would get.
#[tokio::test(start_paused = true)]
async fn a_refusal_teaches_nothing_of_others() {
    let mut setup = Setup::shared();
    setup.fill("/a", status(429, &[], "slow down")).await;
    let _asked: Vec<_> = (0..5).map(|_| setup.get("/a")).collect();
    assert_eq!(setup.calls().await.len(), 1);
}
