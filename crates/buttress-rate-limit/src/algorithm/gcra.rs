use buttress_core::Tick;

use super::{Algorithm, OneWord, SKEW, carry};
use crate::{Decision, Quota, decision::Verdict, limiter::UNDECIDED};

/// The generic cell rate algorithm: a leaky bucket as a meter, in one word.
///
/// From ATM (ITU-T I.371, "virtual scheduling"). Its state is the *theoretical arrival time*: when the
/// quota would be full again. A request is admitted if charging it leaves that time within one
/// [`refill_time`](Quota::refill_time) of now.
///
/// # The most it admits
///
/// In any window of length W at most `burst + W / interval` requests of cost 1, rounded down.
///
/// # Debt and clocks
///
/// [`charge`](Algorithm::charge) may drive a state into debt, at most of one more burst: a state is never
/// further ahead of now than two refill times. After a clock stepped back, however far, requests are
/// admitted again within two refill times and a minute.
///
/// State: nanoseconds of the theoretical arrival time; 0 where there was no request yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gcra;

impl Gcra {
    /// How much is used, as the time in which it comes back.
    #[inline]
    pub(super) fn used(quota: &Quota, state: u64, now: Tick) -> u64 {
        let ahead = Self::ahead(state, now);
        // What lies further ahead than charging leads was written at another time, or under another quota.
        if ahead > Self::most_used(quota) + SKEW {
            return 0;
        }
        ahead
    }

    /// A state to which `price` is given back.
    #[inline]
    pub(super) fn given_back(state: u64, price: u64, now: Tick) -> u64 {
        // What is full stays as it is: writing an earlier time would make a state that was never reached by
        // charging. Nor does one that is known become one that was never seen.
        state.min(state.saturating_sub(price).max(now.as_nanos()).max(1))
    }

    /// How far a state lies ahead of now.
    #[inline]
    pub(super) fn ahead(state: u64, now: Tick) -> u64 {
        // At the clock's origin, what was given back whole is 1: full, and yet known.
        match state {
            1 => 0,
            _ => state.saturating_sub(now.as_nanos()),
        }
    }

    /// A full burst, and as much debt.
    #[inline]
    const fn most_used(quota: &Quota) -> u64 {
        quota.refill_nanos() * 2
    }
}

impl OneWord for Gcra {
    #[inline]
    fn check(&self, quota: &Quota, state: u64, now: Tick, cost: u64) -> Decision {
        let (interval, full) = (quota.interval_nanos(), quota.refill_nanos());
        let used = Self::used(quota, state, now);

        if cost > quota.burst() {
            return Decision::by_time(Verdict::CostExceedsBurst, full, used, interval, 0);
        }
        // Neither overflows: `used` is at most two refill times and a minute, and the price at most one
        // refill time, of 2⁶¹ each.
        let price = interval.get() * cost;
        let then_used = used + price;
        if then_used <= full || cost == 0 {
            Decision::by_time(Verdict::Admitted, full, then_used, interval, 0)
        } else {
            Decision::by_time(Verdict::Refused, full, used, interval, then_used - full)
        }
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: u64, now: Tick, cost: i64) -> u64 {
        let price = quota
            .interval_nanos()
            .get()
            .saturating_mul(cost.unsigned_abs());
        if cost > 0 {
            let used = Self::used(quota, state, now);
            let most = Self::most_used(quota).max(used);
            // Below 2⁶⁴: a tick, two refill times of 2⁶¹ each, and a minute.
            now.as_nanos() + used.saturating_add(price).min(most)
        } else {
            Self::given_back(state, price, now)
        }
    }

    #[inline]
    fn step(
        &self,
        quota: &Quota,
        state: u64,
        now: Tick,
        cost: u64,
        out: &mut Decision,
    ) -> Option<u64> {
        let decision = OneWord::check(self, quota, state, now, cost);
        // What is used then is within the burst, so what bounds a debt has no say: it is what `charge` writes.
        let next = now.as_nanos() + decision.reset_after_nanos();
        *out = decision;
        (decision.is_admitted() && cost > 0).then_some(next)
    }

    #[inline]
    fn forget_at(&self, _quota: &Quota, state: u64) -> Tick {
        Tick::from_nanos(state)
    }
}

impl Algorithm for Gcra {
    fn words(&self) -> usize {
        1
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        OneWord::check(self, quota, state.first().copied().unwrap_or(0), now, cost)
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        if let Some(word) = state.first_mut() {
            *word = OneWord::charge(self, quota, *word, now, cost);
        }
    }

    #[inline]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let seen = state.first().copied().unwrap_or(0);
        let mut decision = UNDECIDED;
        let next = self.step(quota, seen, now, cost, &mut decision);
        if let (Some(word), Some(next)) = (state.first_mut(), next) {
            *word = next;
        }
        decision
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        OneWord::forget_at(self, quota, state.first().copied().unwrap_or(0))
    }

    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        if let Some(word) = state.first_mut() {
            let full = (from.refill_nanos(), to.refill_nanos());
            let used = Self::used(from, *word, at);
            *word = carry::in_time(*word, used, full, Self::most_used(to), at.as_nanos());
        }
    }
}

#[cfg(test)]
mod tests;
