use std::time::Duration;

use buttress_core::Tick;

use super::{Algorithm, Gcra};
use crate::{Decision, Quota};

/// A bucket that requests fill and that leaks at a constant rate: what does not fit is refused.
///
/// The quota in its words: the bucket holds a [`burst`](Quota::burst), and one request leaks out every
/// [`interval`](Quota::interval). What differs is what becomes of those that fit: [as a
/// meter](Self::as_meter) they pass at once, [as a queue](Self::as_queue) each waits for its turn.
///
/// # The most it admits
///
/// In any window of length W, of requests of cost 1:
///
/// | | at most |
/// |---|---|
/// | admitted, as a meter or as a queue | `burst + ⌊W / interval⌋` |
/// | passed on by the queue, each after its delay | `1 + ⌊W / interval⌋`, and one for each place given back |
///
/// A place that is given back while others wait behind it is the next arrival's, who then takes a turn beside the last of
/// those: they keep theirs.
///
/// # Debt and clocks
///
/// Those of [`Gcra`], whose state it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeakyBucket {
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Meter,
    Queue,
}

impl LeakyBucket {
    /// What fits passes at once.
    ///
    /// These are the decisions of [`Gcra`], to the nanosecond: the two are one algorithm in two
    /// vocabularies (ITU-T I.371 defines it in both).
    #[must_use]
    pub const fn as_meter() -> Self {
        Self { form: Form::Meter }
    }

    /// What fits is admitted, but has to wait until what came before has leaked out:
    /// [`Decision::delay`] says for how long. So a constant rate comes out of whatever arrives.
    ///
    /// The bucket's size bounds the delay: nobody waits for longer than
    /// [`longest_delay`](Self::longest_delay), `(burst - 1) × interval`. Two seconds at most at ten a
    /// second are `Quota::per_second(10).burst(21)`.
    #[must_use]
    pub const fn as_queue() -> Self {
        Self { form: Form::Queue }
    }

    /// The longest that a request waits for its turn in the queue.
    #[must_use]
    pub const fn longest_delay(quota: &Quota) -> Duration {
        quota.refill_time().saturating_sub(quota.interval())
    }

    pub(super) fn is_gcra(&self) -> bool {
        self.form == Form::Meter
    }

    /// For how many nanoseconds a request waits that finds the bucket in this state.
    #[inline]
    fn delay(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> u64 {
        if self.form == Form::Meter || cost == 0 {
            return 0;
        }
        Gcra::used(quota, state.first().copied().unwrap_or(0), now)
    }
}

impl Algorithm for LeakyBucket {
    fn words(&self) -> usize {
        1
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let decision = Algorithm::check(&Gcra, quota, state, now, cost);
        decision.delayed_by_nanos(self.delay(quota, state, now, cost))
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        Algorithm::charge(&Gcra, quota, state, now, cost);
    }

    #[inline]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let delay = self.delay(quota, state, now, cost);
        Gcra.take(quota, state, now, cost).delayed_by_nanos(delay)
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        Algorithm::forget_at(&Gcra, quota, state)
    }

    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        Gcra.carry_over(from, to, state, at);
    }
}

#[cfg(test)]
mod tests;
