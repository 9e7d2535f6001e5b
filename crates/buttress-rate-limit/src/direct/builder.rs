use std::{fmt, sync::Arc};

use buttress_core::ConfigError;

use super::{DirectRateLimiter, Shared};
use crate::{
    Algorithm, Limit, Overflow, Quota,
    algorithm::Kind,
    surroundings::{Surroundings, setters},
};

/// A [`DirectRateLimiter`] in the making.
#[must_use = "call `build` to get the limiter"]
pub struct DirectRateLimiterBuilder {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    kind: Kind,
    surroundings: Surroundings,
}

impl DirectRateLimiterBuilder {
    pub(super) fn of(quota: Result<Quota, ConfigError>) -> Self {
        Self {
            name: "default".into(),
            quota,
            kind: Kind::default(),
            surroundings: Surroundings::default(),
        }
    }

    /// The name under which the limiter is reported; `default` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// How the quota is spent and comes back; [`Gcra`](crate::Gcra) if not given.
    pub fn algorithm(mut self, algorithm: impl Algorithm) -> Self {
        self.kind = Kind::of(algorithm);
        self
    }

    setters!(clock, timer, observer, near_limit);

    /// The limiter.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed, or is none that the algorithm supports, or a threshold is none.
    pub fn build(self) -> Result<DirectRateLimiter, ConfigError> {
        let (clock, timer) = (self.surroundings.clock(), self.surroundings.timer());
        let (quota, overflow) = (self.quota?, Overflow::default());
        let limit = Limit::build(self.name, 0, quota, self.kind, overflow, clock.clone())?;
        let watcher = self.surroundings.watcher(1)?;
        Ok(DirectRateLimiter {
            shared: Arc::new(Shared::new(limit, clock, timer, watcher)),
        })
    }
}

impl fmt::Debug for DirectRateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectRateLimiterBuilder")
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
