use buttress_core::{ConfigError, Tick};

use super::{Algorithm, SKEW, carry, window::burst_is_the_count};
use crate::{Decision, Quota, decision::Verdict};

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
    /// is built. Each key takes `16 × (length + 3)` bytes of memory: say for how many keys there is room.
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

/// A log, as it is written in a state.
#[derive(Clone, Copy)]
struct Log<'a> {
    /// The latest, where there is any.
    latest: u64,
    ring: &'a [u64],
    first: usize,
    len: usize,
}

impl<'a> Log<'a> {
    #[inline]
    fn of(state: &'a [u64]) -> Self {
        let [head, latest, ring @ ..] = state else {
            return Self::empty(&[]);
        };
        let (latest, first, len) = (*latest, head >> 32, head & 0xffff_ffff);
        match (usize::try_from(first), usize::try_from(len)) {
            (Ok(first), Ok(len)) if first < ring.len() && len <= ring.len() => Self {
                latest,
                ring,
                first,
                len,
            },
            _ => Self::empty(ring),
        }
    }

    const fn empty(ring: &'a [u64]) -> Self {
        Self {
            latest: 0,
            ring,
            first: 0,
            len: 0,
        }
    }

    /// The log as far as it was written in the same time as `now`.
    fn at(self, now: Tick, period: u64) -> Self {
        // A last one after now was made by a thread whose clock was ahead, unless it is so late that it
        // was written at another time, or under another quota.
        let ahead = period.saturating_add(SKEW);
        match self.last() {
            Some(last) if last.saturating_sub(now.as_nanos()) > ahead => Self::empty(self.ring),
            _ => self,
        }
    }

    /// The nth, from the oldest on.
    fn get(&self, nth: usize) -> Option<u64> {
        if nth >= self.len {
            return None;
        }
        self.ring
            .get(place(self.first, nth, self.ring.len()))
            .copied()
    }

    fn last(&self) -> Option<u64> {
        (self.len > 0).then_some(self.latest)
    }

    /// How many are before `time`.
    fn before(&self, time: u64) -> usize {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(|at| at < time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// How many count no more.
    fn over(&self, now: Tick, period: u64) -> usize {
        // At `now` those are over that were made at `now - period` or before.
        match now.as_nanos().checked_sub(period) {
            None => 0,
            // All of them, as the latest one tells; or none.
            Some(start) if self.last().is_none_or(|last| last <= start) => self.len,
            Some(start) if self.get(0).is_some_and(|first| first > start) => 0,
            Some(start) => self.before(start.saturating_add(1)),
        }
    }

    /// When a request is charged that is admitted now: not before the latest one.
    fn stamp(&self, now: Tick) -> u64 {
        now.as_nanos().max(self.last().unwrap_or(0))
    }

    /// A charge of so many, where so many count no more.
    fn entering(&self, over: usize, now: Tick, count: usize) -> Entries {
        Entries {
            first: self.first,
            len: self.len,
            over,
            stamp: self.stamp(now),
            count,
        }
    }

    /// What a request is answered, where so many of the log count no more.
    #[inline(always)]
    fn decide(&self, limit: usize, over: usize, (now, period): (Tick, u64), cost: u64) -> Decision {
        let used = self.len - over;
        let cost = usize::try_from(cost).unwrap_or(usize::MAX);
        let then_used = used.saturating_add(cost);

        let (verdict, then_used, lacking) = if cost > limit {
            (Verdict::CostExceedsBurst, used, 0)
        } else if then_used <= limit || cost == 0 {
            (Verdict::Admitted, then_used, 0)
        } else {
            (Verdict::Refused, used, then_used - limit)
        };
        let charged_at = self.stamp(now);
        // Nanoseconds until as many of those that count then were given back.
        let after = |lacking: usize| match lacking.checked_sub(1) {
            None => 0,
            Some(nth) => self
                .get(over + nth)
                .unwrap_or(charged_at)
                .saturating_add(period)
                .saturating_sub(now.as_nanos()),
        };
        Decision::reckoned(
            verdict,
            limit.saturating_sub(then_used) as u64,
            after(lacking),
            after(then_used.saturating_add(1).saturating_sub(limit)),
            after(then_used),
        )
    }
}

/// How a log that begins at `first` and is `len` long is written; one of nothing as one never seen.
const fn head(first: usize, len: usize) -> u64 {
    if len == 0 {
        return 0;
    }
    ((first as u64) << 32) | len as u64
}

/// A charge, reckoned for a log as it stands.
#[derive(Clone, Copy)]
pub(crate) struct Entries {
    first: usize,
    len: usize,
    /// How many count no more, which are forgotten.
    over: usize,
    stamp: u64,
    count: usize,
}

impl Entries {
    /// Charges it to that log; in the place of the oldest, if need be.
    #[inline]
    pub(super) fn push_to(self, state: &mut [u64]) {
        let [head_word, latest, ring @ ..] = state else {
            return;
        };
        let size = ring.len();
        if size == 0 {
            return;
        }
        let (mut first, mut len) = match self.len - self.over {
            0 => (0, 0),
            left => (place(self.first, self.over, size), left),
        };
        *latest = self.stamp;
        for _ in 0..self.count.min(size) {
            if len == size {
                first = place(first, 1, size);
                len -= 1;
            }
            if let Some(entry) = ring.get_mut(place(first, len, size)) {
                *entry = self.stamp;
            }
            len += 1;
        }
        *head_word = head(first, len);
    }
}

/// Removes `count`: the first ones from the one at `from` on and, if these are too few, the last before.
fn remove(state: &mut [u64], (first, len): (usize, usize), from: usize, count: usize) {
    let [head_word, latest, ring @ ..] = state else {
        return;
    };
    let end = from.saturating_add(count).min(len);
    let start = from.saturating_sub(count - (end - from));
    for (gap, kept) in (start..).zip(end..len) {
        let kept = ring.get(place(first, kept, ring.len())).copied();
        if let (Some(kept), Some(gap)) = (kept, ring.get_mut(place(first, gap, ring.len()))) {
            *gap = kept;
        }
    }
    let len = len - (end - start);
    let last = len.checked_sub(1);
    let last = last.and_then(|last| ring.get(place(first, last, ring.len())));
    *latest = last.copied().unwrap_or(0);
    *head_word = head(first, len);
}

/// The place in a ring of `size` that is `nth` after `first`, both of them within it.
const fn place(first: usize, nth: usize, size: usize) -> usize {
    // No overflow: rings are at most 2³² long, or they could not be read.
    let place = first + nth;
    if place < size { place } else { place - size }
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

    #[inline]
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
