use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, LayerFor};
use buttress_circuit_breaker::{CircuitBreakerBuilder, OnThrottled, OpenFor, RateTrip, Trip};
use buttress_core::ConfigError;
use serde::{Deserialize, Deserializer};

use super::{Violation, number::whole, reason, timeouts};

/// When an upstream is no longer called, and for how long. Each has a circuit of its own.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// The calls of so long a time count.
    #[serde(deserialize_with = "timeouts::duration")]
    pub window: Duration,
    /// It opens when this share of them failed: more than 0.0, at most 1.0.
    pub failure_rate: f64,
    /// It does not open before there were so many of them.
    #[serde(deserialize_with = "count")]
    pub minimum_calls: u32,
    /// It opens, too, when `slow_rate` of them took so long to answer.
    #[serde(deserialize_with = "timeouts::some_duration")]
    pub slow_after: Option<Duration>,
    /// That share: more than 0.0, at most 1.0.
    pub slow_rate: f64,
    /// How long it stays open the first time; twice as long each further time, with jitter.
    #[serde(deserialize_with = "timeouts::duration")]
    pub open_for: Duration,
    /// How long it stays open at most.
    #[serde(deserialize_with = "timeouts::duration")]
    pub max_open_for: Duration,
    /// How many calls then try whether the upstream is well.
    #[serde(deserialize_with = "count")]
    pub probes: u32,
    /// How long each of them may take to answer, before it has failed; see [`probe_deadline`](Self::probe_deadline()).
    #[serde(deserialize_with = "timeouts::some_duration")]
    pub probe_deadline: Option<Duration>,
    /// Whom it is about when an upstream says "too many".
    pub throttled: Throttled,
}

/// Whom it is about when an upstream answers 429, or 503 with `Retry-After`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Throttled {
    /// All callers: it is left alone until then.
    #[default]
    All,
    /// The one who is answered so. To others it says nothing.
    Caller,
}

/// No upstream is given up that soon, for each of its calls may have to wait for its client, too.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(10);

/// Who waits for an answer for longer knows nothing of how its upstream is.
const LONGEST_DEADLINE: Duration = Duration::from_secs(86_400);

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            failure_rate: 0.5,
            minimum_calls: 10,
            slow_after: None,
            slow_rate: 0.5,
            open_for: Duration::from_secs(1),
            max_open_for: Duration::from_secs(60),
            probes: 3,
            probe_deadline: None,
            throttled: Throttled::default(),
        }
    }
}

impl CircuitBreakerConfig {
    /// How long a probe may take, of an upstream that has so long for a `response`. If it is not given it is no less than that,
    /// or an upstream that may take its time would stay behind an open circuit for ever.
    #[must_use]
    pub fn probe_deadline(&self, response: Duration) -> Duration {
        let usual = response.clamp(SHORTEST_DEADLINE, LONGEST_DEADLINE);
        self.probe_deadline.unwrap_or(usual)
    }

    /// A layer that is still to be named, observed and built.
    pub(crate) fn layer(
        &self,
        response: Duration,
    ) -> CircuitBreakerBuilder<LayerFor<buttress_http::Head, buttress_circuit_breaker::Http>> {
        CircuitBreakerLayer::http(self.trip())
            .open_for(self.open())
            .probes(self.probes)
            .probe_deadline(self.probe_deadline(response))
            .on_throttled(match self.throttled {
                Throttled::All => OnThrottled::Park,
                Throttled::Caller => OnThrottled::Ignore,
            })
    }

    /// Whether that can be built.
    pub(super) fn check(&self) -> Result<(), Violation> {
        let built = CircuitBreaker::on(self.trip())
            .open_for(self.open())
            .probes(self.probes)
            .probe_deadline(self.probe_deadline(SHORTEST_DEADLINE))
            .build();
        built.map(drop).map_err(|error| violation(&error))
    }

    fn trip(&self) -> Trip {
        let trip: RateTrip = Trip::over_time(self.window)
            .failure_rate(self.failure_rate)
            .minimum_calls(self.minimum_calls);
        match self.slow_after {
            Some(slow_after) => trip.slow_call_rate(self.slow_rate, slow_after).into(),
            None => trip.into(),
        }
    }

    fn open(&self) -> OpenFor {
        OpenFor::growing(self.open_for, self.max_open_for)
    }
}

/// The layer knows how many it may be.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    whole(deserializer, 0..=u32::MAX, "")
}

/// The layer's word about one of its fields, as the word about the file's.
pub(crate) fn violation(error: &ConfigError) -> Violation {
    let field = match error.field() {
        "slow_call_rate" => "slow_rate",
        "window" | "over_time" => "window",
        field => field,
    };
    Violation::new(format!("circuit_breaker.{field}"), reason(error))
}
