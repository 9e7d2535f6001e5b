use std::time::Duration;

use buttress_core::Tick;

use super::shared::Shared;
use crate::Quota;

/// A place in the queue, given back if it is dropped before its turn has come.
pub(super) struct Place<'a> {
    shared: &'a Shared,
    /// Under which it was charged, and the revision of that.
    quota: (Quota, u64),
    /// When.
    at: Tick,
    waits: bool,
}

impl<'a> Place<'a> {
    pub(super) fn taken(shared: &'a Shared, quota: (Quota, u64), at: Tick, wait: Duration) -> Self {
        if let Some(watcher) = shared.watcher() {
            watcher.queued(shared.limit(), wait);
        }
        Self {
            shared,
            quota,
            at,
            waits: true,
        }
    }

    /// Its turn has come.
    pub(super) fn leave(mut self) {
        self.waits = false;
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(watcher) = self.shared.watcher() {
            watcher.dequeued(self.shared.limit());
        }
        if self.waits {
            self.shared.settle(self.at, self.quota, -1);
        }
    }
}
