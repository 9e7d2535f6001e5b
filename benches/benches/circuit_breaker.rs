//! The circuit breaker against its peers: closed, with a failure-rate rule over time, unless said otherwise.
//!
//! Ours reads `quanta`'s clock, as the rate limiter's benches do; `buttress_default_clock` stands beside it.

#![expect(
    clippy::disallowed_methods,
    reason = "what two threads take together is measured here"
)]

use std::{
    convert::Infallible,
    future::{Future as _, Ready, ready},
    hint::black_box,
    pin::pin,
    sync::Barrier,
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use axum::body::Body;
use buttress_circuit_breaker::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakers, Outcome, RateTrip, Trip,
};
use buttress_core::clock::QuantaClock;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use failsafe::{CircuitBreaker as _, Config, backoff, failure_policy};
use http::{Request, Response};
use tower::{Layer as _, Service, service_fn};
use tower_resilience_circuitbreaker::{
    CircuitBreakerLayer as TheirLayer, SlidingWindowType as TheirWindow,
};

const WINDOW: Duration = Duration::from_secs(10);

fn trip() -> RateTrip {
    Trip::over_time(WINDOW).failure_rate(0.5).minimum_calls(20)
}

fn ours(trip: impl Into<Trip>) -> CircuitBreaker {
    CircuitBreaker::on(trip)
        .clock(QuantaClock::starting_now())
        .build()
        .expect("the configuration is valid")
}

fn theirs() -> impl failsafe::CircuitBreaker + Sync {
    let backoff = backoff::constant(Duration::from_secs(60));
    let policy = failure_policy::success_rate_over_time_window(0.5, 20, WINDOW, backoff);
    Config::new().failure_policy(policy).build()
}

fn succeeds() -> Result<u32, u32> {
    black_box(Ok(1))
}

fn handle(c: &mut Criterion) {
    let mut group = c.benchmark_group("circuit_breaker");
    let circuit = ours(trip());
    group.bench_function(BenchmarkId::new("closed", "buttress"), |b| {
        b.iter(|| black_box(circuit.call(succeeds).is_ok()));
    });
    let circuit = CircuitBreaker::on(trip())
        .build()
        .expect("the configuration is valid");
    group.bench_function(BenchmarkId::new("closed", "buttress_default_clock"), |b| {
        b.iter(|| black_box(circuit.call(succeeds).is_ok()));
    });
    let circuit = theirs();
    group.bench_function(BenchmarkId::new("closed", "failsafe"), |b| {
        b.iter(|| black_box(circuit.call(succeeds).is_ok()));
    });

    let circuit = CircuitBreaker::on(Trip::consecutive_failures(1))
        .open_for(Duration::from_secs(86_400))
        .clock(QuantaClock::starting_now())
        .build()
        .expect("the configuration is valid");
    circuit
        .try_acquire()
        .expect("it is closed")
        .record(Outcome::Failure);
    group.bench_function(BenchmarkId::new("refuse", "buttress"), |b| {
        b.iter(|| black_box(circuit.call(succeeds).is_err()));
    });

    for (case, calls) in [("window_100", 100), ("window_100k", 100_000)] {
        let circuit = ours(Trip::over_calls(calls).failure_rate(0.5));
        for _ in 0..calls {
            let _ = circuit.call(succeeds);
        }
        group.bench_function(BenchmarkId::new(case, "buttress"), |b| {
            b.iter(|| black_box(circuit.call(succeeds).is_ok()));
        });
    }

    const UPSTREAMS: u32 = 1_000;
    const ASKED: usize = 1 << 14;
    let circuits = CircuitBreakers::per_key(trip())
        .max_keys(UPSTREAMS as usize)
        .clock(QuantaClock::starting_now())
        .build()
        .expect("the configuration is valid");
    let mut random = fastrand::Rng::with_seed(1);
    let hosts: Vec<_> = (0..UPSTREAMS)
        .map(|n| format!("host-{n:04}.example:8080"))
        .collect();
    let order: Vec<_> = (0..ASKED)
        .map(|_| random.u32(0..UPSTREAMS) as usize)
        .collect();
    let mut n = 0;
    group.bench_function(BenchmarkId::new("keyed", "buttress"), |b| {
        b.iter(|| {
            n = (n + 1) % ASKED;
            let permit = circuits.try_acquire(&hosts[order[n]]);
            black_box(permit.map(|permit| permit.record(Outcome::Success)).is_ok())
        });
    });
}

fn threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("circuit_breaker");
    // Briefly: `scripts/bench` looks often.
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let circuit = ours(trip());
    group.bench_function(BenchmarkId::new("threads", "buttress"), |b| {
        b.iter_custom(|calls| {
            on_two_threads(calls, || {
                black_box(circuit.call(succeeds).is_ok());
            })
        });
    });
    let circuit = theirs();
    group.bench_function(BenchmarkId::new("threads", "failsafe"), |b| {
        b.iter_custom(|calls| {
            on_two_threads(calls, || {
                black_box(circuit.call(succeeds).is_ok());
            })
        });
    });
}

/// What it takes until both threads have made `calls` each.
fn on_two_threads(calls: u64, call: impl Fn() + Sync) -> Duration {
    let together = Barrier::new(3);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (together, call) = (&together, &call);
            scope.spawn(move || {
                together.wait();
                for _ in 0..calls {
                    call();
                }
                together.wait();
            });
        }
        together.wait();
        let start = Instant::now();
        together.wait();
        start.elapsed()
    })
}

/// Around a service of any protocol that answers at once; each future is polled once, without a runtime.
fn layer(c: &mut Criterion) {
    let mut group = c.benchmark_group("circuit_breaker_layer");
    let bare = || service_fn(|n: u32| ready(Ok::<_, Infallible>(n)));
    measure(&mut group, "typed", "bare", bare(), || 1);
    let layer = CircuitBreakerLayer::typed::<u32>(trip())
        .clock(QuantaClock::starting_now())
        .build()
        .expect("the configuration is valid");
    measure(&mut group, "typed", "buttress", layer.layer(bare()), || 1);
    let layer = TheirLayer::builder()
        .failure_rate_threshold(0.5)
        .sliding_window_type(TheirWindow::TimeBased)
        .sliding_window_duration(WINDOW)
        .sliding_window_size(100)
        .minimum_number_of_calls(20)
        .build()
        .expect("the configuration is valid");
    let name = "tower-resilience-circuitbreaker";
    measure(&mut group, "typed", name, layer.layer(bare()), || 1);

    let bare = || {
        service_fn(|_: Request<()>| -> Ready<Result<_, Infallible>> {
            ready(Ok(Response::new(Body::empty())))
        })
    };
    let request = || Request::new(());
    measure(&mut group, "http", "bare", bare(), request);
    let layer = CircuitBreakerLayer::http(trip())
        .clock(QuantaClock::starting_now())
        .build()
        .expect("the configuration is valid");
    measure(&mut group, "http", "buttress", layer.layer(bare()), request);
}

fn measure<S, Req>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    case: &str,
    name: &str,
    mut service: S,
    request: impl Fn() -> Req,
) where
    S: Service<Req>,
{
    let mut cx = Context::from_waker(Waker::noop());
    group.bench_function(BenchmarkId::new(case, name), |b| {
        b.iter(|| {
            assert!(matches!(service.poll_ready(&mut cx), Poll::Ready(Ok(()))));
            let answer = pin!(service.call(request())).poll(&mut cx);
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
    name = circuit_breaker;
    config = config();
    targets = handle, threads, layer
}
criterion_main!(circuit_breaker);
