use std::{sync::Arc, time::Duration};

use buttress_core::{Clock as _, Digest, Observer, Tick, clock::AnyClock};

use crate::{Event, Happening, Trip, machine::Terms};

/// What happens when an upstream says "too many" (429, 503 with `Retry-After`,
/// [and the like](buttress_http::HttpClassifier)): it is well, and asked to be left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnThrottled {
    /// Nobody calls it until the time that it told; the call counts neither as success nor as failure. A
    /// 429 that does not tell a time parks for the lower one of the
    /// [bounds](crate::CircuitBreakerBuilder::retry_after_bounds).
    #[default]
    Park,
    /// It counts as a failure. A circuit that opens stays open for as long as the upstream told, at least.
    Fail,
    /// It counts as a success: the upstream answered.
    Succeed,
    /// It says nothing.
    Ignore,
}

/// What a call says whose end nobody waited for: its future was dropped, as a timeout further out or a
/// client that went away does, or its task panicked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnDrop {
    /// Nothing; a probe's permit goes to another call.
    #[default]
    Ignore,
    /// It counts as a failure. Choose this where a timeout stands *outside* of the breaker.
    Fail,
}

/// What all circuits of a breaker have in common.
pub(crate) struct Settings {
    pub(crate) name: Arc<str>,
    pub(crate) trip: Trip,
    pub(crate) terms: Terms,
    pub(crate) slow_after: Option<Duration>,
    /// Whether the rule asks when a call ended.
    pub(crate) rule_reads_the_clock: bool,
    pub(crate) on_throttled: OnThrottled,
    pub(crate) on_drop: OnDrop,
    pub(crate) retry_after_bounds: (Duration, Duration),
    pub(crate) clock: AnyClock,
    pub(crate) observer: Option<Arc<dyn for<'a> Observer<Event<'a>>>>,
}

impl Settings {
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What the upstream asked for, within bounds.
    pub(crate) fn wait(&self, retry_after: Option<Duration>) -> Duration {
        let (least, most) = self.retry_after_bounds;
        retry_after.unwrap_or(least).max(least).min(most)
    }

    #[inline]
    pub(crate) fn observe(
        &self,
        key: impl FnOnce() -> Option<Digest>,
        happening: impl FnOnce() -> Happening,
    ) {
        if let Some(observer) = &self.observer {
            tell(&**observer, &self.name, key(), happening());
        }
    }
}

#[cold]
fn tell(
    observer: &dyn for<'a> Observer<Event<'a>>,
    name: &str,
    key: Option<Digest>,
    happening: Happening,
) {
    observer.observe(&Event {
        name,
        key,
        happening,
    });
}
