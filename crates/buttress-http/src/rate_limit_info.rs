//! What a response says about limits, whichever dialect it speaks.
//!
//! | what | where it is read |
//! |---|---|
//! | how long to wait | `retry-after-ms`, `x-ms-retry-after-ms`, `x-amz-retry-after`; `Retry-After` in all forms; `grpc-retry-pushback-ms`, `RetryInfo`; the reset of a limit that is used up; the body |
//! | whether to retry at all | `x-should-retry`, `Stripe-Should-Retry`, a pushback that forbids it |
//! | limits | `RateLimit` and `RateLimit-Policy` of every draft, `RateLimit-*`, `X-RateLimit-*` and what GitHub, X, Discord, Shopify, OpenAI, Azure, Anthropic and others made of them |
//! | which refusal it is | status, header fields, and the first 4 KiB of the body |
//!
//! The rules:
//!
//! 1. An explicit wait goes before one that follows from a limit (draft-ietf-httpapi-ratelimit-headers-11
//!    §6), and the header fields before the body.
//! 2. A limit makes the caller wait only if nothing of it remains; that something remains is no grant.
//!    Of several that are used up the longest reset counts. A reset of zero says nothing, and a wait of zero
//!    gives way to any other word: only gRPC's zero is exact.
//! 3. Dates are reckoned on the sender's clock, which `Date` tells, so that skew does not matter.
//! 4. Of a response from a cache (`Age` above 0) the limits are ignored: they are not this caller's, or
//!    not present; and from a wait the time in the cache is taken off.
//! 5. Whatever is malformed is ignored, whatever is absurd is clamped: no wait is longer than
//!    [`RetryAfter::MAX`](crate::RetryAfter::MAX). A flood of lines is not read.
//!
//! A vendor's header is one row in `dialects.rs`, and a vector in `tests/vectors/rate-limit-info.toml`.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use buttress_http::rate_limit_info::{Advice, BodyHints, Cause, RateLimitInfo, Source};
//!
//! let response = http::Response::builder()
//!     .status(429)
//!     .header("content-type", "application/json")
//!     .header("x-ratelimit-limit-tokens", "40000")
//!     .header("x-ratelimit-remaining-tokens", "0")
//!     .header("x-ratelimit-reset-tokens", "1m12.5s")
//!     .body(())?;
//! let info = RateLimitInfo::of(response.status(), response.headers(), SystemTime::now());
//! assert_eq!(info.retry_after(), Some(Duration::from_millis(72_500)));
//! assert_eq!(info.source(), Some(Source::RateLimit));
//! let verdict = info.verdict().expect("a refusal");
//! assert_eq!(verdict.cause, Cause::Window);
//! assert_eq!(verdict.advice, Advice::RetryAfter(info.retry_after()));
//!
//! // The body may know better: waiting does not refill this one.
//! assert!(info.needs_body());
//! let body = br#"{"error":{"code":"insufficient_quota"}}"#;
//! let verdict = info.with_body(body, &BodyHints::default()).verdict().expect("a refusal");
//! assert_eq!((verdict.cause, verdict.advice), (Cause::Billing, Advice::GiveUp));
//! # Ok::<(), http::Error>(())
//! ```

mod body;
mod dialects;
mod duration;
mod glance;
mod hints;
mod info;
mod limit;
mod limits;
mod line;
mod rfc3339;
mod sender;
mod structured;
mod vendor;
mod verdict;
mod wait;

pub use self::{
    hints::{BodyHints, BodyHintsBuilder, WaitUnit},
    info::RateLimitInfo,
    limit::{LimitInfo, LimitUnit},
    vendor::Vendor,
    verdict::{Advice, Cause, Verdict},
    wait::Source,
};
