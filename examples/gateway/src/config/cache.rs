use std::time::Duration;

use buttress_cache::{CacheLayer, CacheLayerBuilder};
use buttress_core::ConfigError;
use serde::{Deserialize, Deserializer};

use super::{Violation, number::whole, reason, timeouts};
use crate::path::Prefix;

/// What is answered from a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct CacheConfig {
    /// Where; nowhere else.
    pub routes: Vec<CacheRouteConfig>,
}

/// A cache for the paths at and below one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct CacheRouteConfig {
    /// The first segments of the path; of several that fit, the longest holds.
    pub path: String,
    /// Who shares what is stored.
    #[serde(default)]
    pub by: SharedBy,
    /// How many bytes it may take.
    #[serde(default = "capacity", deserialize_with = "some_capacity")]
    pub capacity: usize,
    /// For how long what is stale is served while it is validated in the background, where it does not say so
    /// itself.
    #[serde(default, deserialize_with = "timeouts::some_duration")]
    pub stale_while_revalidate: Option<Duration>,
    /// For how long what is stale is served where the upstreams fail, where it does not say so itself.
    #[serde(default, deserialize_with = "timeouts::some_duration")]
    pub stale_if_error: Option<Duration>,
}

/// Who shares what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SharedBy {
    /// Everybody: a shared cache, which stores nothing that is meant for one alone.
    #[default]
    All,
    /// Who has the same API key: a private cache for each. Requests without a key pass.
    Key,
}

const fn capacity() -> usize {
    64 << 20
}

/// The tables are made at once, so a number that was mistyped must not take the machine's memory: a mebibyte to 64
/// gibibytes.
const CAPACITIES: std::ops::RangeInclusive<usize> = 1 << 20..=64 << 30;

fn some_capacity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer, CAPACITIES, " bytes")
}

impl CacheRouteConfig {
    /// A layer that is still to be partitioned, observed and built.
    pub(crate) fn layer(&self) -> CacheLayerBuilder {
        self.with_room_for(self.capacity)
    }

    fn with_room_for(&self, bytes: usize) -> CacheLayerBuilder {
        let layer = match self.by {
            SharedBy::All => CacheLayer::shared(),
            SharedBy::Key => CacheLayer::private(),
        };
        layer
            .name("buttress-gateway")
            .capacity(bytes)
            .stale_while_revalidate(self.stale_while_revalidate.unwrap_or_default())
            .stale_if_error(self.stale_if_error.unwrap_or_default())
    }
}

impl CacheConfig {
    /// Whether it can be built; `has_keys` where it is known how API keys are found.
    pub(super) fn check(&self, has_keys: bool) -> Result<(), Violation> {
        for (index, route) in self.routes.iter().enumerate() {
            let wrong = |field: &str, reason: String| {
                Err(Violation::new(
                    format!("cache.routes[{index}].{field}"),
                    reason,
                ))
            };
            let path = &route.path;
            if Prefix::of(path).is_none() {
                let expected = "expected a path such as \"/v1/models\", decoded and without a slash at its end";
                return wrong("path", format!("`{path}` given, {expected}"));
            }
            if self
                .routes
                .iter()
                .take(index)
                .any(|other| other.path == *path)
            {
                return wrong(
                    "path",
                    format!("`{path}` given twice, expected each path once"),
                );
            }
            if route.by == SharedBy::Key && !has_keys {
                let expected = "expected `[limits.per_key]` too, which says where the key is";
                return wrong("by", expected.to_owned());
            }
            // Without its memory.
            route
                .with_room_for(*CAPACITIES.start())
                .build()
                .map_err(|error| violation(index, &error))?;
        }
        Ok(())
    }
}

/// The layer's word about one of its fields, as the word about the file's.
pub(crate) fn violation(index: usize, error: &ConfigError) -> Violation {
    let field = match error.field() {
        "largest_entry" => "capacity",
        field => field,
    };
    Violation::new(format!("cache.routes[{index}].{field}"), reason(error))
}
