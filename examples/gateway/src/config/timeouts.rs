use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// How long things may take; each a number with its unit: `"30s"`, `"500ms"`, `"1m 30s"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct Timeouts {
    /// How long an upstream may let a request wait for its answer's headers, once the last of the request
    /// is sent; connecting counts. It holds for each attempt. A 504 when it is over and no other upstream
    /// may be asked.
    #[serde(deserialize_with = "duration")]
    pub response: Duration,
    /// How long what is in flight may take to finish after Ctrl-C or SIGTERM, before it is cut.
    #[serde(deserialize_with = "duration")]
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            response: Duration::from_secs(30),
            shutdown: Duration::from_secs(30),
        }
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(Duration::ZERO) => Err(de::Error::custom("`0` given, expected more than nothing")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(de::Error::custom(format_args!(
            "`{text}` is no duration such as \"30s\" or \"500ms\": {error}"
        ))),
    }
}

/// One that may be left out.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
