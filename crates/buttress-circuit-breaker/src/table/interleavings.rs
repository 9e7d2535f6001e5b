//! Every interleaving of two threads over a table with one place.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-circuit-breaker --release --lib loom`

use std::time::Duration;

use buttress_core::{Outcome, clock::ManualClock};
use loom::{sync::Arc, thread};

use super::*;
use crate::{CircuitBreaker, State, Trip};

const OPEN_FOR: Duration = Duration::from_secs(5);

const A: Digest = Digest::from_u128(1 << 64);
const B: Digest = Digest::from_u128(2 << 64);

struct Bench {
    settings: Settings,
    table: Table,
    clock: ManualClock,
}

impl Bench {
    fn new() -> Arc<Self> {
        let clock = ManualClock::default();
        let settings = CircuitBreaker::on(Trip::consecutive_failures(1))
            .open_for(OPEN_FOR)
            .clock(clock.clone())
            .settings()
            .unwrap();
        let table = Table::with_room_for(1);
        Arc::new(Self {
            settings,
            table,
            clock,
        })
    }

    fn state(&self, key: Digest) -> Option<State> {
        self.table.find(key).map(|place| place.circuit.state())
    }

    fn call(&self, key: Digest, outcome: Outcome) {
        if let Some(Ok((_, circuit, ticket))) = self.table.admit(key.into(), || key, &self.settings)
        {
            circuit.settle(&self.settings, ticket, outcome);
        }
    }
}

/// A fails while its place is given to B, who is well: nobody takes A's failure for B's.
#[test]
fn loom_a_failure_is_never_another_keys() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let bench = Bench::new();
        bench.call(A, Outcome::Success);
        let other = Arc::clone(&bench);
        let other = thread::spawn(move || other.call(B, Outcome::Success));
        bench.call(A, Outcome::Failure);
        other.join().unwrap();
        assert_ne!(
            bench.state(B),
            Some(State::Open),
            "A's failure opened B's circuit"
        );
        assert!(bench.state(A).is_none() || bench.state(B).is_none());
    });
}

/// A's time to be open is over: it is probed, or its place is B's, and never both.
#[test]
fn loom_a_circuit_that_is_due_is_probed_or_given_away() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let bench = Bench::new();
        bench.call(A, Outcome::Failure);
        assert_eq!(bench.state(A), Some(State::Open));
        bench.clock.advance(OPEN_FOR);
        let other = Arc::clone(&bench);
        let other = thread::spawn(move || other.call(B, Outcome::Success));
        bench.call(A, Outcome::Failure);
        other.join().unwrap();
        match (bench.state(A), bench.state(B)) {
            (None, Some(state)) => assert_eq!(state, State::Closed, "A's probe opened B's circuit"),
            (Some(_), None) => {}
            both => panic!("{both:?}"),
        }
    });
}
