//! Validations whose answer is one client's alone, or may not be stored.

use super::*;

/// A 304 may say that what it makes fresh is for one client alone. Those who waited are others.
#[tokio::test(start_paused = true)]
async fn a_304_that_is_one_clients_alone_is_told_nobody_else() {
    for said in ["private, max-age=60", "no-store, max-age=60"] {
        let mut setup = Setup::shared();
        let fields = [fresh("max-age=60"), ETAG];
        setup.fill("/a", answer(&fields, "body")).await;
        setup.wall.pass(61);
        let (asked, waits) = (setup.get("/a"), setup.get("/a"));
        let call = setup.call().await;
        call.answer(status(304, &[fresh(said), ETAG], ""));
        assert_eq!(read(asked).await.body, "body");
        let own = setup.calls().await.pop().expect("the other asks by itself");
        own.answer(answer(&fields, "another"));
        assert_eq!(read(waits).await.body, "another", "{said}");
    }
}

/// As an answer in full is.
#[tokio::test(start_paused = true)]
async fn a_304_is_governed_by_fields_that_are_not_stored() {
    let surrogate = HeaderName::from_static("surrogate-control");
    let builder = CacheLayer::shared()
        .never_stored([FieldPattern::exactly(&surrogate)])
        .targeted_fields([surrogate]);
    let mut setup = Setup::with(builder);
    let fields = [
        ("surrogate-control", "max-age=5"),
        fresh("max-age=600"),
        ETAG,
    ];
    setup.fill("/a", answer(&fields, "body")).await;
    setup.wall.pass(6);
    let validated = setup.fill("/a", status(304, &fields, "")).await;
    assert_eq!(validated.one("surrogate-control"), None);
    setup.hit("/a").await;
    setup.wall.pass(6);
    let _asked = setup.get("/a");
    assert_eq!(setup.calls().await.len(), 1);
}

/// Storing the fields of an answer is storing of it (RFC 9111 §3.5).
#[tokio::test(start_paused = true)]
async fn what_validates_for_one_user_tells_the_others_nothing() {
    let mut setup = Setup::shared();
    let old = answer(&[fresh("max-age=60"), ETAG], "old");
    setup.fill("/a", old).await;
    setup.wall.pass(61);
    let asked = setup.ask(empty(get("/a").header("authorization", "Bearer alice")));
    let fields = [fresh("max-age=60"), ETAG, ("x-user", "alice")];
    setup.call().await.answer(status(304, &fields, ""));
    assert_eq!(read(asked).await.one("x-user"), Some("alice"));
    let other = setup.get("/a");
    for call in setup.calls().await {
        call.answer(answer(&[fresh("max-age=60"), ETAG], "new"));
    }
    assert_eq!(read(other).await.one("x-user"), None);

    let head = crate::support::method(http::Method::HEAD, "/a");
    let head = head
        .header("authorization", "Bearer alice")
        .header("cache-control", "no-cache");
    let asked = setup.ask(empty(head));
    setup.call().await.answer(status(200, &fields, ""));
    read(asked).await;
    let other = setup.get("/a");
    for call in setup.calls().await {
        call.answer(answer(&[fresh("max-age=60"), ETAG], "new"));
    }
    assert_eq!(read(other).await.one("x-user"), None);
}
