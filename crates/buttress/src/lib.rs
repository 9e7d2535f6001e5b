//! Composable [tower](https://docs.rs/tower) layers that stop *"429: exceeded the allowed number of
//! requests"* from being an outage, on both sides of the wire.
//!
//! This crate has no logic of its own: it gathers the layer crates behind features, and tells how to
//! stack them.
//!
//! | layer | crate | feature |
//! |---|---|---|
//! | [`rate_limit`] | `buttress-rate-limit` | `rate-limit` (default) |
//! | [`retry`] | `buttress-retry` | `retry` (default) |
//! | [`circuit_breaker`] | `buttress-circuit-breaker` | `circuit-breaker` (default) |
//! | [`cache`] | `buttress-cache` | `cache` (default) |
//!
//! What they speak of stands at the root: the vocabulary of the mechanism is that of [`buttress_core`] (clocks, keys,
//! outcomes), that of the wire [`buttress_http`]'s (client addresses, [`keys`], `Retry-After`, `RateLimit` fields,
//! problem reports, gRPC statuses).
//!
//! ```no_run
#![doc = include_str!("../doc/front_page.rs")]
//! ```
//!
//! With the feature `axum`, by which the layer knows whom axum talks to.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `axum` | the peer's address from axum's `ConnectInfo`, the matched route and the original URI; [`Permit`](rate_limit::Permit) as an extractor |
//! | `tonic` | the peer's address from tonic's `TcpConnectInfo` |
//! | `hyper` | `retry::HyperErrors`: which errors of hyper, hyper-util and h2 prove that nothing was processed |
//! | `metrics`, `tracing` | observers that count, and that log: `telemetry` in the module of each layer |
//! | `quanta` | `clock::QuantaClock`, which reads the processor's time stamp counter: a check takes about half of its time |
//! | `rt` | [`TokioExecutor`]: background work on the current runtime of tokio; the cache has it in any case |
//! | `serde` | [`Quota`] as text in configuration files |
//! | `governor` | `rate_limit::store::Governor`: a `governor::RateLimiter` of your own in the layer |
//!
//! None of them changes what is there without it.
//!
//! # Stacking
//!
//! The outermost first. What each row costs if it stands elsewhere is its reason to stand there.
//!
//! | on a server | why there |
//! |---|---|
//! | trace, CORS, compression (tower-http's) | a 429 needs them too: without CORS fields a browser hides it from the page |
//! | rate limit by client IP | the cheapest refusal first, before anything is parsed or authenticated; it [joins](rate_limit::RateLimitLayerBuilder::join_fields) the fields of the one by tenant |
//! | authentication (yours) | |
//! | cache | a hit is not charged to the tenant; inside authentication, so that nobody reads another's |
//! | rate limit by tenant | charges only what reaches the backend |
//! | circuit breaker, timeout, handler | |
//!
//! | on a client | why there |
//! |---|---|
//! | cache | what is fresh is never sent |
//! | retry | sees the outcome of every attempt |
//! | rate limit that paces | inside retry, so that each attempt is paced |
//! | circuit breaker | inside pacing: each attempt asks, also after it waited for its turn, and an open circuit is an instant refusal |
//! | timeout per attempt, connector | |
//!
//! The [guide] goes on from here: which layer, which algorithm, what numbers, and moving from another crate.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(
    feature = "cache",
    feature = "circuit-breaker",
    feature = "rate-limit",
    feature = "retry"
))]
// What the guide links to stands beside it: where it is read as a file these would be links to nowhere.
#[doc = include_str!("../doc/guide.md")]
#[doc = ""]
#[doc = include_str!("../doc/guide_links.md")]
pub mod guide {}

#[cfg(feature = "cache")]
pub use buttress_cache as cache;
#[cfg(feature = "cache")]
pub use buttress_cache::{Cache, CacheLayer};
#[cfg(feature = "circuit-breaker")]
pub use buttress_circuit_breaker as circuit_breaker;
#[cfg(feature = "circuit-breaker")]
pub use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, Trip};
// Not as modules `core` and `http`: under `use buttress::*` these would hide two crates that nearly everybody uses.
pub use buttress_core::*;
pub use buttress_http::*;
#[cfg(feature = "rate-limit")]
pub use buttress_rate_limit as rate_limit;
#[cfg(feature = "rate-limit")]
pub use buttress_rate_limit::{
    DirectRateLimiter, Policy, Quota, RateLimit, RateLimitLayer, RateLimiter,
};
#[cfg(feature = "retry")]
pub use buttress_retry as retry;
#[cfg(feature = "retry")]
pub use buttress_retry::{Budget, RetryLayer, RetryPolicy};

/// The README's examples are run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
