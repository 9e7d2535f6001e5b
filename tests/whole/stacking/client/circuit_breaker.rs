//! The circuit breaker is inside of the pace, and the timeout of an attempt inside of the circuit breaker.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{Request, Response, StatusCode};
use buttress::{
    CircuitBreakerLayer, Policy, RateLimitLayer, RetryLayer, Trip, circuit_breaker::State,
    keys::Authority,
};
use bytes::Bytes;
use http_body_util::Empty;
use tower::{Service, ServiceBuilder, service_fn};
use tower_http::timeout::TimeoutLayer;

use super::support::{SECOND, Upstream, answer, breaker, pace, request, retry, status};

/// The circuit breaker inside of the pace: who waited for a turn had passed the park, and meets it again in the circuit.
#[tokio::test(start_paused = true)]
async fn who_has_waited_for_a_turn_hears_what_the_upstream_asked_for() {
    async fn crowd<S, B>(service: &S, upstream: &Upstream) -> Vec<Duration>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let ask = || status(service.clone(), request());
        // The first one has its turn at once, the others stand in line for a second each.
        assert_eq!(tokio::join!(ask(), ask(), ask()), (200, 200, 200));
        upstream.gaps()
    }
    let refuses_the_second = |call| {
        let mut response = answer(if call == 2 { 429 } else { 200 });
        if call == 2 {
            let headers = response.headers_mut();
            headers.insert("retry-after", "5".parse().unwrap());
        }
        response
    };

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(retry())
        .layer(pace())
        .layer(breaker())
        .service(upstream.answering(refuses_the_second));
    let gaps = crowd(&right, &upstream).await;
    assert!(gaps.len() == 3 && gaps[1] >= 5 * SECOND, "{gaps:?}");

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(retry())
        .layer(pace())
        .service(upstream.answering(refuses_the_second));
    let gaps = crowd(&wrong, &upstream).await;
    assert!(
        gaps[1] < 2 * SECOND,
        "it was called, and had asked not to be: {gaps:?}"
    );
}

/// The timeout inside of the circuit breaker: an attempt that takes too long is a failure.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_an_attempt_counts_as_failure() {
    let calls = Arc::new(AtomicUsize::new(0));
    let stuck = || {
        let calls = Arc::clone(&calls);
        service_fn(move |_: Request<_>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(3_600 * SECOND).await;
                Ok::<_, Infallible>(answer(200))
            }
        })
    };
    let timeout = || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, SECOND);
    let once = || RetryLayer::http().max_attempts(1).build().unwrap();

    let right = breaker();
    let circuit = right.breaker();
    let service = ServiceBuilder::new()
        .layer(once())
        .layer(right)
        .layer(timeout())
        .service(stuck());
    assert_eq!(status(service, request()).await, 504);
    assert_eq!(circuit.state(), State::Open);

    let wrong = breaker();
    let circuit = wrong.breaker();
    let service = ServiceBuilder::new()
        .layer(once())
        .layer(timeout())
        .layer(wrong)
        .service(stuck());
    assert_eq!(status(service, request()).await, 504);
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// The pace outside of the circuit breaker: what waits for its turn here is no slowness of the upstream's.
#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_is_no_slowness() {
    let breaker = || {
        let trip = Trip::over_calls(10).slow_call_rate(1.0, SECOND / 2);
        CircuitBreakerLayer::http(trip).build().unwrap()
    };
    let upstream = Upstream::default();

    let right = breaker();
    let circuit = right.breaker();
    let service = ServiceBuilder::new()
        .layer(pace())
        .layer(right)
        .service(upstream.answering(|_| answer(200)));
    for _ in 0..3 {
        assert_eq!(status(service.clone(), request()).await, 200);
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.calls, snapshot.slow_calls), (3, 0));

    let wrong = breaker();
    let circuit = wrong.breaker();
    let service = ServiceBuilder::new()
        .layer(wrong)
        .layer(pace())
        .service(upstream.answering(|_| answer(200)));
    for _ in 0..3 {
        assert_eq!(status(service.clone(), request()).await, 200);
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.calls, snapshot.slow_calls), (3, 2));
}

/// The pace inside of retry and outside of the circuit breaker: what the circuit refuses was never sent, and
/// the place in the queue that it had can be given back.
#[tokio::test(start_paused = true)]
async fn a_turn_that_the_circuit_refuses_is_given_back() {
    let refunding = |refunds: bool| {
        let policy = Policy::new("pace", "1/min burst 1").key(Authority);
        let pace = RateLimitLayer::http(policy);
        if refunds {
            pace.refund_local_refusals()
        } else {
            pace
        }
    };
    for (refunds, statuses) in [(true, [503, 503, 503]), (false, [503, 429, 429])] {
        let breaker = breaker();
        breaker.breaker().force_open();
        let upstream = Upstream::default();
        let service = ServiceBuilder::new()
            .layer(refunding(refunds).build().unwrap())
            .layer(breaker)
            .service(upstream.answering(|_| answer(200)));
        for expected in statuses {
            assert_eq!(status(service.clone(), request()).await, expected);
        }
        assert_eq!(upstream.calls(), 0);
    }
}
