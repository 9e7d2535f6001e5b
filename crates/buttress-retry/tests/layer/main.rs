//! The layer, from outside: scripted upstreams, tokio's paused clock, no sockets.

mod balance;
mod bodies;
mod budget;
mod configuration;
mod crowd;
mod deadlines;
mod grpc;
mod http;
mod parks;
mod readiness;
mod safety;
mod support;
mod telling;
mod typed;
