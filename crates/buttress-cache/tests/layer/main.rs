//! The layer over an origin that does what each test says.

mod absurd;
mod bodies;
mod bypassing;
mod cancelling;
mod cancelling_everywhere;
mod collapsing;
mod completing;
mod configuration;
mod handle;
mod hit_for_miss;
mod invalidating;
mod memory;
mod racing;
mod readiness;
mod remote_store;
mod slow_readers;
mod streaming;
mod support;
mod suspecting;
mod validating;
mod vectors;
