use buttress_rate_limit::Quota;
use serde::Deserialize;

/// What all clients together may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct GlobalConfig {
    /// How much.
    pub quota: Quota,
    /// Whether it is only tried out: counted and reported, and never in the way.
    #[serde(default)]
    pub shadow: bool,
}
