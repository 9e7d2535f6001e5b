//! The handle, from outside. No sockets, and no time but the one that the tests move.

mod configuration;
mod handle;
mod keyed;
mod observing;
#[path = "../scenario/mod.rs"]
mod scenario;
mod scenarios;

use buttress_circuit_breaker::Trip;

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
