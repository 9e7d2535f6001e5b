use std::{fmt, sync::Arc};

use buttress_core::{Clock, ConfigError, Observer, clock::AnyClock};

use super::{DirectRateLimiter, Shared};
use crate::{
    Event, Limit, Overflow, Quota,
    algorithm::Kind,
    signals::DEFAULT_THRESHOLDS,
    sync::{AtomicU64, Mutex},
    watcher::Watcher,
};

/// A [`DirectRateLimiter`] in the making.
#[must_use = "call `build` to get the limiter"]
pub struct DirectRateLimiterBuilder {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    clock: Option<AnyClock>,
    observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
    near_limit: Vec<u8>,
}

impl DirectRateLimiterBuilder {
    pub(super) fn of(quota: Result<Quota, ConfigError>) -> Self {
        Self {
            name: "default".into(),
            quota,
            clock: None,
            observer: None,
            near_limit: DEFAULT_THRESHOLDS.to_vec(),
        }
    }

    /// The name under which the limiter is reported; `default` if not given.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    /// The clock; [`TokioClock`](buttress_core::clock::TokioClock) if not given, which follows tokio's paused time.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(AnyClock::of(clock));
        self
    }

    /// Who hears of every decision.
    pub fn observer(mut self, observer: impl for<'a> Observer<Event<'a>>) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// At which percentages of its quota the limiter is [near its limit](Event::NearLimit), of which the
    /// observer is told; 50, 70 and 90 if not given, and none if given none.
    pub fn near_limit(mut self, percent: impl IntoIterator<Item = u8>) -> Self {
        self.near_limit = percent.into_iter().collect();
        self
    }

    /// The limiter.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed, or a threshold is none.
    pub fn build(self) -> Result<DirectRateLimiter, ConfigError> {
        let clock = self.clock.unwrap_or_default();
        let (kind, overflow) = (Kind::default(), Overflow::default());
        let limit = Limit::build(self.name, 0, self.quota?, kind, overflow, clock.clone())?;
        Ok(DirectRateLimiter {
            shared: Arc::new(Shared {
                limit,
                clock,
                state: AtomicU64::new(0),
                changing: Mutex::new(()),
                watcher: Watcher::build(self.observer, &self.near_limit, 1)?,
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
