use std::num::NonZeroU64;

use buttress_core::{ConfigError, Tick};

use super::{Algorithm, SKEW, carry, window::burst_is_the_count};
use crate::{Decision, Quota, decision::Verdict};

/// A counter that starts anew at every multiple of the [`period`](Quota::period) since the clock's origin: with the default
/// clock, since the limiter was built.
///
/// The simplest of all to explain: "100 in each minute". All keys begin their windows at the same moment,
/// which lets a state be one word; those who were refused also come back at the same moment.
///
/// The quota's `count` is the limit; a `burst` other than the count is an error when the limiter is
/// built, and so are quotas above one request every three nanoseconds.
///
/// # The most it admits
///
/// In any window of length W at most `count × (1 + ⌈W / period⌉)` requests of cost 1. That is twice the
/// count around a boundary, however short W is: all of one window at its end, and all of the next at its
/// beginning. [`SlidingWindow`](super::SlidingWindow) admits half of that.
///
/// # Debt and clocks
///
/// [`charge`](Algorithm::charge) may drive a window into debt, at most of one more count; it is forgiven
/// with the window. What is given back goes to the window in which it was charged, and is lost with it.
/// After a clock stepped back, however far, requests are admitted again within two periods and a minute.
///
/// State: nanoseconds of the window's start; to them is added, as a share of the window's length, what
/// was used of twice the limit, and one. So a state says the same of a quota whose count has changed:
/// half of it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FixedWindow;

/// What is used of a window.
struct Window<'a> {
    quota: &'a Quota,
    start: u64,
    /// The share of its length that stands for what is used.
    within: u64,
}

impl<'a> Window<'a> {
    #[inline]
    fn unused(quota: &'a Quota, now: Tick) -> Self {
        Self {
            quota,
            start: quota.period_start(now.as_nanos()),
            within: 0,
        }
    }

    /// The window that `state` counts, which may be over; `None` where it was never seen.
    fn counted(quota: &'a Quota, state: u64) -> Option<Self> {
        let counted = state.checked_sub(1)?;
        let start = quota.period_start(counted);
        Some(Self {
            quota,
            start,
            within: counted - start,
        })
    }

    /// How much is used, in the same share: to the nearest request. Exact under the quota that wrote it.
    #[inline]
    fn rounded(&self) -> u64 {
        self.within.saturating_add(unit(self.quota).get() / 2)
    }

    /// The window that `now` lies in, as far as `state` knows it.
    #[inline]
    fn current(quota: &'a Quota, state: u64, now: Tick) -> Self {
        let current = Self::unused(quota, now);
        let period = quota.period_nanos().get();
        // What nearly all are.
        let within = state.wrapping_sub(1).wrapping_sub(current.start);
        if state > current.start && within < period {
            return Self { within, ..current };
        }
        match Self::counted(quota, state) {
            // One that begins after now was begun by a thread whose clock was ahead, unless it begins so
            // late that it was written at another time, or under another quota.
            Some(counted)
                if counted.start >= current.start
                    && counted.start.saturating_sub(now.as_nanos())
                        <= period.saturating_add(SKEW) =>
            {
                counted
            }
            _ => current,
        }
    }

    #[inline]
    fn decide(&self, now: Tick, cost: u64) -> Decision {
        let (count, unit) = (self.quota.count(), unit(self.quota));
        let to_end = self.end().saturating_sub(now.as_nanos());
        // As much is left as there are whole units below one more than the count. Neither overflows: twice the
        // count is less than a window.
        let one = unit.get();
        let end = one.saturating_mul(count).saturating_add(one);
        let used = self.rounded();
        let then_used = used.saturating_add(one.saturating_mul(cost));

        let (verdict, then_used, retry_after) = if cost > count {
            (Verdict::CostExceedsBurst, used, 0)
        } else if then_used < end || cost == 0 {
            (Verdict::Admitted, then_used, 0)
        } else {
            (Verdict::Refused, used, to_end)
        };
        let spare = (end - 1).saturating_sub(then_used);
        Decision::reckoned_in(
            unit,
            verdict,
            spare,
            retry_after,
            if spare < one { to_end } else { 0 },
            if then_used < one { 0 } else { to_end },
        )
    }

    #[inline]
    fn state(&self) -> u64 {
        let period = self.quota.period_nanos().get();
        // Never the next window's: what is used of this one stays below its length.
        let within = self.within.saturating_add(1).min(period);
        self.start.saturating_add(within)
    }

    #[inline]
    fn end(&self) -> u64 {
        self.start.saturating_add(self.quota.period_nanos().get())
    }
}

/// The share of a window that stands for one request. Twice the limit fits in: the interval is rounded up
/// by less than one.
#[inline]
fn unit(quota: &Quota) -> NonZeroU64 {
    NonZeroU64::new((quota.interval_nanos().get() - 1) / 2).unwrap_or(NonZeroU64::MIN)
}

impl Algorithm for FixedWindow {
    fn words(&self) -> usize {
        1
    }

    fn supports(&self, quota: &Quota) -> Result<(), ConfigError> {
        burst_is_the_count(quota)?;
        if quota.interval_nanos().get() < 3 {
            return Err(ConfigError::new(
                "count",
                format!("{} per {:?}", quota.count(), quota.period()),
                "at most one request every three nanoseconds of a fixed window",
            ));
        }
        Ok(())
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let state = state.first().copied().unwrap_or(0);
        Window::current(quota, state, now).decide(now, cost)
    }

    #[inline]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let mut window = Window::current(quota, state.first().copied().unwrap_or(0), now);
        let decision = window.decide(now, cost);
        if let Some(word) = state.first_mut()
            && decision.is_admitted()
            && cost > 0
        {
            // Within the count, so what bounds a debt has no say: it is what `charge` writes.
            let then = unit(quota).get().saturating_mul(cost);
            window.within = window.within.saturating_add(then);
            *word = window.state();
        }
        decision
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let Some(word) = state.first_mut() else {
            return;
        };
        if cost > 0 {
            let mut window = Window::current(quota, *word, now);
            let one = unit(quota).get();
            let most = one.saturating_mul(quota.count().saturating_mul(2));
            let then = one.saturating_mul(cost.unsigned_abs());
            let then = window.within.saturating_add(then);
            window.within = then.min(most.max(window.within));
            *word = window.state();
        } else if let Some(mut window) = Window::counted(quota, *word)
            && window.start == Window::unused(quota, now).start
        {
            let given = unit(quota).get().saturating_mul(cost.unsigned_abs());
            window.within = window.within.saturating_sub(given);
            *word = window.state();
        }
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        let state = state.first().copied().unwrap_or(0);
        Window::counted(quota, state).map_or(Tick::ZERO, |window| Tick::from_nanos(window.end()))
    }

    /// To the window that is the current one then.
    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        let Some(word) = state.first_mut().filter(|word| **word > 0) else {
            return;
        };
        let counted = Window::current(from, *word, at);
        let mut carried = Window::unused(to, at);
        let used = counted.rounded() / unit(from);
        let used = carry::scaled(used, from.count(), to.count());
        carried.within = used.saturating_mul(unit(to).get());
        *word = carried.state();
    }

    fn redate(&self, from: &Quota, to: &Quota, charged: Tick, at: Tick) -> Tick {
        if charged >= at || Window::unused(from, charged).start == Window::unused(from, at).start {
            return charged.max(at);
        }
        // What was charged to a window that was over goes to one that is.
        Tick::from_nanos(Window::unused(to, at).start.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests;
