use std::{net::Ipv4Addr, time::Duration};

use buttress_http::{ClientIp, FieldStyle, LocalRefusal};
use buttress_rate_limit::{Access, OnMissingKey, Policy};
use http::Request;

use crate::support::{Handler, clock, from_peer, http, send};

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const BOB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn per_ip(quota: &str) -> Policy {
    Policy::new("per-ip", quota).key(ClientIp::peer())
}

#[tokio::test]
async fn a_burst_passes_and_then_429() {
    let (handler, clock) = (Handler::default(), clock());
    let layer = http(per_ip("1/s burst 2"))
        .clock(clock.clone())
        .build()
        .unwrap();

    for remaining in ["1", "0"] {
        let answer = send(&layer, &handler, from_peer(ALICE)).await;
        assert_eq!((answer.status, &*answer.body), (200, &b"handled"[..]));
        assert_eq!(
            answer.header("ratelimit-policy"),
            Some(r#""per-ip";q=2;w=2"#)
        );
        assert!(
            answer
                .header("ratelimit")
                .unwrap()
                .starts_with(&format!(r#""per-ip";r={remaining};"#))
        );
        assert_eq!(LocalRefusal::of(&http_response(&answer)), None);
    }

    clock.advance(Duration::from_millis(300));
    let refused = send(&layer, &handler, from_peer(ALICE)).await;
    assert_eq!(refused.status, 429);
    // 700 ms are left: rounded up, or the caller would come back too early.
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit"), Some(r#""per-ip";r=0;t=1"#));
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(
        problem["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["violated-policies"], serde_json::json!(["per-ip"]));
    let mark = LocalRefusal::of(&http_response(&refused)).unwrap();
    assert_eq!(mark.retry_after(), Some(Duration::from_millis(700)));
    assert_eq!(
        handler.calls(),
        2,
        "the refused request never reached the handler"
    );

    assert_eq!(
        send(&layer, &handler, from_peer(BOB)).await.status,
        200,
        "another caller is not concerned"
    );
    clock.advance(Duration::from_millis(700));
    assert_eq!(send(&layer, &handler, from_peer(ALICE)).await.status, 200);
}

/// `LocalRefusal::of` reads a response's extensions.
fn http_response(answer: &crate::support::Answer) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.extensions_mut() = answer.extensions.clone();
    response
}

#[tokio::test]
async fn the_fields_come_in_the_dialect_that_was_asked_for() {
    type Fields = &'static [(&'static str, &'static str)];
    let cases: [(FieldStyle, Fields); 6] = [
        (
            FieldStyle::Draft11,
            &[
                ("ratelimit-policy", r#""per-ip";q=5;w=1"#),
                ("ratelimit", r#""per-ip";r=4;t=1"#),
            ],
        ),
        (
            FieldStyle::EditorsCopy,
            &[
                ("ratelimit-policy", r#""per-ip";q=5;w=1"#),
                ("ratelimit", r#""per-ip";a=4;w=1"#),
            ],
        ),
        (
            FieldStyle::Draft07,
            &[
                ("ratelimit-policy", "5;w=1"),
                ("ratelimit", "limit=5, remaining=4, reset=1"),
            ],
        ),
        (
            FieldStyle::Draft03,
            &[
                ("ratelimit-limit", "5"),
                ("ratelimit-remaining", "4"),
                ("ratelimit-reset", "1"),
            ],
        ),
        (
            FieldStyle::XRateLimit,
            &[
                ("x-ratelimit-limit", "5"),
                ("x-ratelimit-remaining", "4"),
                ("x-ratelimit-reset", "1"),
            ],
        ),
        (FieldStyle::None, &[]),
    ];
    for (style, fields) in cases {
        let layer = http(per_ip("5/s"))
            .fields(style)
            .clock(clock())
            .build()
            .unwrap();
        let answer = send(&layer, &Handler::default(), from_peer(ALICE)).await;
        let found: Vec<_> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(found, fields, "{style:?}");

        let layer = http(per_ip("1/h"))
            .fields(style)
            .clock(clock())
            .build()
            .unwrap();
        send(&layer, &Handler::default(), from_peer(ALICE)).await;
        let refused = send(&layer, &Handler::default(), from_peer(ALICE)).await;
        for (name, _) in fields {
            assert!(refused.header(name).is_some(), "{style:?}");
        }
        let told = refused
            .headers
            .keys()
            .filter(|name| name.as_str().contains("ratelimit"));
        assert_eq!(told.count(), fields.len(), "{style:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_unless_the_user_says_otherwise() {
    let cases = [
        (OnMissingKey::Refuse, [400, 400]),
        (OnMissingKey::Share, [200, 429]),
        (OnMissingKey::Exempt, [200, 200]),
    ];
    for (missing_key, expected) in cases {
        let handler = Handler::default();
        let layer = http(per_ip("1/h").missing_key(missing_key))
            .clock(clock())
            .build()
            .unwrap();
        for status in expected {
            let answer = send(&layer, &handler, Request::new(())).await;
            assert_eq!(answer.status, status, "{missing_key:?}");
            if status == 400 {
                let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
                assert!(
                    problem["detail"].as_str().unwrap().contains("per-ip"),
                    "{problem}"
                );
                assert_eq!(answer.header("retry-after"), None, "waiting does not help");
            }
        }
        assert_eq!(
            handler.calls(),
            expected.iter().filter(|&&status| status == 200).count()
        );
    }
}

#[tokio::test]
async fn without_a_key_all_share_one_quota() {
    let (handler, layer) = (
        Handler::default(),
        http(Policy::new("all", "1/h"))
            .clock(clock())
            .build()
            .unwrap(),
    );
    assert_eq!(send(&layer, &handler, from_peer(ALICE)).await.status, 200);
    assert_eq!(send(&layer, &handler, from_peer(BOB)).await.status, 429);
}

/// R4 of the traps: a wait below a second is not `Retry-After: 0`.
#[tokio::test]
async fn a_short_wait_is_one_second_and_not_zero() {
    let (handler, layer) = (
        Handler::default(),
        http(per_ip("1000/s burst 1"))
            .clock(clock())
            .build()
            .unwrap(),
    );
    send(&layer, &handler, from_peer(ALICE)).await;
    assert_eq!(
        send(&layer, &handler, from_peer(ALICE))
            .await
            .header("retry-after"),
        Some("1")
    );
}

#[tokio::test]
async fn absurd_headers_change_nothing() {
    let (handler, layer) = (
        Handler::default(),
        http(per_ip("2/h")).clock(clock()).build().unwrap(),
    );
    for status in [200, 200, 429] {
        let mut request = from_peer(ALICE);
        let headers = request.headers_mut();
        headers.insert(
            "x-forwarded-for",
            "1.1.1.1, ".repeat(100_000).parse().unwrap(),
        );
        headers.insert(
            "content-type",
            http::HeaderValue::from_bytes(&[0xff; 1_000]).unwrap(),
        );
        headers.insert(
            "ratelimit",
            http::HeaderValue::from_bytes(b"\xfe;r=99999999999999999999").unwrap(),
        );
        assert_eq!(send(&layer, &handler, request).await.status, status);
    }
}

/// A body after the headers of HEAD resets the stream over HTTP/2.
#[tokio::test]
async fn head_is_refused_without_a_body() {
    let (handler, layer) = (
        Handler::default(),
        http(per_ip("1/h")).clock(clock()).build().unwrap(),
    );
    let head = || {
        let mut request = from_peer(ALICE);
        *request.method_mut() = http::Method::HEAD;
        request
    };
    assert_eq!(send(&layer, &handler, head()).await.status, 200);
    let refused = send(&layer, &handler, head()).await;
    assert_eq!(refused.status, 429);
    assert!(refused.body.is_empty());
    let full = send(&layer, &handler, from_peer(ALICE)).await;
    let length = full.body.len().to_string();
    assert_eq!(
        refused.header("content-length"),
        Some(&*length),
        "as GET would have it"
    );
}

/// Who was refused further in, by a paying API perhaps, must not read that plenty is left.
#[tokio::test]
async fn a_refusal_from_further_in_keeps_its_own_fields() {
    use tower::{Layer as _, ServiceExt as _, service_fn};

    let layer = http(per_ip("100/h")).clock(clock()).build().unwrap();
    for (status, expected) in [
        (200, r#""per-ip";r=99;t=36"#),
        (429, r#""upstream";r=0;t=600"#),
        (503, r#""upstream";r=0;t=600"#),
    ] {
        let upstream = service_fn(move |_: Request<()>| async move {
            let response = http::Response::builder()
                .status(status)
                .header("ratelimit", r#""upstream";r=0;t=600"#);
            Ok::<_, std::convert::Infallible>(response.body(String::new()).unwrap())
        });
        let layer = http(per_ip("100/h")).clock(clock()).build().unwrap();
        let answer = layer
            .layer(upstream)
            .oneshot(from_peer(ALICE))
            .await
            .unwrap();
        let fields: Vec<_> = answer.headers().get_all("ratelimit").iter().collect();
        assert_eq!(fields, [expected], "{status}");
    }
    drop(layer);
}

/// The recommended order on a server: a limit by address, and further in the tenant's.
#[tokio::test]
async fn the_fields_of_a_layer_further_in_go_on_behind_those_of_one_that_joins_them() {
    use tower::{Layer as _, ServiceExt as _};

    for (style, policies, standing) in [
        (
            FieldStyle::Draft11,
            (
                "ratelimit-policy",
                r#""outer";q=9;w=3600, "inner";q=4;w=3600"#,
            ),
            ("ratelimit", r#""outer";r=8;t=400, "inner";r=3;t=900"#),
        ),
        (
            FieldStyle::Draft07,
            ("ratelimit-policy", "9;w=3600, 4;w=3600"),
            ("ratelimit", "limit=4, remaining=3, reset=900"),
        ),
        (
            FieldStyle::XRateLimit,
            ("x-ratelimit-limit", "4"),
            ("x-ratelimit-reset", "900"),
        ),
    ] {
        let layer = |name, quota| http(Policy::new(name, quota)).clock(clock()).fields(style);
        let inner = layer("inner", "4/h").build().unwrap();
        let outer = layer("outer", "9/h").join_fields().build().unwrap();
        let service = outer.layer(inner.layer(Handler::default().service()));
        let answer = service.oneshot(Request::new(())).await.unwrap();
        for (name, value) in [policies, standing] {
            let lines: Vec<_> = answer.headers().get_all(name).iter().collect();
            assert_eq!(lines, [value], "{style:?}");
        }
    }
}

/// Whatever its status: 400 for want of a key, 403 for who is denied.
#[tokio::test]
async fn a_local_refusal_from_further_in_gets_no_fields() {
    use tower::{Layer as _, ServiceExt as _};

    let outer = http(Policy::new("outer", "9/h"))
        .clock(clock())
        .build()
        .unwrap();
    let denies = http(per_ip("9/h"))
        .access(|_| Access::Deny)
        .build()
        .unwrap();
    let answer = outer
        .layer(denies.layer(Handler::default().service()))
        .oneshot(from_peer(ALICE));
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 403);
    assert!(!answer.headers().contains_key("ratelimit"));
}

/// `w` is told in whole seconds, and never as less than it is; `t` with nothing left is the wait for one.
/// With nothing left, `t` is the wait of this request (`Retry-After`), which costs more than one.
#[tokio::test]
async fn the_field_and_retry_after_tell_one_wait() {
    let layer = http(Policy::new("all", "10/h").cost(|_| 5))
        .clock(clock())
        .build()
        .unwrap();
    let handler = Handler::default();
    let request = || from_peer(Ipv4Addr::LOCALHOST);
    for _ in 0..2 {
        assert_eq!(send(&layer, &handler, request()).await.status, 200);
    }
    let refused = send(&layer, &handler, request()).await;
    assert_eq!(refused.header("retry-after"), Some("1800"));
    assert_eq!(refused.header("ratelimit"), Some(r#""all";r=0;t=1800"#));
}

#[tokio::test]
async fn what_is_told_is_rounded_up() {
    let layer = http(per_ip("2/3s burst 1")).clock(clock()).build().unwrap();
    let answer = send(&layer, &Handler::default(), from_peer(ALICE)).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-ip";q=1;w=2"#)
    );
    // Of the window itself nothing is left over, though the interval is rounded up.
    for (quota, told) in [("7/min", "q=7;w=60"), ("3/s burst 9", "q=9;w=3")] {
        let layer = http(per_ip(quota)).clock(clock()).build().unwrap();
        let answer = send(&layer, &Handler::default(), from_peer(ALICE)).await;
        let told = format!(r#""per-ip";{told}"#);
        assert_eq!(answer.header("ratelimit-policy"), Some(&*told));
    }
    let layer = http(per_ip("1/10s burst 3"))
        .clock(clock())
        .build()
        .unwrap();
    let mut last = None;
    for _ in 0..3 {
        last = Some(send(&layer, &Handler::default(), from_peer(ALICE)).await);
    }
    let told = last.unwrap();
    assert_eq!(
        told.header("ratelimit"),
        Some(r#""per-ip";r=0;t=10"#),
        "not the 30 until all is back"
    );
}
