//! Services of other protocols: refusals are errors.

use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreakerLayer, Error, Outcome, State, Trip};
use buttress_core::clock::ManualClock;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::SECOND;

async fn half(n: u32) -> Result<u32, String> {
    if n.is_multiple_of(2) {
        Ok(n / 2)
    } else {
        Err(format!("{n} is odd"))
    }
}

#[tokio::test]
async fn a_refusal_is_an_error_with_the_time_left() {
    let clock = ManualClock::default();
    let layer = CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .clock(clock.clone())
        .build()
        .unwrap();
    let service = layer.layer(service_fn(half));
    assert_eq!(service.clone().oneshot(4).await, Ok(2));
    let inner = service.clone().oneshot(5).await.unwrap_err();
    assert_eq!(inner, Error::Inner("5 is odd".to_owned()));
    clock.advance(Duration::from_millis(1));
    let refused = service.oneshot(4).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(4_999)));
    assert_eq!(
        refused.to_string(),
        "the circuit is open, retry after 4.999s"
    );
}

#[tokio::test]
async fn a_classifier_says_what_a_result_means() {
    let layer = CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(1))
        .classify_with(|result: Result<&u32, &String>| match result {
            Ok(0) => Outcome::Failure,
            _ => Outcome::Success,
        })
        .build()
        .unwrap();
    let service = layer.layer(service_fn(half));
    assert!(service.clone().oneshot(5).await.is_err());
    assert_eq!(layer.breaker().state(), State::Closed);
    assert_eq!(service.oneshot(0).await, Ok(0));
    assert_eq!(layer.breaker().state(), State::Open);
}
