use buttress_core::{Key, Tick};

use super::RateLimiter;
use crate::Quota;

/// A place in the queue, given back if it is dropped while it still has a key.
pub(super) struct Place<'a, K: Key + ?Sized> {
    pub(super) limiter: &'a RateLimiter,
    /// Under which it was charged, and the revision of that.
    pub(super) quota: (Quota, u64),
    /// When.
    pub(super) at: Tick,
    pub(super) key: Option<&'a K>,
}

impl<K: Key + ?Sized> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let shared = &*self.limiter.shared;
        if let Some(watcher) = &shared.watcher {
            watcher.dequeued(&shared.limit);
        }
        if let Some(key) = self.key {
            shared.give_back(self.at, key, self.quota, 1);
        }
    }
}
