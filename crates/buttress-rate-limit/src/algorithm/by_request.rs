use std::num::NonZeroU64;

use buttress_core::Tick;

use super::{Algorithm, Kind};
use crate::{Decision, Quota, limit::in_proportion, store::signed};

/// How many words longer a state is that tells its quota.
const TERMS: usize = 4;

/// Any algorithm under quotas that are resolved for each request: a state tells the quota that it was written
/// under, and when its key came to that.
///
/// A key that is moved to another quota keeps what it has used, in proportion, by the algorithm's own
/// [`carry_over`](Algorithm::carry_over). The move is written down also where the request is then refused: from then
/// on what was used comes back at the new pace, and whoever waits as told is admitted.
///
/// State: the algorithm's words; then count, period, burst and time, of which a count of 0 is one never seen.
#[derive(Debug)]
pub(crate) struct ByRequest {
    inner: Box<Kind>,
}

impl ByRequest {
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            inner: Box::new(kind),
        }
    }

    pub(super) fn is_built_in(&self) -> bool {
        self.inner.is_built_in()
    }

    pub(super) fn inner(&self) -> &dyn Algorithm {
        self.inner.algorithm()
    }
}

/// Makes the state of a key that is known one of the quota that is asked for.
#[inline]
pub(crate) fn moved<A: Algorithm + ?Sized>(
    algorithm: &A,
    state: &mut [u64],
    quota: &Quota,
    now: Tick,
) {
    if let Some((_, terms)) = split(state)
        && !is_of(terms, quota)
    {
        move_to(algorithm, state, quota, now);
    }
}

#[cold]
fn move_to<A: Algorithm + ?Sized>(algorithm: &A, state: &mut [u64], quota: &Quota, now: Tick) {
    let Some((_, terms)) = split(state) else {
        return;
    };
    let Some(from) = quota_of(terms) else {
        return;
    };
    // A share of the same span, or as many requests of it: nothing to convert, and so nothing to round. Callers
    // of two tiers may come under one key by turns.
    if from.period_nanos() == quota.period_nanos() && from.refill_nanos() == quota.refill_nanos() {
        write(terms, quota, now);
    } else {
        algorithm.carry_over(&from, quota, state, now);
    }
}

/// The quota that such a state is of; `None` where it was never seen.
pub(crate) fn told_quota(state: &[u64]) -> Option<Quota> {
    let (_, terms) = state.split_last_chunk::<TERMS>()?;
    quota_of(terms)
}

fn split(state: &mut [u64]) -> Option<(&mut [u64], &mut [u64; TERMS])> {
    let words = state.len().checked_sub(TERMS)?;
    let (words, terms) = state.split_at_mut_checked(words)?;
    Some((words, terms.try_into().ok()?))
}

fn is_of([count, period, burst, _]: &[u64; TERMS], quota: &Quota) -> bool {
    *count == quota.count() && *period == quota.period_nanos().get() && *burst == quota.burst()
}

/// `None` where it was never seen.
fn quota_of([count, period, burst, _]: &[u64; TERMS]) -> Option<Quota> {
    let count = NonZeroU64::new(*count)?;
    let interval = period.div_ceil(count.get());
    Some(Quota::from_words([count.get(), *period, *burst, interval]))
}

fn write(terms: &mut [u64; TERMS], quota: &Quota, since: Tick) {
    let period = quota.period_nanos().get();
    *terms = [quota.count(), period, quota.burst(), since.as_nanos()];
}

impl Algorithm for ByRequest {
    fn words(&self) -> usize {
        self.inner().words().saturating_add(TERMS)
    }

    /// Of a state that [was moved](moved) to this quota.
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let words = state.len().saturating_sub(TERMS);
        let words = state.get(..words).unwrap_or_default();
        self.inner().check(quota, words, now, cost)
    }

    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let Some((words, terms)) = split(state) else {
            return;
        };
        if is_of(terms, quota) {
            self.inner().charge(quota, words, now, cost);
        } else if let Some(under) = quota_of(terms) {
            // What is settled of a charge from before its key was moved: the same share of what is in force now.
            // Of several moves the last one is known.
            let since = Tick::from_nanos(terms[TERMS - 1]);
            let at = match cost {
                ..0 => self.inner().redate(quota, &under, now, since),
                0.. => now,
            };
            let cost = in_proportion(cost, quota.burst(), under.burst());
            self.inner().charge(&under, words, at, cost);
        } else if cost > 0 {
            self.inner().charge(quota, words, now, cost);
            write(terms, quota, now);
        }
    }

    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        if let Some((words, terms)) = split(state)
            && is_of(terms, quota)
        {
            return self.inner().take(quota, words, now, cost);
        }
        let decision = self.check(quota, state, now, cost);
        if decision.is_admitted() && cost > 0 {
            self.charge(quota, state, now, signed(cost));
        }
        decision
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        let Some((words, terms)) = state.split_last_chunk::<TERMS>() else {
            return Tick::ZERO;
        };
        let under = quota_of(terms);
        self.inner()
            .forget_at(under.as_ref().unwrap_or(quota), words)
    }

    /// Only what is `from` this quota: one that was resolved for a request is not the limit's to change.
    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        if let Some((words, terms)) = split(state)
            && is_of(terms, from)
        {
            self.inner().carry_over(from, to, words, at);
            write(terms, to, at);
        }
    }

    fn redate(&self, from: &Quota, to: &Quota, charged: Tick, at: Tick) -> Tick {
        self.inner().redate(from, to, charged, at)
    }
}
