//! What was charged turns out to have cost more, or less.

use buttress_core::Tick;

use super::{MemoryStore, Place, SHARED, Stale, ask::Ask, course::Course};
use crate::{
    Algorithm, Limit, Overflow,
    algorithm::{Gcra, Kind, OneWord, Word},
    store::{
        Charge,
        locked::{Found, Request},
        table::{Fingerprint, Updated},
    },
};

impl MemoryStore {
    /// Where a key was charged a moment ago: nobody forgets it as long as what it was charged is not back.
    #[cold]
    pub(crate) fn place_of(&self, limit: &Limit, key: Fingerprint) -> Place {
        let known = match self.locked(limit) {
            Some(table) => table.knows(key),
            None => self.table(limit).is_some_and(|table| table.knows(key)),
        };
        if known { Place::Own } else { Place::Shared }
    }

    /// Settles what was charged at `place`; `None` where that has to be found out.
    pub(crate) fn settle_at(&self, now: Tick, charge: &Charge<'_>, place: Option<Place>, by: i64) {
        let limit = charge.limit;
        loop {
            // Under the quota that is in force by now.
            let (quota, revision) = limit.in_force();
            let own = charge.revision.is_some();
            let (now, by) = match charge.revision {
                Some(then) if then != revision => limit.quotas().settlement(
                    limit.algorithm(),
                    (charge.quota, then),
                    (&quota, revision),
                    (now, by),
                ),
                _ => (now, by),
            };
            let charge = Charge {
                quota: if own { &quota } else { charge.quota },
                revision: own.then_some(revision),
                ..*charge
            };
            let settled = match limit.kind() {
                Kind::Gcra => self.settle_by(&Gcra, now, &charge, place, by),
                kind if kind.is_long() => {
                    let request = Ask::of(now, &charge).request(kind.in_memory());
                    self.settle_by_words(&request, &charge, place, by)
                }
                kind => self.settle_by(&Word(kind.algorithm()), now, &charge, place, by),
            };
            if settled.is_ok() {
                return;
            }
        }
    }

    fn settle_by<A: OneWord>(
        &self,
        algorithm: &A,
        now: Tick,
        charge: &Charge<'_>,
        place: Option<Place>,
        by: i64,
    ) -> Result<(), Stale> {
        let limit = charge.limit;
        let (Some(table), Some(shared)) = (self.table(limit), self.shared_bucket(limit)) else {
            return Ok(());
        };
        let course = Course::of(algorithm, limit, charge.quota, charge.revision);
        let settle = |state| algorithm.charge(charge.quota, state, now, by);
        let settled = match place {
            Some(Place::Shared) => false,
            // What was full is charged all the same: it was forgotten, and is remembered again.
            _ if by > 0 => {
                let charged = table.update(charge.key, now, &course, |state| Some(settle(state)));
                fresh(charged)? == Updated::Done
            }
            // What is forgotten was full; but who has no place was charged in the shared bucket.
            _ => match table.update_known(charge.key, &course, settle) {
                Some(updated) => fresh(updated)? == Updated::Done,
                None => place == Some(Place::Own) || table.has_place_for(charge.key, now, &course),
            },
        };
        if !settled && limit.overflow() == Overflow::Share {
            fresh(shared.update(SHARED, now, &course, |state| Some(settle(state))))?;
        }
        Ok(())
    }

    fn settle_by_words(
        &self,
        request: &Request<'_, dyn Algorithm>,
        charge: &Charge<'_>,
        place: Option<Place>,
        by: i64,
    ) -> Result<(), Stale> {
        let Some(table) = self.locked(charge.limit) else {
            return Ok(());
        };
        let settled = match place {
            Some(Place::Shared) => false,
            _ => match table.settle(charge.key.into(), request, by) {
                Found::Known(()) => true,
                Found::Full => place == Some(Place::Own),
                Found::Stale => return Err(Stale),
            },
        };
        if !settled && charge.limit.overflow() == Overflow::Share {
            table.settle_shared(request, by).ok_or(Stale)?;
        }
        Ok(())
    }
}

fn fresh(updated: Updated) -> Result<Updated, Stale> {
    match updated {
        Updated::Stale => Err(Stale),
        updated => Ok(updated),
    }
}
