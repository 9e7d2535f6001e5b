//! The layer, from outside: HTTP, gRPC and typed refusals, readiness, shared state, bodies. No sockets, and
//! no time but the one that the tests move.

mod bodies;
mod fallback;
mod grpc;
mod http;
mod keyed;
mod readiness;
#[path = "../scenario/mod.rs"]
mod scenario;
mod scenarios;
mod sharing;
mod support;
mod typed;

use buttress_circuit_breaker::Trip;
