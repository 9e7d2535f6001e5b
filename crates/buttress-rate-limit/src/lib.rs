#![doc = include_str!("../README.md")]

mod algorithm;
mod decision;
mod direct;
mod event;
mod future;
mod layer;
mod limit;
mod limiter;
mod limits;
mod policy;
mod quota;
mod refuse;
mod refused;
mod service;
pub mod store;
mod sync;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub mod telemetry;

pub use buttress_core::ConfigError;

pub use self::{
    algorithm::{Algorithm, FixedWindow, Gcra, TokenBucket},
    decision::{Decision, Verdict},
    direct::DirectRateLimiter,
    event::Event,
    future::ResponseFuture,
    layer::{RateLimitLayer, RateLimitLayerBuilder},
    limit::Limit,
    limiter::{RateLimiter, RateLimiterBuilder},
    policy::{OnMissingKey, Policy},
    quota::{IntoQuota, Quota, QuotaBuilder},
    refuse::{AsError, AsResponse, Error, Refusal, Refuse},
    refused::Refused,
    service::RateLimit,
    store::{Overflow, Store},
};
