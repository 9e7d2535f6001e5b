use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::address::address;

/// Where operators look: metrics and state. There is no password before it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct AdminConfig {
    /// Whether it is there at all.
    pub enabled: bool,
    /// Its address, which is another one than that for clients; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        }
    }
}
