use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::{Idle, UpstreamUrl, Violation, timeouts};

/// One of the upstreams, which stand in order of preference.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with a `url`")]
#[non_exhaustive]
pub struct UpstreamConfig {
    /// Where it is.
    pub url: UpstreamUrl,
    /// What it is called in the log, the metrics and the state; host and port where none is given.
    #[serde(default)]
    pub name: Option<String>,
    /// Whether it is spoken to in HTTP/2 without being asked first (h2c with prior knowledge), as gRPC
    /// needs it.
    #[serde(default)]
    pub http2: bool,
    /// A file of certificates, in PEM, that are trusted to tell who an `https://` upstream is; those of the system
    /// where none is given.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// `timeouts.response` of this one.
    #[serde(default, deserialize_with = "timeouts::some_duration")]
    pub response: Option<Duration>,
    /// `timeouts.upstream_idle` of this one.
    #[serde(default)]
    pub idle: Option<Idle>,
}

impl From<UpstreamUrl> for UpstreamConfig {
    fn from(url: UpstreamUrl) -> Self {
        Self {
            url,
            name: None,
            http2: false,
            ca: None,
            response: None,
            idle: None,
        }
    }
}

impl UpstreamConfig {
    /// The name, given or not.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None => self.url.authority().as_str(),
        }
    }
}

/// A list with nothing in it is a mistake of whatever wrote the file: it would start the built-in one.
pub(super) fn some<'de, D>(deserializer: D) -> Result<Vec<UpstreamConfig>, D::Error>
where
    D: Deserializer<'de>,
{
    let upstreams = Vec::deserialize(deserializer)?;
    if upstreams.is_empty() {
        return Err(de::Error::custom("`[]` given, expected at least one"));
    }
    Ok(upstreams)
}

/// Which of several upstreams a call has been to is kept in the bits of one word.
const MOST: usize = 32;

/// Whether there are not too many of them, and each has a name of its own.
pub(super) fn check(upstreams: &[UpstreamConfig]) -> Result<(), Violation> {
    if upstreams.len() > MOST {
        let reason = format!("{} given, expected at most {MOST}", upstreams.len());
        return Err(Violation::new("upstreams", reason));
    }
    for (index, upstream) in upstreams.iter().enumerate() {
        if upstream.ca.is_some() && !upstream.url.is_tls() {
            let reason = "means nothing for an upstream at `http://`";
            return Err(Violation::new(format!("upstreams[{index}].ca"), reason));
        }
        let name = upstream.name();
        let wrong = |reason| Err(Violation::new(format!("upstreams[{index}].name"), reason));
        if name.is_empty() || name.contains(char::is_control) {
            return wrong("expected a name of visible characters".to_owned());
        }
        if upstreams[..index].iter().any(|other| other.name() == name) {
            return wrong(format!("`{name}` given twice, expected each name once"));
        }
    }
    Ok(())
}
