mod all_or_nothing;
mod course;

use std::sync::Arc;

use buttress_core::{ConfigError, Digest, Tick};

use self::course::Course;
use super::{
    Acquire, Charge, Overflow, Store,
    locked::{Found, LockedTable, Request},
    table::{Fingerprint, Table, Updated},
};
use crate::{
    Algorithm, Decision, FixedWindow, Limit, Quota,
    algorithm::{Gcra, Kind, OneWord, Word},
    limit::Tag,
    limiter::UNDECIDED,
    room::{checked_max_keys, too_many},
};

/// States in this process's memory: a table of fixed size for each limit. Answers at once.
///
/// A limit with room for `n` keys occupies `32 × n` bytes from the start, whatever arrives: two slots of
/// two words for each. An algorithm whose states are of `w` words makes that `16 × (w + 1) × n`, and up to
/// a sixtieth more. Where quotas are [resolved for each request](crate::Policy::quota_by) states are four
/// words longer, and tell their quota. Keys whose quota is full again are the ones that make room for others,
/// so forgetting loses nothing; when all the slots that a new key could have are taken by keys that still have
/// something to remember, the limit's [`Overflow`] decides.
///
/// States of one word are swapped without a lock. Longer ones, and those that tell their quota, stand in up to
/// 128 shards, each behind a lock that is held for one decision.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Box<[Table]>,
    /// For each limit the one bucket that all keys without a place share, see [`Overflow::Share`].
    shared: Box<[Table]>,
    /// For the limits whose states are longer; with such a bucket of their own.
    locked: Box<[Option<LockedTable>]>,
}

/// The key of the bucket that others share, in a table of its own.
const SHARED: Digest = Digest::from_u128(1 << 64);

/// Where a charge was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the key's own slot, if anywhere.
    Own,
    /// In the bucket of those that have no slot.
    Shared,
}

/// The limit's quota was changed since it was read: it has to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stale;

impl MemoryStore {
    /// A store for the `limits` of one layer, each with room for `max_keys` keys: a part of a store of your own,
    /// which gets the limits when the layer is built.
    ///
    /// ```
    /// use std::sync::{Arc, OnceLock, atomic::{AtomicU64, Ordering}};
    ///
    /// use buttress_core::Tick;
    /// use buttress_rate_limit::{
    ///     ConfigError, Decision, Limit, Policy, RateLimitLayer, Store,
    ///     store::{Acquire, Charge, MemoryStore},
    /// };
    ///
    /// /// Counts what is given back.
    /// #[derive(Debug, Default)]
    /// struct Counted {
    ///     memory: OnceLock<MemoryStore>,
    ///     given_back: AtomicU64,
    /// }
    ///
    /// impl Store for Counted {
    ///     fn supports(&self, limits: &[Arc<Limit>]) -> Result<(), ConfigError> {
    ///         let memory = MemoryStore::with_room_for(limits, 10_000)?;
    ///         let taken = |_| ConfigError::new("store", "another layer's", "a store of its own for each layer");
    ///         self.memory.set(memory).map_err(taken)
    ///     }
    ///
    ///     fn acquire(&self, now: Tick, charges: &[Charge<'_>], out: &mut [Decision]) -> Acquire {
    ///         match self.memory.get() {
    ///             Some(memory) => memory.acquire(now, charges, out),
    ///             None => Acquire::Refused { by: 0 },
    ///         }
    ///     }
    ///
    ///     fn settle(&self, now: Tick, charge: &Charge<'_>, by: i64) {
    ///         self.given_back.fetch_add(by.min(0).unsigned_abs(), Ordering::Relaxed);
    ///         if let Some(memory) = self.memory.get() {
    ///             memory.settle(now, charge, by);
    ///         }
    ///     }
    /// }
    ///
    /// let layer = RateLimitLayer::http(Policy::new("all", "10/s")).store(Arc::new(Counted::default())).build()?;
    /// # let _ = layer;
    /// # Ok::<(), ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Where there is room for no key, or not as much memory, and where these are not all limits of one layer in
    /// their order.
    pub fn with_room_for(limits: &[Arc<Limit>], max_keys: usize) -> Result<Self, ConfigError> {
        for (ordinal, limit) in limits.iter().enumerate() {
            if limit.ordinal() != ordinal {
                let expected = "all limits of one layer, in their order";
                return Err(ConfigError::new("limits", limit.name(), expected));
            }
        }
        let max_keys = checked_max_keys(max_keys)?;
        let table = |keys| Table::with_room_for(keys).ok_or_else(|| too_many(keys));
        let own = |limit: &Arc<Limit>| match limit.kind().is_long() {
            true => table(0),
            false => table(limit.room(max_keys)),
        };
        let locked = |limit: &Arc<Limit>| {
            if !limit.kind().is_long() {
                return Ok(None);
            }
            let (keys, words) = (limit.room(max_keys), limit.kind().in_memory().words());
            let table = LockedTable::with_room_for(keys, words).ok_or_else(|| {
                let expected = format!("states of which {keys} fit into memory; see `max_keys`");
                ConfigError::new("algorithm.words", words, expected)
            })?;
            Ok(Some(table))
        };
        Ok(Self {
            tables: limits.iter().map(own).collect::<Result<_, _>>()?,
            shared: limits.iter().map(|_| table(1)).collect::<Result<_, _>>()?,
            locked: limits.iter().map(locked).collect::<Result<_, _>>()?,
        })
    }

    /// The bytes that the tables occupy: the same on the first day and after a flood.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tables = self.tables.iter().chain(&self.shared);
        let locked = self.locked.iter().flatten();
        tables.map(Table::bytes).sum::<usize>() + locked.map(LockedTable::bytes).sum::<usize>()
    }

    /// How a key stands, without charging it.
    pub(crate) fn peek(
        &self,
        now: Tick,
        charge: &Charge<'_>,
        out: &mut Decision,
    ) -> Result<(), Stale> {
        let decision = match charge.limit.kind() {
            Kind::Gcra => self.peek_by(&Gcra, now, charge)?,
            kind if kind.is_long() => {
                let request = request(kind.in_memory(), now, charge);
                match self.locked(charge.limit) {
                    Some(table) => peek_locked(table, charge, &request)?,
                    None => return Ok(()),
                }
            }
            kind => self.peek_by(&Word(kind.algorithm()), now, charge)?,
        };
        *out = decision;
        Ok(())
    }

    fn peek_by<A: OneWord>(
        &self,
        algorithm: &A,
        now: Tick,
        charge: &Charge<'_>,
    ) -> Result<Decision, Stale> {
        let Charge {
            limit, quota, cost, ..
        } = *charge;
        let Some(table) = self.table(limit) else {
            return Ok(UNDECIDED);
        };
        let course = Course::of(algorithm, limit, quota, charge.revision);
        let state = table.get(charge.key, &course).ok_or(Stale)?;
        if state == 0 && cost > 0 && !table.has_place_for(charge.key, now, &course) {
            return Ok(match limit.overflow() {
                Overflow::Share => {
                    let shared = self.shared_bucket(limit);
                    let shared = shared.map_or(Some(0), |bucket| bucket.get(SHARED, &course));
                    algorithm.check(quota, shared.ok_or(Stale)?, now, cost)
                }
                Overflow::Admit => algorithm.check(quota, 0, now, cost).let_pass(),
                Overflow::Refuse => algorithm
                    .check(quota, 0, now, cost)
                    .held_back(quota.interval()),
            });
        }
        Ok(algorithm.check(quota, state, now, cost))
    }

    /// As [`acquire_one`](Self::acquire_one) does, to be inlined: the usual algorithm, a key that is known, and nobody
    /// who comes in between; all else is left to that one. Of the decision, no more is made then than is looked at.
    #[inline(always)]
    pub(crate) fn acquire_usual(
        &self,
        now: Tick,
        limit: &Limit,
        key: Fingerprint,
        (quota, revision): (&Quota, Option<u64>),
        cost: u64,
    ) -> Result<Decision, Stale> {
        if let (Kind::Gcra, Some(revision)) = (limit.kind(), revision)
            && let Some(table) = self.table(limit)
            && let Some(slot) = table.look(key, revision as Tag)
        {
            let (decision, next) = Gcra.step(quota, slot.seen, now, cost);
            if next.is_none_or(|next| slot.swap(next)) {
                return Ok(decision);
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
    fn acquire_by_words<A: Algorithm + ?Sized>(
        &self,
        algorithm: &A,
        ask: Ask<'_>,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        let Some(table) = self.locked(ask.limit) else {
            return Ok(Place::Own);
        };
        let by = signed(ask.cost);
        loop {
            let request = ask.request(algorithm);
            match table.acquire(ask.key, &request, by) {
                Found::Known(decision) => {
                    *out = decision;
                    return Ok(Place::Own);
                }
                Found::Full => {
                    ask.limit.count_overflow();
                    if let Some(decision) = unplaced(table, ask.limit, &request) {
                        *out = decision;
                        return Ok(Place::Own);
                    }
                    if let Some(decision) = table.acquire_shared(&request, by) {
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
                let next;
                (*out, next) = algorithm.step(ask.quota, state, ask.now, ask.cost);
                next
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
        let decision = match limit.overflow() {
            Overflow::Share => {
                let course = Course::of(algorithm, limit, quota, ask.revision);
                let mut decision = UNDECIDED;
                let updated = self
                    .shared_bucket(limit)?
                    .update(SHARED, now, &course, |state| {
                        let next;
                        (decision, next) = algorithm.step(quota, state, now, cost);
                        next
                    });
                return (updated == Updated::Done).then_some((decision, Place::Shared));
            }
            Overflow::Admit => algorithm.check(quota, 0, now, cost).let_pass(),
            Overflow::Refuse => algorithm
                .check(quota, 0, now, cost)
                .held_back(quota.interval()),
        };
        Some((decision, Place::Own))
    }

    /// Settles what was charged at `place`; `None` where that has to be found out.
    fn settle_at(&self, now: Tick, charge: &Charge<'_>, place: Option<Place>, by: i64) {
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
                    let request = request(kind.in_memory(), now, &charge);
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

    #[inline]
    fn table(&self, limit: &Limit) -> Option<&Table> {
        self.tables.get(limit.ordinal())
    }

    fn shared_bucket(&self, limit: &Limit) -> Option<&Table> {
        self.shared.get(limit.ordinal())
    }

    fn locked(&self, limit: &Limit) -> Option<&LockedTable> {
        self.locked.get(limit.ordinal())?.as_ref()
    }
}

impl Store for MemoryStore {
    fn acquire(&self, now: Tick, charges: &[Charge<'_>], out: &mut [Decision]) -> Acquire {
        if let Ok(acquired) = self.try_acquire(now, charges, out) {
            return acquired;
        }
        // A quota was changed meanwhile: the one that is in force decides.
        loop {
            let in_force: Vec<_> = charges
                .iter()
                .map(|charge| charge.limit.in_force())
                .collect();
            let charges: Vec<_> = charges
                .iter()
                .zip(&in_force)
                .map(|(charge, (quota, revision))| match charge.revision {
                    Some(_) => Charge {
                        quota,
                        revision: Some(*revision),
                        ..*charge
                    },
                    None => *charge,
                })
                .collect();
            if let Ok(acquired) = self.try_acquire(now, &charges, out) {
                return acquired;
            }
        }
    }

    fn settle(&self, now: Tick, charge: &Charge<'_>, by: i64) {
        self.settle_at(now, charge, None, by);
    }
}

impl MemoryStore {
    /// As [`Store::acquire`], but leaves it to the caller to read quotas again that were changed.
    #[inline]
    pub(crate) fn try_acquire(
        &self,
        now: Tick,
        charges: &[Charge<'_>],
        out: &mut [Decision],
    ) -> Result<Acquire, Stale> {
        if let ([charge], [decision]) = (charges, &mut *out) {
            self.acquire_charge(now, charge, decision)?;
            return Ok(if decision.is_admitted() {
                Acquire::Admitted
            } else {
                Acquire::Refused { by: 0 }
            });
        }
        self.acquire_all(now, charges, out)
    }

    #[inline]
    fn acquire_charge(
        &self,
        now: Tick,
        charge: &Charge<'_>,
        out: &mut Decision,
    ) -> Result<Place, Stale> {
        let Charge {
            limit,
            key,
            quota,
            revision,
            cost,
        } = *charge;
        self.acquire_one(now, limit, key.into(), (quota, revision), cost, out)
    }
}

/// One charge, on its way to the table.
#[derive(Clone, Copy)]
struct Ask<'a> {
    now: Tick,
    limit: &'a Limit,
    key: Fingerprint,
    quota: &'a Quota,
    revision: Option<u64>,
    cost: u64,
}

impl<'a> Ask<'a> {
    fn request<A: ?Sized>(&self, algorithm: &'a A) -> Request<'a, A> {
        let quotas = self.limit.quotas();
        Request {
            algorithm,
            quota: self.quota,
            own: self.revision.is_some(),
            by_request: self.limit.kind().is_by_request(),
            quotas,
            revision: self.revision.unwrap_or_else(|| quotas.revision()),
            now: self.now,
            cost: self.cost,
        }
    }

    /// A quota that was resolved for the request stays as it is, whatever becomes of the limit's own.
    #[cold]
    fn again(&self) -> Result<(), Stale> {
        match self.revision {
            Some(_) => Err(Stale),
            None => Ok(()),
        }
    }
}

fn request<'a>(
    algorithm: &'a dyn Algorithm,
    now: Tick,
    charge: &Charge<'a>,
) -> Request<'a, dyn Algorithm> {
    let ask = Ask {
        now,
        limit: charge.limit,
        key: charge.key.into(),
        quota: charge.quota,
        revision: charge.revision,
        cost: charge.cost,
    };
    ask.request(algorithm)
}

fn peek_locked(
    table: &LockedTable,
    charge: &Charge<'_>,
    request: &Request<'_, dyn Algorithm>,
) -> Result<Decision, Stale> {
    match table.peek(charge.key.into(), request) {
        Found::Known(decision) => Ok(decision),
        Found::Full => unplaced(table, charge.limit, request)
            .or_else(|| table.peek_shared(request))
            .ok_or(Stale),
        Found::Stale => Err(Stale),
    }
}

/// What a key is answered that has no place; `None` where it shares a bucket.
fn unplaced<A: Algorithm + ?Sized>(
    table: &LockedTable,
    limit: &Limit,
    request: &Request<'_, A>,
) -> Option<Decision> {
    let decision = table.check_unseen(request);
    match limit.overflow() {
        Overflow::Share => None,
        Overflow::Admit => Some(decision.let_pass()),
        Overflow::Refuse => Some(decision.held_back(request.quota.interval())),
    }
}

fn fresh(updated: Updated) -> Result<Updated, Stale> {
    match updated {
        Updated::Stale => Err(Stale),
        updated => Ok(updated),
    }
}

#[inline]
pub(crate) fn signed(cost: u64) -> i64 {
    i64::try_from(cost).unwrap_or(i64::MAX)
}

#[cfg(all(test, loom))]
mod both_tables;
#[cfg(all(test, not(loom)))]
mod conservation;
#[cfg(all(test, not(loom)))]
mod moves;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod interleavings;
