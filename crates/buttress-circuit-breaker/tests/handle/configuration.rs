//! Rule 8 of the house: what cannot work is an error, with the field, the value and what was expected.

use std::time::Duration;

use buttress_circuit_breaker::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerLayer, CircuitBreakers, OpenFor, Trip,
};
use buttress_core::DigestKey;
use buttress_http::keys::Authority;

const SECOND: Duration = Duration::from_secs(1);

fn good() -> CircuitBreakerBuilder {
    CircuitBreaker::on(Trip::consecutive_failures(1))
}

#[test]
fn what_cannot_work_is_an_error() {
    let rate = || Trip::over_calls(10);
    let cases = [
        (
            CircuitBreaker::on(Trip::consecutive_failures(0)),
            "consecutive_failures: `0` given, expected at least 1",
        ),
        (
            CircuitBreaker::on(Trip::over_calls(0)),
            "over_calls: `0` given, expected at least 1 call",
        ),
        (
            CircuitBreaker::on(Trip::over_time(Duration::ZERO)),
            "over_time: `0ns` given, expected ten nanoseconds to a year",
        ),
        (
            CircuitBreaker::on(rate().minimum_calls(11)),
            "minimum_calls: `11` given, expected no more calls than the window holds",
        ),
        (
            CircuitBreaker::on(rate().minimum_calls(0)),
            "minimum_calls: `0` given, expected at least 1",
        ),
        (
            CircuitBreaker::on(rate().failure_rate(0.0)),
            "failure_rate: `0` given, expected more than 0.0, at most 1.0",
        ),
        (
            CircuitBreaker::on(rate().failure_rate(f64::NAN)),
            "failure_rate: `NaN` given, expected more than 0.0, at most 1.0",
        ),
        (
            CircuitBreaker::on(rate().slow_call_rate(1.5, SECOND)),
            "slow_call_rate: `1.5` given, expected more than 0.0, at most 1.0",
        ),
        (
            CircuitBreaker::on(rate().slow_call_rate(0.5, Duration::ZERO)),
            "slow_after: `0ns` given, expected more than zero",
        ),
        (
            good().open_for(Duration::ZERO),
            "open_for: `0ns` given, expected more than zero and at most a hundred years",
        ),
        (
            good().open_for(OpenFor::growing(2 * SECOND, SECOND)),
            "open_for: `2s to 1s` given, expected a base of more than zero, and a cap from that to a hundred years",
        ),
        (good().probes(0), "probes: `0` given, expected 1 to 1,000"),
        (
            good().probe_deadline(Duration::MAX),
            "probe_deadline: `18446744073709551615.999999999s` given, expected more than zero, at most a year",
        ),
        (
            good().retry_after_bounds(2 * SECOND, SECOND),
            "retry_after_bounds: `2s to 1s` given, expected a least of more than zero, and a most from that to a year",
        ),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }
}

/// A bound on keys that does nothing would be found when it is needed.
#[test]
fn what_is_said_of_keys_is_for_who_has_some() {
    let trip = || Trip::consecutive_failures(1);
    let layer = || CircuitBreakerLayer::http(trip());
    let keyless = "a `key` as well: without one all requests share a circuit";
    let cases = [
        (
            layer().max_keys(5),
            format!("max_keys: `5` given, expected {keyless}"),
        ),
        (
            layer().digest_key(DigestKey::from_words(1, 2)),
            format!("digest_key: `***` given, expected {keyless}"),
        ),
        (
            layer().key(Authority).max_keys(0),
            "max_keys: `0` given, expected 1 to 16,777,216".to_owned(),
        ),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.build().unwrap_err().to_string(), expected);
    }
    assert!(
        CircuitBreakers::per_key(trip())
            .max_keys(0)
            .build()
            .is_err()
    );
    assert!(layer().max_keys(5).key(Authority).build().is_ok());
}

#[test]
fn what_is_not_given_works() {
    assert!(CircuitBreaker::on(Trip::over_calls(1)).build().is_ok());
    assert!(CircuitBreaker::on(Trip::over_time(SECOND)).build().is_ok());
    assert!(good().build().is_ok());
}
