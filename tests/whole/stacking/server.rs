//! The order on a server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Method, Request, StatusCode, header},
    middleware::{self, Next},
    response::Response,
    routing::get,
};
use buttress::{
    CacheLayer, CircuitBreakerLayer, ClientIp, Policy, RateLimitLayer, Trip, keys::ApiKey,
};
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service as _, ServiceExt as _, limit::ConcurrencyLimitLayer, service_fn};
use tower_http::{
    cors::{Any, CorsLayer},
    timeout::TimeoutLayer,
};

use crate::axum_app::from_peer;

/// Adds a layer to a router.
type Wrap<'a> = &'a dyn Fn(Router) -> Router;

/// A router of `/`, with these layers around it.
fn stack<const N: usize>(outermost_first: [Wrap<'_>; N]) -> Router {
    let handler = || async {
        (
            [(header::CACHE_CONTROL, "max-age=60")],
            "for who may read it",
        )
    };
    wrapped(Router::new().route("/", get(handler)), outermost_first)
}

fn wrapped<const N: usize>(router: Router, outermost_first: [Wrap<'_>; N]) -> Router {
    outermost_first
        .into_iter()
        .rev()
        .fold(router, |router, wrap| wrap(router))
}

/// Authentication: who has the key `secret` may pass. Counts whom it had to look at.
fn authentication(looked_at: &Arc<AtomicUsize>) -> impl Fn(Router) -> Router {
    let looked_at = Arc::clone(looked_at);
    move |router| {
        router.layer(middleware::from_fn_with_state(
            Arc::clone(&looked_at),
            authenticate,
        ))
    }
}

async fn authenticate(
    State(looked_at): State<Arc<AtomicUsize>>,
    request: Request<Body>,
    next: Next,
) -> Result<Response, StatusCode> {
    looked_at.fetch_add(1, Ordering::SeqCst);
    let known = request.headers().get(header::AUTHORIZATION);
    if known.is_some_and(|value| value == "secret") {
        Ok(next.run(request).await)
    } else {
        Err(StatusCode::UNAUTHORIZED)
    }
}

/// A limit by the tenant that a request says to be of.
fn by_tenant(quota: &str) -> impl Fn(Router) -> Router {
    let policy = Policy::new("per-tenant", quota).key(ApiKey::in_header("x-tenant").unwrap());
    let limit = RateLimitLayer::http(policy).build().unwrap();
    move |router| router.layer(limit.clone())
}

fn by_ip(quota: &str) -> impl Fn(Router) -> Router {
    let limit = limit(quota);
    move |router| router.layer(limit.clone())
}

fn cache() -> impl Fn(Router) -> Router {
    // An answer to a request that carries credentials is not for everybody; this handler's is, for who gets in.
    let cache = CacheLayer::shared().build().unwrap();
    move |router| router.layer(cache.clone())
}

fn of_tenant(key: &str) -> Request<Body> {
    let mut request = from_peer(1, "http://example.com/");
    let headers = request.headers_mut();
    headers.insert("x-tenant", "acme".parse().unwrap());
    if !key.is_empty() {
        headers.insert(header::AUTHORIZATION, key.parse().unwrap());
    }
    request
}

/// Sends the requests one after the other, and reads each answer to its end.
async fn statuses(app: &Router, requests: impl IntoIterator<Item = Request<Body>>) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in requests {
        let response = app.clone().oneshot(request).await.unwrap();
        statuses.push(response.status().as_u16());
        response.into_body().collect().await.unwrap();
    }
    statuses
}

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

/// The limit by client IP outside of authentication: who asks too often is not even looked at.
#[tokio::test]
async fn the_cheapest_refusal_comes_first() {
    let floods = || (0..5).map(|_| of_tenant("guessed"));

    let looked_at = Arc::default();
    let right = stack([&by_ip("2/h"), &authentication(&looked_at)]);
    assert_eq!(statuses(&right, floods()).await, [401, 401, 429, 429, 429]);
    assert_eq!(looked_at.load(Ordering::SeqCst), 2);

    let looked_at = Arc::default();
    let wrong = stack([&authentication(&looked_at), &by_ip("2/h")]);
    assert_eq!(statuses(&wrong, floods()).await, [401; 5]);
    assert_eq!(looked_at.load(Ordering::SeqCst), 5, "guesses without end");
}

/// The tenant's limit inside authentication: who only claims to be of a tenant takes nothing of its quota.
#[tokio::test]
async fn a_401_costs_no_tenant_quota() {
    let requests = || ["guessed", "guessed", "secret"].map(of_tenant);

    let looked_at = Arc::default();
    let right = stack([&authentication(&looked_at), &by_tenant("2/h")]);
    assert_eq!(statuses(&right, requests()).await, [401, 401, 200]);

    let wrong = stack([&by_tenant("2/h"), &authentication(&looked_at)]);
    assert_eq!(statuses(&wrong, requests()).await, [401, 401, 429]);
}

/// The cache inside authentication: what is stored is read by nobody who may not.
///
/// The handler's answer allows it to be stored although the request had credentials.
#[tokio::test]
async fn a_stored_answer_is_read_by_nobody_who_may_not() {
    let public = || async { ([(header::CACHE_CONTROL, "public, max-age=60")], "secrets") };
    let router = || Router::new().route("/", get(public));
    let requests = || ["secret", ""].map(of_tenant);

    let looked_at = Arc::default();
    let right = wrapped(router(), [&authentication(&looked_at), &cache()]);
    assert_eq!(statuses(&right, requests()).await, [200, 401]);

    let wrong = wrapped(router(), [&cache(), &authentication(&looked_at)]);
    assert_eq!(statuses(&wrong, requests()).await, [200, 200], "it leaks");
}

/// The cache outside of the tenant's limit: a hit is not charged to the tenant.
#[tokio::test]
async fn a_cache_hit_is_not_charged_to_the_tenant() {
    let requests = || ["", "", ""].map(of_tenant);

    let right = stack([&cache(), &by_tenant("2/h")]);
    assert_eq!(statuses(&right, requests()).await, [200, 200, 200]);

    let wrong = stack([&by_tenant("2/h"), &cache()]);
    assert_eq!(statuses(&wrong, requests()).await, [200, 200, 429]);
}

/// What a limit says of one tenant is not stored, and not shown to the next. C12 of the traps.
#[tokio::test]
async fn a_tenants_remaining_quota_is_shown_to_nobody_else() {
    let app = stack([&cache(), &by_tenant("5/h")]);
    let mut fields = Vec::new();
    for _ in 0..2 {
        let response = app.clone().oneshot(of_tenant("")).await.unwrap();
        fields.push(response.headers().contains_key("ratelimit"));
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(fields, [true, false], "of a miss, and of a hit");
}

/// The timeout inside of the circuit breaker: a handler that does not answer is a failure.
#[tokio::test(start_paused = true)]
async fn a_timeout_counts_as_failure() {
    let stuck = || async {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        "late"
    };
    let router = || Router::new().route("/", get(stuck));
    let breaker = || {
        let trip = Trip::consecutive_failures(2);
        let breaker = CircuitBreakerLayer::http(trip).build().unwrap();
        move |router: Router| router.layer(breaker.clone())
    };
    let timeout = |router: Router| {
        let timeout = Duration::from_secs(1);
        router.layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            timeout,
        ))
    };
    let requests = || (0..4).map(|_| of_tenant(""));

    let right = wrapped(router(), [&breaker(), &timeout]);
    assert_eq!(statuses(&right, requests()).await, [504, 504, 503, 503]);

    let wrong = wrapped(router(), [&timeout, &breaker()]);
    assert_eq!(
        statuses(&wrong, requests()).await,
        [504; 4],
        "a drop tells nothing"
    );
}

/// The circuit breaker inside of the tenant's limit: who is over it hears so, however the handler's circuit stands, and
/// does not ask it.
#[tokio::test]
async fn who_is_over_the_limit_does_not_ask_the_circuit() {
    let open = || {
        let trip = Trip::consecutive_failures(1);
        let breaker = CircuitBreakerLayer::http(trip).build().unwrap();
        let circuit = breaker.breaker();
        circuit.force_open();
        (move |router: Router| router.layer(breaker.clone()), circuit)
    };
    let requests = || (0..3).map(|_| of_tenant(""));

    let (breaker, circuit) = open();
    let right = stack([&by_tenant("1/h"), &breaker]);
    assert_eq!(statuses(&right, requests()).await, [503, 429, 429]);
    assert_eq!(circuit.snapshot().not_permitted_calls, 1);

    let (breaker, circuit) = open();
    let wrong = stack([&breaker, &by_tenant("1/h")]);
    assert_eq!(statuses(&wrong, requests()).await, [503; 3]);
    assert_eq!(circuit.snapshot().not_permitted_calls, 3);
}
