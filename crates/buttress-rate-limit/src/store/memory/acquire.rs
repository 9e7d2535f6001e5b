//! One charge of a request.

use buttress_core::Tick;

use super::{
    MemoryStore, Place, SHARED, Stale, all_or_nothing::bit, ask::Ask, course::Course,
    unplaced::unplaced,
};
use crate::{
    Algorithm, Decision, FixedWindow, Limit, Quota,
    algorithm::{Gcra, Kind, OneWord, Summarize, Word},
    limit::Tag,
    limiter::UNDECIDED,
    store::{
        Acquire, Charge,
        locked::{Found, Known, LockedTable},
        table::{Fingerprint, Updated},
    },
};

impl MemoryStore {
    /// As [`Store::acquire`], but leaves it to the caller to read quotas again that were changed, and tells which
    /// charges were made to shared buckets: a bit for each in `shared`, where there are any.
    #[inline]
    pub(crate) fn try_acquire(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
        shared: &mut u64,
    ) -> Result<Acquire, Stale> {
        if let ([charge], [decision]) = (charges, &mut *out) {
            if self.acquire_charge(now, charge, decision)? == Place::Shared {
                *shared = bit(0);
            }
            return Ok(if decision.is_admitted() {
                Acquire::Admitted
            } else {
                Acquire::Refused { by: 0 }
            });
        }
        self.acquire_all(now, charges, out, shared)
    }

    #[inline]
    pub(super) fn acquire_charge(
        &self,
        now: Tick,
        charge: &Charge<'_>,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        let terms = (charge.quota, charge.revision);
        self.acquire_one(
            now,
            charge.limit,
            charge.key.into(),
            terms,
            charge.cost,
            out,
        )
    }

    /// As [`acquire_one`](Self::acquire_one) does, to be inlined: an algorithm of one word, a key that is known, and
    /// nobody who comes in between; all else is left to that one. Of the usual algorithm's decision no more is made then
    /// than is looked at, for which it has an arm to itself.
    #[inline(always)]
    pub(crate) fn acquire_usual(
        &self,
        now: Tick,
        limit: &Limit,
        key: Fingerprint,
        (quota, revision): (&Quota, Option<u64>),
        cost: u64,
    ) -> Result<Decision, Stale> {
        if let Some(revision) = revision
            && !limit.kind().is_long()
            && let Some(table) = self.table(limit)
            && let Some(slot) = table.look(key, revision as Tag)
        {
            // Its own: one that somebody is lent has to be in memory.
            let mut decision = UNDECIDED;
            if let Kind::Gcra = limit.kind() {
                let next = Gcra.step(quota, slot.seen, now, cost, &mut decision);
                if next.is_none_or(|next| slot.swap(next)) {
                    return Ok(decision);
                }
            } else {
                let (kind, mut decision) = (limit.kind(), UNDECIDED);
                let next = kind.step_by_word(quota, slot.seen, now, cost, &mut decision);
                if next.is_none_or(|next| slot.swap(next)) {
                    return Ok(decision);
                }
            }
        }
        let mut decision = UNDECIDED;
        self.acquire_one(now, limit, key, (quota, revision), cost, &mut decision)?;
        Ok(decision)
    }

    /// Decides on one charge and makes it. Of the key it is given no more than it reads, so that no more
    /// of it needs to be computed; and `out`, because a decision that is returned is copied before all of it
    /// has reached the cache, for which a processor waits.
    ///
    /// [`Stale`] only where the quota is one of the limit's own: `revision` is given.
    #[inline(never)]
    pub(crate) fn acquire_one(
        &self,
        now: Tick,
        limit: &Limit,
        key: Fingerprint,
        (quota, revision): (&Quota, Option<u64>),
        cost: u64,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        let ask = Ask {
            now,
            limit,
            key,
            quota,
            revision,
            cost,
        };
        match limit.kind() {
            Kind::Gcra => self.acquire_by(&Gcra, ask, out),
            Kind::TokenBucket(bucket) => self.acquire_by_word(bucket, ask, out),
            Kind::LeakyBucket(bucket) => self.acquire_by_word(bucket, ask, out),
            Kind::FixedWindow => self.acquire_by_word(&FixedWindow, ask, out),
            Kind::Pacing(pacing) => self.acquire_by_word(pacing, ask, out),
            Kind::Word(algorithm) => self.acquire_by_word(&**algorithm, ask, out),
            Kind::SlidingWindow(window) => self.acquire_by_words(window, ask, out),
            Kind::SlidingLog(log) => self.acquire_by_words(log, ask, out),
            Kind::Words(algorithm) => self.acquire_by_words(&**algorithm, ask, out),
            Kind::ByRequest(algorithm) => self.acquire_by_words(&**algorithm, ask, out),
        }
    }

    #[inline(never)]
    fn acquire_by_word<A: Algorithm + ?Sized>(
        &self,
        algorithm: &A,
        ask: Ask<'_>,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        self.acquire_by(&Word(algorithm), ask, out)
    }

    #[inline(never)]
    fn acquire_by_words<A: Summarize + ?Sized>(
        &self,
        algorithm: &A,
        ask: Ask<'_>,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        let Some(table) = self.locked(ask.limit) else {
            return Ok(Place::Own);
        };
        // The usual case by itself.
        if let Some(revision) = ask.revision {
            let Ask {
                quota, now, cost, ..
            } = ask;
            let known = table.look(ask.key, revision as Tag);
            while let Some((summaries, slot)) = known.and_then(Known::summary)
                && let Some((decision, next)) =
                    algorithm.take_from_summary(summaries, quota, slot.seen, now, cost)
            {
                if slot.swap(next) {
                    *out = decision;
                    return Ok(Place::Own);
                }
            }
            if let Some(known) = known
                && take_known(known, algorithm, &ask, out).is_some()
            {
                return Ok(Place::Own);
            }
        }
        self.acquire_by_words_otherwise(algorithm, ask, table, out)
    }

    #[inline(never)]
    fn acquire_by_words_otherwise<A: Algorithm + ?Sized>(
        &self,
        algorithm: &A,
        ask: Ask<'_>,
        table: &LockedTable,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        loop {
            let request = ask.request(algorithm);
            match table.acquire(ask.key, &request) {
                Found::Known(decision) => {
                    *out = decision;
                    return Ok(Place::Own);
                }
                Found::Full => {
                    ask.limit.count_overflow();
                    let unseen = || table.check_unseen(&request);
                    if let Some(decision) = unplaced(ask.limit, ask.quota, unseen) {
                        *out = decision;
                        return Ok(Place::Own);
                    }
                    if let Some(decision) = table.acquire_shared(&request) {
                        *out = decision;
                        return Ok(Place::Shared);
                    }
                }
                Found::Stale => {}
            }
            ask.again()?;
        }
    }

    #[inline(always)]
    fn acquire_by<A: OneWord>(
        &self,
        algorithm: &A,
        ask: Ask<'_>,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        let mut updated = Updated::Full;
        if let Some(table) = self.table(ask.limit) {
            let course = Course::of(algorithm, ask.limit, ask.quota, ask.revision);
            updated = table.update(ask.key, ask.now, &course, |state| {
                algorithm.step(ask.quota, state, ask.now, ask.cost, out)
            });
        }
        match updated {
            Updated::Done => Ok(Place::Own),
            updated => self.acquire_otherwise(algorithm, ask, updated, out),
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_otherwise<A: OneWord>(
        &self,
        algorithm: &A,
        ask: Ask<'_>,
        updated: Updated,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        if updated == Updated::Full
            && let Some((decision, place)) = self.overflow(algorithm, &ask)
        {
            *out = decision;
            return Ok(place);
        }
        ask.again()?;
        // What was resolved for a request is asked anew, and as often as the quota is changed.
        let terms = (ask.quota, None);
        self.acquire_one(ask.now, ask.limit, ask.key, terms, ask.cost, out)
    }

    /// There is no place for the key. `None` where the quota has to be read again.
    #[cold]
    fn overflow<A: OneWord>(&self, algorithm: &A, ask: &Ask<'_>) -> Option<(Decision, Place)> {
        let Ask {
            now,
            limit,
            quota,
            cost,
            ..
        } = *ask;
        limit.count_overflow();
        if let Some(decision) = unplaced(limit, quota, || algorithm.check(quota, 0, now, cost)) {
            return Some((decision, Place::Own));
        }
        let course = Course::of(algorithm, limit, quota, ask.revision);
        let mut decision = UNDECIDED;
        let updated = self
            .shared_bucket(limit)?
            .update(SHARED, now, &course, |state| {
                algorithm.step(quota, state, now, cost, &mut decision)
            });
        (updated == Updated::Done).then_some((decision, Place::Shared))
    }
}

#[inline(never)]
fn take_known<A: Summarize + ?Sized>(
    known: Known<'_>,
    algorithm: &A,
    ask: &Ask<'_>,
    out: &mut Decision,
) -> Option<()> {
    known.hold()?.take(&ask.request(algorithm), out)
}
