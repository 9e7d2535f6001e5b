//! The configuration file: TOML, read strictly.
//!
//! Every key is known or it is an error, and every error names file, line, field and reason:
//! `gateway.toml:7: limits.per_ip.quota: ...`. What [`parse`] accepts can be built: it builds limits,
//! caches, retries and circuits itself, without their memory. Files and addresses that are named in it are
//! looked at when the gateway starts.
//!
//! A layer is there where its table is: a file without `[limits]`, `[cache]`, `[retry]` and `[circuit_breaker]` makes
//! a plain reverse proxy, which pays for none of them.
//!
//! `gateway.toml` beside this crate's manifest shows every key with its default.

mod address;
mod admin;
mod cache;
mod call_log;
mod circuit_breaker;
mod client_ip;
mod connections;
mod error;
mod errors;
mod limits;
mod locate;
mod network;
mod number;
mod retry;
mod timeouts;
mod upstream_url;
mod upstreams;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use serde::Deserialize;

pub use self::{
    admin::AdminConfig,
    cache::{CacheConfig, CacheRouteConfig, SharedBy},
    call_log::CallLogConfig,
    circuit_breaker::{CircuitBreakerConfig, Throttled},
    client_ip::{ClientIpConfig, Source},
    error::{ConfigFileError, Violation},
    errors::ErrorsConfig,
    limits::{
        Fields, GlobalConfig, KeySource, LimitsConfig, MissingKey, PerIpConfig, PerKeyConfig,
        Preflight, RouteConfig, Secret, TierConfig, UnknownKey, Who,
    },
    network::Network,
    retry::RetryConfig,
    timeouts::{Idle, RouteTimeouts, Timeouts},
    upstream_url::{InvalidUpstreamUrl, UnresolvedTarget, UpstreamUrl},
    upstreams::UpstreamConfig,
};
pub(crate) use self::{
    cache::violation as cache_violation, circuit_breaker::violation as breaker_violation,
    error::reason, retry::violation as retry_violation,
};

/// Everything that can be configured. The default is that of a gateway without a file, which has layers to be looked at;
/// a file has those that stand in it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    #[serde(deserialize_with = "address::address")]
    pub listen: SocketAddr,
    /// How many connections there may be, in all: 1 to a million. Those beyond wait until one ends.
    #[serde(deserialize_with = "connections::count")]
    pub connections: usize,
    /// How many of them may be of one client's address: those beyond are closed. Nothing to proxies that are believed, nor
    /// to clients in [`limits.allow`](LimitsConfig::allow).
    #[serde(deserialize_with = "connections::count")]
    pub connections_per_client: usize,
    /// The upstream, if there is one only; see [`upstreams`](Self::upstreams()).
    pub upstream: Option<UpstreamUrl>,
    /// The upstreams, in order of preference.
    #[serde(deserialize_with = "upstreams::some")]
    pub upstreams: Vec<UpstreamConfig>,
    /// Whose request it is.
    pub client_ip: ClientIpConfig,
    /// What is limited.
    #[serde(default)]
    pub limits: LimitsConfig,
    /// What is answered from a cache.
    pub cache: CacheConfig,
    /// When a request is sent again; without it each is sent once, whatever comes of it.
    #[serde(default)]
    pub retry: Option<RetryConfig>,
    /// When an upstream is no longer called; without it all are called at all times, and in their order.
    #[serde(default)]
    pub circuit_breaker: Option<CircuitBreakerConfig>,
    /// How the gateway's own errors read.
    pub errors: ErrorsConfig,
    /// Where operators look.
    pub admin: AdminConfig,
    /// Where calls are written down, if they are.
    pub call_log: Option<CallLogConfig>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            connections: 10_000,
            connections_per_client: 1_000,
            upstream: None,
            upstreams: Vec::new(),
            client_ip: ClientIpConfig::default(),
            limits: LimitsConfig {
                per_ip: Some(PerIpConfig::default()),
                ..LimitsConfig::default()
            },
            cache: CacheConfig::default(),
            retry: Some(RetryConfig::default()),
            circuit_breaker: Some(CircuitBreakerConfig::default()),
            errors: ErrorsConfig::default(),
            admin: AdminConfig::default(),
            call_log: None,
            timeouts: Timeouts::default(),
        }
    }
}

impl Config {
    /// The upstreams, in order of preference; none where the built-in one is to be started.
    #[must_use]
    pub fn upstreams(&self) -> Vec<UpstreamConfig> {
        let only = self.upstream.clone().map(UpstreamConfig::from);
        self.upstreams.iter().cloned().chain(only).collect()
    }

    /// Whether it can be built.
    ///
    /// # Errors
    ///
    /// Where a value cannot be meant, or values contradict each other.
    pub fn check(&self) -> Result<(), Violation> {
        if self.upstream.is_some() && !self.upstreams.is_empty() {
            let reason = "is given beside `upstreams`, expected one of them";
            return Err(Violation::new("upstream", reason));
        }
        if self.admin.enabled && self.admin.listen == self.listen && self.listen.port() != 0 {
            let reason = "is `listen`, expected another address: there is no password before it";
            return Err(Violation::new("admin.listen", reason));
        }
        upstreams::check(&self.upstreams)?;
        self.cache.check(self.limits.per_key.is_some())?;
        self.retry.as_ref().map_or(Ok(()), RetryConfig::check)?;
        let circuit_breaker = self.circuit_breaker.as_ref();
        circuit_breaker.map_or(Ok(()), CircuitBreakerConfig::check)?;
        self.errors.check()?;
        self.timeouts.check()?;
        crate::limits::check(self)
    }
}

/// Reads and checks the file at `path`.
///
/// # Errors
///
/// Where the file cannot be read, and where [`parse`] refuses what is in it.
pub fn load(path: &Path) -> Result<Config, ConfigFileError> {
    let text = fs::read_to_string(path)
        .map_err(|error| ConfigFileError::of_file(path, format!("cannot be read: {error}")))?;
    parse(&text, path)
}

/// Where in the file at `path` that stands which turned out wrong when it was looked at further: the files and
/// addresses that are named in it, and what cannot change while the gateway runs.
#[must_use]
pub fn located(violation: &Violation, path: &Path) -> ConfigFileError {
    // What is gone by now has no lines.
    let text = fs::read_to_string(path).unwrap_or_default();
    ConfigFileError::of_violation(path, &text, violation.clone())
}

/// Reads and checks `text`; `file_name` is what its errors call it.
///
/// # Errors
///
/// Where it is not TOML, has an unknown key or a value that cannot be meant, or where values
/// contradict each other.
pub fn parse(text: &str, file_name: &Path) -> Result<Config, ConfigFileError> {
    let config: Config =
        toml::from_str(text).map_err(|error| ConfigFileError::of_toml(file_name, text, &error))?;
    config
        .check()
        .map_err(|violation| ConfigFileError::of_violation(file_name, text, violation))?;
    Ok(config)
}
