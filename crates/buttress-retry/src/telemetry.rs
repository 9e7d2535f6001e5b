//! Observers that report to others: the `metrics` and the `tracing` crate, each behind the feature of its
//! name. Two observers at once are a tuple.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `retry.calls` | counter | `retry.policy`; `kind`: [`CallKind::as_str`](crate::CallKind::as_str) |
//! | `retry.ended` | counter | `retry.policy`; `reason`: [`Ended::as_str`](crate::Ended::as_str), which tells a spent budget from spent attempts |
//! | `retry.attempts` | counter | `retry.policy`: requests that were sent, retries included |
//! | `retry.parked` | counter | `retry.policy`: upstreams that asked to be left alone for longer than was known |
//! | `retry.held` | counter | `retry.policy`: waits before a parked upstream |
//!
//! `retry.calls` and its kinds are resilience4j's, since OpenTelemetry has no names for resilience. For
//! `http.request.resend_count` there is [`Attempt`](crate::Attempt).

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
