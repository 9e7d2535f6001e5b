//! A transparent caching reverse proxy.
//!
//! Requests go to one upstream, method, path and fields untouched, and whatever RFC 9111 allows is answered
//! from memory. Nothing is added that the upstream did not say: no lifetime, no retry.
//!
//! | file | holds |
//! |---|---|
//! | `cli.rs` | the command line |
//! | `proxy.rs` | connections, and the cache around the way to the upstream |
//! | `upstream.rs` | the way to the upstream: a pool that retries nothing |
//! | `bad_gateway.rs` | what a client gets when the upstream is broken |
//!
//! What every proxy has to do, with fields that are for one hop and with interim responses, is in `examples/intermediary`.

mod bad_gateway;
mod cli;
mod proxy;
mod upstream;

pub use self::{
    cli::{Cli, UpstreamUrl},
    proxy::CacheProxy,
};
