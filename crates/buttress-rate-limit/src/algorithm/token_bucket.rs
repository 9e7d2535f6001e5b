use buttress_core::Tick;

use super::{Algorithm, Gcra, SKEW, carry};
use crate::{Decision, Quota, decision::Verdict};

/// A bucket of tokens: a request takes some out, time puts them back, and it holds no more than the burst.
///
/// The quota in its words: [`burst`](Quota::burst) is how many tokens the bucket holds, and
/// [`count`](Quota::count) how many are put back every [`period`](Quota::period). What differs is how
/// they are put back: [continuously](Self::refilled_continuously) or [at
/// intervals](Self::refilled_at_intervals).
///
/// # The most it admits
///
/// In any window of length W, of requests of cost 1:
///
/// | refilled | at most |
/// |---|---|
/// | continuously | `burst + ⌊W / interval⌋` |
/// | at intervals | `burst + count × ⌈W / period⌉` |
///
/// # Debt and clocks
///
/// [`charge`](Algorithm::charge) may drive a bucket into debt, at most of one more burst, which tokens
/// that are put back pay off first. After a clock stepped back, however far, requests are admitted again
/// within two refill times and a minute, or within one more period where that is longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    refill: Refill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refill {
    Continuous,
    AtIntervals,
}

impl TokenBucket {
    /// One token comes back every [`interval`](Quota::interval).
    ///
    /// These are the decisions of [`Gcra`], to the nanosecond, and its state: the two are one algorithm
    /// in two vocabularies. GCRA keeps the time at which the bucket would be full instead of the tokens and
    /// the time at which they were counted.
    #[must_use]
    pub const fn refilled_continuously() -> Self {
        Self {
            refill: Refill::Continuous,
        }
    }

    /// `count` tokens come back at once, at every multiple of the period since the clock's origin, and
    /// none in between.
    ///
    /// The boundaries are the same for all keys, which lets a state be one word; who was refused comes
    /// back at the same moment as all others who were. Where that hurts, refill continuously. The period
    /// is rounded up to a whole number of intervals: it is longer by less than a nanosecond per token.
    ///
    /// With a burst of `count`, each boundary fills the bucket: a [`FixedWindow`](super::FixedWindow)
    /// whose debt outlives the window.
    #[must_use]
    pub const fn refilled_at_intervals() -> Self {
        Self {
            refill: Refill::AtIntervals,
        }
    }

    pub(super) fn is_gcra(&self) -> bool {
        self.refill == Refill::Continuous
    }
}

impl Algorithm for TokenBucket {
    fn words(&self) -> usize {
        1
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        match self.refill {
            Refill::Continuous => Algorithm::check(&Gcra, quota, state, now, cost),
            Refill::AtIntervals => {
                let state = state.first().copied().unwrap_or(0);
                AtIntervals::seen_at(quota, now).decide(state, cost).0
            }
        }
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        match (self.refill, state.first_mut()) {
            (Refill::Continuous, _) => Algorithm::charge(&Gcra, quota, state, now, cost),
            (Refill::AtIntervals, Some(word)) => {
                *word = AtIntervals::seen_at(quota, now).charge(*word, cost);
            }
            (Refill::AtIntervals, None) => {}
        }
    }

    #[inline]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        match (self.refill, state.first_mut()) {
            (Refill::AtIntervals, Some(word)) => {
                let bucket = AtIntervals::seen_at(quota, now);
                let (decision, then_used) = bucket.decide(*word, cost);
                if decision.is_admitted() && cost > 0 {
                    // Within the burst, so what bounds a debt has no say: it is what `charge` writes.
                    *word = bucket.state_of(then_used);
                }
                decision
            }
            _ => Gcra.take(quota, state, now, cost),
        }
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        match self.refill {
            Refill::Continuous => Algorithm::forget_at(&Gcra, quota, state),
            Refill::AtIntervals => {
                // The first boundary at which nothing is used. A bucket that was emptied exactly waits for
                // one more than it needs to: its state is also that of one untouched a period later.
                let step = step(quota);
                let state = state.first().copied().unwrap_or(0);
                Tick::from_nanos(state.div_ceil(step).saturating_mul(step))
            }
        }
    }

    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        match (self.refill, state.first_mut()) {
            (Refill::Continuous, _) => Gcra.carry_over(from, to, state, at),
            (Refill::AtIntervals, Some(word)) if *word > 0 => {
                let used = AtIntervals::seen_at(from, at).used(*word);
                let used = carry::scaled(used, from.refill_nanos(), to.refill_nanos());
                let to = AtIntervals::seen_at(to, at);
                *word = to.state_of(used.min(to.most_used()));
            }
            (Refill::AtIntervals, _) => {}
        }
    }
}

/// Refill at intervals is GCRA on a clock that stands still between the boundaries.
///
/// State: nanoseconds of the time at which the bucket would be full again if refilled continuously from
/// the last boundary on, and one, so that a bucket which got everything back is not one never seen.
struct AtIntervals<'a> {
    quota: &'a Quota,
    now: u64,
    /// The last boundary.
    since: u64,
}

/// Nanoseconds from boundary to boundary.
#[inline]
fn step(quota: &Quota) -> u64 {
    quota.step_nanos().get()
}

impl<'a> AtIntervals<'a> {
    #[inline]
    fn seen_at(quota: &'a Quota, now: Tick) -> Self {
        let now = now.as_nanos();
        Self {
            quota,
            now,
            since: quota.step_start(now),
        }
    }

    /// How much is out of the bucket, as the time in which it comes back.
    #[inline]
    fn used(&self, state: u64) -> u64 {
        let full_at = state.saturating_sub(1);
        // What lies further ahead than charging leads was written at another time, or under another quota.
        if full_at.saturating_sub(self.now) > self.most_used() + SKEW {
            return 0;
        }
        full_at.saturating_sub(self.since)
    }

    /// A full burst, and as much debt.
    #[inline]
    fn most_used(&self) -> u64 {
        self.quota.refill_nanos() * 2
    }

    /// Nanoseconds until as much as `missing` was put back.
    #[inline]
    fn wait_for(&self, missing: u64) -> u64 {
        let step = step(self.quota);
        let refilled = match missing {
            0 => return 0,
            _ if missing <= step => step,
            _ => missing.div_ceil(step).saturating_mul(step),
        };
        refilled.saturating_sub(self.now - self.since)
    }

    /// Decides, and tells how much is out of the bucket then.
    #[inline]
    fn decide(&self, state: u64, cost: u64) -> (Decision, u64) {
        let (interval, full) = (self.quota.interval_nanos().get(), self.quota.refill_nanos());
        let used = self.used(state);
        let (verdict, then_used, lacking) = if cost > self.quota.burst() {
            (Verdict::CostExceedsBurst, used, 0)
        } else {
            // At most one refill time, by the branch above.
            let then_used = used.saturating_add(interval * cost);
            if then_used <= full || cost == 0 {
                (Verdict::Admitted, then_used, 0)
            } else {
                (Verdict::Refused, used, then_used - full)
            }
        };
        let decision = Decision::reckoned_in(
            self.quota.interval_nanos(),
            verdict,
            full.saturating_sub(then_used),
            self.wait_for(lacking),
            self.wait_for(then_used.saturating_add(interval).saturating_sub(full)),
            self.wait_for(then_used),
        );
        (decision, then_used)
    }

    /// The state of a bucket out of which so much is.
    #[inline]
    fn state_of(&self, used: u64) -> u64 {
        // Below 2⁶⁴: a tick, two refill times of 2⁶¹ each, and a minute.
        1 + self.since + used
    }

    #[inline]
    fn charge(&self, state: u64, cost: i64) -> u64 {
        let price = self
            .quota
            .interval_nanos()
            .get()
            .saturating_mul(cost.unsigned_abs());
        if cost > 0 {
            let used = self.used(state);
            let most = self.most_used().max(used);
            self.state_of(used.saturating_add(price).min(most))
        } else {
            state.min(state.saturating_sub(price).max(1 + self.since))
        }
    }
}

#[cfg(test)]
mod tests;
