use std::{sync::Arc, time::Duration};

use buttress_core::{ConfigError, Digest, MissingKey, Observer, Tick};

use crate::{Decision, Event, Limit, Quota, signals::Signals};

/// Somebody's observer, and what it is told beside the decisions themselves.
pub(crate) struct Watcher {
    observer: Arc<dyn for<'a> Observer<Event<'a>>>,
    signals: Option<Signals>,
}

impl Watcher {
    pub(crate) fn build(
        observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
        near_limit: &[u8],
        max_keys: usize,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(observer) = observer else {
            return Ok(None);
        };
        let signals = Signals::build(near_limit, max_keys)?;
        Ok(Some(Self { observer, signals }))
    }

    /// Whether it need not be told whose key was decided on.
    pub(crate) const fn hears_decisions_alone(&self) -> bool {
        self.signals.is_none()
    }

    /// A limit has decided, for somebody who hears decisions alone.
    pub(crate) fn heard(&self, limit: &Limit, cost: u64, decision: &Decision) {
        self.observer
            .observe(&Event::decided(limit, cost, decision));
    }

    /// A limit has decided, and perhaps its key comes near the limit by that.
    pub(crate) fn decided(
        &self,
        at: Tick,
        limit: &Limit,
        key: Digest,
        quota: &Quota,
        cost: u64,
        decision: &Decision,
    ) {
        self.heard(limit, cost, decision);
        if let Some(signals) = &self.signals
            && decision.is_admitted()
            && let Some(percent) = signals.crossed(at, limit.ordinal(), key, quota, decision)
        {
            let limit = limit.name();
            self.observer.observe(&Event::NearLimit {
                limit,
                percent,
                decision,
            });
        }
    }

    /// A limit in shadow mode has decided.
    pub(crate) fn shadowed(&self, limit: &Limit, cost: u64, decision: &Decision) {
        self.observer
            .observe(&Event::shadowed(limit, cost, decision));
    }

    /// A request that was admitted waits for its turn.
    pub(crate) fn queued(&self, limit: &Limit, wait: Duration) {
        let limit = limit.name();
        self.observer.observe(&Event::Queued { limit, wait });
    }

    /// It waits no more.
    pub(crate) fn dequeued(&self, limit: &Limit) {
        let limit = limit.name();
        self.observer.observe(&Event::Dequeued { limit });
    }

    /// A quota was resolved for a request that the limit's algorithm cannot keep.
    #[cold]
    pub(crate) fn unsupported_quota(&self, limit: &Limit, error: &ConfigError) {
        let limit = limit.name();
        self.observer
            .observe(&Event::UnsupportedQuota { limit, error });
    }

    /// A request was denied.
    #[cold]
    pub(crate) fn denied(&self) {
        self.observer.observe(&Event::Denied);
    }

    pub(crate) fn missing_key(&self, limit: &Limit, missing: &MissingKey) {
        let (limit, why) = (limit.name(), missing.why());
        self.observer.observe(&Event::MissingKey { limit, why });
    }
}
