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
//! | `interim.rs` | interim responses, which go before the one answer of a service |
//! | `hop_by_hop.rs` | the fields that are for one hop only |
//! | `bad_gateway.rs` | what a client gets when the upstream is broken |

mod bad_gateway;
mod cli;
mod hop_by_hop;
mod interim;
mod proxy;
mod upstream;

pub use self::{
    cli::{Cli, UpstreamUrl},
    proxy::CacheProxy,
};
