//! What is used in all sub-windows and which the newest one is, in one word: enough for nearly all requests until the
//! next one begins.

use buttress_core::Tick;

use super::SlidingWindow;
use crate::{
    Decision, Quota,
    algorithm::{Summaries, Summarize},
    decision::Verdict,
};

/// A summary's lower bits say what is used, and those above them the number of the sub-window, counted from one since
/// the clock's origin.
///
/// What is used is as long as two periods at most, and a period is as long as all sub-windows but one. So, whatever the
/// quota, ten of them can be counted for some 14 years, and sixty for two; later ones are not summarized. Nor are those of a
/// quota that was changed in use to one that is much longer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    /// How many bits what is used takes.
    used: u32,
}

impl Packing {
    pub(in crate::algorithm) fn of(quota: &Quota) -> Self {
        let full = quota.interval_nanos().get().saturating_mul(quota.count());
        Self {
            used: (u64::BITS - full.leading_zeros() + 1).min(u64::BITS - 1),
        }
    }

    /// `None` where it does not fit in. Never all ones.
    #[inline]
    fn pack(self, number: u64, used: u64) -> Option<u64> {
        let fits = used >> self.used == 0 && number < u64::MAX >> self.used;
        fits.then_some((number << self.used) | used)
    }

    /// The number of the sub-window, and what is used.
    #[inline]
    const fn unpack(self, summary: u64) -> (u64, u64) {
        (summary >> self.used, summary & !(u64::MAX << self.used))
    }

    /// Only what is used in the newest sub-window has changed since the state was summarized.
    pub(in crate::algorithm) fn write_back(self, summary: u64, state: &mut [u64]) {
        let (_, used) = self.unpack(summary);
        if let [_, total, current, ..] = state {
            *current = current.saturating_add(used.saturating_sub(*total));
            *total = used;
        }
    }
}

impl Summarize for SlidingWindow {
    #[inline(always)]
    fn take_from_summary(
        &self,
        summaries: Summaries,
        quota: &Quota,
        summary: u64,
        now: Tick,
        cost: u64,
    ) -> Option<(Decision, u64)> {
        let Summaries::Window(packing) = summaries else {
            return None;
        };
        let (number, total) = packing.unpack(summary);
        let length = self.length(quota);
        let start = number.checked_sub(1)?.checked_mul(length)?;
        let price = quota.interval_nanos().get();
        let full = price.checked_mul(quota.count())?;
        let then_used = price.checked_mul(cost)?.checked_add(total)?;
        let since = now.as_nanos().checked_sub(start)?;
        // One that leaves no more is told when what was used before comes back.
        let is_enough = then_used.checked_add(price)? <= full;
        if since >= length || !is_enough || cost == 0 {
            return None;
        }
        // All of it is back with what is charged now.
        let reset_after = length
            .checked_mul(self.covered() as u64)?
            .checked_sub(since)?;
        let (verdict, spare) = (Verdict::Admitted, full - then_used);
        let unit = quota.interval_nanos();
        let decision = Decision::reckoned_in(unit, verdict, spare, 0, 0, reset_after);
        Some((decision, packing.pack(number, then_used)?))
    }

    fn summary(&self, summaries: Summaries, quota: &Quota, state: &[u64]) -> u64 {
        let summary = || {
            let (Summaries::Window(packing), [first, total, ..]) = (summaries, state) else {
                return None;
            };
            let price = quota.interval_nanos().get();
            let full = price.checked_mul(quota.count())?;
            // As much as the next request asks of it; and only so many are divided by.
            if price.checked_mul(2)?.checked_add(*total)? > full {
                return None;
            }
            let start = first.checked_sub(1)?;
            let length = self.length(quota);
            let number = start / length;
            // One that was written under another quota is not where one of this begins.
            if number * length != start {
                return None;
            }
            packing.pack(number + 1, *total)
        };
        summary().unwrap_or(0)
    }
}
