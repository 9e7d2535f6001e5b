//! The order on a client. Time is tokio's, and paused: what is waited for takes none.

mod cache;
mod circuit_breaker;
mod pacing;
mod retry;
mod support;
