//! Observers that report to others: the `metrics` and the `tracing` crate, each behind the feature of its
//! name. Two observers at once are a tuple.
//!
//! | metric | kind | labels besides `name` |
//! |---|---|---|
//! | `circuitbreaker.calls` | counter | `kind`: as [`CallKind::as_str`](crate::CallKind::as_str) |
//! | `circuitbreaker.calls.duration` | histogram, seconds, of calls that were timed | `kind` |
//! | `circuitbreaker.slow_calls` | counter | |
//! | `circuitbreaker.not_permitted_calls` | counter | |
//! | `circuitbreaker.state` | gauge: 1 for the present state and 0 for the others; with a circuit for each key, how many are in the state, of those that are not closed | `state`: as [`State::as_str`](crate::State::as_str) |
//! | `circuitbreaker.parked` | counter: how often an upstream asked not to be called | |
//! | `circuitbreaker.unwatched_calls` | counter: there was no room for the circuit of a key | |
//! | `circuitbreaker.failure_rate`, `circuitbreaker.slow_call_rate` | gauge, 0 to 1, when [told](Metrics::record_rates) | |
//!
//! The names are resilience4j's, since OpenTelemetry has none for resilience. Keys are no label: there may be
//! as many as callers choose.

#[cfg(all(test, feature = "tracing"))]
mod logged;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
#[cfg(feature = "tracing")]
pub use self::tracing::Tracing;
