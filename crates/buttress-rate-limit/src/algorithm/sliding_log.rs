mod log;
mod summary;

use buttress_core::{ConfigError, Tick};

pub(crate) use self::log::Entries;
use self::log::{Log, head, remove};
pub(super) use self::summary::write_back;
use super::{Algorithm, carry, window::burst_is_the_count};
use crate::{Decision, Quota};

/// The longest log: half a megabyte of a key's memory.
const LONGEST: usize = 1 << 16;

/// A log of the times at which the last period's requests were admitted: exact, and dear.
///
/// A request is admitted if those of the last period, it included, are within the limit, and what it used
/// comes back exactly one period later. That takes a word for each request that a quota admits: for limits
/// up to the length of the log that is chosen here. [`SlidingWindow`](super::SlidingWindow) takes a few
/// words for any limit.
///
/// The quota's `count` is the limit; one above the log's length, or a `burst` other than the count, is an
/// error when the limiter is built. A request of cost n takes n places of the log.
///
/// # The most it admits
///
/// In any window of length W at most `count × (1 + ⌊W / period⌋)` requests of cost 1: in any window
/// shorter than the period at most the count, wherever it begins.
///
/// # Debt and clocks
///
/// [`charge`](Algorithm::charge) may drive a key into debt, as far as the log is longer than the count;
/// beyond that the oldest requests count as though they had been made just now. What is given back
/// removes the requests of the time at which it was charged, if they still count. After a clock stepped
/// back, however far, requests are admitted again within two periods and a minute.
///
/// State: two words more than the log is long. Where the log begins and how long it is, half a word each; the
/// latest time in it; then a ring of nanoseconds, in their order. Where all of the log is over, it begins anew
/// beside the first two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingLog {
    length: usize,
}

impl SlidingLog {
    /// For quotas of a count up to `length`, which is 1 to 65,536; any other is an error when the limiter
    /// is built. Each key takes `16 × (length + 4)` bytes of memory: say for how many keys there is room.
    #[must_use]
    pub const fn for_counts_up_to(length: usize) -> Self {
        Self { length }
    }

    /// What a request is answered, and what is to be charged for it if it is admitted.
    #[inline(always)]
    pub(super) fn decide(
        self,
        quota: &Quota,
        state: &[u64],
        now: Tick,
        cost: u64,
    ) -> (Decision, Entries) {
        let period = quota.period_nanos().get();
        let log = Log::of(state).at(now, period);
        let over = log.over(now, period);
        let decision = log.decide(self.limit(quota), over, (now, period), cost);
        let count = usize::try_from(cost).unwrap_or(usize::MAX);
        (decision, log.entering(over, now, count))
    }

    /// A quota that the log is too short for is limited to its length.
    #[inline]
    fn limit(self, quota: &Quota) -> usize {
        usize::try_from(quota.count()).map_or(self.length, |count| count.min(self.length))
    }
}

impl Algorithm for SlidingLog {
    fn words(&self) -> usize {
        self.length.saturating_add(2)
    }

    fn supports(&self, quota: &Quota) -> Result<(), ConfigError> {
        if !(1..=LONGEST).contains(&self.length) {
            return Err(ConfigError::new(
                "length",
                self.length,
                "a log of 1 to 65,536 requests",
            ));
        }
        burst_is_the_count(quota)?;
        if quota.count() > self.length as u64 {
            return Err(ConfigError::new(
                "count",
                quota.count(),
                format!("at most {}, the length of the log", self.length),
            ));
        }
        Ok(())
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let period = quota.period_nanos().get();
        let log = Log::of(state).at(now, period);
        log.decide(
            self.limit(quota),
            log.over(now, period),
            (now, period),
            cost,
        )
    }

    #[inline]
    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let period = quota.period_nanos().get();
        let log = Log::of(state);
        let count = usize::try_from(cost.unsigned_abs()).unwrap_or(usize::MAX);
        if cost > 0 {
            let log = log.at(now, period);
            log.entering(log.over(now, period), now, count)
                .push_to(state);
        } else {
            let charged = now.as_nanos();
            // Whatever was charged then counts no more.
            if log
                .last()
                .is_some_and(|last| last >= charged.saturating_add(period))
            {
                return;
            }
            let (first, len, from) = (log.first, log.len, log.before(charged));
            remove(state, (first, len), from, count);
        }
    }

    // Always: a decision that is returned by way of memory is waited for by whoever copies it.
    #[inline(always)]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let (decision, entries) = self.decide(quota, state, now, cost);
        if decision.is_admitted() && cost > 0 {
            entries.push_to(state);
        }
        decision
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        Log::of(state).last().map_or(Tick::ZERO, |last| {
            Tick::from_nanos(last.saturating_add(quota.period_nanos().get()))
        })
    }

    /// As many requests as are the same share of the new count, with the ages that are the same share of the new
    /// period.
    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        let period = from.period_nanos().get();
        let log = Log::of(state).at(at, period);
        let over = log.over(at, period);
        let logged: Vec<_> = (over..log.len).filter_map(|nth| log.get(nth)).collect();
        let [head_word, latest, ring @ ..] = state else {
            return;
        };
        let len = carry::scaled(logged.len() as u64, from.count(), to.count());
        let len = usize::try_from(len).map_or(ring.len(), |len| len.min(ring.len()));
        for (nth, entry) in ring.iter_mut().take(len).enumerate() {
            // Each of the old ones stands for as many of the new ones, or the other way around.
            let old = ((nth + 1) * logged.len()).div_ceil(len) - 1;
            let old = logged.get(old).copied().unwrap_or(0);
            *entry = redated(from, to, old, at.as_nanos());
            *latest = *entry;
        }
        *head_word = head(0, len);
    }

    fn redate(&self, from: &Quota, to: &Quota, charged: Tick, at: Tick) -> Tick {
        Tick::from_nanos(redated(from, to, charged.as_nanos(), at.as_nanos()))
    }
}

/// A time before `at`, by the same share of the period, rounded down: nothing comes back earlier for it.
fn redated(from: &Quota, to: &Quota, time: u64, at: u64) -> u64 {
    let (from, to) = (from.period_nanos().get(), to.period_nanos().get());
    match at.checked_sub(time) {
        Some(age) => {
            let age = u128::from(age) * u128::from(to) / u128::from(from);
            at.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX))
        }
        None => time,
    }
}

#[cfg(test)]
mod tests;
