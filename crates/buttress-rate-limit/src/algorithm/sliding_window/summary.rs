//! What is used in all sub-windows and which the newest one is, in one word: enough for nearly all requests until the
//! next one begins.

use buttress_core::Tick;

use super::{SlidingWindow, newest};
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

    /// `None` where it does not fit in.
    #[inline]
    fn pack(self, number: u64, used: u64) -> Option<u64> {
        let fits = used >> self.used == 0 && number >> (u64::BITS - self.used) == 0;
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
        let (Summaries::Window(packing), [first, total, ..]) = (summaries, state) else {
            return 0;
        };
        let length = self.length(quota);
        let start = newest(*first, length);
        if start.checked_add(1) != Some(*first) {
            return 0;
        }
        let number = (start / length).saturating_add(1);
        packing.pack(number, *total).unwrap_or(0)
    }
}
