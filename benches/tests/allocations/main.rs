//! What is allocated where nothing goes wrong, and an upper bound where something has to be said.

mod cache;
mod circuit_breaker;
mod counter;
mod rate_limit;
mod retry;
mod service;
