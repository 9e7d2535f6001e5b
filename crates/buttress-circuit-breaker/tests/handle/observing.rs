//! Rule 9 of the house: every decision can be observed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress_circuit_breaker::{CircuitBreaker, Event, Happening, Outcome, Trip};
use buttress_core::clock::ManualClock;

type Log = Arc<Mutex<Vec<String>>>;

fn observer(log: &Log) -> impl Fn(&Event<'_>) + Send + Sync + 'static {
    let log = Arc::clone(log);
    move |event: &Event<'_>| {
        let line = match event.happening {
            Happening::Call {
                kind, slow, took, ..
            } => format!("{} {slow} {took:?}", kind),
            Happening::NotPermitted(refused) => refused.to_string(),
            Happening::Transition(transition) => transition.to_string(),
            Happening::Parked(wait) => format!("parked for {wait:?}"),
            other => format!("{other:?}"),
        };
        log.lock().unwrap().push(format!("{}: {line}", event.name));
    }
}

#[test]
fn every_decision_is_heard_of() {
    let (log, clock) = (Log::default(), ManualClock::default());
    let trip = Trip::over_calls(10)
        .failure_rate(0.5)
        .slow_call_rate(1.0, Duration::from_secs(1))
        .minimum_calls(2);
    let circuit = CircuitBreaker::on(trip)
        .name("payments")
        .open_for(Duration::from_secs(5))
        .probes(1)
        .clock(clock.clone())
        .observer(observer(&log))
        .build()
        .unwrap();
    let old = circuit.try_acquire().unwrap();
    let slow = circuit.try_acquire().unwrap();
    clock.advance(Duration::from_secs(1));
    slow.record(Outcome::Success);
    circuit.try_acquire().unwrap().record(Outcome::Ignored);
    drop(circuit.try_acquire().unwrap());
    let retry_after = Some(Duration::from_secs(3));
    circuit
        .try_acquire()
        .unwrap()
        .record(Outcome::Throttled { retry_after });
    assert!(circuit.try_acquire().is_err());
    clock.advance(Duration::from_secs(3));
    circuit.try_acquire().unwrap().record(Outcome::Failure);
    assert!(circuit.try_acquire().is_err());
    old.record(Outcome::Success);
    clock.advance(Duration::from_secs(5));
    circuit.try_acquire().unwrap().record(Outcome::Success);
    let expected = [
        "successful true Some(1s)",
        "ignored false Some(0ns)",
        "dropped false Some(0ns)",
        "throttled false Some(0ns)",
        "parked for 3s",
        "the upstream asked not to be called, retry after 3s",
        "failed false Some(0ns)",
        "closed => open: failure_rate",
        "the circuit is open, retry after 5s",
        "late true Some(4s)",
        "open => half_open: time_is_up",
        "successful false Some(0ns)",
        "half_open => closed: probes_succeeded",
    ];
    let expected: Vec<String> = expected.map(|line| format!("payments: {line}")).into();
    assert_eq!(*log.lock().unwrap(), expected);
}

/// An observer may ask the circuit that tells it something.
#[test]
fn an_observer_may_call_back() {
    let place: Arc<Mutex<Option<CircuitBreaker>>> = Arc::default();
    let inside = Arc::clone(&place);
    let circuit = CircuitBreaker::on(Trip::consecutive_failures(1))
        .observer(move |event: &Event<'_>| {
            if let Happening::Transition(transition) = event.happening {
                let circuit = inside.lock().unwrap().clone().unwrap();
                assert_eq!(circuit.snapshot().state, transition.to);
            }
        })
        .build()
        .unwrap();
    *place.lock().unwrap() = Some(circuit.clone());
    circuit.try_acquire().unwrap().record(Outcome::Failure);
    assert!(circuit.try_acquire().is_err());
    *place.lock().unwrap() = None;
}
