use std::fmt;

use buttress_core::Tick;

use super::table::{Fingerprint, tag};
use crate::{
    Algorithm, Decision, Quota,
    algorithm::moved,
    limit::{InForce, Tag},
    sync::{Mutex, MutexGuard, unpoisoned},
};

/// Slots in a bucket: their fingerprints lie beside each other.
const WAYS: usize = 4;

/// Buckets in which a key may stand.
const CHOICES: usize = 3;

/// Slots per key that the table promises room for.
const SLOTS_PER_KEY: usize = 2;

/// Shards of a large table, each behind a lock of its own.
const MOST_SHARDS: usize = 128;

/// Buckets that a shard has at least: in smaller ones, chance would fill one while others stand empty.
const LEAST_BUCKETS: usize = 64;

/// A fingerprint of 0 marks a slot that was never used.
const NOBODY: u64 = 0;

/// States of several words by key: of fixed size, in shards behind locks.
///
/// A slot is found, and given to another key, by the rules of the [table of one
/// word](super::table::Table): a new key looks at the same number of slots, and of those that can be
/// forgotten it takes the one that could have been for the longest time. A lock is held for one decision.
pub(super) struct LockedTable {
    shards: Box<[Shard]>,
    slots_per_shard: usize,
    /// A state that was never seen.
    unseen: Box<[u64]>,
    /// The one bucket that all keys without a place share.
    shared: Mutex<Shared>,
}

struct Shared {
    tag: Tag,
    state: Box<[u64]>,
}

/// Two cache lines, of which processors fetch the one with the other.
#[repr(align(128))]
struct Shard(Mutex<Slots>);

struct Slots {
    owners: Box<[u64]>,
    states: Box<[u64]>,
    words: usize,
}

/// One limit's way of deciding, at one time.
pub(super) struct Request<'a, A: ?Sized> {
    pub(super) algorithm: &'a A,
    pub(super) quota: &'a Quota,
    /// Whether it is one of the limit's own quotas, which are these.
    pub(super) own: bool,
    /// Whether its states tell their quotas.
    pub(super) by_request: bool,
    pub(super) quotas: &'a InForce,
    /// Which of them is in force.
    pub(super) revision: u64,
    pub(super) now: Tick,
    pub(super) cost: u64,
}

/// What became of a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// It was decided on the state of its key.
    Known(T),
    /// The key is unknown, and all the slots in which it could stand are taken by others.
    Full,
    /// The state was written under a later quota.
    Stale,
}

/// The state was written under a later quota than the one that is asked for.
struct Later;

impl<A: Algorithm + ?Sized> Request<'_, A> {
    #[inline]
    pub(super) fn check(&self, state: &[u64]) -> Decision {
        self.algorithm.check(self.quota, state, self.now, self.cost)
    }

    /// Decides on the state of a key, which is one of this quota from then on.
    #[inline]
    fn move_and_check(&self, state: &mut [u64]) -> Decision {
        if self.by_request {
            moved(self.algorithm, state, self.quota, self.now);
        }
        self.check(state)
    }

    #[inline]
    pub(super) fn charge(&self, state: &mut [u64], by: i64) {
        self.algorithm.charge(self.quota, state, self.now, by);
    }

    /// What its states are tagged with.
    fn tag(&self) -> Tag {
        self.revision as Tag
    }

    /// Makes a state of another tag one of this.
    fn carry_over(&self, state: &mut [u64], written: Tag) -> Result<(), Later> {
        let quotas = self.quotas;
        let earlier = if written == self.tag() {
            true
        } else if self.own || self.by_request {
            quotas.carry_over(self.algorithm, state, written, self.revision)
        } else {
            // Other quotas than the limit's own do not change.
            quotas.is_until(written, self.revision)
        };
        if earlier { Ok(()) } else { Err(Later) }
    }

    fn can_forget(&self, state: &mut [u64], written: Tag) -> Option<Tick> {
        self.carry_over(state, written).ok()?;
        let since = self.algorithm.forget_at(self.quota, state);
        (since <= self.now).then_some(since)
    }
}

impl LockedTable {
    /// A table with room for `keys` keys of `words` words each; `None` where there is not so much memory.
    pub(super) fn with_room_for(keys: usize, words: usize) -> Option<Self> {
        let buckets = keys.checked_mul(SLOTS_PER_KEY)?.div_ceil(WAYS).max(1);
        let shards = (buckets / LEAST_BUCKETS).clamp(1, MOST_SHARDS);
        let slots = buckets.div_ceil(shards).checked_mul(WAYS)?;
        // Asked for as a whole and given back: a vector of zeros that the system refuses ends the process.
        let all = slots
            .checked_mul(words.checked_add(1)?)?
            .checked_mul(shards)?;
        Vec::<u64>::new().try_reserve_exact(all).ok()?;
        let shard = || {
            Shard(Mutex::new(Slots {
                owners: zeros(slots),
                // No overflow: a part of `all`.
                states: zeros(slots * words),
                words,
            }))
        };
        Some(Self {
            shards: (0..shards).map(|_| shard()).collect(),
            slots_per_shard: slots,
            unseen: zeros(words),
            shared: Mutex::new(Shared {
                tag: 0,
                state: zeros(words),
            }),
        })
    }

    /// The bytes that the table occupies, from its first day to its last.
    pub(super) fn bytes(&self) -> usize {
        // No overflow: `with_room_for` saw to that.
        let slot = size_of::<u64>() + size_of_val(&*self.unseen);
        self.shards.len() * (size_of::<Shard>() + self.slots_per_shard * slot)
            + 2 * size_of_val(&*self.unseen)
    }

    /// How `key` stands.
    pub(super) fn peek<A: Algorithm + ?Sized>(
        &self,
        key: Fingerprint,
        request: &Request<'_, A>,
    ) -> Found<Decision> {
        self.with(key, request, |slots, known| match known {
            Some(slot) => slots.state(slot).map(|state| request.move_and_check(state)),
            None if request.cost > 0 && slots.vacancy(key, request).is_none() => None,
            None => Some(request.check(&self.unseen)),
        })
    }

    /// Decides on the state of `key`, and charges it. A key that is unknown takes a slot only if it is charged.
    pub(super) fn acquire<A: Algorithm + ?Sized>(
        &self,
        key: Fingerprint,
        request: &Request<'_, A>,
        by: i64,
    ) -> Found<Decision> {
        self.with(key, request, |slots, known| {
            if let Some(slot) = known {
                return Some(charge_if_admitted(slots.state(slot)?, request, by));
            }
            let decision = request.check(&self.unseen);
            if decision.is_admitted() && by > 0 {
                slots.insert(key, request, by)?;
            }
            Some(decision)
        })
    }

    /// Charges `key`, or gives back to it. `Full` where it was charged in the shared bucket.
    pub(super) fn settle<A: Algorithm + ?Sized>(
        &self,
        key: Fingerprint,
        request: &Request<'_, A>,
        by: i64,
    ) -> Found<()> {
        self.with(key, request, |slots, known| {
            if let Some(slot) = known {
                request.charge(slots.state(slot)?, by);
                Some(())
            } else if by > 0 {
                // What was full is charged all the same: it was forgotten, and is remembered again.
                slots.insert(key, request, by)
            } else {
                // What is forgotten was full; but who has no place was charged in the shared bucket.
                slots.vacancy(key, request).map(|_| ())
            }
        })
    }

    /// Locks the shard of a key, and makes its state one of the quota that is asked for.
    #[inline]
    fn with<A: Algorithm + ?Sized, O>(
        &self,
        key: Fingerprint,
        request: &Request<'_, A>,
        then: impl FnOnce(&mut Slots, Option<usize>) -> Option<O>,
    ) -> Found<O> {
        let Some(mut slots) = self.shard(key) else {
            return Found::Full;
        };
        let known = match slots.find(key) {
            Some((slot, written)) if written != request.tag() => {
                if slots.carry_over(slot, key, request, written).is_err() {
                    return Found::Stale;
                }
                Some(slot)
            }
            Some((slot, _)) => Some(slot),
            None => None,
        };
        then(&mut slots, known).map_or(Found::Full, Found::Known)
    }

    /// Does something with the bucket that keys without a place share; `None` where it is one of a later quota.
    fn with_shared<A: Algorithm + ?Sized, O>(
        &self,
        request: &Request<'_, A>,
        then: impl FnOnce(&mut [u64]) -> O,
    ) -> Option<O> {
        let mut shared = unpoisoned(self.shared.lock());
        let written = shared.tag;
        if written != request.tag() {
            request.carry_over(&mut shared.state, written).ok()?;
            shared.tag = request.tag();
        }
        Some(then(&mut shared.state))
    }

    /// Decides on that bucket, and charges it.
    pub(super) fn acquire_shared<A: Algorithm + ?Sized>(
        &self,
        request: &Request<'_, A>,
        by: i64,
    ) -> Option<Decision> {
        self.with_shared(request, |state| charge_if_admitted(state, request, by))
    }

    /// How that bucket stands.
    pub(super) fn peek_shared<A: Algorithm + ?Sized>(
        &self,
        request: &Request<'_, A>,
    ) -> Option<Decision> {
        self.with_shared(request, |state| request.move_and_check(state))
    }

    pub(super) fn settle_shared<A: Algorithm + ?Sized>(
        &self,
        request: &Request<'_, A>,
        by: i64,
    ) -> Option<()> {
        self.with_shared(request, |state| request.charge(state, by))
    }

    /// What a request is answered that is not counted.
    pub(super) fn check_unseen<A: Algorithm + ?Sized>(&self, request: &Request<'_, A>) -> Decision {
        request.check(&self.unseen)
    }

    fn shard(&self, key: Fingerprint) -> Option<MutexGuard<'_, Slots>> {
        // Other bits than those that choose a bucket, as long as a shard has no more than 2¹⁴ of them.
        let nth = scale(key.bits().rotate_left(14), self.shards.len());
        self.shards.get(nth).map(|shard| unpoisoned(shard.0.lock()))
    }
}

#[inline]
fn charge_if_admitted<A: Algorithm + ?Sized>(
    state: &mut [u64],
    request: &Request<'_, A>,
    by: i64,
) -> Decision {
    let decision = request.move_and_check(state);
    if decision.is_admitted() && by > 0 {
        request.charge(state, by);
    }
    decision
}

impl Slots {
    /// The slot of a key, and the tag of its state.
    fn find(&self, key: Fingerprint) -> Option<(usize, Tag)> {
        (0..CHOICES)
            .flat_map(|choice| self.bucket(key, choice))
            .find_map(|slot| Some((slot, key.tag_of(*self.owners.get(slot)?)?)))
    }

    #[cold]
    fn carry_over<A: Algorithm + ?Sized>(
        &mut self,
        slot: usize,
        key: Fingerprint,
        request: &Request<'_, A>,
        written: Tag,
    ) -> Result<(), Later> {
        if let Some(state) = self.state(slot) {
            request.carry_over(state, written)?;
        }
        self.own(slot, key.tagged(request.tag()));
        Ok(())
    }

    /// Gives `key` a slot, if there is one, and charges it.
    #[cold]
    fn insert<A: Algorithm + ?Sized>(
        &mut self,
        key: Fingerprint,
        request: &Request<'_, A>,
        by: i64,
    ) -> Option<()> {
        let slot = self.vacancy(key, request)?;
        // Nobody's until it is charged, should the algorithm panic.
        self.own(slot, NOBODY);
        let state = self.state(slot)?;
        state.fill(0);
        request.charge(state, by);
        self.own(slot, key.tagged(request.tag()));
        Some(())
    }

    /// The best slot for a new key: one that was never used or, of those that can be forgotten, the one
    /// that could have been for the longest time.
    #[cold]
    fn vacancy<A: Algorithm + ?Sized>(
        &mut self,
        key: Fingerprint,
        request: &Request<'_, A>,
    ) -> Option<usize> {
        let mut best = None;
        for choice in 0..CHOICES {
            for slot in self.bucket(key, choice) {
                let owner = *self.owners.get(slot)?;
                if owner == NOBODY {
                    return Some(slot);
                }
                // As it would be carried over, which is left to its owner's next request.
                let since = if tag(owner) == request.tag() {
                    request.can_forget(self.state(slot)?, tag(owner))
                } else {
                    let mut state = self.state(slot)?.to_vec();
                    request.can_forget(&mut state, tag(owner))
                };
                if let Some(since) = since
                    && best.is_none_or(|(earliest, _)| since < earliest)
                {
                    best = Some((since, slot));
                }
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// The slots of the bucket that is `key`'s n-th choice.
    fn bucket(&self, key: Fingerprint, choice: usize) -> std::ops::Range<usize> {
        let bits = key.bits().rotate_left(choice as u32 * 21);
        let first = scale(bits, self.owners.len() / WAYS) * WAYS;
        first..first + WAYS
    }

    fn own(&mut self, slot: usize, owner: u64) {
        if let Some(place) = self.owners.get_mut(slot) {
            *place = owner;
        }
    }

    fn state(&mut self, slot: usize) -> Option<&mut [u64]> {
        let first = slot * self.words;
        self.states.get_mut(first..first + self.words)
    }
}

/// Scales the bits of a hash onto `0..len`.
fn scale(bits: u64, len: usize) -> usize {
    ((u128::from(bits) * len as u128) >> 64) as usize
}

/// Asked of the system as zeros, which costs nothing until they are written.
fn zeros(len: usize) -> Box<[u64]> {
    vec![0; len].into()
}

impl fmt::Debug for LockedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedTable")
            .field("shards", &self.shards.len())
            .field("slots", &(self.shards.len() * self.slots_per_shard))
            .field("words", &self.unseen.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
