//! Retry sees what becomes of each attempt.

use std::time::Duration;

use axum::http::Response;
use buttress::{CircuitBreakerLayer, Outcome, Trip};
use bytes::Bytes;
use tower::ServiceBuilder;

use super::support::{SECOND, Upstream, answer, breaker, pace, request, retry, status};

/// Retry outside of the pace: every attempt waits for its turn.
#[tokio::test(start_paused = true)]
async fn every_attempt_is_paced() {
    let third_time = |call| answer(if call < 3 { 502 } else { 200 });

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(retry())
        .layer(pace())
        .service(upstream.answering(third_time));
    assert_eq!(status(right, request()).await, 200);
    assert!(
        upstream.gaps().iter().all(|gap| *gap >= SECOND),
        "{:?}",
        upstream.gaps()
    );

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(pace())
        .layer(retry())
        .service(upstream.answering(third_time));
    assert_eq!(status(wrong, request()).await, 200);
    assert!(
        upstream.gaps().iter().all(|gap| *gap < SECOND),
        "{:?}",
        upstream.gaps()
    );
}

/// Retry outside of the circuit breaker: an open circuit is a refusal whose time is waited for.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_waited_for() {
    let second_time = |call| answer(if call < 2 { 503 } else { 200 });

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(retry())
        .layer(breaker())
        .service(upstream.answering(second_time));
    assert_eq!(status(right, request()).await, 200);
    assert!(upstream.gaps()[0] >= 5 * SECOND, "{:?}", upstream.gaps());

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(breaker())
        .layer(retry())
        .service(upstream.answering(second_time));
    assert_eq!(status(wrong, request()).await, 200);
    assert!(
        upstream.gaps()[0] < SECOND,
        "the circuit was not asked again"
    );
}

/// A fallback's answer is one: who gave it did not want to wait, though it is marked as made on this side.
#[tokio::test(start_paused = true)]
async fn a_fallback_of_the_circuits_is_not_waited_past() {
    let upstream = Upstream::default();
    let breaker = CircuitBreakerLayer::http(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .fallback(|_, _| Response::new(Bytes::from("of yesterday")))
        .build()
        .unwrap();
    breaker
        .breaker()
        .try_acquire()
        .unwrap()
        .record(Outcome::Failure);
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(breaker)
        .service(upstream.answering(|_| answer(200)));
    let begun = upstream.age();
    assert_eq!(status(service, request()).await, 200);
    assert_eq!(
        (upstream.calls(), upstream.age() - begun),
        (0, Duration::ZERO)
    );
}

/// An upstream's own 429 parks it for everybody, and opens no circuit. T8 and B8 of the traps.
#[tokio::test(start_paused = true)]
async fn an_upstreams_429_parks_everybody() {
    let refused_once = |call| {
        let mut response = answer(if call == 1 { 429 } else { 200 });
        if call == 1 {
            let headers = response.headers_mut();
            headers.insert("retry-after", "3".parse().unwrap());
        }
        response
    };
    let upstream = Upstream::default();
    let breaker = breaker();
    let circuit = breaker.breaker();
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(breaker)
        .service(upstream.answering(refused_once));
    let crowd = (0..5).map(|_| tokio::spawn(status(service.clone(), request())));
    for call in crowd.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(upstream.calls(), 6);
    assert!(upstream.gaps()[0] >= 3 * SECOND, "{:?}", upstream.gaps());
    assert_eq!(circuit.snapshot().failures, 0);
}
