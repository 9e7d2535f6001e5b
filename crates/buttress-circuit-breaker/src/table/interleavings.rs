//! Every interleaving of two threads over a table with one place.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-circuit-breaker --release --lib loom`

use buttress_core::{Outcome, clock::ManualClock};
use loom::{sync::Arc, thread};

use super::*;
use crate::{CircuitBreaker, State, Trip};

const A: Digest = Digest::from_u128(1 << 64);
const B: Digest = Digest::from_u128(2 << 64);

struct Bench {
    settings: Settings,
    table: Table,
}

impl Bench {
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
        let settings = CircuitBreaker::on(Trip::consecutive_failures(1))
            .clock(ManualClock::default())
            .settings()
            .unwrap();
        let table = Table::with_room_for(1);
        let bench = Arc::new(Bench { settings, table });
        bench.call(A, Outcome::Success);
        let other = Arc::clone(&bench);
        let other = thread::spawn(move || other.call(B, Outcome::Success));
        bench.call(A, Outcome::Failure);
        other.join().unwrap();
        let state = |key| bench.table.find(key).map(|place| place.circuit.state());
        assert_ne!(
            state(B),
            Some(State::Open),
            "A's failure opened B's circuit"
        );
        assert!(state(A).is_none() || state(B).is_none());
    });
}
