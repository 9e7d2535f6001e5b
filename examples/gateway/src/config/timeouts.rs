use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// How long things may take; each a number with its unit: `"30s"`, `"500ms"`, `"1m 30s"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long the upstream may let a request wait for its answer's headers, once the last of the request
    /// is sent; connecting counts. A 504 when it is over.
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

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(Duration::ZERO) => Err(de::Error::custom("`0` given, expected more than nothing")),
        Ok(duration) => Ok(duration),
        Err(error) => Err(de::Error::custom(format_args!(
            "`{text}` is no duration such as \"30s\" or \"500ms\": {error}"
        ))),
    }
}
