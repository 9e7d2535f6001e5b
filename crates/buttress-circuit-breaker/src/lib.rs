#![doc = include_str!("../README.md")]
// Labels what stands behind a feature; on docs.rs, whose compiler is a nightly one.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "metrics", feature = "tracing"))]
pub mod telemetry;

mod body;
mod breaker;
mod breakers;
mod builder;
mod circuit;
mod event;
mod flavor;
mod future;
mod layer;
mod machine;
mod open_for;
mod permit;
mod refused;
mod service;
mod settings;
mod shared;
mod snapshot;
mod state;
mod sync;
mod table;
mod transitions;
mod trip;

pub use buttress_core::{ConfigError, Outcome};

pub use self::{
    body::GuardedBody,
    breaker::CircuitBreaker,
    breakers::CircuitBreakers,
    builder::{CircuitBreakerBuilder, PerKey, Single},
    event::{CallKind, Event, Happening},
    flavor::{ByResult, Flavor, Http, Instead, OrCall, Typed, Waited},
    future::ResponseFuture,
    layer::{CircuitBreakerLayer, LayerFor},
    open_for::OpenFor,
    permit::{OwnedPermit, Permit},
    refused::{Error, Refused},
    service::CircuitBreakerService,
    settings::{OnDrop, OnThrottled},
    snapshot::Snapshot,
    state::{Reason, State, Transition},
    transitions::Transitions,
    trip::{Call, RateTrip, Trip, TripRule},
};
