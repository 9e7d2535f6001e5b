use buttress_core::Tick;

use crate::limit::Tag;

/// Under which quota the states of a table are read and written at a time.
///
/// A limit's quota may change. Its states stay as they were written, each with the [`Tag`] of the quota that it
/// was written under, and are carried over one by one when they are next asked for.
pub(crate) trait Era {
    /// What states are tagged with that are written now.
    fn tag(&self) -> Tag;

    /// From when on a state of this tag can be forgotten without loss.
    fn forget_at(&self, state: u64) -> Tick;

    /// Later than this hardly one is forgotten that was written by this clock.
    fn furthest(&self, now: Tick) -> u64;

    /// Whether one that is forgotten later than that was written before the clock stepped back, and can be forgotten now.
    fn is_of_another_time(&self, state: u64, now: Tick) -> bool;

    /// A state of another tag as one of this; `None` where the other is the later one.
    fn carried_over(&self, state: u64, tag: Tag) -> Option<u64>;
}

/// The only era of a table whose states always mean the same: until when something holds.
pub(crate) struct Always;

impl Era for Always {
    #[inline]
    fn tag(&self) -> Tag {
        0
    }

    #[inline]
    fn forget_at(&self, state: u64) -> Tick {
        Tick::from_nanos(state)
    }

    fn furthest(&self, _: Tick) -> u64 {
        u64::MAX
    }

    fn is_of_another_time(&self, _: u64, _: Tick) -> bool {
        false
    }

    fn carried_over(&self, state: u64, _: Tag) -> Option<u64> {
        Some(state)
    }
}
