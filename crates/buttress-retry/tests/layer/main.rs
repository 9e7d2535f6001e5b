//! The layer, from outside: scripted upstreams, tokio's paused clock, no sockets.

mod balance;
mod bodies;
mod budget;
mod cloned;
mod configuration;
mod crowd;
mod deadlines;
mod grpc;
mod http;
mod looking;
mod parks;
mod readiness;
mod replay_cap;
mod response_bodies;
mod safety;
mod superseded;
mod support;
mod telling;
mod typed;
