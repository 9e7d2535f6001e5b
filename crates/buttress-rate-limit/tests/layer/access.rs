//! Whom a limit concerns: some pass unlimited, and some do not pass.

use buttress_http::{ClientIp, GrpcCode, Head, LocalRefusal, grpc_status};
use buttress_rate_limit::{Access, Error, Policy, RateLimitLayer};
use http::{HeaderValue, Method};
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Handler, clock, http, send, with};

fn who(head: &Head) -> Access {
    if head.method() == Method::OPTIONS
        && head.headers().contains_key("access-control-request-method")
    {
        return Access::Allow;
    }
    match head.headers().get("x-who").map(HeaderValue::as_bytes) {
        Some(b"friend") => Access::Allow,
        Some(b"foe") => Access::Deny,
        _ => Access::Limit,
    }
}

#[tokio::test]
async fn some_pass_unlimited_and_some_do_not_pass() {
    let handler = Handler::default();
    let layer = http(Policy::new("per-ip", "1/h").key(ClientIp::peer()))
        .access(who)
        .clock(clock())
        .build()
        .unwrap();
    for _ in 0..3 {
        let answer = send(&layer, &handler, with(&[("x-who", "friend")])).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, None));
        let mut preflight = with(&[("access-control-request-method", "GET")]);
        *preflight.method_mut() = Method::OPTIONS;
        assert_eq!(send(&layer, &handler, preflight).await.status, 200);
    }
    assert_eq!(
        send(&layer, &handler, with(&[])).await.status,
        200,
        "they were charged nothing"
    );
    assert_eq!(send(&layer, &handler, with(&[])).await.status, 429);

    let denied = send(&layer, &handler, with(&[("x-who", "foe")])).await;
    assert_eq!(denied.status, 403);
    assert_eq!(
        denied.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        (denied.header("retry-after"), denied.header("ratelimit")),
        (None, None)
    );
    assert!(denied.extensions.get::<LocalRefusal>().is_some());
    let denied = send(
        &layer,
        &handler,
        with(&[("x-who", "foe"), ("content-type", "application/grpc")]),
    )
    .await;
    assert_eq!(
        grpc_status(&denied.headers),
        Some(GrpcCode::PermissionDenied)
    );

    let typed = RateLimitLayer::typed(Policy::<u8>::new("all", "1/h"))
        .access(|n: &u8| if *n == 0 { Access::Deny } else { Access::Limit })
        .build()
        .unwrap();
    let echo = service_fn(|n: u8| async move { Ok::<_, std::convert::Infallible>(n) });
    assert!(matches!(
        typed.layer(echo).oneshot(0).await,
        Err(Error::Denied)
    ));
    assert_eq!(typed.layer(echo).oneshot(1).await.unwrap(), 1);
}
