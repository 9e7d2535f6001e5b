use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use buttress_core::{ConfigError, Digest};
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use crate::digest_hasher::DigestHasher;

use super::{Answer, Entry, Store, Usage, Variants};

/// What an entry usually takes, for the size of the tables.
const USUAL: u64 = 4 * 1024;

/// As many at most. More locks than threads is all that they are for.
const SHARDS: u64 = 16;

/// A shard holds at least so many of the largest entries, or it would evict everything for one of them.
const LARGEST_PER_SHARD: u64 = 4;

/// Variants under one key, at most: what an attacker may fill with made-up values of a field that `Vary`
/// names.
const VARIANTS: usize = 32;

/// Entries in this process's memory, bounded in bytes.
///
/// Bodies, header fields and the tables' own overhead count. Those that are used least go first, by
/// [`quick_cache`](https://docs.rs/quick_cache)'s policy, which a scan does not wash out. The room is
/// divided into shards, and that of one may be full a little before all are.
pub struct Memory {
    cache: Cache<Digest, Variants, Weight, DigestHasher>,
    /// To read and to write again is two steps.
    writers: Box<[Mutex<()>]>,
    /// For the variants of one key together.
    per_key: usize,
}

impl Memory {
    /// Room for `capacity` bytes, of which one entry takes `largest` at most.
    ///
    /// # Errors
    ///
    /// Where there is not room for four of the largest.
    pub fn of(capacity: usize, largest: usize) -> Result<Self, ConfigError> {
        let (capacity, largest) = (capacity as u64, (largest as u64).max(1));
        let shards = (capacity / (largest.saturating_mul(LARGEST_PER_SHARD))).min(SHARDS);
        if shards == 0 {
            return Err(ConfigError::new(
                "capacity",
                capacity,
                format!("at least {LARGEST_PER_SHARD} times the largest entry, {largest}"),
            ));
        }
        // A power of two, rounded down, as the cache itself would round up.
        let shards = 1 << shards.ilog2();
        let options = OptionsBuilder::new()
            .estimated_items_capacity(
                usize::try_from(capacity / USUAL)
                    .unwrap_or(usize::MAX)
                    .max(16),
            )
            .weight_capacity(capacity)
            .shards(shards)
            .build()
            .map_err(|error| ConfigError::new("capacity", capacity, error.to_string()))?;
        let cache = Cache::with_options(
            options,
            Weight,
            DigestHasher::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        );
        Ok(Self {
            per_key: usize::try_from(cache.shard_capacity() / 2).unwrap_or(usize::MAX),
            writers: (0..shards).map(|_| Mutex::default()).collect(),
            cache,
        })
    }

    fn writer(&self, key: Digest) -> MutexGuard<'_, ()> {
        // In bounds: there are as many as a power of two, of which one less is the mask.
        let at = key.high() as usize & (self.writers.len() - 1);
        self.writers[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    #[inline]
    fn get(&self, key: Digest) -> Answer<Variants> {
        Answer::Now(self.cache.get(&key).unwrap_or_default())
    }

    fn put(&self, key: Digest, entry: Arc<Entry>, replaced: &[Arc<Entry>]) -> Answer<bool> {
        let _writer = self.writer(key);
        let stored = self.cache.peek(&key).unwrap_or_default();
        let others = stored.without(replaced);
        let variants = others.with(entry, VARIANTS, self.per_key);
        // What is too large for a shard is not kept.
        let fits = variants.weight() as u64 <= self.cache.shard_capacity();
        self.cache.insert(key, variants);
        Answer::Now(fits)
    }

    fn update(&self, key: Digest, old: &Arc<Entry>, new: Option<Arc<Entry>>) -> Answer<bool> {
        let _writer = self.writer(key);
        let stored = self.cache.peek(&key).unwrap_or_default();
        let others = stored.without(std::slice::from_ref(old));
        let was_kept = others.as_slice().len() < stored.as_slice().len();
        if was_kept {
            match new {
                Some(new) => {
                    let variants = others.with(new, VARIANTS, self.per_key);
                    self.cache.insert(key, variants);
                }
                None if others.as_slice().is_empty() => {
                    self.cache.remove(&key);
                }
                None => self.cache.insert(key, others),
            }
        }
        Answer::Now(was_kept)
    }

    fn invalidate(&self, key: Digest) -> Answer<bool> {
        let _writer = self.writer(key);
        Answer::Now(self.cache.remove(&key).is_some())
    }

    fn clear(&self) -> Answer<()> {
        self.cache.clear();
        Answer::Now(())
    }

    fn usage(&self) -> Usage {
        Usage {
            keys: self.cache.len(),
            bytes: self.cache.weight(),
            capacity: self.cache.capacity(),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<Digest, Variants> for Weight {
    fn weight(&self, _: &Digest, variants: &Variants) -> u64 {
        // Nothing weighs nothing, or it would never be evicted.
        (variants.weight() as u64).max(1)
    }
}
