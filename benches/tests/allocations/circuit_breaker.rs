//! Circuit breakers.

use std::time::Duration;

use buttress_circuit_breaker::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakers, Outcome, Trip,
};
use http::StatusCode;
use tower::Layer as _;

use crate::{
    counter::allocations,
    service::{per_request, service},
};

/// Closed or open, timed or not; what is allocated for a key is its circuit, once.
#[test]
fn a_circuit_breaker_does_not_allocate() {
    let trip = Trip::over_time(Duration::from_secs(10))
        .slow_call_rate(0.5, Duration::from_secs(1))
        .minimum_calls(100);
    let circuit = CircuitBreaker::on(trip).build().unwrap();
    let circuits = CircuitBreakers::per_key(trip).build().unwrap();
    circuits.try_acquire("a").unwrap().record(Outcome::Success);
    let closed = allocations(|| {
        for outcome in [Outcome::Success, Outcome::Success, Outcome::Failure] {
            circuit.try_acquire().unwrap().record(outcome);
            circuit.try_acquire_owned().unwrap().record(outcome);
            circuits.try_acquire("a").unwrap().record(outcome);
        }
    });
    circuit.force_open();
    let open = allocations(|| assert!(circuit.try_acquire().is_err()));
    assert_eq!((closed, open), (0, 0));
}

#[test]
fn a_closed_circuits_layer_does_not_allocate() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = CircuitBreakerLayer::http(Trip::over_time(Duration::from_secs(10)))
        .build()
        .unwrap();
    let guarded = per_request(layer.layer(service()), StatusCode::OK);
    assert_eq!(guarded - bare, 0);
}
