//! The rate limit in an axum application.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, http::Request, routing::get};
use buttress::{ClientIp, Policy, RateLimitLayer, RateLimiter, clock::ManualClock};
use tower::ServiceExt as _;

pub(crate) fn from_peer(last: u8, path: &str) -> Request<Body> {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    let peer = SocketAddr::from(([192, 0, 2, last], 9_999));
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// axum clones the stack per route, per method and per connection: R6 of the traps.
#[tokio::test]
async fn routes_methods_and_connections_share_one_limit() {
    let limit = RateLimitLayer::http(Policy::new("per-ip", "3/h").key(ClientIp::peer()))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/a", get(|| async { "a" }).post(|| async { "posted" }))
        .route("/b", get(|| async { "b" }))
        .layer(limit);
    let mut statuses = Vec::new();
    for path in ["/a", "/b", "/a", "/b", "/a"] {
        statuses.push(
            app.clone()
                .oneshot(from_peer(1, path))
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(app.oneshot(from_peer(2, "/a")).await.unwrap().status(), 200);
}

/// A limit on one route is charged by that route alone.
#[tokio::test]
async fn a_route_can_have_a_limit_of_its_own() {
    let outer = RateLimitLayer::http(Policy::new("per-ip", "4/h").key(ClientIp::peer()))
        .build()
        .unwrap();
    let dear = RateLimitLayer::http(Policy::new("dear", "1/h").key(ClientIp::peer()))
        .build()
        .unwrap();
    let app = Router::new()
        .route("/dear", get(|| async { "" }))
        .route_layer(dear)
        .route("/cheap", get(|| async { "" }))
        .layer(outer);
    let mut seen = Vec::new();
    for path in ["/dear", "/dear", "/cheap", "/cheap", "/cheap"] {
        let response = app.clone().oneshot(from_peer(1, path)).await.unwrap();
        let policy = response.headers()["ratelimit-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        seen.push((response.status().as_u16(), policy));
    }
    // Of an admitted request the outermost limit tells; of a refused one, the limit that refused.
    let outer = |status| (status, r#""per-ip";q=4;w=3600"#.to_owned());
    let inner = |status| (status, r#""dear";q=1;w=3600"#.to_owned());
    assert_eq!(
        seen,
        [outer(200), inner(429), outer(200), outer(200), outer(429)]
    );
}

/// The handle in a handler: only failed logins count.
#[tokio::test]
async fn a_handler_can_limit_what_a_layer_cannot_see() {
    let clock = ManualClock::default();
    let attempts = RateLimiter::per_key("3/min")
        .clock(clock.clone())
        .build()
        .unwrap();
    let checked = Arc::new(AtomicUsize::new(0));
    let log_in = |name: &'static str, password: &'static str| {
        // Reserve first, so that guesses made at the same time do not slip through together.
        if attempts.check(name).is_err() {
            return 429;
        }
        checked.fetch_add(1, Ordering::SeqCst);
        if password == "right" {
            attempts.refund(name, 1);
            return 200;
        }
        401
    };
    assert_eq!([0; 5].map(|_| log_in("alice", "right")), [200; 5]);
    assert_eq!(
        [0; 5].map(|_| log_in("alice", "wrong")),
        [401, 401, 401, 429, 429]
    );
    assert_eq!(log_in("alice", "right"), 429);
    assert_eq!(log_in("bob", "right"), 200);
    clock.advance(Duration::from_secs(20));
    assert_eq!(log_in("alice", "right"), 200);
    assert_eq!(checked.load(Ordering::SeqCst), 10);
}
