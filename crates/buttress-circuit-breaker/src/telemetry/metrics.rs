use std::{
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use buttress_core::Observer;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::{CallKind, Event, Happening, Snapshot, State, Transition};

/// Counts what happened, see the [module](super) for the names.
///
/// The metrics of a circuit breaker are registered when something first happens to it: install the recorder
/// before, or they count into the void.
#[derive(Default)]
pub struct Metrics {
    /// A handful of names: looking through them costs less than hashing one.
    known: RwLock<Vec<Named>>,
}

struct Named {
    name: String,
    /// Whether some of its circuits are those of keys.
    keyed: AtomicBool,
    calls: [(CallKind, Counter, Histogram); CallKind::EACH.len()],
    slow_calls: Counter,
    not_permitted: Counter,
    states: [(State, Gauge); State::EACH.len()],
    parked: Counter,
    unwatched: Counter,
}

impl Metrics {
    /// Sets the gauges of the rates of the circuit breaker `name` to those of `snapshot`: to be called on each
    /// scrape, since rates also change where nothing happens.
    pub fn record_rates(&self, name: &str, snapshot: &Snapshot) {
        let rate = |metric: &'static str| gauge!(metric, "name" => name.to_owned());
        rate("circuitbreaker.failure_rate").set(snapshot.failure_rate());
        rate("circuitbreaker.slow_call_rate").set(snapshot.slow_call_rate());
    }
}

impl Named {
    fn register(name: &str, keyed: bool) -> Self {
        let count = |metric: &'static str| counter!(metric, "name" => name.to_owned());
        let calls = CallKind::EACH.map(|kind| {
            let labels = [
                ("name", name.to_owned()),
                ("kind", kind.as_str().to_owned()),
            ];
            (
                kind,
                counter!("circuitbreaker.calls", &labels),
                histogram!("circuitbreaker.calls.duration", &labels),
            )
        });
        let states = State::EACH.map(|state| {
            let labels = [
                ("name", name.to_owned()),
                ("state", state.as_str().to_owned()),
            ];
            let gauge = gauge!("circuitbreaker.state", &labels);
            // Every circuit begins closed, and its first transition is heard.
            gauge.set(if state == State::Closed && !keyed {
                1.0
            } else {
                0.0
            });
            (state, gauge)
        });
        Self {
            name: name.to_owned(),
            keyed: keyed.into(),
            calls,
            slow_calls: count("circuitbreaker.slow_calls"),
            not_permitted: count("circuitbreaker.not_permitted_calls"),
            states,
            parked: count("circuitbreaker.parked"),
            unwatched: count("circuitbreaker.unwatched_calls"),
        }
    }

    fn count(&self, event: &Event<'_>) {
        if event.key.is_some() && !self.keyed.load(Ordering::Relaxed) {
            self.is_keyed_after_all();
        }
        match event.happening {
            Happening::Call { kind, slow, took } => {
                for (_, counter, histogram) in self.calls.iter().filter(|(of, ..)| *of == kind) {
                    counter.increment(1);
                    if let Some(took) = took {
                        histogram.record(took);
                    }
                }
                if slow {
                    self.slow_calls.increment(1);
                }
            }
            Happening::NotPermitted(_) => self.not_permitted.increment(1),
            Happening::Transition(transition) => self.enter(transition),
            Happening::Parked(_) => self.parked.increment(1),
            Happening::NoRoom => self.unwatched.increment(1),
        }
    }

    /// What was heard of first was the circuit of the requests without a key.
    #[cold]
    fn is_keyed_after_all(&self) {
        if !self.keyed.swap(true, Ordering::Relaxed) {
            let closed = self
                .states
                .iter()
                .filter(|(state, _)| *state == State::Closed);
            closed.for_each(|(_, gauge)| gauge.set(0.0));
        }
    }

    /// Each circuit leaves one state and enters another, so the same arithmetic serves one of them and many.
    fn enter(&self, Transition { from, to, .. }: Transition) {
        let keyed = self.keyed.load(Ordering::Relaxed);
        for (state, gauge) in &self.states {
            // Closed circuits of keys are made and forgotten unheard: there is no telling how many there are.
            if keyed && *state == State::Closed {
                continue;
            }
            if *state == from {
                gauge.decrement(1.0);
            }
            if *state == to {
                gauge.increment(1.0);
            }
        }
    }
}

impl Observer<Event<'_>> for Metrics {
    fn observe(&self, event: &Event<'_>) {
        {
            // Metrics are counted or not: nothing is half done where a thread panicked.
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(named) = known.iter().find(|named| named.name == event.name) {
                return named.count(event);
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match known.iter().find(|named| named.name == event.name) {
            Some(named) => named.count(event),
            None => {
                let named = Named::register(event.name, event.key.is_some());
                named.count(event);
                known.push(named);
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use buttress_core::{Outcome, clock::ManualClock};
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;
    use crate::{CircuitBreaker, CircuitBreakers, Trip};

    /// Every metric of `name` with its labels, that is not zero.
    fn told(snapshotter: &Snapshotter) -> Vec<(String, f64)> {
        let metrics = snapshotter.snapshot().into_vec();
        let mut told: Vec<_> = metrics
            .into_iter()
            .map(|(key, _, _, value)| {
                let labels = key
                    .key()
                    .labels()
                    .map(|label| format!(" {}", label.value()));
                let name = key.key().name().trim_start_matches("circuitbreaker.");
                let value = match value {
                    DebugValue::Counter(count) => count as f64,
                    DebugValue::Gauge(value) => value.0,
                    DebugValue::Histogram(values) => values.len() as f64,
                };
                (format!("{name}{}", labels.collect::<String>()), value)
            })
            .filter(|(_, value)| *value != 0.0)
            .collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        told
    }

    fn heard(work: impl FnOnce()) -> Vec<(String, f64)> {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, work);
        told(&snapshotter)
    }

    fn as_expected(told: &[(String, f64)], expected: &[(&str, f64)]) {
        let told: Vec<_> = told.iter().map(|(name, value)| (&**name, *value)).collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn calls_refusals_and_the_state_are_told() {
        let told = heard(|| {
            let clock = ManualClock::default();
            let circuit = CircuitBreaker::on(Trip::consecutive_failures(2))
                .name("db")
                .clock(clock.clone())
                .observer(Metrics::default())
                .build()
                .unwrap();
            for outcome in [Outcome::Success, Outcome::Failure, Outcome::Failure] {
                circuit.try_acquire().unwrap().record(outcome);
            }
            for _ in 0..3 {
                assert!(circuit.try_acquire().is_err());
            }
        });
        as_expected(
            &told,
            &[
                ("calls db failed", 2.0),
                ("calls db successful", 1.0),
                ("not_permitted_calls db", 3.0),
                ("state db open", 1.0),
            ],
        );
    }

    #[test]
    fn the_gauge_of_a_state_that_was_left_is_cleared() {
        let told = heard(|| {
            let clock = ManualClock::default();
            let circuit = CircuitBreaker::on(Trip::consecutive_failures(1))
                .name("db")
                .open_for(Duration::from_secs(1))
                .probes(1)
                .clock(clock.clone())
                .observer(Metrics::default())
                .build()
                .unwrap();
            circuit.try_acquire().unwrap().record(Outcome::Failure);
            clock.advance(Duration::from_secs(1));
            circuit.try_acquire().unwrap().record(Outcome::Success);
        });
        as_expected(
            &told,
            &[
                ("calls db failed", 1.0),
                ("calls db successful", 1.0),
                ("state db closed", 1.0),
            ],
        );
    }

    #[test]
    fn of_circuits_by_key_those_that_are_not_closed_are_counted() {
        let told = heard(|| {
            let circuits = CircuitBreakers::per_key(Trip::consecutive_failures(1))
                .name("upstreams")
                .clock(ManualClock::default())
                .observer(Metrics::default())
                .build()
                .unwrap();
            for (key, outcome) in [
                ("a", Outcome::Failure),
                ("b", Outcome::Success),
                ("c", Outcome::Failure),
            ] {
                circuits.try_acquire(key).unwrap().record(outcome);
            }
            assert!(circuits.close("c"));
        });
        as_expected(
            &told,
            &[
                ("calls upstreams failed", 2.0),
                ("calls upstreams successful", 1.0),
                ("state upstreams open", 1.0),
            ],
        );
    }

    /// Whichever is heard of first, the circuit of the requests without a key or that of one with.
    #[test]
    fn the_circuit_of_those_without_a_key_is_one_of_them() {
        use tower::{Layer as _, Service as _};

        for order in [[0_u32, 7], [7, 0]] {
            let told = heard(|| {
                let by_number = |number: &u32| (*number > 0).then_some(*number);
                let layer = crate::CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(2))
                    .key(buttress_core::key_from(by_number))
                    .name("upstreams")
                    .clock(ManualClock::default())
                    .observer(Metrics::default())
                    .build()
                    .unwrap();
                let mut service = layer.layer(tower::service_fn(|_: u32| {
                    std::future::ready(Err::<(), _>("down"))
                }));
                for number in order.into_iter().chain([0, 0]) {
                    let waker = std::task::Waker::noop();
                    let mut call = std::pin::pin!(service.call(number));
                    let _ = call
                        .as_mut()
                        .poll(&mut std::task::Context::from_waker(waker));
                }
            });
            as_expected(
                &told,
                &[
                    ("calls upstreams failed", 3.0),
                    ("not_permitted_calls upstreams", 1.0),
                    ("state upstreams open", 1.0),
                ],
            );
        }
    }

    #[test]
    fn rates_are_told_when_asked_for() {
        let told = heard(|| {
            let metrics = std::sync::Arc::new(Metrics::default());
            let trip = Trip::over_calls(4).failure_rate(0.9).minimum_calls(4);
            let circuit = CircuitBreaker::on(trip)
                .name("db")
                .clock(ManualClock::default())
                .observer(std::sync::Arc::clone(&metrics))
                .build()
                .unwrap();
            for outcome in [Outcome::Success, Outcome::Failure] {
                circuit.try_acquire().unwrap().record(outcome);
            }
            metrics.record_rates("db", &circuit.snapshot());
        });
        assert!(
            told.contains(&("failure_rate db".to_owned(), 0.5)),
            "{told:?}"
        );
    }
}
