//! A client's four layers in their order around a service that answers at once: what a call costs with them, and without.
//!
//! The three calls are those that a cache meets: one that it has nothing to say to, one that it cannot keep the answer of,
//! and one that it answers itself. All layers read `quanta`'s clock where they can be given one.

#![expect(
    clippy::disallowed_methods,
    reason = "a runtime's whole loop is measured here"
)]

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use buttress_cache::CacheLayer;
use buttress_circuit_breaker::{CircuitBreakerLayer, Trip};
use buttress_core::clock::QuantaClock;
use buttress_http::{FieldStyle, keys::Authority};
use buttress_rate_limit::{Pacing, Policy, Quota, RateLimitLayer};
use buttress_retry::RetryLayer;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::runtime::Builder;
use tower::{Service, ServiceBuilder, ServiceExt as _, service_fn};

/// A call: its case, its method, and what the answer says of storing it.
const CALLS: [(&str, Method, &str); 3] = [
    ("four_layers", Method::POST, "no-store"),
    ("four_layers_get", Method::GET, "no-store"),
    ("four_layers_hit", Method::GET, "max-age=31536000"),
];

/// Generic over the request's body, which retry changes.
fn upstream<B: Send + 'static>(
    cache_control: &'static str,
) -> impl Service<Request<B>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    service_fn(move |_: Request<B>| async move {
        let mut response = Response::new(Full::from("an answer"));
        let value = HeaderValue::from_static(cache_control);
        response.headers_mut().insert(header::CACHE_CONTROL, value);
        Ok::<_, Infallible>(response)
    })
}

fn four_layers(
    cache_control: &'static str,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<impl http_body::Body<Data = Bytes, Error: std::fmt::Debug>>,
    Error = Infallible,
> + Clone {
    let clock = QuantaClock::starting_now();
    let policy = Policy::new("pace", Quota::per_second(1_000_000_000))
        .key(Authority)
        .algorithm(Pacing::up_to(Duration::from_secs(10)));
    let cache = CacheLayer::private().build().expect("it is valid");
    let retry = RetryLayer::http().clock(clock.clone()).build();
    let pace = RateLimitLayer::http(policy)
        .fields(FieldStyle::None)
        .clock(clock.clone())
        .build();
    let trip = Trip::over_time(Duration::from_secs(10)).failure_rate(0.5);
    let breaker = CircuitBreakerLayer::http(trip).clock(clock).build();
    ServiceBuilder::new()
        .layer(cache)
        .layer(retry.expect("it is valid"))
        .layer(pace.expect("it is valid"))
        .layer(breaker.expect("it is valid"))
        .service(upstream(cache_control))
}

/// So many calls one after another, each body read to its end.
async fn calls<S, B>(mut service: S, method: &Method, calls: u64) -> Duration
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let begin = Instant::now();
    for _ in 0..calls {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = http::Uri::from_static("http://api.example/v1/things");
        let service = service.ready().await.expect("it is always ready");
        let response = service.call(request).await.expect("it answers");
        let body = response.into_body().collect().await.expect("it ends");
        black_box(body.to_bytes());
    }
    begin.elapsed()
}

fn measure<S, B>(c: &mut Criterion, case: &str, implementation: &str, method: &Method, service: S)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without sockets");
    let id = BenchmarkId::new(case, implementation);
    c.benchmark_group("stack").bench_function(id, |b| {
        b.iter_custom(|iterations| runtime.block_on(calls(service.clone(), method, iterations)));
    });
}

fn stack(c: &mut Criterion) {
    for (case, method, cache_control) in CALLS {
        measure(c, case, "bare", &method, upstream(cache_control));
        measure(c, case, "buttress", &method, four_layers(cache_control));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = stack
}
criterion_main!(benches);
