//! Retries against their peers: the same request through a service that answers at once, polled without a runtime.
//!
//! A GET with the header fields of a usual API client. Ours has its default budget, parks and judgment of HTTP, and reads
//! `quanta`'s clock, as the rate limiter's benches do; `buttress_default_clock` and `buttress_buffered`, which keeps bodies
//! in the default way, stand beside it. tower's `Retry` has a policy of a status, and no budget; `tower_budget` has one.
//! `buttress_typed` is the layer for any request that is `Clone`, and does what tower's policy does: it looks at the
//! status, and has no budget. It reads the clock all the same.
//!
//! Most of that is what it costs to clone an `http::Request`. `success_small_request` and
//! `three_attempts_small_request` are calls of sixteen bytes, which are copied for nothing: what the layers take by themselves.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{Future as _, Ready, ready},
    hint::black_box,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::{Body, Bytes};
use buttress_core::clock::QuantaClock;
use buttress_retry::{Budget, Cloned, Http, Judgment, LayerFor, RetryBuilder, RetryLayer, Typed};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower::{
    Layer as _, Service,
    retry::{
        Policy, Retry,
        budget::{Budget as _, TpsBudget},
    },
    service_fn,
};
use tower_resilience_retry::RetryLayer as TheirLayer;

type Asked = Request<Empty<Bytes>>;
type Answered = Result<Response<Body>, Infallible>;

fn request() -> Asked {
    Request::get("https://api.example/v1/things/7")
        .header("accept", "application/json")
        .header("authorization", "Bearer sk-0123456789abcdef")
        .header("user-agent", "bench/1.0")
        .header("x-request-id", "8e03978e-40d5-43dd-bc93-6894a57f9324")
        .body(Empty::new())
        .expect("the request is valid")
}

/// Answers 503 so many times, then 200, and begins anew.
fn upstream<Req>(
    refusals: u32,
) -> impl Service<Req, Response = Response<Body>, Error = Infallible, Future = Ready<Answered>> + Clone
{
    let left = Rc::new(Cell::new(refusals));
    service_fn(move |_: Req| {
        let mut response = Response::new(Body::empty());
        match left.get() {
            0 => left.set(refusals),
            more => {
                left.set(more - 1);
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
        }
        ready(Ok(response))
    })
}

fn ours() -> RetryBuilder<LayerFor<Http<Cloned>>> {
    RetryLayer::http()
        .replay(Cloned)
        .backoff(Duration::ZERO)
        .clock(QuantaClock::starting_now())
}

/// What tower's policy does, and no more: a look at the status.
fn typed() -> RetryBuilder<LayerFor<Typed<Response<Body>, Infallible>>> {
    RetryLayer::typed(
        |answer: Result<&Response<Body>, &Infallible>| match answer {
            Ok(response) if response.status().is_server_error() => Judgment::TRANSIENT,
            _ => Judgment::Success,
        },
    )
    .backoff(Duration::ZERO)
    .budget(Budget::unlimited())
    .clock(QuantaClock::starting_now())
}

/// What the documentation of tower shows.
#[derive(Clone)]
struct Attempts {
    left: usize,
    budget: Option<Arc<TpsBudget>>,
}

/// A small request.
#[derive(Clone, Copy)]
struct Lookup {
    shard: u32,
    key: u64,
}

#[derive(Clone, Copy, Debug)]
struct Busy;

type Found = Result<u64, Busy>;

const LOOKUP: Lookup = Lookup { shard: 1, key: 2 };

/// Is busy so many times, then answers, and begins anew.
fn store(
    refusals: u32,
) -> impl Service<Lookup, Response = u64, Error = Busy, Future = Ready<Found>> + Clone {
    let left = Rc::new(Cell::new(refusals));
    service_fn(move |lookup: Lookup| {
        let found = match left.get() {
            0 => {
                left.set(refusals);
                Ok(found(lookup))
            }
            more => {
                left.set(more - 1);
                Err(Busy)
            }
        };
        ready(found)
    })
}

/// The request has to be made, and the answer to be read.
fn found(lookup: Lookup) -> u64 {
    let Lookup { shard, key } = black_box(lookup);
    key + u64::from(shard)
}

fn small() -> RetryLayer<Typed<u64, Busy>> {
    RetryLayer::typed(|answer: Result<&u64, &Busy>| match answer {
        Ok(_) => Judgment::Success,
        Err(Busy) => Judgment::TRANSIENT,
    })
    .backoff(Duration::ZERO)
    .budget(Budget::unlimited())
    .clock(QuantaClock::starting_now())
    .build()
    .expect("the configuration is valid")
}

impl Policy<Lookup, u64, Busy> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Lookup, answer: &mut Found) -> Option<Ready<()>> {
        if answer.is_ok() || self.left == 0 {
            return None;
        }
        self.left -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, lookup: &Lookup) -> Option<Lookup> {
        Some(*lookup)
    }
}

impl Policy<Asked, Response<Body>, Infallible> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Asked, answer: &mut Answered) -> Option<Ready<()>> {
        let failed = answer
            .as_ref()
            .is_ok_and(|response| response.status().is_server_error());
        if !failed {
            if let Some(budget) = &self.budget {
                budget.deposit();
            }
            return None;
        }
        if self.left == 0
            || self
                .budget
                .as_ref()
                .is_some_and(|budget| !budget.withdraw())
        {
            return None;
        }
        self.left -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Asked) -> Option<Asked> {
        Some(request.clone())
    }
}

fn success(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry");
    measure(&mut group, "success", "bare", upstream(0));
    let build = |builder: RetryBuilder<LayerFor<Http<Cloned>>>| {
        builder.build().expect("the configuration is valid")
    };
    measure(
        &mut group,
        "success",
        "buttress",
        build(ours()).layer(upstream(0)),
    );
    let default_clock = RetryLayer::http().replay(Cloned);
    let service = build(default_clock).layer(upstream(0));
    measure(&mut group, "success", "buttress_default_clock", service);
    let buffered = RetryLayer::http()
        .clock(QuantaClock::starting_now())
        .build()
        .expect("the configuration is valid");
    measure(
        &mut group,
        "success",
        "buttress_buffered",
        buffered.layer(upstream(0)),
    );
    let layer = typed().build().expect("the configuration is valid");
    measure(
        &mut group,
        "success",
        "buttress_typed",
        layer.layer(upstream(0)),
    );

    let policy = |budget| Attempts { left: 2, budget };
    let service = Retry::new(policy(None), upstream(0));
    measure(&mut group, "success", "tower", service);
    let budget = Some(Arc::new(TpsBudget::default()));
    let service = Retry::new(policy(budget), upstream(0));
    measure(&mut group, "success", "tower_budget", service);

    // It asks for `Send`.
    let upstream = service_fn(|_: Asked| ready(Answered::Ok(Response::new(Body::empty()))));
    let theirs = TheirLayer::<Asked, Response<Body>, Infallible>::builder()
        .max_attempts(3)
        .retry_on_response(|response: &Response<Body>| response.status().is_server_error())
        .build();
    measure(
        &mut group,
        "success",
        "tower-resilience-retry",
        theirs.layer(upstream),
    );
}

fn three_attempts(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry");
    measure(&mut group, "three_attempts", "bare", upstream(0));
    let layer = ours()
        // Nobody retries everything for seconds on end but a bench.
        .budget(Budget::unlimited())
        .build()
        .expect("the configuration is valid");
    measure(
        &mut group,
        "three_attempts",
        "buttress",
        layer.layer(upstream(2)),
    );
    let layer = typed().build().expect("the configuration is valid");
    measure(
        &mut group,
        "three_attempts",
        "buttress_typed",
        layer.layer(upstream(2)),
    );
    let policy = Attempts {
        left: 2,
        budget: None,
    };
    let service = Retry::new(policy, upstream(2));
    measure(&mut group, "three_attempts", "tower", service);
}

fn success_of_small(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry");
    let case = "success_small_request";
    measure_with(&mut group, case, "bare", store(0), LOOKUP);
    measure_with(
        &mut group,
        case,
        "buttress",
        small().layer(store(0)),
        LOOKUP,
    );
    let policy = Attempts {
        left: 2,
        budget: None,
    };
    let service = Retry::new(policy, store(0));
    measure_with(&mut group, case, "tower", service, LOOKUP);
    // It asks for `Send`.
    let store = service_fn(|lookup: Lookup| ready(Found::Ok(found(lookup))));
    let theirs = TheirLayer::<Lookup, u64, Busy>::builder()
        .max_attempts(3)
        .build();
    let service = theirs.layer(store);
    measure_with(&mut group, case, "tower-resilience-retry", service, LOOKUP);
}

fn three_attempts_of_small(c: &mut Criterion) {
    let mut group = c.benchmark_group("retry");
    let case = "three_attempts_small_request";
    measure_with(&mut group, case, "bare", store(0), LOOKUP);
    measure_with(
        &mut group,
        case,
        "buttress",
        small().layer(store(2)),
        LOOKUP,
    );
    let policy = Attempts {
        left: 2,
        budget: None,
    };
    let service = Retry::new(policy, store(2));
    measure_with(&mut group, case, "tower", service, LOOKUP);
}

fn measure<S>(group: &mut BenchmarkGroup<'_, WallTime>, case: &str, name: &str, service: S)
where
    S: Service<Asked>,
{
    measure_with(group, case, name, service, request());
}

fn measure_with<S, R>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    case: &str,
    name: &str,
    mut service: S,
    request: R,
) where
    S: Service<R>,
    R: Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    group.bench_function(BenchmarkId::new(case, name), |b| {
        b.iter(|| {
            assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
            let answer = pin!(service.call(request.clone())).poll(&mut cx);
            assert!(matches!(answer, Poll::Ready(Ok(_))), "{name}");
        });
    });
}

fn config() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(50)
        .without_plots()
}

criterion_group! {
    name = retry;
    config = config();
    targets = success, three_attempts, success_of_small, three_attempts_of_small
}
criterion_main!(retry);
