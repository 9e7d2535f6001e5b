mod acquire;
mod all_or_nothing;
mod ask;
mod course;
mod known;
mod peek;
mod settle;
mod unplaced;

use std::sync::Arc;

use buttress_core::{ConfigError, Digest, Tick};

use super::{Acquire, Charge, Store, locked::LockedTable, table::Table};
use crate::{
    Decision, Limit,
    algorithm::Summaries,
    room::{checked_max_keys, too_many},
};

/// States in this process's memory: a table of fixed size for each limit. Answers at once.
///
/// A limit with room for `n` keys occupies `32 × n` bytes from the start, whatever arrives: two slots of
/// two words for each. An algorithm whose states are of `w` words makes that `16 × (w + 1) × n`, and up to
/// a sixtieth more; with a [`SlidingWindow`](crate::SlidingWindow) or a [`SlidingLog`](crate::SlidingLog) there is one word more
/// for each, in which most requests are decided on beside whose it is. Where quotas are [resolved for each request](crate::Policy::quota_by) states are four
/// words longer, and tell their quota. Keys whose quota is full again are the ones that make room for others,
/// so forgetting loses nothing; when all the slots that a new key could have are taken by keys that still have
/// something to remember, the limit's [`Overflow`](crate::Overflow) decides.
///
/// States of one word are swapped without a lock, and so is the word in which those of a sliding window or log mostly
/// are decided on. Longer ones, and those that tell their quota, stand in up to 128 shards, each behind a lock that is
/// held while one request is decided, with those of its other limits.
#[derive(Debug)]
pub struct MemoryStore {
    tables: Box<[Table]>,
    /// For each limit the one bucket that all keys without a place share, see [`Overflow::Share`](crate::Overflow::Share).
    shared: Box<[Table]>,
    /// For the limits whose states are longer; with such a bucket of their own.
    locked: Box<[Option<LockedTable>]>,
    /// Whether there is any such limit.
    has_locks: bool,
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

impl Place {
    /// Of the charge at `index`, where there is a bit for each that was made to a shared bucket.
    pub(crate) fn of(shared: u64, index: usize) -> Self {
        match shared & all_or_nothing::bit(index) {
            0 => Self::Own,
            _ => Self::Shared,
        }
    }
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
            let summaries = Summaries::of(limit.kind(), limit.quotas().first());
            let table = LockedTable::with_room_for(keys, words, summaries).ok_or_else(|| {
                let expected = format!("states of which {keys} fit into memory; see `max_keys`");
                ConfigError::new("algorithm.words", words, expected)
            })?;
            Ok(Some(table))
        };
        Ok(Self {
            has_locks: limits.iter().any(|limit| limit.kind().is_long()),
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
        if let Ok(acquired) = self.try_acquire(now, charges, out, &mut 0) {
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
            if let Ok(acquired) = self.try_acquire(now, &charges, out, &mut 0) {
                return acquired;
            }
        }
    }

    fn settle(&self, now: Tick, charge: &Charge<'_>, by: i64) {
        self.settle_at(now, charge, None, by);
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
