//! The configuration file: TOML, read strictly.
//!
//! Every key is known or it is an error, and every error names file, line, field and reason:
//! `gateway.toml:7: limits.per_ip.quota: ...`. What [`parse`] accepts can be built: it builds
//! the limits themselves as its last check.
//!
//! `gateway.toml` beside this crate's manifest shows every key with its default.

mod client_ip;
mod error;
mod limits;
mod locate;
mod network;
mod timeouts;
mod upstream_url;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use serde::Deserialize;

pub(crate) use self::error::reason;
pub use self::{
    client_ip::{ClientIpConfig, Source},
    error::{ConfigFileError, Violation},
    limits::{
        Fields, GlobalConfig, KeySource, LimitsConfig, MissingKey, PerIpConfig, PerKeyConfig,
        RouteConfig, Secret, TierConfig, Who,
    },
    network::Network,
    timeouts::Timeouts,
    upstream_url::{InvalidUpstreamUrl, UpstreamUrl},
};
use crate::limits::check;

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The upstream; where there is none, the built-in one is started.
    pub upstream: Option<UpstreamUrl>,
    /// Whose request it is.
    pub client_ip: ClientIpConfig,
    /// What is limited.
    pub limits: LimitsConfig,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            upstream: None,
            client_ip: ClientIpConfig::default(),
            limits: LimitsConfig::default(),
            timeouts: Timeouts::default(),
        }
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

/// Reads and checks `text`; `file_name` is what its errors call it.
///
/// # Errors
///
/// Where it is not TOML, has an unknown key or a value that cannot be meant, or where values
/// contradict each other.
pub fn parse(text: &str, file_name: &Path) -> Result<Config, ConfigFileError> {
    let config: Config =
        toml::from_str(text).map_err(|error| ConfigFileError::of_toml(file_name, text, &error))?;
    check(&config)
        .map_err(|violation| ConfigFileError::of_violation(file_name, text, violation))?;
    Ok(config)
}
