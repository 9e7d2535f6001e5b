mod counters;
mod summary;

use buttress_core::{ConfigError, Tick};

use self::counters::{Counters, give_back, grow_older, newest};
pub(crate) use self::{counters::Addition, summary::Packing};
use super::{Algorithm, SKEW, carry, window::burst_is_the_count};
use crate::{Decision, Quota};

/// The most sub-windows that a period may be divided into: a decision looks at all of them.
const MOST_SUB_WINDOWS: usize = 60;

/// Counters over the last period, which is divided into sub-windows.
///
/// A request is admitted if it and what was admitted in the current sub-window and in as many before as
/// make up a period stay within the limit. The oldest of them lies only partly within the last period,
/// and is counted whole.
///
/// That makes it strict. The better known counter weighs the oldest by the part that still lies within
/// the period, as though what it counted had been spread evenly; against a caller who does not spread it
/// evenly, that admits nearly twice the limit (199 of 100 in one window). This one admits the limit, and
/// never more; what it takes for that is time: what was used comes back not after one period but at most
/// one sub-window later. Of callers who keep sending, it admits at least `k / (k + 1)` of the limit, `k`
/// being the number of sub-windows. [`SlidingLog`](super::SlidingLog) has no such loss, for more memory.
///
/// The quota's `count` is the limit; a `burst` other than the count is an error when the limiter is
/// built.
///
/// # The most it admits
///
/// In any window of length W at most `count × (1 + ⌊W / period⌋)` requests of cost 1: in any window
/// shorter than the period at most the count, wherever it begins.
///
/// # Debt and clocks
///
/// [`charge`](Algorithm::charge) may drive a key into debt, at most of one more count. What is given back
/// goes to the sub-window in which it was charged, and is lost with it. After a clock stepped back,
/// however far, requests are admitted again within three periods and a minute.
///
/// State: `k + 3` words. The start of the newest sub-window in nanoseconds, and one; then what was used in
/// all of them, and in each, from the newest to the oldest, as the time in which the quota gives back
/// as much. So a state says the same of a quota whose count has changed: half of it is used. As long as a sub-window
/// lasts, a decision reads no more than the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindow {
    sub_windows: usize,
}

impl SlidingWindow {
    /// The period is divided into `sub_windows` of the same length, 1 to 60: ten are a good choice. More
    /// of them give back sooner and take more memory. Any other number is an error when the limiter is built.
    #[must_use]
    pub const fn of_sub_windows(sub_windows: usize) -> Self {
        Self { sub_windows }
    }

    /// How many sub-windows a window covers: those of a period, and the one that has begun.
    const fn covered(self) -> usize {
        self.sub_windows.saturating_add(1)
    }

    /// Nanoseconds of a sub-window, rounded up: together they are never shorter than the period.
    #[inline]
    fn length(self, quota: &Quota) -> u64 {
        let divisor = u64::try_from(self.sub_windows).unwrap_or(u64::MAX);
        quota.period_nanos().get().div_ceil(divisor.max(1))
    }

    /// What a request is answered, and what is to be charged for it if it is admitted.
    #[inline(always)]
    pub(super) fn decide(
        self,
        quota: &Quota,
        state: &[u64],
        now: Tick,
        cost: u64,
    ) -> (Decision, Addition) {
        let counters = self.counters(quota, state, now);
        let used = counters.used();
        let price = quota.interval_nanos().get().saturating_mul(cost);
        let decision = counters.decide(quota, used, now, cost);
        (decision, counters.adding(used, price))
    }

    /// The counters as they stand at `now`.
    #[inline]
    fn counters<'a>(self, quota: &Quota, state: &'a [u64], now: Tick) -> Counters<'a> {
        let (now, length) = (now.as_nanos(), self.length(quota));
        let (current, covered) = (now - now % length, self.covered());
        let unused = Counters {
            total: 0,
            counts: &[],
            age: covered,
            start: current,
            length,
            covered,
        };
        let [first, total, counts @ ..] = state else {
            return unused;
        };
        let (first, total) = (*first, *total);
        let newest = match first.checked_sub(1) {
            Some(newest) if newest == current => newest,
            _ => newest(first, length),
        };
        // A newest one that begins after now was begun by a thread whose clock was ahead, unless it begins
        // so late that it was written at another time, or under another quota.
        let ahead = quota.period_nanos().get().saturating_add(SKEW);
        if newest.saturating_sub(now) > ahead {
            return unused;
        }
        let age = match current.saturating_sub(newest) {
            0 => 0,
            behind => behind / length,
        };
        Counters {
            total,
            counts,
            age: usize::try_from(age).unwrap_or(covered).min(covered),
            start: current.max(newest),
            length,
            covered,
        }
    }
}

impl Algorithm for SlidingWindow {
    fn words(&self) -> usize {
        self.sub_windows.saturating_add(3)
    }

    fn supports(&self, quota: &Quota) -> Result<(), ConfigError> {
        if !(1..=MOST_SUB_WINDOWS).contains(&self.sub_windows) {
            return Err(ConfigError::new(
                "sub_windows",
                self.sub_windows,
                "1 to 60 sub-windows",
            ));
        }
        burst_is_the_count(quota)
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let counters = self.counters(quota, state, now);
        counters.decide(quota, counters.used(), now, cost)
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let price_of_one = quota.interval_nanos().get();
        let price = price_of_one.saturating_mul(cost.unsigned_abs());
        if cost <= 0 {
            give_back(state, now, self.length(quota), price);
            return;
        }
        let most = price_of_one.saturating_mul(quota.count()).saturating_mul(2);
        let counters = self.counters(quota, state, now);
        let used = counters.used();
        counters
            .adding(used, price.min(most.saturating_sub(used)))
            .add_to(state);
    }

    // Always: a decision that is returned by way of memory is waited for by whoever copies it.
    #[inline(always)]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let (decision, addition) = self.decide(quota, state, now, cost);
        if decision.is_admitted() && cost > 0 {
            addition.add_to(state);
        }
        decision
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        let [first, _, counts @ ..] = state else {
            return Tick::ZERO;
        };
        let Some(age) = counts.iter().position(|&count| count > 0) else {
            return Tick::ZERO;
        };
        let length = self.length(quota);
        let until = ((counts.len() - age) as u64).saturating_mul(length);
        Tick::from_nanos(newest(*first, length).saturating_add(until))
    }

    /// Each sub-window keeps its age and its share.
    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        let counters = self.counters(from, state, at);
        let age = counters.age;
        let [first, total, counts @ ..] = state else {
            return;
        };
        if *first == 0 {
            return;
        }
        grow_older(counts, age);
        let full = |quota: &Quota| quota.interval_nanos().get().saturating_mul(quota.count());
        *total = 0;
        for count in counts {
            *count = carry::scaled(*count, full(from), full(to));
            *total = total.saturating_add(*count);
        }
        let at = at.as_nanos();
        *first = (at - at % self.length(to)).saturating_add(1);
    }

    fn redate(&self, from: &Quota, to: &Quota, charged: Tick, at: Tick) -> Tick {
        let nth = |quota: &Quota, at: Tick| at.as_nanos() / self.length(quota);
        let Some(ago) = nth(from, at).checked_sub(nth(from, charged)) else {
            return charged;
        };
        let nth = nth(to, at).saturating_sub(ago);
        Tick::from_nanos(nth.saturating_mul(self.length(to)))
    }
}

#[cfg(test)]
mod tests;
