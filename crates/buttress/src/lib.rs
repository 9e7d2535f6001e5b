#![doc = include_str!("../README.md")]
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
