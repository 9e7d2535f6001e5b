use buttress_http::FieldStyle;
use buttress_rate_limit::Quota;
use serde::{Deserialize, Deserializer, de};

use super::{Violation, reason};

/// What is limited.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// What each client may ask for.
    pub per_ip: PerIpConfig,
}

/// What each client may ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PerIpConfig {
    /// How much, as `"100/min burst 20"`; see [`quota`](Self::quota).
    pub quota: Option<Quota>,
    /// How many clients are remembered, in 32 bytes each; at most ten million.
    #[serde(deserialize_with = "max_keys")]
    pub max_keys: usize,
    /// The shape of the fields that tell clients what is left.
    pub fields: Fields,
}

/// The layer takes its memory at once, so a number that was mistyped must not take the machine's.
const MOST_KEYS: usize = 10_000_000;

/// The shape of the fields that tell clients what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub enum Fields {
    /// `RateLimit-Policy` and `RateLimit`, as of draft-ietf-httpapi-ratelimit-headers-11.
    #[serde(rename = "draft-11")]
    Draft11,
    /// One dictionary, as of draft 07.
    #[serde(rename = "draft-07")]
    Draft07,
    /// Three fields of one number each, as of draft 03.
    #[serde(rename = "draft-03")]
    Draft03,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    #[serde(rename = "x-rate-limit")]
    XRateLimit,
    /// None of them; a refusal still has `Retry-After`.
    #[serde(rename = "none")]
    None,
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

impl Default for PerIpConfig {
    fn default() -> Self {
        Self {
            quota: None,
            max_keys: 100_000,
            fields: Fields::Draft11,
        }
    }
}

impl Fields {
    /// As the layer wants it.
    #[must_use]
    pub const fn style(self) -> FieldStyle {
        match self {
            Self::Draft11 => FieldStyle::Draft11,
            Self::Draft07 => FieldStyle::Draft07,
            Self::Draft03 => FieldStyle::Draft03,
            Self::XRateLimit => FieldStyle::XRateLimit,
            Self::None => FieldStyle::None,
        }
    }
}

fn max_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let max_keys = usize::deserialize(deserializer)?;
    if (1..=MOST_KEYS).contains(&max_keys) {
        Ok(max_keys)
    } else {
        Err(de::Error::custom(format_args!(
            "`{max_keys}` given, expected 1 to {MOST_KEYS}, of 32 bytes each"
        )))
    }
}
