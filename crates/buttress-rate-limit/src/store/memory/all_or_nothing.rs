//! Several charges of one request: all of them, or none.

use buttress_core::Tick;

use super::{MemoryStore, Place, Stale, signed};
use crate::{
    Decision,
    limits::MAX_POLICIES,
    store::{Acquire, Charge},
};

impl MemoryStore {
    /// Several charges without a lock over all of them: decide on all, charge one by one, and take back
    /// what was charged when another thread used up a later one meanwhile.
    pub(super) fn acquire_all(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
    ) -> Result<Acquire, Stale> {
        if let Some(acquired) = self.acquire_known(now, charges, out) {
            return Ok(acquired);
        }
        for (charge, decision) in charges.iter().zip(&mut *out) {
            self.peek(now, charge, decision)?;
        }
        if let Some(by) = binding(out) {
            self.stand_as_before(now, charges, out)?;
            return Ok(Acquire::Refused { by });
        }
        // A bit for each charge that was made to the shared bucket.
        let mut shared = 0_u64;
        for (index, (charge, decision)) in charges.iter().zip(&mut *out).enumerate() {
            let place = match self.acquire_charge(now, charge, decision) {
                Ok(place) => place,
                Err(stale) => {
                    self.take_back(now, charges, index, shared);
                    return Err(stale);
                }
            };
            if !decision.is_admitted() {
                self.take_back(now, charges, index, shared);
                self.stand_as_before(now, charges, out)?;
                return Ok(Acquire::Refused {
                    by: u8::try_from(index).unwrap_or(u8::MAX),
                });
            }
            if place == Place::Shared {
                shared |= bit(index);
            }
        }
        Ok(Acquire::Admitted)
    }

    /// The usual case: all keys are known, in tables without locks, and nobody comes in between. Each is looked
    /// up once. `None` where it is another one; nothing is charged then.
    fn acquire_known(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
    ) -> Option<Acquire> {
        let mut moves = [const { None }; MAX_POLICIES];
        let mut refused = charges.len() > moves.len();
        for ((charge, decision), place) in charges.iter().zip(&mut *out).zip(&mut moves) {
            let limit = charge.limit;
            if limit.kind().is_long() {
                return None;
            }
            let revision = charge.revision;
            let revision = revision.unwrap_or_else(|| limit.quotas().revision());
            let slot = self.table(limit)?.look(charge.key, revision as u8)?;
            let next;
            (*decision, next) = limit.kind().step(charge.quota, slot.seen, now, charge.cost);
            refused |= !decision.is_admitted();
            let next = next.unwrap_or(slot.seen);
            *place = Some((slot, next));
        }
        if refused {
            let by = binding(out)?;
            let stood = charges.iter().zip(out).zip(&moves);
            for ((charge, decision), place) in stood {
                if let (true, Some((slot, _))) = (decision.is_admitted(), place) {
                    let kind = charge.limit.kind();
                    (*decision, _) = kind.step(charge.quota, slot.seen, now, 0);
                }
            }
            return Some(Acquire::Refused { by });
        }
        for (index, (slot, next)) in moves.iter().flatten().enumerate() {
            if *next != slot.seen && !slot.swap(*next) {
                self.take_back(now, charges, index, 0);
                return None;
            }
        }
        Some(Acquire::Admitted)
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

    /// Takes the charges before the one at `index` back from where they were made.
    #[cold]
    fn take_back(&self, now: Tick, charges: &[Charge<'_>], index: usize, shared: u64) {
        for (earlier, charge) in charges.iter().enumerate().take(index) {
            let place = if shared & bit(earlier) == 0 {
                Place::Own
            } else {
                Place::Shared
            };
            self.settle_at(now, charge, Some(place), -signed(charge.cost));
        }
    }
}

/// The bit of the charge at `index`; a layer has far fewer of them than there are bits.
fn bit(index: usize) -> u64 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u64.checked_shl(index))
        .unwrap_or(0)
}

/// Of those that refuse, the one with the longest wait; one that refuses for good outweighs all.
fn binding(decisions: &[Decision]) -> Option<u8> {
    decisions
        .iter()
        .enumerate()
        .filter(|(_, decision)| !decision.is_admitted())
        .max_by_key(|(_, decision)| decision.retry_after().unwrap_or(std::time::Duration::MAX))
        .map(|(index, _)| u8::try_from(index).unwrap_or(u8::MAX))
}
