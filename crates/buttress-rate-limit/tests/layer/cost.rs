//! What a request costs.

use buttress_http::{ClientIp, GrpcCode, Head, grpc_status};
use buttress_rate_limit::Policy;

use crate::support::{Handler, clock, http, send, with};

fn cost_in_header(head: &Head) -> u64 {
    head.headers()
        .get("x-cost")
        .and_then(|cost| cost.to_str().ok()?.parse().ok())
        .unwrap_or(1)
}

#[tokio::test]
async fn a_request_can_cost_more_than_another() {
    let handler = Handler::default();
    let layer = http(
        Policy::new("per-ip", "10/h")
            .key(ClientIp::peer())
            .cost(cost_in_header),
    )
    .clock(clock())
    .build()
    .unwrap();
    let of_cost = |cost| with(&[("x-cost", cost)]);
    assert_eq!(
        send(&layer, &handler, of_cost("7"))
            .await
            .header("ratelimit"),
        Some(r#""per-ip";r=3;t=2520"#)
    );
    assert_eq!(send(&layer, &handler, of_cost("4")).await.status, 429);
    assert_eq!(send(&layer, &handler, of_cost("3")).await.status, 200);
    assert_eq!(
        send(&layer, &handler, of_cost("0")).await.status,
        200,
        "a cost of 0 is always admitted"
    );

    let never = send(&layer, &handler, of_cost("11")).await;
    assert_eq!((never.status, never.header("retry-after")), (429, None));
    assert!(
        std::str::from_utf8(&never.body)
            .unwrap()
            .contains("can never be admitted")
    );
    let never = send(
        &layer,
        &handler,
        with(&[("x-cost", "11"), ("content-type", "application/grpc")]),
    )
    .await;
    assert_eq!(
        grpc_status(&never.headers),
        Some(GrpcCode::ResourceExhausted)
    );
}
