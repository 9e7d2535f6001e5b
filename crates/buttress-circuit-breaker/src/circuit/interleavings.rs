//! Every interleaving of a few threads over one circuit.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-circuit-breaker --release --lib loom`

use std::time::Duration;

use buttress_core::{Outcome, clock::ManualClock};
use loom::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use super::*;
use crate::{CircuitBreaker, Trip, shared::Shared};

struct Bench {
    shared: std::sync::Arc<Shared>,
    clock: ManualClock,
}

impl Bench {
    fn of(trip: impl Into<Trip>, probes: u32) -> Arc<Self> {
        let clock = ManualClock::default();
        let settings = CircuitBreaker::on(trip)
            .open_for(Duration::from_secs(5))
            .probes(probes)
            .clock(clock.clone())
            .settings()
            .unwrap();
        let shared = Shared::of(settings, None);
        Arc::new(Self { shared, clock })
    }

    /// Opened, and its time is up.
    fn due(trip: impl Into<Trip>, probes: u32) -> Arc<Self> {
        let bench = Self::of(trip, probes);
        while bench.state() == State::Closed {
            bench.call(Outcome::Failure);
        }
        bench.clock.advance(Duration::from_secs(5));
        bench
    }

    fn admit(&self) -> Option<Ticket> {
        self.circuit().admit(&self.shared.settings).ok()
    }

    fn settle(&self, ticket: Ticket, outcome: Outcome) {
        self.circuit()
            .settle(&self.shared.settings, ticket, outcome);
    }

    fn call(&self, outcome: Outcome) {
        if let Some(ticket) = self.admit() {
            self.settle(ticket, outcome);
        }
    }

    fn circuit(&self) -> &Circuit {
        &self.shared.only
    }

    fn state(&self) -> State {
        self.circuit().state()
    }

    fn in_flight(&self) -> usize {
        lock(&self.circuit().inside).machine.probes_in_flight()
    }
}

fn spawn<T: 'static>(
    bench: &Arc<Bench>,
    work: impl FnOnce(&Bench) -> T + Send + 'static,
) -> JoinHandle<T> {
    let bench = Arc::clone(bench);
    thread::spawn(move || work(&bench))
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

fn rates() -> crate::RateTrip {
    Trip::over_calls(4).failure_rate(0.5).minimum_calls(2)
}

/// Both failures count, so the circuit is open: neither caller may leave that to the other.
#[test]
fn loom_the_trip_is_not_lost_between_two_failures() {
    for trip in [Trip::from(rates()), Trip::consecutive_failures(2)] {
        model(move || {
            let bench = Bench::of(trip.clone(), 1);
            let other = spawn(&bench, |bench| bench.call(Outcome::Failure));
            bench.call(Outcome::Failure);
            other.join().unwrap();
            assert_eq!(bench.state(), State::Open);
            assert_eq!(lock(&bench.circuit().inside).machine.trips(), 1);
        });
    }
}

#[test]
fn loom_no_more_probes_than_there_may_be() {
    model(|| {
        let bench = Bench::due(Trip::consecutive_failures(1), 1);
        let other = spawn(&bench, Bench::admit);
        let here = bench.admit();
        let there = other.join().unwrap();
        let probes = [&here, &there].into_iter().flatten();
        assert_eq!(probes.filter(|ticket| ticket.is_probe()).count(), 1);
        assert_eq!(bench.in_flight(), 1);
        assert_eq!(bench.state(), State::HalfOpen);
    });
}

#[test]
fn loom_a_probe_that_is_given_up_leaves_room() {
    model(|| {
        let bench = Bench::due(Trip::consecutive_failures(1), 1);
        let probe = bench.admit().unwrap();
        let other = spawn(&bench, move |bench| {
            bench.circuit().abandon(&bench.shared.settings, probe);
        });
        let here = bench.admit();
        assert!(bench.in_flight() <= 1);
        other.join().unwrap();
        match here {
            // It came after the give-up.
            Some(ticket) => bench.settle(ticket, Outcome::Success),
            None => bench.call(Outcome::Success),
        }
        assert_eq!(bench.state(), State::Closed);
    });
}

/// A straggler from before the trip and a probe end at the same moment: only the probe counts.
#[test]
fn loom_a_straggler_neither_closes_nor_opens_it() {
    for (straggler, probe, state) in [
        (Outcome::Success, Outcome::Failure, State::Open),
        (Outcome::Failure, Outcome::Success, State::Closed),
    ] {
        model(move || {
            let bench = Bench::of(Trip::consecutive_failures(1), 1);
            let old = bench.admit().unwrap();
            bench.call(Outcome::Failure);
            bench.clock.advance(Duration::from_secs(5));
            let other = spawn(&bench, move |bench| bench.settle(old, straggler));
            bench.call(probe);
            other.join().unwrap();
            assert_eq!(bench.state(), state);
        });
    }
}

/// A call that was let go while the circuit trips is not counted against what comes later.
#[test]
fn loom_whoever_is_let_go_knows_its_generation() {
    model(|| {
        let bench = Bench::of(Trip::consecutive_failures(1), 1);
        let other = spawn(&bench, |bench| bench.call(Outcome::Failure));
        let here = bench.admit();
        other.join().unwrap();
        assert_eq!(bench.state(), State::Open);
        if let Some(ticket) = here {
            bench.settle(ticket, Outcome::Success);
        }
        assert_eq!(bench.state(), State::Open);
        assert!(bench.admit().is_none());
    });
}

/// A park and a trip at the same moment: neither takes the other back.
#[test]
fn loom_a_park_and_a_trip_both_hold() {
    model(|| {
        let bench = Bench::of(Trip::consecutive_failures(1), 1);
        let (throttled, failed) = (bench.admit().unwrap(), bench.admit().unwrap());
        let other = spawn(&bench, move |bench| {
            bench.settle(
                throttled,
                Outcome::Throttled {
                    retry_after: Some(Duration::from_secs(9)),
                },
            );
        });
        bench.settle(failed, Outcome::Failure);
        other.join().unwrap();
        assert_eq!(bench.state(), State::Open);
        assert!(bench.admit().is_none());
    });
}
