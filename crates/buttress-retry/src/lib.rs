#![doc = include_str!("../README.md")]
// Labels what stands behind a feature; on docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backoff;
mod budget;
mod builder;
mod decide;
mod error;
mod event;
mod flavor;
mod future;
#[cfg(feature = "hyper")]
mod hyper_errors;
mod judgment;
mod layer;
mod parks;
mod policy;
mod progress;
mod replay;
mod report;
mod retry_body;
mod service;
mod settings;
mod shared;
mod sync;
pub mod telemetry;

pub use buttress_core::ConfigError;

#[cfg(feature = "hyper")]
pub use self::hyper_errors::{BoxedHyperErrors, HyperErrors};
pub use self::{
    backoff::{Backoff, Exponential, Jitter},
    budget::{Budget, BudgetRule, RatioBudget},
    builder::RetryBuilder,
    decide::RetryDecision,
    error::Error,
    event::{CallKind, Event, Happening},
    flavor::{
        AnyError, ClassifyError, Flavor, Http, KeyForm, OneUpstream, Outgoing, RequestTimeout,
        Typed, UpstreamAndCredential,
    },
    future::ResponseFuture,
    judgment::Judgment,
    layer::{LayerFor, RetryLayer},
    policy::{Alone, Call, RetryPolicy},
    replay::{Buffered, Cloned, Kept, Replay, ReplayBody, ReplayError},
    report::{Attempt, Ended, Report},
    retry_body::RetryBody,
    service::Retry,
};
