//! Several charges of one request: all of them, or none.

use std::sync::Arc;

use buttress_core::Tick;

use super::{MemoryStore, Place, Stale, known::Wanted, signed};
use crate::{
    Decision, Limit,
    limits::{FEW, MAX_POLICIES},
    store::{Acquire, Charge, Fingerprint},
};

impl MemoryStore {
    /// Several charges without a lock over all of them: decide on all, charge one by one, and take back
    /// what was charged when another thread used up a later one meanwhile.
    pub(super) fn acquire_all(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
        shared: &mut u64,
    ) -> Result<Acquire, Stale> {
        let wanted = charges.iter().map(|charge| Some(Wanted::of(charge)));
        if charges.len() <= MAX_POLICIES {
            match self.acquire_known::<MAX_POLICIES>(now, wanted, out) {
                Some(Ok(acquired)) => return Ok(acquired),
                Some(Err(made)) => self.take_back(now, charges, made, 0),
                None => {}
            }
        }
        self.acquire_each(now, charges, out, shared)
    }

    /// One after the other, whatever becomes of each.
    fn acquire_each(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
        to_shared: &mut u64,
    ) -> Result<Acquire, Stale> {
        for (charge, decision) in charges.iter().zip(&mut *out) {
            self.peek(now, charge, decision)?;
        }
        if let Some(by) = binding(out) {
            self.stand_as_before(now, charges, out)?;
            return Ok(Acquire::Refused { by });
        }
        // A bit for each charge that was made, and for each that was made to the shared bucket.
        let (mut made, mut shared) = (0_u64, 0_u64);
        for (index, (charge, decision)) in charges.iter().zip(&mut *out).enumerate() {
            let place = match self.acquire_charge(now, charge, decision) {
                Ok(place) => place,
                Err(stale) => {
                    self.take_back(now, charges, made, shared);
                    return Err(stale);
                }
            };
            if !decision.is_admitted() {
                self.take_back(now, charges, made, shared);
                self.stand_as_before(now, charges, out)?;
                return Ok(Acquire::Refused {
                    by: u8::try_from(index).unwrap_or(u8::MAX),
                });
            }
            made |= bit(index);
            if place == Place::Shared {
                shared |= bit(index);
            }
        }
        *to_shared = shared;
        Ok(Acquire::Admitted)
    }

    /// As [`acquire_all`](Self::acquire_all), of [`FEW`] limits at most, under the quotas that they were built with. `None`
    /// where one of these was changed; nothing is charged then.
    ///
    /// Of what is `asked` and `decided` there may be more than limits.
    #[inline]
    pub(crate) fn acquire_few(
        &self,
        now: Tick,
        limits: &[Arc<Limit>],
        asked: &[(Fingerprint, u64); FEW],
        out: &mut [Decision; FEW],
    ) -> Option<Acquire> {
        let wanted = limits.iter().zip(asked).map(|(limit, (key, cost))| {
            Some(Wanted {
                limit,
                key: *key,
                quota: limit.quotas().unchanged()?,
                tag: 0,
                cost: *cost,
            })
        });
        match self.acquire_known::<FEW>(now, wanted, out) {
            Some(Ok(acquired)) => Some(acquired),
            Some(Err(made)) => self.acquire_few_otherwise(now, limits, asked, out, made),
            None => self.acquire_few_otherwise(now, limits, asked, out, 0),
        }
    }

    /// The same, where these charges were made, a bit for each, and are to be taken back.
    #[cold]
    #[inline(never)]
    fn acquire_few_otherwise(
        &self,
        now: Tick,
        limits: &[Arc<Limit>],
        asked: &[(Fingerprint, u64); FEW],
        out: &mut [Decision; FEW],
        made: u64,
    ) -> Option<Acquire> {
        let charge = |limit, (key, cost): (Fingerprint, u64), quota| Charge {
            limit,
            key: key.into(),
            quota,
            revision: Some(0),
            cost,
        };
        let first = limits.first()?;
        let mut unchanged = true;
        let mut charges = [charge(first, (Fingerprint::NOBODY, 0), first.quotas().first()); FEW];
        for ((place, limit), asked) in charges.iter_mut().zip(limits).zip(asked) {
            unchanged &= limit.quotas().unchanged().is_some();
            *place = charge(limit, *asked, limit.quotas().first());
        }
        let charges = charges.get(..limits.len())?;
        self.take_back(now, charges, made, 0);
        if !unchanged {
            return None;
        }
        let out = out.get_mut(..limits.len())?;
        self.acquire_each(now, charges, out, &mut 0).ok()
    }

    /// One limit refused, so those that would have admitted were not charged: tells how they stand.
    fn stand_as_before(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
    ) -> Result<(), Stale> {
        for (charge, decision) in charges.iter().zip(out) {
            if decision.is_admitted() {
                self.peek(now, &Charge { cost: 0, ..*charge }, decision)?;
            }
        }
        Ok(())
    }

    /// Takes the charges that were made back from where they were: a bit for each, and for each that was made to the
    /// shared bucket.
    #[cold]
    fn take_back(&self, now: Tick, charges: &[Charge<'_>], made: u64, shared: u64) {
        for (index, charge) in charges.iter().enumerate() {
            if made & bit(index) == 0 {
                continue;
            }
            let place = Place::of(shared, index);
            self.settle_at(now, charge, Some(place), -signed(charge.cost));
        }
    }
}

/// The bit of the charge at `index`; a layer has far fewer of them than there are bits.
pub(super) fn bit(index: usize) -> u64 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u64.checked_shl(index))
        .unwrap_or(0)
}

/// Of those that refuse, the one with the longest wait; one that refuses for good outweighs all.
pub(super) fn binding(decisions: &[Decision]) -> Option<u8> {
    decisions
        .iter()
        .enumerate()
        .filter(|(_, decision)| !decision.is_admitted())
        .max_by_key(|(_, decision)| decision.retry_after().unwrap_or(std::time::Duration::MAX))
        .map(|(index, _)| u8::try_from(index).unwrap_or(u8::MAX))
}
