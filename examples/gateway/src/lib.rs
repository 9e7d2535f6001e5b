//! A reverse proxy that limits by client IP, API key and route: Buttress as a whole program.
//!
//! A request's way: `serve.rs` accepts the connection (HTTP/1.1 or h2c), the limits refuse or let through,
//! `proxy.rs` forwards over a pooled connection, `upgrade.rs` over one of its own where the request asks for a
//! tunnel. Bodies stream both ways; nothing is collected.
//!
//! | file | holds |
//! |---|---|
//! | `cli.rs`, `config.rs`, `config/` | what the operator wants: flags over file over defaults |
//! | `gateway.rs` | the whole, put together |
//! | `serve.rs`, `shutdown.rs`, `signals.rs` | connections, and how they end |
//! | `limits.rs`, `limits/` | the configuration as a layer of `buttress-rate-limit` |
//! | `proxy.rs`, `upload.rs`, `failure.rs` | one request there and one answer back |
//! | `upgrade.rs` | Upgrade and CONNECT |
//! | `hop_by_hop.rs`, `forwarded.rs`, `via.rs` | the fields that a proxy takes away and adds |
//! | `upstream.rs`, `demo_upstream.rs` | the way to the upstream; the built-in one |

pub mod cli;
pub mod config;
pub mod limits;

mod demo_upstream;
mod failure;
mod forwarded;
mod gateway;
mod hop_by_hop;
mod proxy;
mod serve;
mod shutdown;
mod signals;
mod upgrade;
mod upload;
mod upstream;
mod via;

pub use self::{
    config::{Config, ConfigFileError},
    gateway::{Gateway, StartError},
    shutdown::Shutdown,
    signals::close_on_signal,
};
