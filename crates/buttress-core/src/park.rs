use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::Tick;

/// "Not before T": what an upstream said when it answered 429, or 503 with `Retry-After`.
///
/// A parked upstream is not broken: it told when to come back, so nobody who shares the park calls it
/// before. Of several words the latest counts; the passing of time, or [`clear`](Self::clear), lifts it.
///
/// One atomic word, no lock: reading it costs a load.
#[derive(Debug, Default)]
pub struct Park {
    /// Nanoseconds of the tick until which it is parked; 0 where it never was.
    until: AtomicU64,
}

impl Park {
    /// A park that nobody is in.
    #[must_use]
    pub const fn free() -> Self {
        Self {
            until: AtomicU64::new(0),
        }
    }

    /// Parks until `until`, unless it is already parked for longer. Tells whether the word was news.
    pub fn park(&self, until: Tick) -> bool {
        self.until.fetch_max(until.as_nanos(), Ordering::AcqRel) < until.as_nanos()
    }

    /// The time left at `now`; `None` where calls may go.
    #[must_use]
    #[inline]
    pub fn time_left(&self, now: Tick) -> Option<Duration> {
        let until = self.until.load(Ordering::Acquire);
        (until > now.as_nanos()).then(|| Duration::from_nanos(until - now.as_nanos()))
    }

    /// Lifts it by hand.
    pub fn clear(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Tick = Tick::from_nanos(1_000);

    #[test]
    fn time_lifts_it() {
        let park = Park::free();
        assert_eq!(park.time_left(Tick::ZERO), None);
        assert!(park.park(NOW));
        assert_eq!(
            park.time_left(Tick::from_nanos(999)),
            Some(Duration::from_nanos(1))
        );
        assert_eq!(park.time_left(NOW), None);
    }

    #[test]
    fn the_later_word_counts() {
        let park = Park::free();
        assert!(park.park(NOW));
        assert!(
            !park.park(Tick::from_nanos(500)),
            "an earlier word is no news"
        );
        assert_eq!(
            park.time_left(Tick::ZERO),
            Some(Duration::from_nanos(1_000))
        );
    }

    #[test]
    fn a_hand_lifts_it() {
        let park = Park::free();
        park.park(Tick::MAX);
        park.clear();
        assert_eq!(park.time_left(NOW), None);
    }
}
