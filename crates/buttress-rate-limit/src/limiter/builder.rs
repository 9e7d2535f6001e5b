use std::{fmt, sync::Arc};

use buttress_core::ConfigError;

use super::{RateLimiter, Shared};
use crate::{
    Algorithm, Limit, Overflow, Quota,
    algorithm::Kind,
    room::DEFAULT_MAX_KEYS,
    store::MemoryStore,
    surroundings::{Surroundings, setters},
};

/// A [`RateLimiter`] in the making.
#[must_use = "call `build` to get the limiter"]
pub struct RateLimiterBuilder {
    name: Arc<str>,
    quota: Result<Quota, ConfigError>,
    kind: Kind,
    max_keys: usize,
    overflow: Overflow,
    surroundings: Surroundings,
}

impl RateLimiterBuilder {
    pub(super) fn of(quota: Result<Quota, ConfigError>) -> Self {
        Self {
            name: "default".into(),
            quota,
            kind: Kind::default(),
            max_keys: DEFAULT_MAX_KEYS,
            overflow: Overflow::default(),
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

    /// For how many keys at once there is room, in 32 bytes each; 100,000 if not given. Keys whose quota
    /// is full again need none. An algorithm whose states are of more than one word makes that
    /// `16 × (words + 1)` bytes each, and a [`SlidingWindow`](crate::SlidingWindow) or a
    /// [`SlidingLog`](crate::SlidingLog) `16 × (words + 2)`.
    pub fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// What happens to keys beyond that; [`Overflow::Share`] if not given.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    setters!(clock, timer, digest_key, observer, near_limit);

    /// The limiter.
    ///
    /// # Errors
    ///
    /// Where the quota cannot be expressed, or there is room for no key.
    pub fn build(self) -> Result<RateLimiter, ConfigError> {
        let clock = self.surroundings.clock();
        let (kind, overflow) = (self.kind, self.overflow);
        let limit = Limit::build(self.name, 0, self.quota?, kind, overflow, clock.clone())?;
        let limit = Arc::new(limit);
        let store = MemoryStore::with_room_for(std::slice::from_ref(&limit), self.max_keys)?;
        Ok(RateLimiter {
            shared: Arc::new(Shared {
                limit,
                store,
                clock,
                timer: self.surroundings.timer(),
                secret: self.surroundings.secret(),
                watcher: self.surroundings.watcher(self.max_keys)?,
            }),
        })
    }
}

impl fmt::Debug for RateLimiterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiterBuilder")
            .field("name", &self.name)
            .field("quota", &self.quota)
            .finish_non_exhaustive()
    }
}
