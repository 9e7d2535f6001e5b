use std::sync::Arc;

use buttress_core::{ConfigError, Digest, Tick};

use super::{
    Acquire, Charge, Overflow, Store,
    locked::{LockedTable, Request},
    table::{Fingerprint, Table, Updated},
};
use crate::{
    Algorithm, Decision, FixedWindow, Limit, Quota,
    algorithm::{Gcra, Kind, OneWord, Word},
    limiter::{UNDECIDED, checked_max_keys, too_many},
    sync::{AtomicU64, Ordering},
};

/// States in this process's memory: a table of fixed size for each limit. Answers at once.
///
/// A limit with room for `n` keys occupies `32 × n` bytes from the start, whatever arrives: two slots of
/// two words for each. An algorithm whose states are of `w` words makes that `16 × (w + 1) × n`, and up to
/// a sixtieth more. Keys whose quota is full again are the ones that make room for others, so forgetting
/// loses nothing; when all the slots that a new key could have are taken by keys that still have something
/// to remember, the limit's [`Overflow`] decides.
///
/// States of one word are swapped without a lock. Longer ones stand in up to 128 shards, each behind a lock
/// that is held for one decision.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Box<[Table]>,
    /// For the limits whose states are longer.
    locked: Box<[Option<LockedTable>]>,
}

impl MemoryStore {
    /// A store for `limits`, each with room for `max_keys` keys.
    pub(crate) fn with_room_for(
        limits: &[Arc<Limit>],
        max_keys: usize,
    ) -> Result<Self, ConfigError> {
        let max_keys = checked_max_keys(max_keys)?;
        let table = |limit: &Arc<Limit>| {
            let keys = match limit.kind() {
                Kind::Words(_) => 0,
                _ => limit.room(max_keys),
            };
            Table::with_room_for(keys).ok_or_else(|| too_many(keys))
        };
        let locked = |limit: &Arc<Limit>| {
            let Kind::Words(algorithm) = limit.kind() else {
                return Ok(None);
            };
            let (keys, words) = (limit.room(max_keys), algorithm.words());
            let table = LockedTable::with_room_for(keys, words).ok_or_else(|| {
                let expected = format!("states of which {keys} fit into memory; see `max_keys`");
                ConfigError::new("algorithm.words", words, expected)
            })?;
            Ok(Some(table))
        };
        Ok(Self {
            tables: limits.iter().map(table).collect::<Result<_, _>>()?,
            locked: limits.iter().map(locked).collect::<Result<_, _>>()?,
        })
    }

    /// The bytes that the tables occupy: the same on the first day and after a flood.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let locked = self.locked.iter().flatten();
        self.tables.iter().map(Table::bytes).sum::<usize>()
            + locked.map(LockedTable::bytes).sum::<usize>()
    }

    /// How a key stands, without charging it.
    pub(crate) fn peek(&self, now: Tick, charge: &Charge<'_>, out: &mut Decision) {
        *out = match charge.limit.kind() {
            Kind::Gcra => self.peek_by(&Gcra, now, charge),
            Kind::Words(algorithm) => {
                let request = request(&**algorithm, charge.quota, now, charge.cost);
                match self.locked(charge.limit) {
                    Some(table) => peek_locked(table, charge, &request),
                    None => *out,
                }
            }
            kind => self.peek_by(&Word(kind.algorithm()), now, charge),
        };
    }

    fn peek_by<A: OneWord + ?Sized>(
        &self,
        algorithm: &A,
        now: Tick,
        charge: &Charge<'_>,
    ) -> Decision {
        let Charge {
            limit,
            key,
            quota,
            cost,
        } = *charge;
        let state = self.table(limit).map_or(0, |table| table.get(key));
        if state == 0 && cost > 0 && !self.has_place_for(algorithm, now, charge) {
            return match limit.overflow() {
                Overflow::Share => {
                    let shared = limit.shared_bucket().load(Ordering::Acquire);
                    algorithm.check(quota, shared, now, cost)
                }
                Overflow::Admit => algorithm.check(quota, 0, now, cost).let_pass(),
                Overflow::Refuse => algorithm
                    .check(quota, 0, now, cost)
                    .held_back(quota.interval()),
            };
        }
        algorithm.check(quota, state, now, cost)
    }

    fn has_place_for<A: OneWord + ?Sized>(
        &self,
        algorithm: &A,
        now: Tick,
        charge: &Charge<'_>,
    ) -> bool {
        let forget_at = |state| algorithm.forget_at(charge.quota, state);
        self.table(charge.limit)
            .is_some_and(|table| table.has_place_for(charge.key, now, forget_at))
    }

    /// Decides on one charge and makes it. Of the key it is given no more than it reads, so that no more
    /// of it needs to be computed.
    #[inline]
    pub(crate) fn acquire_one(
        &self,
        now: Tick,
        limit: &Limit,
        key: Fingerprint,
        quota: &Quota,
        cost: u64,
    ) -> (Decision, Place) {
        match limit.kind() {
            Kind::Gcra => self.acquire_by(&Gcra, now, limit, key, quota, cost),
            Kind::TokenBucket(bucket) => self.acquire_by_word(bucket, now, limit, key, quota, cost),
            Kind::LeakyBucket(bucket) => self.acquire_by_word(bucket, now, limit, key, quota, cost),
            Kind::FixedWindow => self.acquire_by_word(&FixedWindow, now, limit, key, quota, cost),
            Kind::Word(algorithm) => {
                self.acquire_by_word(&**algorithm, now, limit, key, quota, cost)
            }
            Kind::Words(algorithm) => {
                self.acquire_by_words(limit, key, &request(&**algorithm, quota, now, cost))
            }
        }
    }

    #[inline(never)]
    fn acquire_by_word<A: Algorithm + ?Sized>(
        &self,
        algorithm: &A,
        now: Tick,
        limit: &Limit,
        key: Fingerprint,
        quota: &Quota,
        cost: u64,
    ) -> (Decision, Place) {
        self.acquire_by(&Word(algorithm), now, limit, key, quota, cost)
    }

    #[inline(never)]
    fn acquire_by_words(
        &self,
        limit: &Limit,
        key: Fingerprint,
        request: &Request<'_>,
    ) -> (Decision, Place) {
        let Some(table) = self.locked(limit) else {
            return (UNDECIDED, Place::Own);
        };
        let by = signed(request.cost);
        if let Some(decision) = table.acquire(key, request, by) {
            return (decision, Place::Own);
        }
        limit.count_overflow();
        match unplaced(table, limit, request) {
            Some(decision) => (decision, Place::Own),
            None => (table.acquire_shared(request, by), Place::Shared),
        }
    }

    #[inline(always)]
    fn acquire_by<A>(
        &self,
        algorithm: &A,
        now: Tick,
        limit: &Limit,
        key: Fingerprint,
        quota: &Quota,
        cost: u64,
    ) -> (Decision, Place)
    where
        A: OneWord + ?Sized,
    {
        let mut decision = UNDECIDED;
        let updated = self.table(limit).map(|table| {
            table.update(
                key,
                now,
                |state| algorithm.forget_at(quota, state),
                |state| {
                    let next;
                    (decision, next) = step(algorithm, quota, state, now, cost);
                    next
                },
            )
        });
        if updated == Some(Updated::Done) {
            (decision, Place::Own)
        } else {
            overflow(algorithm, limit, quota, now, cost)
        }
    }

    #[inline]
    fn table(&self, limit: &Limit) -> Option<&Table> {
        self.tables.get(limit.ordinal())
    }

    fn locked(&self, limit: &Limit) -> Option<&LockedTable> {
        self.locked.get(limit.ordinal())?.as_ref()
    }
}

fn peek_locked(table: &LockedTable, charge: &Charge<'_>, request: &Request<'_>) -> Decision {
    table
        .peek(charge.key.into(), request)
        .or_else(|| unplaced(table, charge.limit, request))
        .unwrap_or_else(|| table.peek_shared(request))
}

/// What a key is answered that has no place; `None` where it shares a bucket.
fn unplaced(table: &LockedTable, limit: &Limit, request: &Request<'_>) -> Option<Decision> {
    let decision = table.check_unseen(request);
    match limit.overflow() {
        Overflow::Share => None,
        Overflow::Admit => Some(decision.let_pass()),
        Overflow::Refuse => Some(decision.held_back(request.quota.interval())),
    }
}

fn request<'a>(
    algorithm: &'a dyn Algorithm,
    quota: &'a Quota,
    now: Tick,
    cost: u64,
) -> Request<'a> {
    Request {
        algorithm,
        quota,
        now,
        cost,
    }
}

/// Decides on one state; the next one comes with it where the request is admitted and costs anything.
#[inline]
pub(crate) fn step<A>(
    algorithm: &A,
    quota: &Quota,
    state: u64,
    now: Tick,
    cost: u64,
) -> (Decision, Option<u64>)
where
    A: OneWord + ?Sized,
{
    let decision = algorithm.check(quota, state, now, cost);
    let next = (decision.is_admitted() && cost > 0)
        .then(|| algorithm.charge(quota, state, now, signed(cost)));
    (decision, next)
}

/// There is no place for the key.
#[cold]
fn overflow<A>(
    algorithm: &A,
    limit: &Limit,
    quota: &Quota,
    now: Tick,
    cost: u64,
) -> (Decision, Place)
where
    A: OneWord + ?Sized,
{
    limit.count_overflow();
    let decision = match limit.overflow() {
        Overflow::Share => {
            let mut decision = UNDECIDED;
            update_word(limit.shared_bucket(), |state| {
                let next;
                (decision, next) = step(algorithm, quota, state, now, cost);
                next
            });
            return (decision, Place::Shared);
        }
        Overflow::Admit => algorithm.check(quota, 0, now, cost).let_pass(),
        Overflow::Refuse => algorithm
            .check(quota, 0, now, cost)
            .held_back(quota.interval()),
    };
    (decision, Place::Own)
}

/// Swaps a word for what `decide` makes of it, if anything; asks again when others were faster.
#[inline]
pub(crate) fn update_word(word: &AtomicU64, mut decide: impl FnMut(u64) -> Option<u64>) {
    let mut seen = word.load(Ordering::Acquire);
    while let Some(next) = decide(seen) {
        match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(newer) => seen = newer,
        }
    }
}

#[inline]
pub(crate) fn signed(cost: u64) -> i64 {
    i64::try_from(cost).unwrap_or(i64::MAX)
}

impl Store for MemoryStore {
    #[inline]
    fn acquire(&self, now: Tick, charges: &[Charge<'_>], out: &mut [Decision]) -> Acquire {
        if let ([charge], [decision]) = (charges, &mut *out) {
            *decision = self.acquire_charge(now, charge).0;
            return if decision.is_admitted() {
                Acquire::Admitted
            } else {
                Acquire::Refused { by: 0 }
            };
        }
        self.acquire_all(now, charges, out)
    }

    fn settle(&self, now: Tick, limit: &Arc<Limit>, key: Digest, quota: &Quota, by: i64) {
        let charge = Charge {
            limit,
            key,
            quota,
            cost: 0,
        };
        match limit.kind() {
            Kind::Gcra => self.settle_by(&Gcra, now, &charge, by),
            Kind::Words(algorithm) => {
                if let Some(table) = self.locked(limit) {
                    let request = request(&**algorithm, quota, now, 0);
                    let settled = table.settle(key.into(), &request, by);
                    if !settled && limit.overflow() == Overflow::Share {
                        table.settle_shared(&request, by);
                    }
                }
            }
            kind => self.settle_by(&Word(kind.algorithm()), now, &charge, by),
        }
    }
}

impl MemoryStore {
    fn settle_by<A: OneWord + ?Sized>(
        &self,
        algorithm: &A,
        now: Tick,
        charge: &Charge<'_>,
        by: i64,
    ) {
        let Some(table) = self.table(charge.limit) else {
            return;
        };
        let settle = |state| algorithm.charge(charge.quota, state, now, by);
        let forget_at = |state| algorithm.forget_at(charge.quota, state);
        let settled = match by {
            // What was full is charged all the same: it was forgotten, and is remembered again.
            1.. => {
                table.update(charge.key, now, forget_at, |state| Some(settle(state)))
                    == Updated::Done
            }
            // What is forgotten was full; but who has no place was charged in the shared bucket.
            _ => {
                table.update_known(charge.key, settle) || self.has_place_for(algorithm, now, charge)
            }
        };
        if !settled && charge.limit.overflow() == Overflow::Share {
            update_word(charge.limit.shared_bucket(), |state| Some(settle(state)));
        }
    }
}

impl MemoryStore {
    #[inline]
    fn acquire_charge(&self, now: Tick, charge: &Charge<'_>) -> (Decision, Place) {
        let Charge {
            limit,
            key,
            quota,
            cost,
        } = *charge;
        self.acquire_one(now, limit, key.into(), quota, cost)
    }

    /// Several charges without a lock over all of them: decide on all, charge one by one, and take back
    /// what was charged when another thread used up a later one meanwhile.
    fn acquire_all(&self, now: Tick, charges: &[Charge<'_>], out: &mut [Decision]) -> Acquire {
        for (charge, decision) in charges.iter().zip(&mut *out) {
            self.peek(now, charge, decision);
        }
        if let Some(by) = binding(out) {
            self.stand_as_before(now, charges, out);
            return Acquire::Refused { by };
        }
        // A bit for each charge that was made to the shared bucket.
        let mut shared = 0_u64;
        for (index, (charge, decision)) in charges.iter().zip(&mut *out).enumerate() {
            let place;
            (*decision, place) = self.acquire_charge(now, charge);
            if !decision.is_admitted() {
                for (earlier, charge) in charges.iter().enumerate().take(index) {
                    let place = if shared & bit(earlier) == 0 {
                        Place::Own
                    } else {
                        Place::Shared
                    };
                    self.take_back(now, charge, place);
                }
                self.stand_as_before(now, charges, out);
                return Acquire::Refused {
                    by: u8::try_from(index).unwrap_or(u8::MAX),
                };
            }
            if place == Place::Shared {
                shared |= bit(index);
            }
        }
        Acquire::Admitted
    }

    /// One limit refused, so those that would have admitted were not charged: tells how they stand.
    fn stand_as_before(&self, now: Tick, charges: &[Charge<'_>], out: &mut [Decision]) {
        for (charge, decision) in charges.iter().zip(out) {
            if decision.is_admitted() {
                self.peek(now, &Charge { cost: 0, ..*charge }, decision);
            }
        }
    }

    fn take_back(&self, now: Tick, charge: &Charge<'_>, place: Place) {
        let by = -signed(charge.cost);
        match (place, charge.limit.kind()) {
            (Place::Own, _) => self.settle(now, charge.limit, charge.key, charge.quota, by),
            (Place::Shared, Kind::Gcra) => give_back(&Gcra, now, charge, by),
            (Place::Shared, Kind::Words(algorithm)) => {
                if let Some(table) = self.locked(charge.limit) {
                    let request = request(&**algorithm, charge.quota, now, 0);
                    table.settle_shared(&request, by);
                }
            }
            (Place::Shared, kind) => give_back(&Word(kind.algorithm()), now, charge, by),
        }
    }
}

/// Gives back what the shared bucket was charged.
fn give_back<A: OneWord + ?Sized>(algorithm: &A, now: Tick, charge: &Charge<'_>, by: i64) {
    update_word(charge.limit.shared_bucket(), |state| {
        Some(algorithm.charge(charge.quota, state, now, by))
    });
}

/// The bit of the charge at `index`; a layer has far fewer of them than there are bits.
fn bit(index: usize) -> u64 {
    u32::try_from(index)
        .ok()
        .and_then(|index| 1_u64.checked_shl(index))
        .unwrap_or(0)
}

/// Where a charge was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the key's own slot, if anywhere.
    Own,
    /// In the bucket of those that have no slot.
    Shared,
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

#[cfg(all(test, loom))]
mod both_tables;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod interleavings;
