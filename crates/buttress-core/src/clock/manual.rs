use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Clock, Tick};

/// A clock that stands still until it is told otherwise. Clones share their time.
///
/// ```
/// use std::time::Duration;
/// use buttress_core::clock::{Clock, ManualClock, Tick};
///
/// let clock = ManualClock::at(Tick::ZERO);
/// clock.advance(Duration::from_secs(2));
/// assert_eq!(clock.now().as_nanos(), 2_000_000_000);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that stands at `tick`.
    #[must_use]
    pub fn at(tick: Tick) -> Self {
        let clock = Self::default();
        clock.set(tick);
        clock
    }

    /// Moves on by `span`, at most to [`Tick::MAX`].
    pub fn advance(&self, span: Duration) {
        self.set(self.now().saturating_add(span));
    }

    /// Moves to `tick`, which may lie in the past: a clock that steps back.
    pub fn set(&self, tick: Tick) {
        self.nanos.store(tick.as_nanos(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Tick {
        Tick::from_nanos(self.nanos.load(Ordering::SeqCst))
    }
}
