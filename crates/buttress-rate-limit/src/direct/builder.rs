use std::{fmt, sync::Arc};

use buttress_core::ConfigError;

use super::{DirectRateLimiter, Shared};
use crate::{
    Limit, Overflow, Quota,
    algorithm::Kind,
    surroundings::{Surroundings, setters},
    sync::{AtomicU64, Mutex},
};

/// A [`DirectRateLimiter`] in the making.
#[must_use = "call `build` to get the limiter"]
pub struct DirectRateLimiterBuilder {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    surroundings: Surroundings,
}

impl DirectRateLimiterBuilder {
    pub(super) fn of(quota: Result<Quota, ConfigError>) -> Self {
        Self {
            name: "default".into(),
            quota,
            surroundings: Surroundings::default(),
        }
    }

    /// The name under which the limiter is reported; `default` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    setters!(clock, observer, near_limit);

    /// The limiter.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed, or a threshold is none.
    pub fn build(self) -> Result<DirectRateLimiter, ConfigError> {
        let clock = self.surroundings.clock();
        let (kind, overflow) = (Kind::default(), Overflow::default());
        let limit = Limit::build(self.name, 0, self.quota?, kind, overflow, clock.clone())?;
        Ok(DirectRateLimiter {
            shared: Arc::new(Shared {
                limit,
                clock,
                state: AtomicU64::new(0),
                changing: Mutex::new(()),
                watcher: self.surroundings.watcher(1)?,
            }),
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
