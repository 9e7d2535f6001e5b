#![doc = include_str!("../README.md")]
// Labels what stands behind a feature; on docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
mod algorithm;
mod body;
mod books;
mod decision;
mod direct;
mod event;
mod future;
mod held;
mod layer;
mod limit;
mod limiter;
mod limits;
mod lookup;
mod meter;
mod permit;
#[cfg(feature = "axum")]
mod permit_extractor;
mod policy;
mod quota;
mod refuse;
mod refused;
mod room;
mod ruling;
mod service;
mod signals;
mod standing;
mod step;
pub mod store;
mod surroundings;
mod sync;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub mod telemetry;
mod turn;
mod watcher;

pub use buttress_core::ConfigError;

pub use self::{
    access::Access,
    algorithm::{
        Algorithm, FixedWindow, Gcra, LeakyBucket, Pacing, SlidingLog, SlidingWindow, TokenBucket,
    },
    body::MeteredBody,
    decision::{Decision, Verdict},
    direct::{DirectRateLimiter, DirectRateLimiterBuilder},
    event::Event,
    future::ResponseFuture,
    layer::{RateLimitLayer, RateLimitLayerBuilder},
    limit::Limit,
    limiter::{RateLimiter, RateLimiterBuilder},
    meter::{CountBytes, Meter},
    permit::Permit,
    policy::{OnMissingKey, Policy},
    quota::{IntoQuota, Quota, QuotaBuilder},
    refuse::{AsError, AsResponse, Error, Refusal, Refuse, SettleByResult},
    refused::Refused,
    service::RateLimit,
    standing::Standing,
    store::{Overflow, Store},
};
