//! How a key stands.

use buttress_core::Tick;

use super::{MemoryStore, SHARED, Stale, ask::Ask, course::Course, unplaced::unplaced};
use crate::{
    Algorithm, Decision,
    algorithm::{Gcra, Kind, OneWord, Word},
    limiter::UNDECIDED,
    store::{Charge, locked::Found},
};

impl MemoryStore {
    /// How a key stands, without charging it.
    pub(crate) fn peek(
        &self,
        now: Tick,
        charge: &Charge<'_>,
        out: &mut Decision,
    ) -> Result<(), Stale> {
        let ask = Ask::of(now, charge);
        *out = match charge.limit.kind() {
            Kind::Gcra => self.peek_by(&Gcra, &ask)?,
            kind if kind.is_long() => self.peek_by_words(kind.in_memory(), &ask)?,
            kind => self.peek_by(&Word(kind.algorithm()), &ask)?,
        };
        Ok(())
    }

    fn peek_by<A: OneWord>(&self, algorithm: &A, ask: &Ask<'_>) -> Result<Decision, Stale> {
        let Ask {
            now,
            limit,
            key,
            quota,
            cost,
            ..
        } = *ask;
        let Some(table) = self.table(limit) else {
            return Ok(UNDECIDED);
        };
        let course = Course::of(algorithm, limit, quota, ask.revision);
        let mut state = table.get(key, &course).ok_or(Stale)?;
        if state == 0 && cost > 0 && !table.has_place_for(key, now, &course) {
            let unseen = || algorithm.check(quota, 0, now, cost);
            if let Some(decision) = unplaced(limit, quota, unseen) {
                return Ok(decision);
            }
            let shared = self.shared_bucket(limit);
            let shared = shared.map_or(Some(0), |bucket| bucket.get(SHARED, &course));
            state = shared.ok_or(Stale)?;
        }
        Ok(algorithm.check(quota, state, now, cost))
    }

    fn peek_by_words(&self, algorithm: &dyn Algorithm, ask: &Ask<'_>) -> Result<Decision, Stale> {
        let Some(table) = self.locked(ask.limit) else {
            return Ok(UNDECIDED);
        };
        let request = ask.request(algorithm);
        match table.peek(ask.key, &request) {
            Found::Known(decision) => Ok(decision),
            Found::Full => unplaced(ask.limit, ask.quota, || table.check_unseen(&request))
                .or_else(|| table.peek_shared(&request))
                .ok_or(Stale),
            Found::Stale => Err(Stale),
        }
    }
}
