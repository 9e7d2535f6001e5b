//! Observers that report to others: the `metrics` and the `tracing` crate, each behind the feature of its
//! name. Two observers at once are a tuple.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `rate_limiting.requests` | counter | `rate_limiting.policy`; `rate_limiting.result`: `acquired`, `refused`, `would_refuse` (in shadow mode), `missing_key`, `denied` (under no policy: the label is empty) |
//! | `rate_limiting.queued_requests` | gauge | `rate_limiting.policy`: requests that were acquired and wait for their turn |
//! | `rate_limiting.near_limit` | counter | `rate_limiting.policy`: keys that crossed a threshold of their quota |
//! | `rate_limiting.unsupported_quotas` | counter | `rate_limiting.policy`: requests whose resolved quota the algorithm does not support |
//!
//! The names are those of ASP.NET Core's rate limiting instruments, since OpenTelemetry has none for
//! resilience. Keys are no label: there are as many as callers.

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
