//! The layer, around a service that answers at once.
//!
//! All see the same requests, which carry the peer's address as axum attaches it, and the same service,
//! whose body is axum's because tower_governor can refuse with no other. Each future is polled once,
//! without a runtime: nothing here waits. The time of making a request is left out, that of dropping
//! it, its response and the future is not.

use std::{
    convert::Infallible,
    future::{Future as _, Ready, ready},
    hint::black_box,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{body::Body, extract::ConnectInfo};
use buttress_benches::keys;
use buttress_core::clock::QuantaClock;
use buttress_http::{ClientIp, FieldStyle, Head};
use buttress_rate_limit::{
    AsResponse, Policy, Quota, QuotaBuilder, RateLimitLayer, RateLimitLayerBuilder,
};
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime,
};
use http::{Request, Response};
use tower::{Layer as _, Service, service_fn};
use tower_governor::{GovernorLayer, governor::GovernorConfigBuilder};
use tower_resilience_ratelimiter::RateLimiterLayer;

use crate::{algorithms, our_quota};

const PEERS: u32 = 1_000;

/// Few enough that a request is still in the cache when it is served, as one is that was just read.
const BATCH: u64 = 64;

pub(crate) fn layer(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_layer");
    group.throughput(Throughput::Elements(1));

    measure(&mut group, "admit", "bare", service());
    let layer = ours(our_quota(), FieldStyle::None);
    measure(&mut group, "admit", "buttress", layer.layer(service()));
    for (name, policy) in algorithms::policies(None) {
        let layer = build(RateLimitLayer::http(policy("per-ip")), FieldStyle::None);
        measure(&mut group, "admit", name, layer.layer(service()));
    }
    let by_request = Policy::new("per-ip", our_quota())
        .key(ClientIp::peer())
        .quota_by(|_| our_quota().build().ok());
    let layer = build(RateLimitLayer::http(by_request), FieldStyle::None);
    let case = "quota_by_request";
    measure(&mut group, case, "buttress", layer.layer(service()));
    for (name, policy) in algorithms::policies_by_request() {
        let layer = build(RateLimitLayer::http(policy), FieldStyle::None);
        measure(&mut group, case, name, layer.layer(service()));
    }
    let governor = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(1_000_000_000)
        .finish()
        .expect("the configuration is valid");
    let layer = GovernorLayer::new(governor);
    measure(
        &mut group,
        "admit",
        "tower_governor",
        layer.layer(service()),
    );
    let layer = RateLimiterLayer::builder()
        .limit_for_period(usize::MAX)
        .refresh_period(Duration::from_secs(1))
        .timeout_duration(Duration::ZERO)
        .build()
        .expect("the configuration is valid");
    let name = "tower-resilience-ratelimiter";
    measure(&mut group, "admit", name, layer.layer(service()));

    let three = "three_policies";
    let layer = all_three(|name| Policy::new(name, our_quota()).key(ClientIp::peer()));
    measure(&mut group, three, "buttress", layer.layer(service()));
    for (name, policy) in algorithms::policies(None) {
        measure(&mut group, three, name, all_three(policy).layer(service()));
    }

    measure(&mut group, "admit_headers", "bare", service());
    let layer = ours(our_quota(), FieldStyle::Draft11);
    measure(
        &mut group,
        "admit_headers",
        "buttress",
        layer.layer(service()),
    );
    for (name, policy) in algorithms::policies(None) {
        let layer = build(RateLimitLayer::http(policy("per-ip")), FieldStyle::Draft11);
        measure(&mut group, "admit_headers", name, layer.layer(service()));
    }
    let governor = GovernorConfigBuilder::default()
        .per_nanosecond(1)
        .burst_size(1_000_000_000)
        .use_headers()
        .finish()
        .expect("the configuration is valid");
    let layer = GovernorLayer::new(governor);
    measure(
        &mut group,
        "admit_headers",
        "tower_governor",
        layer.layer(service()),
    );

    let layer = ours(Quota::per_day(1), FieldStyle::Draft11);
    measure(&mut group, "refuse", "buttress", layer.layer(service()));
    for (name, policy) in algorithms::policies(Some(Quota::per_day(1))) {
        let layer = build(RateLimitLayer::http(policy("per-ip")), FieldStyle::Draft11);
        measure(&mut group, "refuse", name, layer.layer(service()));
    }
    let governor = GovernorConfigBuilder::default()
        .period(Duration::from_secs(86_400))
        .burst_size(1)
        .use_headers()
        .finish()
        .expect("the configuration is valid");
    let layer = GovernorLayer::new(governor);
    measure(
        &mut group,
        "refuse",
        "tower_governor",
        layer.layer(service()),
    );
}

fn ours(quota: QuotaBuilder, style: FieldStyle) -> RateLimitLayer {
    let policy = Policy::new("per-ip", quota).key(ClientIp::peer());
    build(RateLimitLayer::http(policy), style)
}

/// The same policy three times.
fn all_three(policy: impl Fn(&str) -> Policy) -> RateLimitLayer {
    let layer = RateLimitLayer::http(policy("per-second"))
        .policy(policy("per-minute"))
        .policy(policy("per-day"));
    build(layer, FieldStyle::None)
}

fn build(layer: RateLimitLayerBuilder<Head, AsResponse>, style: FieldStyle) -> RateLimitLayer {
    layer
        .clock(QuantaClock::starting_now())
        .fields(style)
        .build()
        .expect("the configuration is valid")
}

type Answer = Ready<Result<Response<Body>, Infallible>>;

fn service()
-> impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future = Answer>
+ Clone
+ Send
+ 'static {
    service_fn(|_request| ready(Ok(Response::new(Body::empty()))))
}

fn measure<S, B>(group: &mut BenchmarkGroup<'_, WallTime>, case: &str, name: &str, mut service: S)
where
    S: Service<Request<()>, Response = Response<B>>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = |request| {
        assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        match pin!(service.call(request)).poll(&mut cx) {
            Poll::Ready(Ok(response)) => black_box(response.status()),
            _ => panic!("{name} did not answer at once"),
        }
    };

    // Every peer is known, and has used up what a narrow quota lets through.
    for n in 0..PEERS {
        answer(request(n));
    }
    let refused = answer(request(0)).is_client_error();
    assert_eq!(refused, case == "refuse", "{name}");

    let mut random = fastrand::Rng::with_seed(1);
    group.bench_function(BenchmarkId::new(case, name), |b| {
        b.iter_batched(
            || request(random.u32(0..PEERS)),
            &mut answer,
            BatchSize::NumIterations(BATCH),
        );
    });
}

fn request(peer: u32) -> Request<()> {
    let mut request = Request::new(());
    let peer = SocketAddr::new(keys::ip(peer), 50_000);
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}
