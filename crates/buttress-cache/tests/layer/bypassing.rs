//! What is none of a cache's business, and what must never be stored.

use buttress_cache::{CacheLayer, rfc9111::SetCookie};
use buttress_core::{KeyWriter, MissingKey};
use buttress_http::{Head, LocalRefusal};
use http::Method;
use http_body_util::{BodyExt as _, Full};

use crate::support::{Setup, answer, empty, get, method, read, settle, status};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// Whether the same request, sent twice, reaches the origin twice.
async fn passes(
    setup: &mut Setup,
    request: impl Fn() -> http::Request<Full<bytes::Bytes>>,
) -> bool {
    let asked = setup.ask(request());
    setup.call().await.answer(answer(&[FRESH], "body"));
    read(asked).await;
    let _asked = setup.ask(request());
    !setup.calls().await.is_empty()
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_answered_from_the_store_is_not() {
    let with = |name: &'static str, value: &'static str| empty(get("/a").header(name, value));
    let mut setup = Setup::shared();
    assert!(
        passes(&mut setup, || get("/a")
            .body(Full::from("content"))
            .unwrap())
        .await
    );
    for name in [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    ] {
        assert!(passes(&mut setup, || with(name, "DELETE")).await, "{name}");
    }
    assert!(passes(&mut setup, || with("cache-control", "no-store")).await);
    assert!(passes(&mut setup, || with("authorization", "Basic x")).await);
    assert!(passes(&mut setup, || with("if-match", "\"1\"")).await);
    assert!(passes(&mut setup, || empty(method(Method::OPTIONS, "/a"))).await);
    assert!(passes(&mut setup, || empty(method(Method::PUT, "/a"))).await);
    let two_hosts = || {
        empty(
            http::Request::get("/a")
                .header("host", "a")
                .header("host", "b"),
        )
    };
    assert!(passes(&mut setup, two_hosts).await);
    assert_eq!(setup.cache.stats().stored, 0);
}

#[tokio::test(start_paused = true)]
async fn tunnels_pass_untouched() {
    let mut setup = Setup::shared();
    let asked = setup.ask(empty(get("/socket").header("upgrade", "websocket")));
    let call = setup.call().await;
    let mut switching = status(101, &[("upgrade", "websocket")], "");
    switching.extensions_mut().insert("the server's end");
    call.answer(switching);
    let answered = asked.await.unwrap().unwrap();
    assert_eq!(answered.status(), 101);
    assert_eq!(answered.extensions().get(), Some(&"the server's end"));
    assert!(!answered.headers().contains_key("cache-status"));

    // The latter as HTTP/2 has it (RFC 8441), with a target that a GET may have, too.
    setup.fill("/socket", answer(&[FRESH], "body")).await;
    for target in ["example.com:443", "http://example.com/socket"] {
        let connect = http::Request::connect(target).body(Full::default());
        let asked = setup.ask(connect.unwrap());
        setup.call().await.answer(answer(&[], ""));
        let answered = asked.await.unwrap().unwrap();
        assert!(!answered.headers().contains_key("cache-status"), "{target}");
    }
    assert_eq!(setup.hit("/socket").await.body, "body");
}

/// Who boxes bodies takes out what is boxed already.
#[tokio::test(start_paused = true)]
async fn a_body_that_passes_comes_out_again() {
    let mut setup = Setup::shared();
    let mut body = async |fields: &[(&'static str, &'static str)]| {
        let asked = setup.ask(empty(get("/a")));
        setup.call().await.answer(answer(fields, "body"));
        asked.await.unwrap().unwrap().into_body().into_inner()
    };
    let passes = body(&[("cache-control", "no-store")]).await.unwrap();
    assert_eq!(passes.collect().await.unwrap().to_bytes(), "body");
    let stored = body(&[FRESH]).await.unwrap_err();
    assert_eq!(stored.collect().await.unwrap().to_bytes(), "body");
}

#[tokio::test(start_paused = true)]
async fn ones_own_rule_bypasses() {
    let builder = CacheLayer::shared().bypass(|request| request.uri().path().starts_with("/admin"));
    let mut setup = Setup::with(builder);
    assert!(passes(&mut setup, || empty(get("/admin/a"))).await);
    assert_eq!(setup.cache.stats().stored, 0);
    let mut refused = status(503, &[], "");
    LocalRefusal::new(None).mark(&mut refused);
    setup.fill("/admin/a", refused).await;
    assert_eq!(setup.heard("NotStored"), 0, "nobody wanted it to be");
    assert!(!passes(&mut setup, || empty(get("/a"))).await);
}

#[tokio::test(start_paused = true)]
async fn a_429_and_a_refusal_of_our_own_are_never_stored() {
    let mut setup = Setup::shared();
    setup.fill("/a", status(429, &[FRESH], "slow down")).await;
    let mut refused = status(503, &[FRESH], "not now");
    LocalRefusal::new(None).mark(&mut refused);
    setup.fill("/b", refused).await;
    settle().await;
    assert_eq!(setup.cache.stats().stored, 0);
    assert_eq!(setup.heard("LocalRefusal"), 1);
}

/// Or one tenant's remaining quota is shown to the next.
#[tokio::test(start_paused = true)]
async fn fields_of_rate_limits_reach_who_asked_and_nobody_else() {
    let mut setup = Setup::shared();
    let fields = [
        FRESH,
        ("ratelimit", "\"a\";r=7"),
        ("x-ratelimit-remaining", "7"),
        ("x-kept", "1"),
    ];
    let first = setup.fill("/a", answer(&fields, "body")).await;
    assert_eq!(first.one("ratelimit"), Some("\"a\";r=7"));
    let hit = setup.hit("/a").await;
    assert_eq!(
        (hit.one("ratelimit"), hit.one("x-ratelimit-remaining")),
        (None, None)
    );
    assert_eq!(hit.one("x-kept"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn cookies_are_not_shared_unless_that_was_asked_for() {
    let fields = [FRESH, ("set-cookie", "session=1")];
    for (policy, stored, cookie) in [
        (SetCookie::Refuse, 0, None),
        (SetCookie::Strip, 1, None),
        (SetCookie::Store, 1, Some("session=1")),
    ] {
        let mut setup = Setup::with(CacheLayer::shared().set_cookie(policy));
        let first = setup.fill("/a", answer(&fields, "body")).await;
        assert_eq!(first.one("set-cookie"), Some("session=1"));
        assert_eq!(setup.cache.stats().stored, stored);
        if stored > 0 {
            assert_eq!(setup.hit("/a").await.one("set-cookie"), cookie);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_its_own() {
    let tenant = |head: &Head, key: &mut KeyWriter<'_>| match head.headers().get("x-tenant") {
        Some(tenant) => {
            key.bytes_as_text(tenant.as_bytes());
            Ok(())
        }
        None => Err(MissingKey::new("no tenant")),
    };
    let mut setup = Setup::with(CacheLayer::shared().partition_by(tenant));
    let of = |tenant: &str| empty(get("/a").header("x-tenant", tenant));
    for tenant in ["one", "two"] {
        let asked = setup.ask(of(tenant));
        setup.call().await.answer(answer(&[FRESH], tenant));
        assert_eq!(read(asked).await.body, tenant);
    }
    for tenant in ["one", "two"] {
        assert_eq!(read(setup.ask(of(tenant))).await.body, tenant);
    }
    setup.origin_is_left_alone().await;
    // Nobody's is not everybody's.
    assert!(passes(&mut setup, || empty(get("/a"))).await);

    // What one changes, it changes for itself.
    let post = method(Method::POST, "/a").header("x-tenant", "one");
    let asked = setup.ask(empty(post));
    setup.call().await.answer(answer(&[], ""));
    read(asked).await;
    assert_eq!(read(setup.ask(of("two"))).await.body, "two");
    let _asked = setup.ask(of("one"));
    assert_eq!(setup.calls().await.len(), 1);
}
