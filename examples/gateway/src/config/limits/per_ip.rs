use buttress_rate_limit::Quota;
use serde::Deserialize;

use super::{Fields, Violation};
use crate::config::reason;

/// What each client may ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct PerIpConfig {
    /// How much, as `"100/min burst 20"`; see [`quota`](Self::quota()).
    pub quota: Option<Quota>,
    /// Whether it is only tried out: counted and reported, and never in the way.
    pub shadow: bool,
    /// Another place for `limits.max_keys`.
    #[serde(deserialize_with = "super::max_keys")]
    pub max_keys: Option<usize>,
    /// Another place for `limits.fields`.
    pub fields: Option<Fields>,
}

impl PerIpConfig {
    /// The quota; 5 a second with a burst of 10 where none is given, which a newcomer with `curl` meets at
    /// once.
    ///
    /// # Errors
    ///
    /// Never for the values above; the signature is that of every quota.
    pub fn quota(&self) -> Result<Quota, Violation> {
        match self.quota {
            Some(quota) => Ok(quota),
            None => Quota::per_second(5)
                .burst(10)
                .build()
                .map_err(|error| Violation::new("limits.per_ip.quota", reason(&error))),
        }
    }
}
