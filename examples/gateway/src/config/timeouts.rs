use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, de};

use super::Violation;
use crate::path::Prefix;

/// How long things may take; each a number with its unit: `"30s"`, `"500ms"`, `"1m 30s"`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a connection to an upstream may take to come about: the look-up of its name, TCP and TLS together. Nothing is
    /// sent before, so a request of any method may then go to another upstream.
    #[serde(deserialize_with = "duration")]
    pub connect: Duration,
    /// How long an upstream may let a request wait for its answer's headers, once the last of the request
    /// is sent; connecting counts. It holds for each attempt. A 504 when it is over and no other upstream
    /// may be asked.
    #[serde(deserialize_with = "duration")]
    pub response: Duration,
    /// How long a client may send nothing in the middle of its request's body: then it is answered 408. While its answer comes
    /// it may, since a stream of both directions may have nothing to say in one of them. And how long a client may take nothing
    /// of what there is of its answer: then its connection is closed, or in HTTP/2 its stream.
    pub client_idle: Idle,
    /// How long an upstream may say nothing in the middle of its answer, and both sides of a tunnel: then it is cut.
    pub upstream_idle: Idle,
    /// How long what is in flight may take to finish after Ctrl-C or SIGTERM, before it is cut.
    #[serde(deserialize_with = "duration")]
    pub shutdown: Duration,
    /// Other ones, at and below a path.
    pub routes: Vec<RouteTimeouts>,
}

/// How long things may take at and below a path. What is left out is the upstream's own, or that of all.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with a `path`")]
#[non_exhaustive]
pub struct RouteTimeouts {
    /// The first segments of the path; of several that fit, the longest holds, and it alone.
    pub path: String,
    /// Another [`Timeouts::response`].
    #[serde(default, deserialize_with = "some_duration")]
    pub response: Option<Duration>,
    /// Another [`Timeouts::client_idle`], as far as it is about the request's body.
    #[serde(default)]
    pub client_idle: Option<Idle>,
    /// Another [`Timeouts::upstream_idle`].
    #[serde(default)]
    pub upstream_idle: Option<Idle>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(30),
            client_idle: Idle::After(Duration::from_secs(60)),
            upstream_idle: Idle::After(Duration::from_secs(300)),
            shutdown: Duration::from_secs(30),
            routes: Vec::new(),
        }
    }
}

impl Timeouts {
    /// Whether each of the paths can be one, and stands there once.
    pub(super) fn check(&self) -> Result<(), Violation> {
        for (index, route) in self.routes.iter().enumerate() {
            let wrong = |reason| Violation::new(format!("timeouts.routes[{index}].path"), reason);
            let path = &route.path;
            if Prefix::of(path).is_none() {
                let expected = "expected a path such as \"/chat.Chat\", decoded and without a slash at its end";
                return Err(wrong(format!("`{path}` given, {expected}")));
            }
            let mut before = self.routes.iter().take(index);
            if before.any(|other| other.path == *path) {
                return Err(wrong(format!(
                    "`{path}` given twice, expected each path once"
                )));
            }
        }
        Ok(())
    }
}

/// How long something may stand still: a time, or `"off"` for as long as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idle {
    /// For so long.
    After(Duration),
    /// For ever.
    Off,
}

impl Idle {
    /// The time, if there is one.
    #[must_use]
    pub const fn bound(self) -> Option<Duration> {
        match self {
            Self::After(bound) => Some(bound),
            Self::Off => None,
        }
    }
}

impl<'de> Deserialize<'de> for Idle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text {
            expected: "a duration such as \"30s\" or \"500ms\", or \"off\"",
            read: |text| match text {
                "off" => Ok(Self::Off),
                text => parsed(text).map(Self::After),
            },
        })
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Text {
        expected: "a duration such as \"30s\" or \"500ms\"",
        read: parsed,
    })
}

/// A text that says something else.
struct Text<T> {
    expected: &'static str,
    read: fn(&str) -> Result<T, String>,
}

impl<T> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).map_err(E::custom)
    }
}

/// Longer is mistyped, and more than some clocks can add to the present.
const LONGEST: Duration = Duration::from_secs(100 * 31_557_600);

fn parsed(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("`0` given, expected more than nothing".to_owned()),
        Ok(duration) if duration > LONGEST => {
            Err(format!("`{text}` given, expected at most 100 years"))
        }
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!(
            "`{text}` is no duration such as \"30s\" or \"500ms\": {error}"
        )),
    }
}

/// One that may be left out.
pub(super) fn some_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}
