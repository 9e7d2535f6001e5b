use std::{
    fmt,
    sync::{LockResult, PoisonError},
};

use buttress_core::Tick;

use super::table::Fingerprint;
use crate::{
    Algorithm, Decision, Quota,
    sync::{Mutex, MutexGuard},
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
    /// The state of the one bucket that all keys without a place share.
    shared: Mutex<Box<[u64]>>,
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
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) algorithm: &'a dyn Algorithm,
    pub(super) quota: &'a Quota,
    pub(super) now: Tick,
    pub(super) cost: u64,
}

impl Request<'_> {
    pub(super) fn check(&self, state: &[u64]) -> Decision {
        self.algorithm.check(self.quota, state, self.now, self.cost)
    }

    pub(super) fn charge(&self, state: &mut [u64], by: i64) {
        self.algorithm.charge(self.quota, state, self.now, by);
    }

    fn can_forget(&self, state: &[u64]) -> Option<Tick> {
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
            shared: Mutex::new(zeros(words)),
        })
    }

    /// The bytes that the table occupies, from its first day to its last.
    pub(super) fn bytes(&self) -> usize {
        // No overflow: `with_room_for` saw to that.
        let slot = size_of::<u64>() + size_of_val(&*self.unseen);
        self.shards.len() * (size_of::<Shard>() + self.slots_per_shard * slot)
            + 2 * size_of_val(&*self.unseen)
    }

    /// How `key` stands; `None` where it is unknown and would find no place to be charged in.
    pub(super) fn peek(&self, key: Fingerprint, request: &Request<'_>) -> Option<Decision> {
        let mut slots = self.shard(key)?;
        match slots.find(key) {
            Some(slot) => Some(request.check(slots.state(slot)?)),
            None if request.cost > 0 && slots.vacancy(key, request).is_none() => None,
            None => Some(request.check(&self.unseen)),
        }
    }

    /// Decides on the state of `key`, and charges it; `None` where it would have to be charged, is
    /// unknown, and all the slots in which it could stand are taken by others.
    pub(super) fn acquire(
        &self,
        key: Fingerprint,
        request: &Request<'_>,
        by: i64,
    ) -> Option<Decision> {
        let mut slots = self.shard(key)?;
        if let Some(slot) = slots.find(key) {
            return Some(charge_if_admitted(slots.state(slot)?, request, by));
        }
        let decision = request.check(&self.unseen);
        if decision.is_admitted() && by > 0 {
            slots.insert(key, request, by)?;
        }
        Some(decision)
    }

    /// Charges `key`, or gives back to it; tells whether it has a place, or needs none.
    pub(super) fn settle(&self, key: Fingerprint, request: &Request<'_>, by: i64) -> bool {
        let Some(mut slots) = self.shard(key) else {
            return false;
        };
        if let Some(slot) = slots.find(key) {
            if let Some(state) = slots.state(slot) {
                request.charge(state, by);
            }
            true
        } else if by > 0 {
            // What was full is charged all the same: it was forgotten, and is remembered again.
            slots.insert(key, request, by).is_some()
        } else {
            // What is forgotten was full; but who has no place was charged in the shared bucket.
            slots.vacancy(key, request).is_some()
        }
    }

    /// Decides on the bucket that keys without a place share, and charges it.
    pub(super) fn acquire_shared(&self, request: &Request<'_>, by: i64) -> Decision {
        charge_if_admitted(&mut unpoisoned(self.shared.lock()), request, by)
    }

    /// How that bucket stands.
    pub(super) fn peek_shared(&self, request: &Request<'_>) -> Decision {
        request.check(&unpoisoned(self.shared.lock()))
    }

    pub(super) fn settle_shared(&self, request: &Request<'_>, by: i64) {
        request.charge(&mut unpoisoned(self.shared.lock()), by);
    }

    /// What a request is answered that is not counted.
    pub(super) fn check_unseen(&self, request: &Request<'_>) -> Decision {
        request.check(&self.unseen)
    }

    fn shard(&self, key: Fingerprint) -> Option<MutexGuard<'_, Slots>> {
        // Other bits than those that choose a bucket, as long as a shard has no more than 2¹⁴ of them.
        let nth = scale(key.bits().rotate_left(14), self.shards.len());
        self.shards.get(nth).map(|shard| unpoisoned(shard.0.lock()))
    }
}

fn charge_if_admitted(state: &mut [u64], request: &Request<'_>, by: i64) -> Decision {
    let decision = request.check(state);
    if decision.is_admitted() && by > 0 {
        request.charge(state, by);
    }
    decision
}

impl Slots {
    fn find(&self, key: Fingerprint) -> Option<usize> {
        (0..CHOICES)
            .flat_map(|choice| self.bucket(key, choice))
            .find(|&slot| self.owners.get(slot) == Some(&key.bits()))
    }

    /// Gives `key` a slot, if there is one, and charges it.
    fn insert(&mut self, key: Fingerprint, request: &Request<'_>, by: i64) -> Option<()> {
        let slot = self.vacancy(key, request)?;
        // Nobody's until it is charged, should the algorithm panic.
        self.own(slot, NOBODY);
        let state = self.state(slot)?;
        state.fill(0);
        request.charge(state, by);
        self.own(slot, key.bits());
        Some(())
    }

    /// The best slot for a new key: one that was never used or, of those that can be forgotten, the one
    /// that could have been for the longest time.
    fn vacancy(&mut self, key: Fingerprint, request: &Request<'_>) -> Option<usize> {
        let mut best = None;
        for choice in 0..CHOICES {
            for slot in self.bucket(key, choice) {
                if self.owners.get(slot) == Some(&NOBODY) {
                    return Some(slot);
                }
                let state = self.state(slot)?;
                if let Some(since) = request.can_forget(state)
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

/// What an algorithm left behind that panicked is a state all the same.
fn unpoisoned<G>(locked: LockResult<G>) -> G {
    locked.unwrap_or_else(PoisonError::into_inner)
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
