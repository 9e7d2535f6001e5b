//! The rows of the stacking order, each failing when its order is changed.

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
    routing::get,
};
use buttress::{ClientIp, Policy, RateLimitLayer};
use tower::{Layer as _, Service as _, ServiceExt as _, limit::ConcurrencyLimitLayer, service_fn};
use tower_http::cors::{Any, CorsLayer};

use crate::axum_app::from_peer;

fn limit(quota: &str) -> RateLimitLayer {
    RateLimitLayer::http(Policy::new("per-ip", quota).key(ClientIp::peer()))
        .build()
        .unwrap()
}

fn cross_origin(request: Request<Body>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    parts
        .headers
        .insert(header::ORIGIN, "https://app.example".parse().unwrap());
    Request::from_parts(parts, body)
}

fn preflight() -> Request<Body> {
    let mut request = cross_origin(from_peer(1, "/"));
    *request.method_mut() = Method::OPTIONS;
    request.headers_mut().insert(
        header::ACCESS_CONTROL_REQUEST_METHOD,
        "GET".parse().unwrap(),
    );
    request
}

/// CORS outside of the limit: a page may read the 429 and its Retry-After, and a preflight costs nothing.
/// R13 of the traps.
#[tokio::test]
async fn cors_is_outermost() {
    let cors = || {
        CorsLayer::new()
            .allow_origin(Any)
            .expose_headers([header::RETRY_AFTER])
    };
    let app = Router::new()
        .route("/", get(|| async { "" }))
        .layer(limit("1/h"))
        .layer(cors());
    for _ in 0..5 {
        assert_eq!(
            app.clone().oneshot(preflight()).await.unwrap().status(),
            StatusCode::OK
        );
    }
    assert_eq!(
        app.clone()
            .oneshot(cross_origin(from_peer(1, "/")))
            .await
            .unwrap()
            .status(),
        200
    );
    let refused = app.oneshot(cross_origin(from_peer(1, "/"))).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(
        refused.headers()[header::ACCESS_CONTROL_EXPOSE_HEADERS],
        "retry-after"
    );

    // The other way round both are lost: this is what the order is for.
    let wrong = Router::new()
        .route("/", get(|| async { "" }))
        .layer(cors())
        .layer(limit("1/h"));
    assert_eq!(
        wrong.clone().oneshot(preflight()).await.unwrap().status(),
        200
    );
    let refused = wrong
        .oneshot(cross_origin(from_peer(1, "/")))
        .await
        .unwrap();
    assert_eq!(refused.status(), 429, "the preflight was charged");
    assert_eq!(
        refused.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        None
    );
}

/// The limit outside of a concurrency limit: who is refused takes no slot, not even while idle.
#[tokio::test]
async fn a_refusal_takes_no_slot_of_the_layers_inside() {
    let slots = ConcurrencyLimitLayer::new(1);
    let handler = service_fn(|_: Request<Body>| async {
        Ok::<_, std::convert::Infallible>(axum::http::Response::new(Body::empty()))
    });
    let inner = slots.layer(handler);
    let limit = limit("1/h");
    let mut connections: Vec<_> = (0..10).map(|_| limit.layer(inner.clone())).collect();
    let mut statuses = Vec::new();
    for connection in &mut connections {
        let response = connection
            .ready()
            .await
            .unwrap()
            .call(from_peer(1, "/"))
            .await
            .unwrap();
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[1..], [429; 9]);
    // All ten are still open, and the one slot is free.
    let mut other = limit.layer(inner);
    assert_eq!(
        other
            .ready()
            .await
            .unwrap()
            .call(from_peer(2, "/"))
            .await
            .unwrap()
            .status(),
        200
    );
}
