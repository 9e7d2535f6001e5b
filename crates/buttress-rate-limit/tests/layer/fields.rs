//! What the fields tell, and whose they are where layers stand in each other.

use std::net::Ipv4Addr;

use buttress_http::{ClientIp, FieldStyle};
use buttress_rate_limit::{Access, Policy};
use http::Request;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Handler, clock, from_peer, http, send};

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn per_ip(quota: &str) -> Policy {
    Policy::new("per-ip", quota).key(ClientIp::peer())
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

/// Who was refused further in, by a paying API perhaps, must not read that plenty is left.
#[tokio::test]
async fn a_refusal_from_further_in_keeps_its_own_fields() {
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
}

/// The same, of those who refuse by another status, in a dialect of their own: plenty that is left here beside a wait that is
/// told there makes no sense. An ordinary answer of that status is none.
#[tokio::test]
async fn who_refuses_by_another_status_is_heard_alone() {
    type Fields = &'static [(&'static str, &'static str)];
    const GITHUB: Fields = &[
        ("server", "github.com"),
        ("x-github-request-id", "1"),
        ("x-ratelimit-limit", "60"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1893456000"),
    ];
    const WAIT: Fields = &[("retry-after", "60")];
    const THROTTLED: Fields = &[("x-amzn-errortype", "ThrottlingException")];
    const INVALID: Fields = &[("x-amzn-errortype", "ValidationException")];
    let cases: [(u16, Fields, bool); 10] = [
        (402, &[], true),
        (529, &[], true),
        (403, WAIT, true),
        (403, GITHUB, true),
        (400, THROTTLED, true),
        (403, &[], false),
        (400, INVALID, false),
        (404, WAIT, false),
        (401, &[("x-ratelimit-remaining", "0")], false),
        (200, GITHUB, false),
    ];
    for style in [FieldStyle::Draft11, FieldStyle::XRateLimit] {
        for (status, told, refuses) in cases {
            let upstream = service_fn(move |_: Request<()>| async move {
                let mut response = http::Response::builder().status(status);
                for (name, value) in told {
                    response = response.header(*name, *value);
                }
                Ok::<_, std::convert::Infallible>(response.body(String::new()).unwrap())
            });
            let layer = http(per_ip("100/h")).clock(clock()).fields(style);
            let layer = layer.build().unwrap().layer(upstream);
            let answer = layer.oneshot(from_peer(ALICE)).await.unwrap();
            let headers = answer.headers();
            if refuses {
                let told = told.iter().map(|(name, value)| (*name, value.as_bytes()));
                let found = headers.iter();
                let found = found.map(|(name, value)| (name.as_str(), value.as_bytes()));
                assert!(found.eq(told), "{status} {style:?}: {headers:?}");
            } else {
                let ours = match style {
                    FieldStyle::XRateLimit => ("x-ratelimit-remaining", "99"),
                    _ => ("ratelimit", r#""per-ip";r=99;t=36"#),
                };
                let lines: Vec<_> = headers.get_all(ours.0).iter().collect();
                assert_eq!(lines, [ours.1], "{status} {style:?}");
            }
        }
    }
}

/// The recommended order on a server: a limit by address, and further in the tenant's.
#[tokio::test]
async fn the_fields_of_a_layer_further_in_go_on_behind_those_of_one_that_joins_them() {
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

/// `w` is told in whole seconds, and never as less than it is; `t` with nothing left is the wait for one.
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
