use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreaker, Outcome, OwnedPermit};
use buttress_core::clock::ManualClock;

use crate::scenario::{self, End, Subject, trip};

#[path = "../scenario/breaker.rs"]
mod breaker;

struct Handle {
    breaker: CircuitBreaker,
    clock: ManualClock,
}

impl Subject for Handle {
    type Call = OwnedPermit;

    async fn begin(&mut self) -> Result<OwnedPermit, Option<Duration>> {
        let permit = self.breaker.try_acquire_owned();
        permit.map_err(|refused| refused.retry_after())
    }

    async fn end(&mut self, permit: OwnedPermit, end: End) {
        permit.record(match end {
            End::Ok => Outcome::Success,
            End::Fail => Outcome::Failure,
            End::Ignored => Outcome::Ignored,
            End::Throttled(retry_after) => Outcome::Throttled { retry_after },
        });
    }

    async fn give_up(&mut self, permit: OwnedPermit) {
        drop(permit);
    }

    async fn wait(&mut self, span: Duration) {
        self.clock.advance(span);
    }

    fn hand(&mut self, switch: &str) {
        match switch {
            "open" => self.breaker.force_open(),
            "disable" => self.breaker.disable(),
            "metrics" => self.breaker.metrics_only(),
            _ => self.breaker.close(),
        }
    }

    fn state(&self) -> String {
        assert_eq!(self.breaker.snapshot().state, self.breaker.state());
        self.breaker.state().to_string()
    }
}

#[tokio::test]
async fn the_handle_does_what_the_scenarios_say() {
    for scenario in scenario::all() {
        let clock = ManualClock::default();
        let breaker = breaker::configured(CircuitBreaker::on(trip(&scenario.trip)), &scenario);
        let breaker = breaker.clock(clock.clone()).build().unwrap();
        scenario::play(&scenario, Handle { breaker, clock }).await;
    }
}
