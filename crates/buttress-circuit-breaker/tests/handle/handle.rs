use std::{cell::Cell, time::Duration};

use buttress_circuit_breaker::{
    Call, CircuitBreaker, CircuitBreakerBuilder, Error, OpenFor, Outcome, Reason, State, Trip,
    TripRule,
};
use buttress_core::{Random, clock::ManualClock};

const SECOND: Duration = Duration::from_secs(1);

fn breaker(trip: impl Into<Trip>) -> (CircuitBreakerBuilder, ManualClock) {
    let clock = ManualClock::default();
    let builder = CircuitBreaker::on(trip)
        .open_for(5 * SECOND)
        .clock(clock.clone());
    (builder, clock)
}

fn fail(circuit: &CircuitBreaker) {
    circuit.try_acquire().unwrap().record(Outcome::Failure);
}

#[tokio::test]
async fn running_a_future_counts_its_result() {
    let (builder, _) = breaker(Trip::consecutive_failures(2));
    let circuit = builder.build().unwrap();
    assert_eq!(circuit.run(async { Ok::<_, &str>(1) }).await, Ok(1));
    for _ in 0..2 {
        let failed = circuit.run(async { Err::<(), _>("down") }).await;
        assert_eq!(failed, Err(Error::Inner("down")));
    }
    let ran = Cell::new(false);
    let refused = circuit
        .run(async {
            ran.set(true);
            Ok::<_, &str>(())
        })
        .await
        .unwrap_err();
    assert_eq!(refused.retry_after(), Some(5 * SECOND));
    assert_eq!(refused.to_string(), "the circuit is open, retry after 5s");
    assert!(!ran.get(), "a refused future is not polled");
}

#[tokio::test]
async fn a_classifier_says_what_a_result_means() {
    let (builder, _) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.build().unwrap();
    let not_found_is_fine = |result: Result<&(), &&str>| match result {
        Err(&"not found") => Outcome::Success,
        Err(_) => Outcome::Failure,
        Ok(()) => Outcome::Success,
    };
    let missing = circuit.run_classified(async { Err("not found") }, not_found_is_fine);
    assert_eq!(missing.await, Err(Error::Inner("not found")));
    assert_eq!(circuit.state(), State::Closed);
    let broken = circuit.run_classified(async { Err("broken") }, not_found_is_fine);
    assert!(broken.await.is_err());
    assert_eq!(circuit.state(), State::Open);
}

#[test]
fn calling_a_function_counts_its_result() {
    let (builder, clock) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.probes(1).build().unwrap();
    assert_eq!(circuit.call(|| Err::<(), _>(1)), Err(Error::Inner(1)));
    assert!(matches!(
        circuit.call(|| Ok::<_, ()>(())),
        Err(Error::Refused(_))
    ));
    clock.advance(5 * SECOND);
    assert_eq!(circuit.call(|| Ok::<_, ()>(7)), Ok(7));
    assert_eq!(circuit.state(), State::Closed);
}

/// Rule 5: what is held is given back, whatever ends the call.
#[tokio::test]
async fn a_cancelled_probe_gives_its_permit_back() {
    let (builder, clock) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.probes(1).build().unwrap();
    fail(&circuit);
    clock.advance(5 * SECOND);

    // Dropped in mid-flight.
    {
        let mut probe = Box::pin(circuit.run(std::future::pending::<Result<(), ()>>()));
        assert!(futures_poll(probe.as_mut()).is_pending());
        assert_eq!(circuit.snapshot().probes_in_flight, 1);
    }
    assert_eq!(circuit.snapshot().probes_in_flight, 0);

    // A panic.
    let panicking = circuit.clone();
    let panicked =
        std::thread::spawn(move || panicking.call(|| -> Result<(), ()> { panic!("on purpose") }));
    assert!(panicked.join().is_err());
    assert_eq!(circuit.snapshot().probes_in_flight, 0);
    assert_eq!(circuit.call(|| Ok::<_, ()>(())), Ok(()));
    assert_eq!(circuit.state(), State::Closed);
}

/// Two good probes of three are enough; the third is out for a while longer, and not for ever.
#[test]
fn a_probe_that_ends_after_the_verdict_is_not_in_flight_any_more() {
    let trip = Trip::over_calls(10).failure_rate(0.5).minimum_calls(2);
    let (builder, clock) = breaker(trip);
    let circuit = builder.probes(3).build().unwrap();
    fail(&circuit);
    fail(&circuit);
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored] {
        clock.advance(5 * SECOND);
        let last = circuit.try_acquire().unwrap();
        for _ in 0..2 {
            circuit.try_acquire().unwrap().record(Outcome::Success);
        }
        assert_eq!(circuit.state(), State::Closed);
        assert_eq!(circuit.snapshot().probes_in_flight, 1);
        last.record(outcome);
        assert_eq!(circuit.snapshot().probes_in_flight, 0, "{outcome:?}");
        fail(&circuit);
        fail(&circuit);
        assert_eq!(circuit.state(), State::Open);
    }
}

/// A client with a timeout of its own, further out, calls an upstream that hangs, and nobody else does.
#[test]
fn an_upstream_that_hangs_is_not_probed_for_ever() {
    let (builder, clock) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.probe_deadline(10 * SECOND).build().unwrap();
    fail(&circuit);
    clock.advance(5 * SECOND);
    let hangs = circuit.try_acquire().unwrap();
    clock.advance(30 * SECOND);
    drop(hangs);
    assert_eq!(circuit.state(), State::Open);
    assert_eq!(
        circuit.try_acquire().unwrap_err().retry_after(),
        Some(5 * SECOND)
    );
}

fn futures_poll<F: std::future::Future>(
    future: std::pin::Pin<&mut F>,
) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[test]
fn a_refusal_is_the_error_of_a_guarded_call() {
    fn guarded(circuit: &CircuitBreaker) -> Result<(), Error<&'static str>> {
        circuit.try_acquire()?.record(Outcome::Failure);
        Err(Error::Inner("down"))
    }
    let (builder, clock) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.probes(1).build().unwrap();
    assert_eq!(guarded(&circuit), Err(Error::Inner("down")));
    let told = |circuit| guarded(circuit).unwrap_err().to_string();
    assert_eq!(told(&circuit), "the circuit is open, retry after 5s");
    clock.advance(5 * SECOND);
    // Parked by its probe, it waits for no other.
    let retry_after = Some(9 * SECOND);
    let probe = circuit.try_acquire().unwrap();
    assert_eq!(
        told(&circuit),
        "the circuit is half open, and waits, retry after 1s"
    );
    probe.record(Outcome::Throttled { retry_after });
    assert_eq!(
        told(&circuit),
        "the circuit is half open, and waits, retry after 9s"
    );
}

#[test]
fn clones_share_one_circuit() {
    let (builder, _) = breaker(Trip::consecutive_failures(2));
    let circuit = builder.build().unwrap();
    let twin = circuit.clone();
    fail(&circuit);
    fail(&twin);
    assert!(circuit.try_acquire().is_err() && twin.try_acquire_owned().is_err());
}

#[test]
fn a_snapshot_tells_how_it_stands() {
    let trip = Trip::over_time(10 * SECOND)
        .failure_rate(0.9)
        .slow_call_rate(1.0, 2 * SECOND)
        .minimum_calls(4);
    let (builder, clock) = breaker(trip);
    let circuit = builder.build().unwrap();
    fail(&circuit);
    let slow = circuit.try_acquire().unwrap();
    clock.advance(2 * SECOND);
    slow.record(Outcome::Success);
    let snapshot = circuit.snapshot();
    assert_eq!(
        (snapshot.calls, snapshot.failures, snapshot.slow_calls),
        (2, 1, 1)
    );
    assert!((snapshot.failure_rate() - 0.5).abs() < 1e-9);
    assert!((snapshot.slow_call_rate() - 0.5).abs() < 1e-9);
    // The window slides although nobody calls.
    clock.advance(10 * SECOND);
    assert_eq!(circuit.snapshot().calls, 0);

    for _ in 0..4 {
        fail(&circuit);
    }
    assert!(circuit.try_acquire().is_err());
    clock.advance(SECOND);
    let snapshot = circuit.snapshot();
    assert_eq!(snapshot.state, State::Open);
    assert_eq!(snapshot.retry_after, Some(4 * SECOND));
    assert_eq!((snapshot.trips, snapshot.not_permitted_calls), (1, 1));
    assert!(
        (snapshot.failure_rate() - 1.0).abs() < 1e-9,
        "what opened it is still to be seen"
    );
}

/// The time to the headers counts, not the time to the end.
#[test]
fn a_call_that_answered_in_time_is_not_slow() {
    let trip = Trip::over_calls(2)
        .failure_rate(1.0)
        .slow_call_rate(1.0, SECOND)
        .minimum_calls(1);
    let (builder, clock) = breaker(trip);
    let circuit = builder.build().unwrap();
    let mut stream = circuit.try_acquire().unwrap();
    stream.answered();
    clock.advance(60 * SECOND);
    stream.record(Outcome::Success);
    assert_eq!(circuit.state(), State::Closed);
    let slow = circuit.try_acquire().unwrap();
    clock.advance(SECOND);
    slow.record(Outcome::Success);
    assert_eq!(circuit.state(), State::Closed, "one of two");
    let slow = circuit.try_acquire().unwrap();
    clock.advance(SECOND);
    slow.record(Outcome::Success);
    assert_eq!(circuit.state(), State::Open);
}

#[test]
fn what_was_waited_for_somebody_else_makes_no_call_slow() {
    let trip = Trip::over_calls(2)
        .failure_rate(1.0)
        .slow_call_rate(1.0, SECOND)
        .minimum_calls(1);
    let (builder, clock) = breaker(trip);
    let circuit = builder.build().unwrap();
    for (waited, is_slow) in [(60 * SECOND, false), (59 * SECOND, true)] {
        let mut call = circuit.try_acquire().unwrap();
        clock.advance(60 * SECOND);
        // In several parts.
        call.waited(SECOND);
        call.waited(waited - SECOND);
        call.answered();
        // Its time is taken.
        call.waited(60 * SECOND);
        call.record(Outcome::Success);
        assert_eq!(circuit.snapshot().slow_calls, u64::from(is_slow));
    }
}

#[tokio::test]
async fn transitions_can_be_followed() {
    let (builder, clock) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.probes(1).build().unwrap();
    let mut transitions = circuit.transitions();
    fail(&circuit);
    clock.advance(5 * SECOND);
    circuit.try_acquire().unwrap().record(Outcome::Success);
    circuit.force_open();
    drop(circuit);
    let mut seen = Vec::new();
    while let Some(transition) = transitions.next().await {
        seen.push((transition.to, transition.reason));
    }
    assert_eq!(
        seen,
        [
            (State::Open, Reason::ConsecutiveFailures),
            (State::HalfOpen, Reason::TimeIsUp),
            (State::Closed, Reason::ProbesSucceeded),
            (State::ForcedOpen, Reason::ByHand),
        ]
    );
}

/// Who does not keep up misses the oldest; nothing grows.
#[tokio::test]
async fn a_slow_subscriber_misses_the_oldest() {
    let (builder, _) = breaker(Trip::consecutive_failures(1));
    let circuit = builder.build().unwrap();
    let mut transitions = circuit.transitions();
    for _ in 0..100 {
        circuit.disable();
        circuit.close();
    }
    drop(circuit);
    let mut seen = 0;
    while transitions.next().await.is_some() {
        seen += 1;
    }
    assert_eq!(seen, 32);
}

#[test]
fn jitter_comes_from_the_generator_that_was_given() {
    let open_for = |seed| {
        let (builder, _) = breaker(Trip::consecutive_failures(1));
        let circuit = builder
            .open_for(OpenFor::growing(SECOND, 60 * SECOND))
            .random(Random::seeded(seed))
            .build()
            .unwrap();
        fail(&circuit);
        circuit.try_acquire().unwrap_err().retry_after().unwrap()
    };
    assert_eq!(open_for(1), open_for(1));
    assert_ne!(open_for(1), open_for(2));
    assert!((SECOND / 2..=SECOND).contains(&open_for(3)));
}

#[derive(Debug)]
struct FirstSlowMinute;

impl TripRule for FirstSlowMinute {
    fn record(&self, call: &Call) -> bool {
        call.failed && call.at.as_nanos() < 60_000_000_000
    }

    fn reset(&self) {}
}

#[test]
fn a_rule_of_the_users_sees_the_time() {
    let (builder, clock) = breaker(Trip::custom(|| FirstSlowMinute));
    let circuit = builder.build().unwrap();
    clock.advance(60 * SECOND);
    fail(&circuit);
    assert_eq!(circuit.state(), State::Closed);
    clock.set(buttress_core::Tick::ZERO);
    fail(&circuit);
    assert_eq!(circuit.state(), State::Open);
}

/// A clock that steps back is not an error: it is as if the time between had not passed.
#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let trip = Trip::over_time(10 * SECOND).minimum_calls(3);
    let (builder, clock) = breaker(trip);
    let circuit = builder.probes(1).build().unwrap();
    clock.advance(100 * SECOND);
    fail(&circuit);
    clock.set(buttress_core::Tick::ZERO);
    fail(&circuit);
    fail(&circuit);
    assert_eq!(circuit.state(), State::Open);
    clock.advance(5 * SECOND);
    assert_eq!(circuit.call(|| Ok::<_, ()>(())), Ok(()));
    assert_eq!(circuit.state(), State::Closed);
}

/// More calls than one word of counts holds, in one slice.
#[test]
fn a_million_calls_in_a_moment_are_counted() {
    let (builder, _) = breaker(Trip::over_time(10 * SECOND).failure_rate(0.5));
    let circuit = builder.build().unwrap();
    for _ in 0..1_500_000 {
        circuit.try_acquire().unwrap().record(Outcome::Success);
        circuit.try_acquire().unwrap().record(Outcome::Success);
        circuit.try_acquire().unwrap().record(Outcome::Failure);
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.calls, snapshot.failures), (4_500_000, 1_500_000));
    assert_eq!(circuit.state(), State::Closed);
}
