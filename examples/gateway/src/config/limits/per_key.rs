use std::{collections::BTreeMap, fmt};

use buttress_rate_limit::Quota;
use serde::{Deserialize, Deserializer, de};

/// What each API key may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct PerKeyConfig {
    /// Where the key stands.
    #[serde(default)]
    pub key: KeySource,
    /// How much, for a key of no tier.
    pub quota: Quota,
    /// What happens to a request without a key.
    #[serde(default)]
    pub missing: MissingKey,
    /// What happens to a request with a key that is of no tier.
    #[serde(default)]
    pub unknown: UnknownKey,
    /// Whether it is only tried out: counted and reported, and never in the way.
    #[serde(default)]
    pub shadow: bool,
    /// Keys that may ask for more, or for less, by the name of their tier.
    #[serde(default)]
    pub tiers: BTreeMap<String, TierConfig>,
}

/// Where the API key stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeySource {
    /// The token of `Authorization: Bearer`.
    #[default]
    Bearer,
    /// A header of its own, such as `X-Api-Key`.
    Header(String),
}

/// What happens to a request without an API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MissingKey {
    /// It is refused with 401.
    Refuse,
    /// All such requests share one quota.
    Share,
    /// The other limits hold for it, and not this one.
    #[default]
    Exempt,
}

/// What happens to a request with a key that is of no tier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UnknownKey {
    /// The key has the quota of all such keys, each; whether it is good is the upstream's affair.
    #[default]
    Limit,
    /// It is refused with 401.
    Refuse,
}

/// API keys that have a quota of their own, each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct TierConfig {
    /// How much, for each of the keys.
    pub quota: Quota,
    /// The keys.
    #[serde(deserialize_with = "secrets")]
    pub keys: Vec<Secret>,
}

/// Text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What is not to be shown.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// serde's own errors quote what they found in place of a list of texts, and that is a key most likely.
fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    let keys = Vec::<String>::deserialize(deserializer)
        .map_err(|_| de::Error::custom("expected a list of keys, each in quotation marks"))?;
    Ok(keys.into_iter().map(Secret).collect())
}
