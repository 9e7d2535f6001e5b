use buttress_core::{ConfigError, Tick};

use super::{Algorithm, SKEW, carry, window::burst_is_the_count};
use crate::{Decision, Quota, decision::Verdict};

/// A counter that starts anew at every multiple of the [`period`](Quota::period) since the clock's origin.
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
    used: u64,
}

impl<'a> Window<'a> {
    #[inline]
    fn unused(quota: &'a Quota, now: Tick) -> Self {
        let now = now.as_nanos();
        Self {
            quota,
            start: now - now % quota.period_nanos().get(),
            used: 0,
        }
    }

    /// The window that `state` counts, which may be over; `None` where it was never seen.
    fn counted(quota: &'a Quota, state: u64) -> Option<Self> {
        let counted = state.checked_sub(1)?;
        let within = counted % quota.period_nanos();
        Some(Self::used(quota, counted - within, within))
    }

    #[inline]
    fn used(quota: &'a Quota, start: u64, within: u64) -> Self {
        let unit = unit(quota);
        Self {
            quota,
            start,
            // To the nearest: exact under the quota that wrote it.
            used: within.saturating_add(unit / 2) / unit,
        }
    }

    /// The window that `now` lies in, as far as `state` knows it.
    #[inline]
    fn current(quota: &'a Quota, state: u64, now: Tick) -> Self {
        let current = Self::unused(quota, now);
        let period = quota.period_nanos().get();
        // What nearly all are, with one division less.
        let within = state.wrapping_sub(1).wrapping_sub(current.start);
        if state > current.start && within < period {
            return Self::used(quota, current.start, within);
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

    fn state(&self) -> u64 {
        let period = self.quota.period_nanos().get();
        let within = self.used.saturating_mul(unit(self.quota));
        // Never the next window's: what is used of this one stays below its length.
        let within = within.saturating_add(1).min(period);
        self.start.saturating_add(within)
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.quota.period_nanos().get())
    }
}

/// The share of a window that stands for one request. Twice the limit fits in: the interval is rounded up
/// by less than one.
#[inline]
fn unit(quota: &Quota) -> u64 {
    ((quota.interval_nanos().get() - 1) / 2).max(1)
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
        let window = Window::current(quota, state, now);
        let left = quota.count().saturating_sub(window.used);
        let to_end = window.end().saturating_sub(now.as_nanos());

        let (verdict, then_used, retry_after) = if cost > quota.count() {
            (Verdict::CostExceedsBurst, window.used, 0)
        } else if cost <= left || cost == 0 {
            // Below twice the count.
            (Verdict::Admitted, window.used.saturating_add(cost), 0)
        } else {
            (Verdict::Refused, window.used, to_end)
        };
        let remaining = quota.count().saturating_sub(then_used);
        Decision::reckoned(
            verdict,
            remaining,
            retry_after,
            if remaining == 0 { to_end } else { 0 },
            if then_used == 0 { 0 } else { to_end },
        )
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let Some(word) = state.first_mut() else {
            return;
        };
        if cost > 0 {
            let mut window = Window::current(quota, *word, now);
            let most = quota.count().saturating_mul(2).max(window.used);
            window.used = window.used.saturating_add(cost.unsigned_abs()).min(most);
            *word = window.state();
        } else if let Some(mut window) = Window::counted(quota, *word)
            && window.start == Window::unused(quota, now).start
        {
            window.used = window.used.saturating_sub(cost.unsigned_abs());
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
        carried.used = carry::scaled(counted.used, from.count(), to.count());
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
