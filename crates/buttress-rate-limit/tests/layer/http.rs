//! Refusals in HTTP.

use std::{net::Ipv4Addr, time::Duration};

use buttress_http::{ClientIp, LocalRefusal};
use buttress_rate_limit::{OnMissingKey, Policy};
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
                assert_eq!(
                    problem["detail"],
                    "The rate limit \"per-ip\" needs to know whose the request is: the address of the peer is not known."
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
