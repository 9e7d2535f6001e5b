//! Observers that report to others: the `metrics` and the `tracing` crate, each behind the feature of its
//! name. Two observers at once are a tuple.
//!
//! | metric | kind | labels |
//! |---|---|---|
//! | `http.cache.requests` | counter | `http.cache.result`: `hit`, `stale`, `collapsed`, `gateway_timeout`, or for what was sent on the `fwd` of RFC 9211: `uri-miss`, `vary-miss`, `miss`, `request`, `stale-validated`, `partial`, `bypass`, `method` |
//! | `http.cache.validated` | counter | what is stored was validated by a 304 |
//! | `http.cache.stale_on_failure` | counter | the origin failed, and something stale was served |
//! | `http.cache.stored`, `http.cache.not_stored` | counter | |
//! | `http.cache.stored_bytes` | counter | |
//! | `http.cache.hit_for_miss` | counter | of what was sent on, what went straight there, since answers were not stored of late |
//! | `http.cache.invalidated` | counter | targets that were outdated by an unsafe method, or by hand |
//! | `http.cache.suspected` | counter | targets that an unsafe request may have outdated, of which nobody heard how it ended |
//! | `http.cache.store_failures` | counter | |
//!
//! OpenTelemetry has no names for HTTP caches. Targets are no label: there are as many as clients can think
//! of.

#[cfg(all(test, feature = "tracing", not(loom)))]
mod logged;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "tracing")]
mod tracing;

#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
#[cfg(feature = "tracing")]
pub use self::tracing::Tracing;
