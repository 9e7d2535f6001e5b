#[cfg(all(test, loom))]
mod interleavings;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use buttress_core::Digest;

use crate::{
    digest_hasher::DigestHasher,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
};

/// A power of two. A model has no use for more than one.
const SHARDS: usize = if cfg!(loom) { 1 } else { 16 };

/// What was invalidated while its fetch was under way, or became suspect.
///
/// What was asked for before an invalidation may be older than what caused it: it must not be stored
/// afterwards, and after a doubt only as suspect. Only keys that are being fetched are remembered, so that there are never more of them than
/// fetches, and none of them suffers for what befalls another.
#[derive(Debug)]
pub(crate) struct Epochs {
    all: AtomicU64,
    shards: [Mutex<Shard>; SHARDS],
}

type Shard = HashMap<Digest, UnderWay, DigestHasher>;

#[derive(Debug, Default)]
struct UnderWay {
    fetches: usize,
    invalidations: u64,
    doubts: u64,
}

/// The time since a fetch began. To be kept for as long as its answer may be stored.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    begun: Arc<Begun>,
    /// Of the invalidations since, those that are its own doing.
    own: u64,
}

#[derive(Debug)]
struct Begun {
    epochs: Arc<Epochs>,
    key: Digest,
    all: u64,
    invalidations: u64,
    doubts: u64,
}

impl Epochs {
    pub(crate) fn new() -> Self {
        Self {
            all: AtomicU64::new(0),
            shards: std::array::from_fn(|_| Mutex::new(Shard::default())),
        }
    }

    /// A fetch of `key` begins.
    pub(crate) fn begin(self: &Arc<Self>, key: Digest) -> Epoch {
        let (invalidations, doubts) = {
            let mut shard = self.shard(key);
            let under_way = shard.entry(key).or_default();
            under_way.fetches += 1;
            (under_way.invalidations, under_way.doubts)
        };
        let begun = Arc::new(Begun {
            key,
            all: self.all.load(Ordering::Acquire),
            invalidations,
            doubts,
            epochs: Arc::clone(self),
        });
        Epoch { begun, own: 0 }
    }

    /// `key` is invalidated; to be called before the store is.
    pub(crate) fn advance(&self, key: Digest) {
        if let Some(under_way) = self.shard(key).get_mut(&key) {
            under_way.invalidations += 1;
        }
    }

    /// What is stored under `key` becomes suspect; to be called before the store is told.
    pub(crate) fn doubt(&self, key: Digest) {
        if let Some(under_way) = self.shard(key).get_mut(&key) {
            under_way.doubts += 1;
        }
    }

    /// Everything is invalidated.
    pub(crate) fn advance_all(&self) {
        self.all.fetch_add(1, Ordering::AcqRel);
    }

    fn shard(&self, key: Digest) -> MutexGuard<'_, Shard> {
        // In bounds: the mask is one less than their number. The map within hashes by the low half.
        let at = (key.high() as usize) & (SHARDS - 1);
        lock(&self.shards[at])
    }
}

impl Epoch {
    /// What it is of.
    pub(crate) fn key(&self) -> Digest {
        self.begun.key
    }

    /// It goes on, although its own answer has invalidated its key so many times.
    pub(crate) fn despite(&mut self, own: u64) {
        self.own += own;
    }

    /// Whether the key was invalidated since.
    pub(crate) fn is_over(&self) -> bool {
        let Begun {
            epochs,
            key,
            all,
            invalidations,
            ..
        } = &*self.begun;
        let now = epochs.shard(*key).get(key).map(|key| key.invalidations);
        now != Some(*invalidations + self.own) || epochs.all.load(Ordering::Acquire) != *all
    }

    /// Whether what was asked for then has become suspect since.
    pub(crate) fn is_doubted(&self) -> bool {
        let Begun {
            epochs,
            key,
            doubts,
            ..
        } = &*self.begun;
        let now = epochs.shard(*key).get(key).map(|key| key.doubts);
        now != Some(*doubts)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Entry::Occupied(mut under_way) = self.epochs.shard(self.key).entry(self.key) {
            under_way.get_mut().fetches -= 1;
            if under_way.get().fetches == 0 {
                under_way.remove();
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use buttress_core::DigestKey;

    use super::*;

    fn key(name: &str) -> Digest {
        DigestKey::from_words(1, 2).digest(name)
    }

    #[test]
    fn an_invalidation_ends_the_epochs_of_its_key_that_have_begun() {
        let epochs = Arc::new(Epochs::new());
        let (before, other) = (epochs.begin(key("a")), epochs.begin(key("b")));
        epochs.advance(key("a"));
        let after = epochs.begin(key("a"));
        assert!(before.is_over() && !after.is_over() && !other.is_over());
        epochs.advance_all();
        assert!(after.is_over() && other.is_over());
        assert!(!epochs.begin(key("b")).is_over());
    }

    #[test]
    fn what_an_answer_invalidates_itself_does_not_end_its_epoch() {
        let epochs = Arc::new(Epochs::new());
        let (mut first, mut second) = (epochs.begin(key("a")), epochs.begin(key("a")));
        epochs.advance(key("a"));
        first.despite(1);
        assert!(!first.is_over() && second.is_over());
        epochs.advance(key("a"));
        assert!(first.is_over());
        second.despite(1);
        assert!(second.is_over(), "one of the two is another's");
    }

    #[test]
    fn a_doubt_ends_no_epoch() {
        let epochs = Arc::new(Epochs::new());
        let (before, other) = (epochs.begin(key("a")), epochs.begin(key("b")));
        epochs.doubt(key("a"));
        let after = epochs.begin(key("a"));
        assert!(before.is_doubted() && !before.is_over());
        assert!(!after.is_doubted() && !other.is_doubted());
        epochs.advance(key("a"));
        assert!(after.is_over() && !after.is_doubted());
    }

    #[test]
    fn only_keys_that_are_fetched_are_remembered() {
        let epochs = Arc::new(Epochs::new());
        let remembered = || {
            epochs
                .shards
                .iter()
                .map(|shard| shard.lock().unwrap().len())
                .sum::<usize>()
        };
        epochs.advance(key("a"));
        assert_eq!(remembered(), 0);
        let (one, two) = (epochs.begin(key("a")), epochs.begin(key("a")));
        drop(one.clone());
        drop(one);
        epochs.advance(key("a"));
        assert!(two.is_over());
        assert_eq!(remembered(), 1);
        drop(two);
        assert_eq!(remembered(), 0);
        // The count begins anew, and nobody is left who could mistake it.
        assert!(!epochs.begin(key("a")).is_over());
    }
}
