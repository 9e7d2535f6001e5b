//! T3 of the traps: what is repeated, is repeated because that is safe.

use buttress_retry::{Ended, Judgment, KeyForm};
use http::{HeaderValue, Method};

use crate::support::{
    Upstream, answer, ended, get, http, post, send, status, steady, too_many, with,
};

#[tokio::test(start_paused = true)]
async fn the_method_decides() {
    let cases = [
        ("GET", true),
        ("HEAD", true),
        ("OPTIONS", true),
        ("TRACE", true),
        ("PUT", true),
        ("DELETE", true),
        ("POST", false),
        ("PATCH", false),
        ("CONNECT", false),
        ("get", false),
        ("PROPFIND", false),
    ];
    for (method, repeated) in cases {
        let mut request = get();
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let upstream = Upstream::new().says(503);
        let out = send(&http().build().unwrap(), &upstream, request).await;
        let (expected, told) = if repeated {
            (200, (Ended::Success, 2))
        } else {
            (503, (Ended::NotSafe, 1))
        };
        assert_eq!(
            (status(&out), ended(&out)),
            (expected, Some(told)),
            "{method}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_idempotency_key_makes_it_safe() {
    for (key, repeated) in [
        ("\"abc\"", true),
        ("abc", true),
        ("", false),
        ("\"\"", false),
    ] {
        let mut request = post("once");
        request
            .headers_mut()
            .insert("idempotency-key", HeaderValue::from_static(key));
        let upstream = Upstream::new().says(503);
        send(&http().build().unwrap(), &upstream, request)
            .await
            .unwrap();
        assert_eq!(upstream.calls() == 2, repeated, "{key}");
        assert!(
            upstream
                .seen()
                .iter()
                .all(|seen| seen.headers["idempotency-key"] == key)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_layer_adds_one_key_for_each_request() {
    let layer = http().idempotency_keys(KeyForm::Bare).build().unwrap();
    let upstream = Upstream::new().says(503).fails();
    assert_eq!(status(&send(&layer, &upstream, post("once")).await), 200);
    send(&layer, &upstream, post("twice")).await.unwrap();
    let keys: Vec<_> = upstream
        .seen()
        .iter()
        .map(|seen| seen.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys.len(), 4);
    assert!(
        keys[0] == keys[1] && keys[1] == keys[2],
        "the same on all attempts"
    );
    assert_ne!(keys[2], keys[3], "another one for another request");
    send(&layer, &upstream, get()).await.unwrap();
    assert!(
        !upstream.seen()[4].headers.contains_key("idempotency-key"),
        "not needed"
    );
}

#[tokio::test(start_paused = true)]
async fn the_users_word_makes_it_safe() {
    let layer = http()
        .repeatable(|head| head.uri().path() == "/")
        .build()
        .unwrap();
    let upstream = Upstream::new().fails();
    assert_eq!(status(&send(&layer, &upstream, post("")).await), 200);
}

/// A 429 to a POST is handed on, unless the user vouches for this upstream.
#[tokio::test(start_paused = true)]
async fn a_throttled_post_is_repeated_on_demand() {
    let upstream = || Upstream::new().answers(too_many("1"));
    let asked = upstream();
    let out = send(&http().build().unwrap(), &asked, post("")).await;
    assert_eq!(
        (status(&out), ended(&out)),
        (429, Some((Ended::NotSafe, 1)))
    );

    let layer = http().repeat_throttled(true).build().unwrap();
    let asked = upstream();
    assert_eq!(status(&send(&layer, &asked, post("")).await), 200);
    // gRPC's word for the same.
    let exhausted = with(answer(200), "grpc-status", "8");
    let asked = Upstream::new().answers(exhausted);
    let out = send(&layer, &asked, crate::support::call("")).await;
    assert_eq!(ended(&out), Some((Ended::Success, 2)));
}

/// What broke down may be half done, also where the server, or a proxy before it, tells when to come back.
#[tokio::test(start_paused = true)]
async fn a_word_for_429_says_nothing_of_failures() {
    let layer = http().repeat_throttled(true).build().unwrap();
    let failures = [
        answer(503),
        with(answer(503), "retry-after", "1"),
        with(answer(529), "retry-after", "1"),
    ];
    for failure in failures {
        let said = format!("{failure:?}");
        let asked = Upstream::new().answers(failure);
        let out = send(&layer, &asked, post("")).await;
        assert_eq!(ended(&out), Some((Ended::NotSafe, 1)), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_processed_is_repeated_whatever_it_is() {
    let layer = steady(buttress_retry::RetryLayer::http())
        .classify_error(|error: &&'static str| match *error {
            "broken pipe" => Judgment::UNPROCESSED,
            _ => Judgment::TRANSIENT,
        })
        .build()
        .unwrap();
    let upstream = Upstream::new().fails();
    let out =
        tower::ServiceExt::oneshot(tower::Layer::layer(&layer, upstream.clone()), post("once"));
    assert_eq!(status(&out.await), 200);
    assert_eq!(upstream.calls(), 2);
}

/// RFC 8470 §5.2: who brought it in early data decides itself.
#[tokio::test(start_paused = true)]
async fn too_early_is_not_repeated_in_early_data() {
    let mut early = get();
    early
        .headers_mut()
        .insert("early-data", HeaderValue::from_static("1"));
    let upstream = Upstream::new().answers(with(answer(425), "x", "y"));
    let out = send(&http().build().unwrap(), &upstream, early).await;
    assert_eq!((status(&out), upstream.calls()), (425, 1));
}

/// A tunnel is no request that a server could have seen before, and servers of gRPC know no such key.
#[tokio::test(start_paused = true)]
async fn no_key_is_added_where_none_is_known() {
    let layer = http().idempotency_keys(KeyForm::Bare).build().unwrap();
    let mut tunnel = get();
    *tunnel.method_mut() = Method::CONNECT;
    for request in [tunnel, crate::support::call("")] {
        let upstream = Upstream::new().says(503);
        let out = send(&layer, &upstream, request).await;
        assert_eq!(ended(&out), Some((Ended::NotSafe, 1)));
        let seen = upstream.seen();
        assert!(!seen[0].headers.contains_key("idempotency-key"));
    }
}

/// A seed that makes jitter the same in every run must not make the keys of payments the same.
#[tokio::test(start_paused = true)]
async fn a_seed_does_not_make_keys_the_same() {
    let upstream = Upstream::new();
    for _ in 0..2 {
        let layer = http()
            .idempotency_keys(KeyForm::Bare)
            .random(buttress_core::Random::seeded(1))
            .build()
            .unwrap();
        send(&layer, &upstream, post("pay")).await.unwrap();
    }
    let seen = upstream.seen();
    let key = |n: usize| &seen[n].headers["idempotency-key"];
    assert_ne!(key(0), key(1));
}
