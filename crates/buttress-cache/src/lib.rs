#![doc = include_str!("../README.md")]
// Labels what stands behind a feature; on docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod after;
mod asked;
mod body;
mod body_error;
mod budget;
mod builder;
mod cache;
mod decide;
mod digest_hasher;
mod entry;
mod epochs;
mod event;
mod fetch;
mod flight;
mod flights;
mod follow;
mod future;
mod hit_for_miss;
mod keeping;
mod key;
mod layer;
mod leader;
mod news;
mod pump;
pub mod rfc9111;
mod service;
mod settings;
mod shared;
mod stats;
pub mod store;
mod storing;
mod sync;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub mod telemetry;
mod upstream;

pub use buttress_core::ConfigError;

pub use self::{
    body::CacheBody,
    body_error::BodyError,
    builder::CacheLayerBuilder,
    cache::Cache,
    event::{Event, NotStored},
    future::ResponseFuture,
    layer::CacheLayer,
    service::CacheService,
    settings::OnDisconnect,
    stats::Stats,
    store::Store,
};
