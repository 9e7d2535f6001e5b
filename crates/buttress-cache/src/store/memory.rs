use std::{fmt, sync::Arc};

use buttress_core::{ConfigError, Digest};
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use crate::{
    digest_hasher::DigestHasher,
    sync::{Mutex, MutexGuard, lock},
};

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
            writers: (0..shards).map(|_| Mutex::new(())).collect(),
            cache,
        })
    }

    fn writer(&self, key: Digest) -> MutexGuard<'_, ()> {
        // In bounds: there are as many as a power of two, of which one less is the mask.
        let at = key.high() as usize & (self.writers.len() - 1);
        lock(&self.writers[at])
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
        // A writer that has read what is kept would put some of it back.
        let _writers: Vec<_> = self.writers.iter().map(lock).collect();
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{thread, time::SystemTime};

    use bytes::Bytes;
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

    use super::*;
    use crate::rfc9111::{self, Options, RequestHead, Target, Times};

    /// An entry for whoever asks in `language`.
    fn variant(language: &'static str) -> Arc<Entry> {
        let (uri, now) = (
            Uri::from_static("http://example.com/"),
            SystemTime::UNIX_EPOCH,
        );
        let value = HeaderValue::from_static;
        let asked = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, value(language))]);
        let fields = [
            (header::CACHE_CONTROL, value("max-age=60")),
            (header::VARY, value("accept-language")),
        ];
        let head = rfc9111::store(
            &Options::shared(),
            &RequestHead::new(&Method::GET, &asked),
            &Target::of("http", &uri, &asked).unwrap(),
            StatusCode::OK,
            &HeaderMap::from_iter(fields),
            Times {
                requested: now,
                responded: now,
            },
        );
        let rfc9111::Store::Keep(head) = head else {
            panic!("not kept: {head:?}");
        };
        Arc::new(Entry::new(*head, Bytes::new()))
    }

    fn kept(memory: &Memory, key: Digest) -> Variants {
        match memory.get(key) {
            Answer::Now(kept) => kept,
            Answer::Later(_) => panic!("memory does not wait"),
        }
    }

    /// A put reads what is kept before it writes: what was cleared in between must not come back with it.
    #[test]
    fn what_was_cleared_does_not_come_back_with_another_variant() {
        let memory = Memory::of(1 << 20, 1 << 10).unwrap();
        let key = Digest::from_u128(7);
        let _ = memory.put(key, variant("en"), &[]);
        thread::scope(|scope| {
            let writer = memory.writer(key);
            let read = kept(&memory, key);
            let clear = scope.spawn(|| memory.clear());
            for _ in 0..10_000 {
                assert!(!clear.is_finished(), "it did not wait for the writer");
                thread::yield_now();
            }
            let written = read.with(variant("de"), VARIANTS, memory.per_key);
            memory.cache.insert(key, written);
            drop(writer);
        });
        assert!(kept(&memory, key).as_slice().is_empty());
        assert_eq!(memory.usage().bytes, 0);
    }

    #[test]
    fn what_is_put_while_all_is_cleared_is_there_with_its_weight_or_not_at_all() {
        let memory = Memory::of(1 << 20, 1 << 10).unwrap();
        let key = Digest::from_u128(7);
        for _ in 0..200 {
            let entry = variant("en");
            thread::scope(|scope| {
                scope.spawn(|| memory.put(key, Arc::clone(&entry), &[]));
                let _ = memory.clear();
            });
            assert_eq!(memory.usage().bytes, kept(&memory, key).weight() as u64);
            let _ = memory.clear();
            assert_eq!(memory.usage().bytes, 0);
        }
    }
}
