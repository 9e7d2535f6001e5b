use buttress_core::Tick;

use crate::{Decision, Quota, decision::Verdict};

/// The counters of a state, as they stand at a time.
pub(super) struct Counters<'a> {
    /// What was used in all of them when the first was the current one.
    pub(super) total: u64,
    /// What was used in each sub-window, from the newest to the oldest.
    pub(super) counts: &'a [u64],
    /// How many sub-windows ago the first of them was the current one.
    pub(super) age: usize,
    /// Where the current sub-window begins.
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) covered: usize,
}

impl Counters<'_> {
    fn living(&self) -> &[u64] {
        let living = self.covered - self.age;
        self.counts.get(..living).unwrap_or(self.counts)
    }

    #[inline]
    pub(super) fn used(&self) -> u64 {
        if self.age == 0 {
            return self.total;
        }
        self.living()
            .iter()
            .fold(0, |sum, &used| sum.saturating_add(used))
    }

    /// A charge of this price, where so much is used.
    #[inline]
    pub(super) fn adding(&self, used: u64, price: u64) -> Addition {
        let (start, age) = (self.start, self.age);
        Addition {
            start,
            age,
            used,
            price,
        }
    }

    /// What a request is answered where so much is used.
    #[inline(always)]
    pub(super) fn decide(&self, quota: &Quota, used: u64, now: Tick, cost: u64) -> Decision {
        let price_of_one = quota.interval_nanos().get();
        let full = price_of_one.saturating_mul(quota.count());

        let then_used = used.saturating_add(price_of_one.saturating_mul(cost));
        let (verdict, then_used, lacking) = if cost > quota.count() {
            (Verdict::CostExceedsBurst, used, 0)
        } else if then_used <= full || cost == 0 {
            (Verdict::Admitted, then_used, 0)
        } else {
            (Verdict::Refused, used, then_used - full)
        };

        // The oldest come back first: when have they given back enough for each of the three questions?
        let lacking_for_one = then_used.saturating_add(price_of_one).saturating_sub(full);
        let (mut retry_at, mut next_at, mut reset_at, mut given_back) = (0, 0, 0, 0_u64);
        let charged = (then_used - used, self.ends(0));
        let charged = (charged.0 > 0).then_some(charged);
        if let (0, Some((_, ends))) = (lacking_for_one, charged) {
            // What nearly all are: there is more, and all of it is back with what was charged now.
            reset_at = ends;
        } else {
            for (used, ends) in self.counting().chain(charged) {
                if given_back < lacking {
                    retry_at = ends;
                }
                if given_back < lacking_for_one {
                    next_at = ends;
                }
                reset_at = ends;
                given_back = given_back.saturating_add(used);
            }
        }
        let after = |at: u64| at.saturating_sub(now.as_nanos());
        Decision::reckoned_in(
            quota.interval_nanos(),
            verdict,
            full.saturating_sub(then_used),
            after(retry_at),
            after(next_at),
            after(reset_at),
        )
    }

    /// What still counts, from the oldest on, each with the time at which it stops to.
    fn counting(&self) -> impl Iterator<Item = (u64, u64)> {
        let nths = self.living().iter().enumerate().rev();
        nths.filter(|&(_, &used)| used > 0)
            .map(|(nth, &used)| (used, self.ends(self.age + nth)))
    }

    /// When a sub-window of this age stops to count.
    fn ends(&self, age: usize) -> u64 {
        let left = self.covered.saturating_sub(age) as u64;
        self.start.saturating_add(left.saturating_mul(self.length))
    }
}

/// A charge, reckoned for a state as it stands.
#[derive(Clone, Copy)]
pub(crate) struct Addition {
    /// When the current sub-window begins.
    start: u64,
    /// By how many that is newer than the newest one that was written.
    age: usize,
    /// What is used by now.
    used: u64,
    price: u64,
}

impl Addition {
    /// Charges it to that state.
    #[inline]
    pub(in crate::algorithm) fn add_to(self, state: &mut [u64]) {
        let [first, total, counts @ ..] = state else {
            return;
        };
        *first = self.start.saturating_add(1);
        *total = self.used.saturating_add(self.price);
        grow_older(counts, self.age);
        if let Some(current) = counts.first_mut() {
            *current = current.saturating_add(self.price);
        }
    }
}

/// When the newest sub-window began, as one of this length: the length may have changed since.
pub(super) const fn newest(word: u64, length: u64) -> u64 {
    let began = word.saturating_sub(1);
    began - began % length
}

/// Moves the counters of sub-windows on by as many, and forgets the oldest.
#[inline]
pub(super) fn grow_older(counts: &mut [u64], by: usize) {
    if by == 0 {
        return;
    }
    let by = by.min(counts.len());
    counts.copy_within(..counts.len() - by, by);
    counts.iter_mut().take(by).for_each(|count| *count = 0);
}

/// Gives back what was charged at `charged`: to the sub-window of that time or, where the charge went
/// to a newer one because its clock was behind, to that. Where the time is not known but later, to the newest.
pub(super) fn give_back(state: &mut [u64], charged: Tick, length: u64, mut price: u64) {
    let [first, total, counts @ ..] = state else {
        return;
    };
    let since = newest(*first, length).saturating_sub(charged.as_nanos());
    let age = usize::try_from(since.div_ceil(length)).unwrap_or(usize::MAX);
    let Some((newer, older)) = age
        .checked_add(1)
        .and_then(|of| counts.split_at_mut_checked(of))
    else {
        return;
    };
    for count in newer.iter_mut().rev().chain(older) {
        let given = price.min(*count);
        *count -= given;
        *total = total.saturating_sub(given);
        price -= given;
    }
}
