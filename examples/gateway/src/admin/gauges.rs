use buttress_circuit_breaker::{State, telemetry::Metrics};
use metrics::gauge;

use crate::{reload::InForce, upstreams::Upstreams};

/// Sets the gauges of what is not counted but looked up, just before somebody reads them.
pub(super) fn set(in_force: &InForce) {
    let (stack, metrics) = (in_force.stack(), Metrics::default());
    for upstream in stack.upstreams().iter() {
        let Some(snapshot) = upstream.snapshot() else {
            continue;
        };
        let name = || upstream.name().to_owned();
        for state in State::ALL {
            let is = if *state == snapshot.state { 1.0 } else { 0.0 };
            gauge!("circuitbreaker.state", "name" => name(), "state" => state.as_str()).set(is);
        }
        metrics.record_rates(upstream.name(), &snapshot);
        let parked = snapshot.parked.unwrap_or_default();
        gauge!("circuitbreaker.parked_seconds", "name" => name()).set(parked.as_secs_f64());
    }
}

/// An upstream that is no longer there, or has no circuit any more, is in no state, and has no rates.
pub(crate) fn forget_gone(before: &Upstreams, now: &Upstreams) {
    let is_there = |name: &str| {
        now.iter()
            .any(|upstream| upstream.name() == name && upstream.snapshot().is_some())
    };
    for gone in before.iter().filter(|before| !is_there(before.name())) {
        let name = || gone.name().to_owned();
        for state in State::ALL {
            gauge!("circuitbreaker.state", "name" => name(), "state" => state.as_str()).set(0.0);
        }
        for metric in [
            "circuitbreaker.failure_rate",
            "circuitbreaker.slow_call_rate",
            "circuitbreaker.parked_seconds",
        ] {
            gauge!(metric, "name" => name()).set(0.0);
        }
    }
}
