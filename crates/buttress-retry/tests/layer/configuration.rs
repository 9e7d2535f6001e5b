//! What cannot work is an error when it is built, with the field's name.

use std::time::Duration;

use buttress_core::ConfigError;
use buttress_http::{BodyHints, GrpcCode};
use buttress_retry::{Budget, Exponential, Http, LayerFor, RetryBuilder, RetryLayer, RetryPolicy};

use crate::support::{MS, S};

fn field(
    change: impl FnOnce(RetryBuilder<LayerFor<Http>>) -> RetryBuilder<LayerFor<Http>>,
) -> &'static str {
    let error: ConfigError = change(RetryLayer::http()).build().unwrap_err();
    assert!(!error.value().is_empty() && !error.expected().is_empty());
    error.field()
}

#[test]
fn every_field_is_checked() {
    assert_eq!(field(|b| b.max_attempts(0)), "max_attempts");
    assert_eq!(field(|b| b.max_attempts(101)), "max_attempts");
    assert_eq!(
        field(|b| b.backoff(Exponential::default().factor(0.1))),
        "factor"
    );
    assert_eq!(field(|b| b.backoff(Exponential::default().cap(MS))), "cap");
    assert_eq!(
        field(|b| b.attempt_timeout(Duration::ZERO)),
        "attempt_timeout"
    );
    assert_eq!(field(|b| b.total_timeout(Duration::MAX)), "total_timeout");
    assert_eq!(field(|b| b.max_wait(Duration::ZERO)), "max_wait");
    assert_eq!(field(|b| b.max_park(Duration::MAX)), "max_park");
    assert_eq!(field(|b| b.throttled_wait(61 * S)), "throttled_wait");
    assert_eq!(field(|b| b.spread(-1.0, S)), "spread");
    assert_eq!(field(|b| b.spread(f64::NAN, S)), "spread");
    assert_eq!(field(|b| b.spread(0.5, Duration::MAX)), "spread");
    assert_eq!(field(|b| b.backoff(Duration::MAX)), "backoff");
    assert_eq!(field(|b| b.drain(1, Duration::ZERO)), "drain");
    assert_eq!(
        field(|b| b.body_hints(BodyHints::default(), Duration::MAX)),
        "body_hints"
    );
    assert_eq!(
        field(|b| b.await_trailers(0, S, |_| true)),
        "await_trailers"
    );
    assert_eq!(
        field(|b| b.await_trailers(1, Duration::ZERO, |_| true)),
        "await_trailers"
    );
    let budget = Budget::ratio(0.1).per_second(2).over(400 * MS).build();
    assert_eq!(budget.unwrap_err().field(), "per_second");
    assert_eq!(field(|b| b.max_parks(usize::MAX)), "max_parks");
    let codes = |codes: &[GrpcCode]| RetryLayer::grpc(codes.iter().copied()).build().map(drop);
    assert_eq!(codes(&[]).unwrap_err().field(), "codes");
    assert_eq!(codes(&[GrpcCode::Ok]).unwrap_err().field(), "codes");
    assert!(codes(&[GrpcCode::Unavailable]).is_ok());
    assert_eq!(
        RetryPolicy::builder()
            .max_attempts(0)
            .build()
            .unwrap_err()
            .field(),
        "max_attempts"
    );
}

/// Rule 2 of the house, and what users store in a struct.
#[test]
fn they_are_named_cloned_and_shared_between_threads() {
    fn is<T: Clone + Send + Sync + std::fmt::Debug>(_: &T) {}
    let layer: RetryLayer = RetryLayer::http().build().unwrap();
    is(&layer);
    is(&tower::Layer::layer(&layer, ()));
    is(&RetryPolicy::builder().build().unwrap());
}
