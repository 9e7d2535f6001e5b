mod lines;
mod request;
mod shard;
mod slots;

use std::fmt;

pub(super) use self::{
    request::{Found, Request},
    shard::{Held, Known},
};
use self::{
    shard::Shard,
    slots::{Slots, WAYS, scale, zeros},
};
use super::{memory::signed, table::Fingerprint};
use crate::{
    Algorithm, Decision,
    algorithm::Summaries,
    limit::Tag,
    sync::{Mutex, unpoisoned},
};

/// Slots per key that the table promises room for.
const SLOTS_PER_KEY: usize = 2;

/// Shards of a large table, each behind a lock of its own.
const MOST_SHARDS: usize = 128;

/// Buckets that a shard has at least: in smaller ones, chance would fill one while others stand empty.
const LEAST_BUCKETS: usize = 64;

/// States of several words by key: of fixed size, in shards behind locks.
///
/// A slot is found, and given to another key, by the rules of the [table of one
/// word](super::table::Table): a new key looks at the same number of slots, and of those that can be
/// forgotten it takes the one that could have been for the longest time. A lock is held for one decision or, with
/// [those of other tables](Known::hold), for all that are made of one request. Who holds one waits for no lock but
/// that of a table of a later limit, and that of the limit's past quotas, who holds which waits for none.
///
/// A state whose algorithm [summarizes](Summaries) it has a word beside its owner, on which most requests are decided: a
/// table of many keys is larger than a cache, and so each of its lines that a decision reads has to be waited for.
pub(super) struct LockedTable {
    shards: Box<[Shard]>,
    buckets_per_shard: usize,
    summaries: Option<Summaries>,
    /// A state that was never seen.
    unseen: Box<[u64]>,
    /// The one bucket that all keys without a place share.
    shared: Mutex<Shared>,
}

struct Shared {
    tag: Tag,
    state: Box<[u64]>,
}

impl LockedTable {
    /// A table with room for `keys` keys of `words` words each and, if need be, a summary; `None` where there is not so
    /// much memory.
    pub(super) fn with_room_for(
        keys: usize,
        words: usize,
        summaries: Option<Summaries>,
    ) -> Option<Self> {
        let buckets = keys.checked_mul(SLOTS_PER_KEY)?.div_ceil(WAYS).max(1);
        let shards = (buckets / LEAST_BUCKETS).clamp(1, MOST_SHARDS);
        let buckets = buckets.div_ceil(shards);
        // Asked for as a whole and given back: a vector of zeros that the system refuses ends the process.
        let all = Shard::bytes(buckets, words, summaries)?.checked_mul(shards)?;
        Vec::<u8>::new().try_reserve_exact(all).ok()?;
        let shard = || Shard::new(buckets, words, summaries);
        Some(Self {
            shards: (0..shards).map(|_| shard()).collect(),
            buckets_per_shard: buckets,
            summaries,
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
        let shard = Shard::bytes(self.buckets_per_shard, self.unseen.len(), self.summaries);
        self.shards.len() * shard.unwrap_or(0) + 2 * size_of_val(&*self.unseen)
    }

    /// The state of a key that is known, if it is one of this tag.
    #[inline]
    pub(super) fn look(&self, key: Fingerprint, tag: Tag) -> Option<Known<'_>> {
        self.shard_of(key)?.look(key, tag)
    }

    /// Whether `key` is known, under whichever tag.
    pub(super) fn knows(&self, key: Fingerprint) -> bool {
        let slots = self.shard(key);
        slots.is_some_and(|slots| slots.find(key, 0).is_some())
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
    ) -> Found<Decision> {
        self.with(key, request, |slots, known| {
            if let Some(slot) = known {
                return Some(request.take(slots.state(slot)?));
            }
            let decision = request.check(&self.unseen);
            if decision.is_admitted() && request.cost > 0 {
                slots.insert(key, request, signed(request.cost))?;
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
        then: impl FnOnce(&mut Slots<'_>, Option<usize>) -> Option<O>,
    ) -> Found<O> {
        let Some(mut slots) = self.shard(key) else {
            return Found::Full;
        };
        let known = match slots.find(key, request.tag()) {
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
    ) -> Option<Decision> {
        self.with_shared(request, |state| request.take(state))
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

    /// The slots among which a key may stand, locked.
    #[inline]
    fn shard(&self, key: Fingerprint) -> Option<Slots<'_>> {
        self.shard_of(key).map(Shard::lock)
    }

    #[inline]
    fn shard_of(&self, key: Fingerprint) -> Option<&Shard> {
        // Other bits than those that choose a bucket, as long as a shard has no more than 2¹⁴ of them.
        let nth = scale(key.bits().rotate_left(14), self.shards.len());
        self.shards.get(nth)
    }
}

impl fmt::Debug for LockedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockedTable")
            .field("shards", &self.shards.len())
            .field(
                "slots",
                &(self.shards.len() * self.buckets_per_shard * WAYS),
            )
            .field("words", &self.unseen.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
