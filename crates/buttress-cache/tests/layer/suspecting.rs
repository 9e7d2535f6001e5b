//! What an unsafe request may have changed, whose end nobody heard.

use buttress_http::LocalRefusal;
use http::Method;

use crate::{
    invalidating::{FRESH, is_stored, send},
    support::{Call, Setup, Unreachable, answer, empty, get, method, read, status},
};

/// Whoever leaves does not hear whether the origin has acted, and who is told of an error of transport does not either.
#[tokio::test(start_paused = true)]
async fn what_an_unsafe_request_may_have_changed_is_validated() {
    for (name, stays) in [
        ("PUT", false),
        ("POST", false),
        ("DELETE", false),
        ("FROBNICATE", false),
        ("OPTIONS", true),
        ("PROPFIND", true),
    ] {
        for leaves in [true, false] {
            let mut setup = Setup::shared();
            setup.fill("/a", answer(&[FRESH], "body")).await;
            let name = Method::from_bytes(name.as_bytes()).unwrap();
            let asked = setup.ask(empty(method(name.clone(), "/a")));
            let call = setup.call().await;
            assert_eq!(setup.heard("Suspected"), 0, "{name}");
            if leaves {
                asked.abort();
                assert!(asked.await.is_err());
                assert!(call.is_cancelled());
            } else {
                call.fail();
                assert_eq!(asked.await.unwrap().unwrap_err(), Unreachable);
            }
            assert_eq!(setup.heard("Suspected"), usize::from(!stays), "{name}");
            assert_eq!(is_stored(&mut setup, "/a").await, stays, "{name} {leaves}");
        }
    }
}

/// Nor does a gateway that had no answer; but who refuses on this side has asked nobody.
#[tokio::test(start_paused = true)]
async fn what_a_gateway_has_no_answer_of_may_have_changed_its_target() {
    for (code, is_refused, stays) in [
        (502, false, false),
        (504, false, false),
        (503, false, true),
        (504, true, true),
    ] {
        let mut setup = Setup::shared();
        setup.fill("/a", answer(&[FRESH], "body")).await;
        let mut failure = status(code, &[], "");
        if is_refused {
            LocalRefusal::new(None).mark(&mut failure);
        }
        send(&mut setup, "POST", failure).await;
        assert_eq!(is_stored(&mut setup, "/a").await, stays, "{code}");
    }
}

/// An origin that nobody reaches is asked to change what it has all the same, and then stands in for it what is stored.
#[tokio::test(start_paused = true)]
async fn what_may_have_changed_stands_in_where_the_origin_fails() {
    let mut setup = Setup::shared();
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    for name in [Method::PUT, Method::DELETE] {
        let asked = setup.ask(empty(method(name, "/a")));
        setup.call().await.fail();
        assert!(asked.await.unwrap().is_err());
        let asked = setup.get("/a");
        setup.call().await.fail();
        assert_eq!(read(asked).await.body, "body");
    }
    let validated = setup.get("/a");
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(304, &fields, ""));
    assert_eq!(read(validated).await.body, "body");
    assert_eq!(setup.hit("/a").await.body, "body");
}

/// However it fails, and whatever is said of what is stale: it is not. Else whoever leaves a request would take what is stored
/// from all who ask while the origin is overloaded, and have all of them ask it.
#[tokio::test(start_paused = true)]
async fn what_may_have_changed_stands_in_for_as_long_as_it_would_be_fresh() {
    for said in ["max-age=60", "s-maxage=60", "max-age=60, must-revalidate"] {
        for code in [None, Some(500), Some(502), Some(503), Some(504)] {
            let mut setup = Setup::shared();
            let fields = [("cache-control", said), ("etag", "\"1\"")];
            setup.fill("/a", answer(&fields, "body")).await;
            send(&mut setup, "POST", status(504, &[], "")).await;
            let fail = |call: Call| match code {
                Some(code) => drop(call.answer(status(code, &[], "failed"))),
                None => call.fail(),
            };
            for _ in 0..2 {
                let asked = [setup.get("/a"), setup.get("/a")];
                let mut calls = setup.calls().await;
                assert_eq!(calls.len(), 1, "{said} {code:?}");
                fail(calls.remove(0));
                for asked in asked {
                    assert_eq!(read(asked).await.body, "body", "{said} {code:?}");
                }
            }
            let reloads = get("/a").header("cache-control", "no-cache");
            let reloads = setup.ask(empty(reloads));
            fail(setup.call().await);
            assert!(read(reloads).await.status >= 500, "{said} {code:?}");
            if said != "max-age=60" || code.is_some() {
                setup.wall.pass(61);
                let late = setup.get("/a");
                fail(setup.call().await);
                assert!(read(late).await.status >= 500, "{said} {code:?}");
            }
        }
    }
}

/// Nor does it for less long where something stale would be served.
#[tokio::test(start_paused = true)]
async fn what_may_have_changed_stands_in_while_it_would_be_served_stale() {
    for (late, expected) in [(70, 200), (91, 503)] {
        let mut setup = Setup::shared();
        let said = (
            "cache-control",
            "max-age=60, stale-while-revalidate=30, stale-if-error=0",
        );
        setup.fill("/a", answer(&[said], "body")).await;
        send(&mut setup, "POST", status(504, &[], "")).await;
        setup.wall.pass(late);
        let asked = setup.get("/a");
        setup.call().await.answer(status(503, &[], ""));
        assert_eq!(read(asked).await.status, expected, "{late}");
    }
}

/// Who refuses on this side has asked nobody, so that whoever asks gets what nobody would have been asked for.
#[tokio::test(start_paused = true)]
async fn what_may_have_changed_stands_in_where_nobody_was_asked() {
    for (is_ours, late, expected) in [(true, 0, 200), (true, 61, 429), (false, 0, 429)] {
        for name in [Method::GET, Method::HEAD] {
            let mut setup = Setup::shared();
            setup.fill("/a", answer(&[FRESH], "body")).await;
            send(&mut setup, "POST", status(504, &[], "")).await;
            setup.wall.pass(late);
            let asked = [(); 2].map(|()| setup.ask(empty(method(name.clone(), "/a"))));
            for call in setup.calls().await {
                let mut refused = status(429, &[], "");
                if is_ours {
                    LocalRefusal::new(None).mark(&mut refused);
                }
                call.answer(refused);
            }
            for asked in asked {
                if expected == 429 {
                    // Those who waited ask for themselves.
                    for call in setup.calls().await {
                        call.answer(status(429, &[], ""));
                    }
                }
                assert_eq!(
                    read(asked).await.status,
                    expected,
                    "{name} {is_ours} {late}"
                );
            }
        }
    }
}

/// Of what has no validator nothing is asked, and so a part that is asked for tells nothing of the whole.
#[tokio::test(start_paused = true)]
async fn a_part_does_not_take_the_place_of_what_may_have_changed() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[FRESH], "body")).await;
    send(&mut setup, "POST", status(504, &[], "")).await;
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-0")));
    let fields = [FRESH, ("content-range", "bytes 0-0/4")];
    setup.call().await.answer(status(206, &fields, "b"));
    assert_eq!(read(asked).await.body, "b");
    let asked = setup.get("/a");
    setup.call().await.fail();
    assert_eq!(read(asked).await.body, "body");
}

/// Of what has one it is asked, and a part of something else tells that it is no more.
#[tokio::test(start_paused = true)]
async fn a_part_of_something_else_takes_the_place_of_what_may_have_changed() {
    let mut setup = Setup::shared();
    let fields = [FRESH, ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    send(&mut setup, "POST", status(504, &[], "")).await;
    let asked = setup.ask(empty(get("/a").header("range", "bytes=0-0")));
    let call = setup.call().await;
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    let fields = [FRESH, ("etag", "\"2\""), ("content-range", "bytes 0-0/4")];
    call.answer(status(206, &fields, "n"));
    assert_eq!(read(asked).await.body, "n");
    let asked = setup.get("/a");
    setup.call().await.fail();
    assert!(asked.await.unwrap().is_err());
}

pub(crate) async fn leave_a_put(setup: &mut Setup) {
    let put = setup.ask(empty(method(Method::PUT, "/a")));
    let _changing = setup.call().await;
    put.abort();
    assert!(put.await.is_err());
}

/// What was asked for while it was under way may be from before it. Were it not stored, whoever leaves one request for each
/// fetch would keep its target out of the cache.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_the_client_of_a_change_leaves_is_stored_as_what_may_have_changed()
{
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let call = setup.call().await;
    leave_a_put(&mut setup).await;
    let fields = [FRESH, ("etag", "\"1\"")];
    call.answer(answer(&fields, "from before"));
    assert_eq!(read(asked).await.body, "from before");
    assert_eq!(setup.heard("Suspected"), 0, "nothing was stored");
    let asked = setup.get("/a");
    let call = setup.calls().await.pop().expect("it is validated");
    assert_eq!(call.header("if-none-match"), Some("\"1\""));
    call.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "from before");
    assert!(is_stored(&mut setup, "/a").await, "nobody doubts it now");
}

/// Who asks by then is not told what may be from before it.
#[tokio::test(start_paused = true)]
async fn who_asks_when_the_client_of_a_change_has_left_waits_for_nobody_who_asked_before() {
    let mut setup = Setup::shared();
    let before = setup.get("/a");
    let slow = setup.call().await;
    leave_a_put(&mut setup).await;
    let after = setup.get("/a");
    let call = setup.calls().await.pop().expect("it asks by itself");
    slow.answer(answer(&[FRESH], "from before"));
    assert_eq!(read(before).await.body, "from before");
    crate::support::settle().await;
    assert!(!after.is_finished());
    call.answer(answer(&[FRESH], "from after"));
    assert_eq!(read(after).await.body, "from after");
}

/// Whatever it varies by.
#[tokio::test(start_paused = true)]
async fn all_variants_may_have_changed() {
    let mut setup = Setup::shared();
    let in_language = |language| empty(get("/a").header("accept-language", language));
    let fields = [FRESH, ("vary", "accept-language")];
    for language in ["de", "en"] {
        let asked = setup.ask(in_language(language));
        setup.call().await.answer(answer(&fields, language));
        read(asked).await;
    }
    leave_a_put(&mut setup).await;
    assert_eq!(setup.heard("Suspected"), 1);
    for language in ["de", "en"] {
        let _asked = setup.ask(in_language(language));
        assert_eq!(setup.calls().await.len(), 1, "{language}");
    }
}

/// Nor does a validation settle a doubt that came up after it was asked for.
#[tokio::test(start_paused = true)]
async fn what_was_validated_before_the_client_of_a_change_left_is_validated_again() {
    let mut setup = Setup::shared();
    let fields = [("cache-control", "max-age=60"), ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    leave_a_put(&mut setup).await;
    let asked = setup.get("/a");
    let call = setup.call().await;
    leave_a_put(&mut setup).await;
    call.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
    let asked = setup.get("/a");
    let again = setup.calls().await.pop().expect("it is validated again");
    again.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.body, "body");
    assert_eq!(setup.heard("Suspected"), 2, "once for each");
    assert!(is_stored(&mut setup, "/a").await);
}

/// Who asks after it is not told what may be from before it, which does not take the place of the answer either.
#[tokio::test(start_paused = true)]
async fn what_may_have_changed_does_not_replace_what_was_asked_for_after() {
    let mut setup = Setup::shared();
    let before = setup.get("/a");
    let slow = setup.call().await;
    leave_a_put(&mut setup).await;
    let after = setup.get("/a");
    setup.call().await.answer(answer(&[FRESH], "from after"));
    assert_eq!(read(after).await.body, "from after");
    slow.answer(answer(&[FRESH], "from before"));
    assert_eq!(read(before).await.body, "from before");
    assert_eq!(setup.heard("Outdated"), 1);
    assert_eq!(setup.hit("/a").await.body, "from after");
}

/// Nor does a read that goes straight on tell of a change, whoever leaves it or however it fails.
#[tokio::test(start_paused = true)]
async fn who_leaves_a_request_that_changes_nothing_casts_no_doubt() {
    for leaves in [true, false] {
        let bypass = |request: &buttress_http::Head| request.headers().contains_key("x-now");
        let mut setup = Setup::with(buttress_cache::CacheLayer::shared().bypass(bypass));
        setup.fill("/a", answer(&[FRESH], "body")).await;
        let head = method(Method::HEAD, "/a").header("cache-control", "no-cache");
        for request in [get("/a").header("x-now", ""), head] {
            let asked = setup.ask(empty(request));
            let call = setup.call().await;
            match leaves {
                true => asked.abort(),
                false => call.fail(),
            }
            let _ = asked.await;
        }
        assert!(is_stored(&mut setup, "/a").await);
    }
}
