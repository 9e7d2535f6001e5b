use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Event, store::Usage};

/// What a cache has done since it was made, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests that were answered from the store, and nothing was sent.
    pub hits: u64,
    /// Of these, those whose answer was stale.
    pub stale_hits: u64,
    /// Requests that were sent on, validations in the background among them.
    pub forwarded: u64,
    /// Requests that were answered by the fetch that another had caused.
    pub collapsed: u64,
    /// What is stored was validated by a 304.
    pub validated: u64,
    /// The origin failed, and something stale was served.
    pub stale_on_failure: u64,
    /// Responses that were stored.
    pub stored: u64,
    /// Targets whose stored responses were invalidated.
    pub invalidated: u64,
    /// Fetches that others can take part in now.
    pub under_way: usize,
    /// What the store holds.
    pub usage: Usage,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    hits: AtomicU64,
    stale_hits: AtomicU64,
    forwarded: AtomicU64,
    collapsed: AtomicU64,
    validated: AtomicU64,
    stale_on_failure: AtomicU64,
    stored: AtomicU64,
    invalidated: AtomicU64,
}

impl Counts {
    #[inline]
    pub(crate) fn count(&self, event: &Event<'_>) {
        let count = match event {
            Event::Hit { stale, .. } => {
                if *stale {
                    self.stale_hits.fetch_add(1, Ordering::Relaxed);
                }
                &self.hits
            }
            Event::Forwarded { .. } => &self.forwarded,
            Event::Collapsed => &self.collapsed,
            Event::Validated => &self.validated,
            Event::StaleOnFailure { .. } => &self.stale_on_failure,
            Event::Stored { .. } => &self.stored,
            Event::Invalidated => &self.invalidated,
            Event::NotCollapsed
            | Event::HitForMiss
            | Event::GatewayTimeout
            | Event::NotStored { .. }
            | Event::Suspected
            | Event::StoreFailed { .. } => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, under_way: usize, usage: Usage) -> Stats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            hits: of(&self.hits),
            stale_hits: of(&self.stale_hits),
            forwarded: of(&self.forwarded),
            collapsed: of(&self.collapsed),
            validated: of(&self.validated),
            stale_on_failure: of(&self.stale_on_failure),
            stored: of(&self.stored),
            invalidated: of(&self.invalidated),
            under_way,
            usage,
        }
    }
}
