#![doc = include_str!("../README.md")]

mod breaker;
mod builder;
mod circuit;
mod event;
mod machine;
mod open_for;
mod permit;
mod refused;
mod settings;
mod shared;
mod snapshot;
mod state;
mod sync;
mod transitions;
mod trip;

pub use buttress_core::{ConfigError, Outcome};

pub use self::{
    breaker::CircuitBreaker,
    builder::CircuitBreakerBuilder,
    event::{CallKind, Event, Happening},
    open_for::OpenFor,
    permit::{OwnedPermit, Permit},
    refused::{Error, Refused},
    settings::{OnDrop, OnThrottled},
    snapshot::Snapshot,
    state::{Reason, State, Transition},
    transitions::Transitions,
    trip::{Call, RateTrip, Trip, TripRule},
};
