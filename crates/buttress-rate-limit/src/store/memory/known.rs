//! The usual case of several charges: all keys are known, under quotas that have not changed since, and nobody comes in
//! between.

mod state;

use buttress_core::Tick;

use self::state::{Any, State, Swapped};
use super::{
    MemoryStore,
    all_or_nothing::{binding, bit},
};
use crate::{
    Decision, Limit, Quota,
    limit::Tag,
    store::{Acquire, Charge, Fingerprint},
};

/// One charge, on its way to the table.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) limit: &'a Limit,
    pub(super) key: Fingerprint,
    pub(super) quota: &'a Quota,
    /// That of the quota.
    pub(super) tag: Tag,
    pub(super) cost: u64,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(charge: &Charge<'a>) -> Self {
        let Charge {
            limit, quota, cost, ..
        } = *charge;
        let revision = charge.revision.unwrap_or_else(|| limit.quotas().revision());
        Self {
            limit,
            key: charge.key.into(),
            quota,
            tag: revision as Tag,
            cost,
        }
    }
}

impl MemoryStore {
    /// Decides on all, and charges all or none; each key is looked up once. `None` where it is another case; nothing is
    /// charged then. Where somebody came in between, which charges were made, a bit for each: they are to be taken
    /// back.
    ///
    /// States behind locks stay locked until all is decided and charged, so that none of these is ever taken back. Of
    /// one limit there is one lock at most, and everybody takes them in the order of the limits: nobody waits for one
    /// who waits for them.
    #[inline(always)]
    pub(super) fn acquire_known<'a, const N: usize>(
        &'a self,
        now: Tick,
        wanted: impl Iterator<Item = Option<Wanted<'a>>> + Clone,
        out: &mut [Decision],
    ) -> Option<Result<Acquire, u64>> {
        if self.has_locks {
            self.acquire_known_by::<Any<'a>, N>(now, wanted, out)
        } else {
            self.acquire_known_by::<Swapped<'a>, N>(now, wanted, out)
        }
    }

    /// How a key stands whose state is of several words; `None` where it is not known any more.
    #[cold]
    fn peek_known(&self, now: Tick, wanted: &Wanted<'_>) -> Option<Decision> {
        let Wanted {
            limit,
            key,
            quota,
            tag,
            cost,
        } = *wanted;
        let mut held = self.locked(limit)?.look(key, tag)?.hold()?;
        Some(limit.kind().check_words(quota, held.words(), now, cost))
    }

    #[inline(always)]
    fn acquire_known_by<'a, S: State<'a>, const N: usize>(
        &'a self,
        now: Tick,
        wanted: impl Iterator<Item = Option<Wanted<'a>>> + Clone,
        out: &mut [Decision],
    ) -> Option<Result<Acquire, u64>> {
        let mut states = [const { None }; N];
        let (mut refused, mut count, mut least_ordinal) = (false, 0, 0);
        for ((wanted, decision), state) in wanted.clone().zip(&mut *out).zip(&mut states) {
            let wanted = wanted?;
            let ordinal = wanted.limit.ordinal();
            if ordinal < least_ordinal {
                return None;
            }
            least_ordinal = ordinal + 1;
            *state = Some(S::decide(self, now, wanted, decision)?);
            refused |= !decision.is_admitted();
            count += 1;
        }
        if refused {
            let out = out.get_mut(..count)?;
            let by = binding(out)?;
            let mut unknown = 0;
            let stood = wanted
                .clone()
                .zip(&mut *out)
                .zip(states.iter_mut().flatten());
            for (index, ((wanted, decision), state)) in stood.enumerate() {
                if let (true, Some(wanted)) = (decision.is_admitted(), wanted) {
                    match state.check(now, &Wanted { cost: 0, ..wanted }) {
                        Some(stands) => *decision = stands,
                        None => unknown |= bit(index),
                    }
                }
            }
            // Whoever holds a lock waits for none of an earlier limit.
            drop(states);
            for (index, (wanted, decision)) in wanted.zip(out).enumerate() {
                if unknown & bit(index) != 0 {
                    *decision = self.peek_known(now, &Wanted { cost: 0, ..wanted? })?;
                }
            }
            return Some(Ok(Acquire::Refused { by }));
        }
        // Who may be outrun goes first.
        for (index, state) in states.iter().flatten().enumerate() {
            if !state.swap() {
                let made = states.iter().flatten().take(index).enumerate();
                let made = made.filter(|(_, state)| state.is_swapped());
                return Some(Err(made.fold(0, |made, (index, _)| made | bit(index))));
            }
        }
        for state in states.iter_mut().flatten() {
            state.charge(now);
        }
        Some(Ok(Acquire::Admitted))
    }
}
