use buttress_core::{Key, Tick};

use super::RateLimiter;
use crate::{Quota, store};

/// A place in the queue, given back if it is dropped while it still has a key.
pub(super) struct Place<'a, K: Key + ?Sized> {
    pub(super) limiter: &'a RateLimiter,
    pub(super) charged: Charged,
    pub(super) key: Option<&'a K>,
}

/// How something was charged.
pub(super) struct Charged {
    pub(super) quota: Quota,
    /// Of the quota.
    pub(super) revision: u64,
    pub(super) at: Tick,
    /// Where, if that is known.
    pub(super) place: Option<store::Place>,
}

impl<K: Key + ?Sized> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let shared = &*self.limiter.shared;
        if let Some(watcher) = &shared.watcher {
            watcher.dequeued(&shared.limit);
        }
        if let Some(key) = self.key {
            shared.give_back(key, &self.charged, 1);
        }
    }
}
