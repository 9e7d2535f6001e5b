//! A circuit breaker around two clients: hyper's, in an axum service (see `main.rs`), and tonic's.

pub mod grpc;
