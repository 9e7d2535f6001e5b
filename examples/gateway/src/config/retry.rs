use std::time::Duration;

use buttress_core::ConfigError;
use buttress_retry::{Budget, Exponential, LayerFor, RetryBuilder, RetryLayer};
use serde::{Deserialize, Deserializer};

use super::{Violation, number::whole, reason, timeouts};

/// How often, when and where to a request is sent again whose attempt failed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct RetryConfig {
    /// How often it is sent at most, the first time included; 1 to 100.
    #[serde(deserialize_with = "count")]
    pub attempts: u32,
    /// How long to wait before the first retry at most; twice as long each further time, with full jitter.
    #[serde(deserialize_with = "timeouts::duration")]
    pub backoff: Duration,
    /// How long to wait at most.
    #[serde(deserialize_with = "timeouts::duration")]
    pub max_backoff: Duration,
    /// How long a request may wait here for an upstream to be ready, at most.
    #[serde(deserialize_with = "timeouts::duration")]
    pub max_wait: Duration,
    /// Which share of all calls may be sent again.
    pub budget: f64,
    /// How many may be a second, in any case.
    #[serde(deserialize_with = "count")]
    pub budget_per_second: u32,
    /// How many bytes of a body are remembered, to send it again.
    #[serde(deserialize_with = "max_body")]
    pub max_body: usize,
    /// Whether a request of any method is sent elsewhere that was refused as one too many.
    pub throttled: bool,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(25),
            max_backoff: Duration::from_millis(250),
            max_wait: Duration::from_secs(1),
            budget: 0.2,
            budget_per_second: 10,
            max_body: 65_536,
            throttled: false,
        }
    }
}

impl RetryConfig {
    /// A layer that is still to be told what answers mean, observed and built.
    pub(crate) fn layer(&self) -> RetryBuilder<LayerFor<buttress_retry::Http>> {
        RetryLayer::http()
            .max_attempts(self.attempts)
            .backoff(Exponential::starting_at(self.backoff).cap(self.max_backoff))
            .max_wait(self.max_wait)
            .throttled_wait(self.max_wait.min(Duration::from_secs(1)))
            // Upstreams are parked by their circuits, each by itself.
            .max_parks(0)
    }

    /// What all calls may spend on retries.
    pub(crate) fn budget(&self) -> Result<Budget, Violation> {
        Budget::ratio(self.budget)
            .per_second(self.budget_per_second)
            .build()
            .map_err(|error| violation(&error))
    }

    /// Whether that can be built.
    pub(super) fn check(&self) -> Result<(), Violation> {
        let layer = self.layer().budget(self.budget()?).build();
        layer.map(drop).map_err(|error| violation(&error))
    }
}

/// A body is kept for each request in flight.
const MOST_BYTES: usize = 16 << 20;

fn max_body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    whole(deserializer, 0..=MOST_BYTES, " bytes")
}

/// The layer knows how many it may be.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    whole(deserializer, 0..=u32::MAX, "")
}

/// The layer's word about one of its fields, as the word about the file's.
pub(crate) fn violation(error: &ConfigError) -> Violation {
    let field = match error.field() {
        "max_attempts" => "attempts",
        "base" => "backoff",
        "cap" => "max_backoff",
        "ratio" => "budget",
        "per_second" => "budget_per_second",
        field => field,
    };
    Violation::new(format!("retry.{field}"), reason(error))
}
