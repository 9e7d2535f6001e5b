use std::{net::Ipv4Addr, time::Duration};

use buttress_http::{ClientIp, GrpcCode, LocalRefusal, RetryInfo, grpc_status};
use buttress_rate_limit::Policy;
use http::Request;
use http_body::Body as _;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Handler, clock, from_peer, http, send};

fn call(mut request: Request<()>, content_type: &'static str) -> Request<()> {
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    request
        .headers_mut()
        .insert("content-type", http::HeaderValue::from_static(content_type));
    request
}

#[tokio::test]
async fn a_refusal_is_resource_exhausted_in_trailers_only() {
    let (handler, ip) = (Handler::default(), Ipv4Addr::LOCALHOST);
    let layer = http(Policy::new("per-ip", "1/s").key(ClientIp::peer()))
        .clock(clock())
        .build()
        .unwrap();
    assert_eq!(
        send(&layer, &handler, call(from_peer(ip), "application/grpc"))
            .await
            .status,
        200
    );

    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web-text",
    ] {
        let refused = send(&layer, &handler, call(from_peer(ip), content_type)).await;
        assert_eq!(refused.status, 200);
        assert_eq!(
            grpc_status(&refused.headers),
            Some(GrpcCode::ResourceExhausted)
        );
        assert_eq!(
            RetryInfo::from_headers(&refused.headers),
            Some(RetryInfo::new(Duration::from_secs(1)))
        );
        // What gRPC libraries obey by themselves (proposal A6).
        assert_eq!(refused.header("grpc-retry-pushback-ms"), Some("1000"));
        assert!(refused.header("grpc-message").unwrap().contains("per-ip"));
        assert!(
            refused
                .header("content-type")
                .unwrap()
                .starts_with("application/grpc")
        );
        assert!(refused.body.is_empty());
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        assert!(refused.extensions.get::<LocalRefusal>().is_some());
    }
    assert_eq!(handler.calls(), 1);
}

/// A body that is not known to be at its end costs the caller a second frame, and some of them an error.
#[tokio::test]
async fn the_headers_end_the_stream() {
    let layer = http(Policy::new("per-ip", "1/s").key(ClientIp::peer()))
        .clock(clock())
        .build()
        .unwrap();
    let request = || call(from_peer(Ipv4Addr::LOCALHOST), "application/grpc");
    layer
        .layer(Handler::default().service())
        .oneshot(request())
        .await
        .unwrap();
    let refused = layer
        .layer(Handler::default().service())
        .oneshot(request())
        .await
        .unwrap();
    assert!(refused.body().is_end_stream());
}

#[tokio::test]
async fn a_call_without_a_key_is_an_invalid_argument() {
    let layer = http(Policy::new("per-ip", "1/s").key(ClientIp::peer()))
        .clock(clock())
        .build()
        .unwrap();
    let refused = send(
        &layer,
        &Handler::default(),
        call(Request::new(()), "application/grpc"),
    )
    .await;
    assert_eq!(refused.status, 200);
    assert_eq!(
        grpc_status(&refused.headers),
        Some(GrpcCode::InvalidArgument)
    );
    assert_eq!(RetryInfo::from_headers(&refused.headers), None);
    assert_eq!(refused.header("grpc-retry-pushback-ms"), None);
}

/// Such a call can never succeed, and a library that retries the code should know.
#[tokio::test]
async fn a_call_that_costs_more_than_the_quota_is_not_to_be_retried() {
    let layer = http(Policy::new("all", "10/h").cost(|_| 11))
        .clock(clock())
        .build()
        .unwrap();
    let request = call(from_peer(Ipv4Addr::LOCALHOST), "application/grpc");
    let refused = send(&layer, &Handler::default(), request).await;
    assert_eq!(
        grpc_status(&refused.headers),
        Some(GrpcCode::ResourceExhausted)
    );
    assert_eq!(refused.header("grpc-retry-pushback-ms"), Some("-1"));
    assert_eq!(RetryInfo::from_headers(&refused.headers), None);
}

/// A header alone must not turn a refusal into a 200 in the access log.
#[tokio::test]
async fn what_only_looks_like_grpc_is_refused_as_http() {
    let layer = http(Policy::new("all", "1/h"))
        .clock(clock())
        .build()
        .unwrap();
    let handler = Handler::default();
    send(&layer, &handler, from_peer(Ipv4Addr::LOCALHOST)).await;
    let mut get = call(from_peer(Ipv4Addr::LOCALHOST), "application/grpc");
    *get.method_mut() = http::Method::GET;
    let mut old = call(from_peer(Ipv4Addr::LOCALHOST), "application/grpc");
    *old.version_mut() = http::Version::HTTP_11;
    for request in [get, old] {
        assert_eq!(send(&layer, &handler, request).await.status, 429);
    }
}
