use buttress_http::LocalRefusal;
use http::Method;
use http_body_util::Full;

use crate::support::{Setup, answer, empty, get, method, read, status};

pub(crate) const FRESH: (&str, &str) = ("cache-control", "max-age=60");

pub(crate) async fn send(
    setup: &mut Setup,
    name: &str,
    response: http::Response<crate::support::OriginBody>,
) {
    let name = Method::from_bytes(name.as_bytes()).unwrap();
    let asked = setup.ask(empty(method(name, "/a")));
    setup.call().await.answer(response);
    read(asked).await;
}

pub(crate) async fn is_stored(setup: &mut Setup, path: &str) -> bool {
    let asked = setup.get(path);
    let mut calls = setup.calls().await;
    let stored = calls.is_empty();
    if let Some(call) = calls.pop() {
        call.answer(answer(&[FRESH], "again"));
    }
    read(asked).await;
    stored
}

#[tokio::test(start_paused = true)]
async fn unsafe_and_unknown_methods_invalidate_what_is_no_error() {
    for (name, code, stays) in [
        ("POST", 200, false),
        ("PUT", 204, false),
        ("DELETE", 302, false),
        ("FROBNICATE", 200, false),
        ("POST", 500, true),
        ("POST", 404, true),
        ("OPTIONS", 200, true),
    ] {
        let mut setup = Setup::shared();
        setup.fill("/a", answer(&[FRESH], "body")).await;
        send(&mut setup, name, status(code, &[], "")).await;
        assert_eq!(is_stored(&mut setup, "/a").await, stays, "{name} {code}");
    }
}

/// A refusal that was made on this side may look like a success: gRPC's is a 200, and a page for people may be elsewhere.
#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_has_changed_nothing() {
    let mut setup = Setup::shared();
    setup
        .fill("/a", answer(&[FRESH, ("etag", "\"1\"")], "body"))
        .await;
    let refused = || {
        let mut refused = status(303, &[("location", "/busy")], "");
        LocalRefusal::new(None).mark(&mut refused);
        refused
    };
    send(&mut setup, "POST", refused()).await;
    send(&mut setup, "DELETE", refused()).await;
    let head = method(Method::HEAD, "/a").header("cache-control", "no-cache");
    let asked = setup.ask(empty(head));
    let mut page = answer(&[("etag", "\"busy\"")], "");
    LocalRefusal::new(None).mark(&mut page);
    setup.call().await.answer(page);
    read(asked).await;
    assert!(is_stored(&mut setup, "/a").await);
}

#[tokio::test(start_paused = true)]
async fn what_location_and_content_location_name_goes_too_on_the_same_origin() {
    let mut setup = Setup::shared();
    for path in ["/a", "/b", "/c", "/d"] {
        setup.fill(path, answer(&[FRESH], "body")).await;
    }
    let fields = [
        ("location", "/b"),
        ("content-location", "http://example.com/c"),
    ];
    send(&mut setup, "POST", status(201, &fields, "")).await;
    let elsewhere = [("location", "http://example.org/d")];
    send(&mut setup, "POST", status(201, &elsewhere, "")).await;
    for (path, stays) in [("/a", false), ("/b", false), ("/c", false), ("/d", true)] {
        assert_eq!(is_stored(&mut setup, path).await, stays, "{path}");
    }
}

/// What was asked for before a change may be from before the change.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_its_target_changes_is_not_stored() {
    let mut setup = Setup::shared();
    let asked = setup.get("/a");
    let call = setup.call().await;
    send(&mut setup, "PUT", status(204, &[], "")).await;
    call.answer(answer(&[FRESH], "from before"));
    assert_eq!(read(asked).await.body, "from before");
    assert_eq!(setup.heard("Outdated"), 1);
    assert!(!is_stored(&mut setup, "/a").await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_post_may_be_one_to_get() {
    let mut setup = Setup::shared();
    let post = method(Method::POST, "/a")
        .body(Full::from("question"))
        .unwrap();
    let asked = setup.ask(post);
    let fields = [FRESH, ("content-location", "http://example.com/a")];
    setup.call().await.answer(answer(&fields, "answer"));
    assert_eq!(read(asked).await.body, "answer");
    assert_eq!(read(setup.ask(empty(get("/a")))).await.body, "answer");
    setup.origin_is_left_alone().await;
}

/// Who asks after a change must see it, and so cannot take part in what was asked for before.
#[tokio::test(start_paused = true)]
async fn who_asks_after_a_change_does_not_wait_for_what_is_from_before() {
    for clear in [false, true] {
        let mut setup = Setup::shared();
        let asked = setup.get("/a");
        let call = setup.call().await;
        if clear {
            setup.cache.clear().await.unwrap();
        } else {
            send(&mut setup, "PUT", status(204, &[], "")).await;
        }
        let after = setup.get("/a");
        let mut calls = setup.calls().await;
        assert_eq!(calls.len(), 1, "clear: {clear}");
        call.answer(answer(&[FRESH], "from before"));
        assert_eq!(read(asked).await.body, "from before");
        calls.remove(0).answer(answer(&[FRESH], "from after"));
        assert_eq!(read(after).await.body, "from after");
        assert_eq!(setup.hit("/a").await.body, "from after");
    }
}

/// The answer to POST that is to be stored may be from before what another request changed meanwhile.
#[tokio::test(start_paused = true)]
async fn an_answer_to_post_that_a_change_overtook_is_not_stored() {
    for overtaken in [false, true] {
        let mut setup = Setup::shared();
        let asked = setup.ask(empty(method(Method::POST, "/a")));
        let call = setup.call().await;
        if overtaken {
            send(&mut setup, "PUT", status(204, &[], "")).await;
        }
        // Its target three times over, all of which is its own doing.
        let itself = "http://example.com/a";
        let fields = [FRESH, ("content-location", itself), ("location", itself)];
        call.answer(answer(&fields, "posted"));
        assert_eq!(read(asked).await.body, "posted");
        assert_eq!(setup.heard("Outdated"), usize::from(overtaken));
        assert_eq!(is_stored(&mut setup, "/a").await, !overtaken);
    }
}

/// Who is refused another protocol has made an ordinary request; who is granted it has left.
#[tokio::test(start_paused = true)]
async fn an_unsafe_request_that_would_rather_have_left_http_invalidates() {
    for (code, stays) in [(200, false), (101, true)] {
        let mut setup = Setup::shared();
        setup.fill("/a", answer(&[FRESH], "body")).await;
        let post = method(Method::POST, "/a").header("upgrade", "h2c");
        let asked = setup.ask(empty(post));
        setup.call().await.answer(status(code, &[], ""));
        let told = read(asked).await.one("cache-status").map(str::to_owned);
        let bypassed = (code != 101).then(|| String::from("Buttress;fwd=bypass;fwd-status=200"));
        assert_eq!(told, bypassed);
        assert_eq!(is_stored(&mut setup, "/a").await, stays, "{code}");
    }
}

/// What validates the one that went says nothing of the one that came.
#[tokio::test(start_paused = true)]
async fn a_304_to_what_was_invalidated_meanwhile_leaves_alone_what_came_since() {
    let mut setup = Setup::shared();
    let etag = ("etag", "\"1\"");
    setup.fill("/a", answer(&[FRESH, etag], "old")).await;
    setup.wall.pass(61);
    let asked = setup.get("/a");
    let validation = setup.call().await;
    send(&mut setup, "PUT", status(204, &[], "")).await;
    setup.fill("/a", answer(&[FRESH], "new")).await;
    validation.answer(status(304, &[FRESH, etag], ""));
    assert_eq!(read(asked).await.body, "old");
    let again = setup.get("/a");
    setup.origin_is_left_alone().await;
    assert_eq!(read(again).await.body, "new");
}

/// A server hears of its host by the field only, which is looked at again when the answer names another target.
#[tokio::test(start_paused = true)]
async fn what_a_location_names_is_found_by_the_host_of_its_request() {
    let mut setup = Setup::shared();
    setup.fill("/a", answer(&[FRESH], "old")).await;
    let put = http::Request::put("/b").header("host", "Example.com:80");
    let asked = setup.ask(empty(put));
    let created = status(201, &[("location", "/a")], "");
    setup.call().await.answer(created);
    let read = read(asked).await;
    assert_eq!(read.cache_status(), "Buttress;fwd=method;fwd-status=201");
    assert_eq!(setup.heard("NotStored { why: Rules(Method) }"), 1);
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1);
}
