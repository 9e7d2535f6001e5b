//! The layer, from outside: HTTP and typed refusals, readiness, shared state, several policies, remote
//! stores. No sockets, and no time but the one that the tests move.

mod access;
mod alike;
mod configuration;
mod cost;
mod crowded;
mod fields;
#[cfg(feature = "governor")]
mod governors;
mod grpc;
mod http;
mod live_change;
mod looked_up;
mod metering;
mod observing;
mod own_algorithm;
mod permits;
mod policies;
mod quotas;
mod readiness;
mod remote_store;
mod settling;
mod shadow;
mod sharing;
mod support;
mod timers;
mod typed;
mod waiting;
