use buttress_core::Tick;

use crate::{Decision, algorithm::SKEW, decision::Verdict};

/// A log, as it is written in a state.
#[derive(Clone, Copy)]
pub(super) struct Log<'a> {
    /// The latest, where there is any.
    pub(super) latest: u64,
    pub(super) ring: &'a [u64],
    pub(super) first: usize,
    pub(super) len: usize,
}

impl<'a> Log<'a> {
    #[inline]
    pub(super) fn of(state: &'a [u64]) -> Self {
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

    pub(super) const fn empty(ring: &'a [u64]) -> Self {
        Self {
            latest: 0,
            ring,
            first: 0,
            len: 0,
        }
    }

    /// The log as far as it was written in the same time as `now`.
    pub(super) fn at(self, now: Tick, period: u64) -> Self {
        // A last one after now was made by a thread whose clock was ahead, unless it is so late that it
        // was written at another time, or under another quota.
        let ahead = period.saturating_add(SKEW);
        match self.last() {
            Some(last) if last.saturating_sub(now.as_nanos()) > ahead => Self::empty(self.ring),
            _ => self,
        }
    }

    /// The nth, from the oldest on.
    pub(super) fn get(&self, nth: usize) -> Option<u64> {
        if nth >= self.len {
            return None;
        }
        self.ring
            .get(place(self.first, nth, self.ring.len()))
            .copied()
    }

    pub(super) fn last(&self) -> Option<u64> {
        (self.len > 0).then_some(self.latest)
    }

    /// How many are before `time`.
    pub(super) fn before(&self, time: u64) -> usize {
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
    pub(super) fn over(&self, now: Tick, period: u64) -> usize {
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
    pub(super) fn entering(&self, over: usize, now: Tick, count: usize) -> Entries {
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
    pub(super) fn decide(
        &self,
        limit: usize,
        over: usize,
        (now, period): (Tick, u64),
        cost: u64,
    ) -> Decision {
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
pub(super) const fn head(first: usize, len: usize) -> u64 {
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
    pub(in crate::algorithm) fn push_to(self, state: &mut [u64]) {
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
pub(super) fn remove(state: &mut [u64], (first, len): (usize, usize), from: usize, count: usize) {
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
