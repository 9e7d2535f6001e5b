//! A circuit breaker as a scenario asks for it.

use buttress_circuit_breaker::{CircuitBreakerBuilder, OnDrop, OnThrottled, OpenFor};

use crate::scenario::{Scenario, range, time};

/// What the scenario says of all but the rule.
pub(crate) fn configured<For>(
    mut builder: CircuitBreakerBuilder<For>,
    scenario: &Scenario,
) -> CircuitBreakerBuilder<For> {
    builder = match range(&scenario.open_for) {
        Some((base, cap)) => builder.open_for(OpenFor::growing(base, cap).with_jitter(false)),
        None => builder.open_for(time(&scenario.open_for)),
    };
    if let Some((least, most)) = scenario.retry_after.as_deref().and_then(range) {
        builder = builder.retry_after_bounds(least, most);
    }
    builder = match scenario.on_throttled.as_deref() {
        None => builder,
        Some("fail") => builder.on_throttled(OnThrottled::Fail),
        Some("ignore") => builder.on_throttled(OnThrottled::Ignore),
        Some(other) => panic!("no way to take a 429: {other}"),
    };
    if scenario.on_drop.as_deref() == Some("fail") {
        builder = builder.on_drop(OnDrop::Fail);
    }
    builder
        .probes(scenario.probes)
        .probe_deadline(time(&scenario.probe_deadline))
}
