//! A reverse proxy that limits, fails over and breaks circuits: Buttress as a whole program.
//!
//! A request's way: `serve.rs` accepts the connection (HTTP/1.1 or h2c) and hands each request to what is in
//! force (`reload.rs`), a stack of layers (`stack.rs`) that refuse it or let it through to `proxy.rs`, which
//! forwards it to the first upstream that may be called (`upstreams/`). Bodies stream both ways; nothing is
//! collected. What was decided on the way stands in the record of the call (`call/`).
//!
//! | file | holds |
//! |---|---|
//! | `cli.rs`, `config.rs`, `config/` | what the operator wants: flags over file over defaults |
//! | `gateway.rs` | the whole, put together |
//! | `serve.rs`, `connections.rs`, `connections/`, `descriptors.rs`, `shutdown.rs`, `signals.rs` | connections, how many there may be, and how they end |
//! | `patience.rs`, `idle.rs`, `impatient.rs`, `streams.rs` | how long anybody may stand still |
//! | `lingering.rs` | clients that still send when they are answered |
//! | `reload.rs`, `stack.rs`, `shared.rs` | what is in force: the layers, stacked |
//! | `well_formed.rs`, `host.rs` | which requests are any at all |
//! | `limits.rs`, `limits/` | the configuration as layers of `buttress-rate-limit` |
//! | `keys.rs`, `preflight.rs` | API keys and their tiers, and who comes without one |
//! | `upstreams.rs`, `upstreams/` | the upstreams in order of preference, their circuits; Upgrade and CONNECT |
//! | `cache.rs` | a cache for each route that has one |
//! | `retry.rs` | which attempts are repeated, and where |
//! | `proxy.rs`, `answer.rs` | one request there and one answer back |
//! | `forwarded.rs`, `via.rs`, `cookie.rs` | the fields that a proxy adds and joins |
//! | `max_forwards.rs` | requests that are to go no further |
//! | `failure.rs`, `refusal.rs`, `speak.rs`, `cors.rs` | the gateway's own errors, as the caller speaks, and which pages read them |
//! | `call.rs`, `call/`, `call_log.rs`, `call_log/` | the record of a call, and the file of them |
//! | `telemetry.rs`, `admin.rs`, `admin/` | what is counted, and where operators read it |
//! | `demo_upstream.rs` | the built-in upstream |
//!
//! What every proxy has to do, with fields that are for one hop and with interim responses, is in `examples/intermediary`.

pub mod cli;
pub mod config;
pub mod descriptors;
pub mod limits;

mod admin;
mod answer;
mod body;
mod cache;
mod call;
mod call_log;
mod connections;
mod cookie;
mod cors;
mod demo_upstream;
mod failure;
mod forwarded;
mod gateway;
mod host;
mod idle;
mod impatient;
mod keys;
mod lingering;
mod max_forwards;
mod path;
mod patience;
mod preflight;
mod proxy;
mod refusal;
mod reload;
mod retry;
mod serve;
mod shared;
mod shutdown;
mod signals;
mod speak;
mod stack;
mod streams;
mod telemetry;
mod upstreams;
mod via;
mod well_formed;

pub use self::{
    admin::{InstallError, Metrics},
    config::{Config, ConfigFileError},
    gateway::{Gateway, StartError},
    reload::InForce,
    shutdown::Shutdown,
    signals::{close_on_signal, reload_on_signal},
};
