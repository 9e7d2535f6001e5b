use buttress_rate_limit::Quota;
use serde::Deserialize;

/// What may be asked of the paths at and below one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct RouteConfig {
    /// The first segments of the path, as `/v1/completions`; of several that fit, the longest holds.
    pub path: String,
    /// How much, for each of those that are told apart.
    pub quota: Quota,
    /// Who is told apart.
    #[serde(default)]
    pub by: Who,
    /// Whether it is only tried out: counted and reported, and never in the way.
    #[serde(default)]
    pub shadow: bool,
}

/// Who has a quota each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Who {
    /// Every client.
    #[default]
    Ip,
    /// Every API key; a request without one counts for its client.
    Key,
    /// Nobody: it is one for all.
    All,
}
