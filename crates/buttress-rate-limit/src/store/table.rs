use std::fmt;

use buttress_core::{Digest, Tick};

use crate::sync::{AtomicU64, Mutex, Ordering};

/// Slots in a bucket: with a word of fingerprint and a word of state each, they fill one cache line.
const WAYS: usize = 4;

/// Buckets in which a key may stand. In a table of twice as many slots as keys, one in a few hundred
/// keys finds all of them full when the table is as full as it may be, and hardly any before.
const CHOICES: usize = 3;

/// Slots per key that the table promises room for.
const SLOTS_PER_KEY: usize = 2;

/// Locks among which insertions are spread.
const STRIPES: usize = if cfg!(loom) { 1 } else { 64 };

/// A fingerprint of 0 marks a slot that was never used.
const NOBODY: u64 = 0;

/// The state of a slot that is passing from one key to another.
const BUSY: u64 = u64::MAX;

/// States of one word by key: of fixed size, without a lock where the key is known.
///
/// # What it costs
///
/// A known key: one cache line read in most cases, one compare-and-swap. A new key: a lock among 64, at
/// most three cache lines, two stores. Never an allocation, never a sweep.
///
/// # How owner and state change together
///
/// A slot is two words, and no single instruction changes both. Three rules make it safe:
///
/// 1. Whoever gives a slot to another key first swaps its state, the very one that it judged forgettable,
///    for [`BUSY`]; then it writes the fingerprint, then the new state.
/// 2. Whoever charges a known key reads the state *first* and the fingerprint *after*, and swaps the
///    state only if it is still the one that was read. A slot that was given away in between has another
///    state: `BUSY`, or one that is forgotten later than the one that was read (see below).
/// 3. Whoever inserts a key holds the lock of that key's stripe, and looks for the key once more before
///    it takes a slot. So no key ever stands in two slots.
///
/// A state is judged forgettable when its `forget_at` is *before* now, and one that was charged is
/// forgotten *after* now. Charging only moves it on, and giving back moves it to now at the earliest. So a
/// slot that has changed hands does not return to the state that it was given away with, and rule 2 is
/// not fooled. `tests` explores the interleavings with loom.
pub(super) struct Table {
    buckets: Box<[Bucket]>,
    stripes: Box<[Mutex<()>]>,
}

#[repr(align(64))]
#[derive(Default)]
struct Bucket {
    fingerprints: [AtomicU64; WAYS],
    states: [AtomicU64; WAYS],
}

/// How [`Table::update`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Updated {
    /// The key's state was decided on, and written if it changed.
    Done,
    /// The key is unknown, and all the slots in which it could stand are taken by others.
    Full,
}

impl Table {
    /// A table with room for `keys` keys, in 32 bytes each.
    pub(super) fn with_room_for(keys: usize) -> Self {
        let buckets = keys.saturating_mul(SLOTS_PER_KEY).div_ceil(WAYS).max(1);
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// The bytes that the table occupies, from its first day to its last.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets) + size_of_val(&*self.stripes)
    }

    /// The state of `key`; 0 where it is unknown.
    pub(super) fn get(&self, key: Digest) -> u64 {
        self.find(key).map_or(0, |(_, state)| state)
    }

    /// Decides on the state of `key` (0 where it is unknown) and writes what `decide` returns, if
    /// anything. When others come in between, `decide` is called again with the newer state.
    #[inline]
    pub(super) fn update(
        &self,
        key: Digest,
        now: Tick,
        forget_at: impl Fn(u64) -> Tick,
        mut decide: impl FnMut(u64) -> Option<u64>,
    ) -> Updated {
        loop {
            if let Some((slot, state)) = self.find(key) {
                match decide(state) {
                    None => return Updated::Done,
                    Some(next) if slot.swap(state, next) => return Updated::Done,
                    Some(_) => {}
                }
            } else {
                match decide(0) {
                    None => return Updated::Done,
                    Some(first) => match self.insert(key, first, now, &forget_at) {
                        Inserted::New => return Updated::Done,
                        Inserted::Full => return Updated::Full,
                        Inserted::Known => {}
                    },
                }
            }
        }
    }

    /// Decides on the state of `key` if it is known, as [`update`](Self::update) does.
    pub(super) fn update_known(&self, key: Digest, mut decide: impl FnMut(u64) -> u64) {
        while let Some((slot, state)) = self.find(key) {
            let next = decide(state);
            if next == state || slot.swap(state, next) {
                return;
            }
        }
    }

    /// The slot of `key`, and a state that was its own.
    #[inline]
    fn find(&self, key: Digest) -> Option<(Slot<'_>, u64)> {
        let fingerprint = fingerprint(key);
        for choice in 0..CHOICES {
            let bucket = self.bucket(key, choice)?;
            for (owner, state) in bucket.fingerprints.iter().zip(&bucket.states) {
                if owner.load(Ordering::Acquire) == fingerprint {
                    let seen = state.load(Ordering::Acquire);
                    // Read again, *after* the state: rule 2. Acquiring a state makes the fingerprint that
                    // was written before it visible.
                    if seen != BUSY && owner.load(Ordering::Relaxed) == fingerprint {
                        return Some((Slot { state }, seen));
                    }
                }
            }
        }
        None
    }

    #[cold]
    #[inline(never)]
    fn insert(
        &self,
        key: Digest,
        first: u64,
        now: Tick,
        forget_at: &dyn Fn(u64) -> Tick,
    ) -> Inserted {
        let stripe = (key.low() % STRIPES as u64) as usize;
        // A poisoned lock guards nothing that could be half done.
        let _inserting = self.stripes.get(stripe).map(Mutex::lock);
        if self.find(key).is_some() {
            return Inserted::Known;
        }
        while let Some((owner, state, old)) = self.vacancy(key, now, forget_at) {
            if state
                .compare_exchange(old, BUSY, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                owner.store(fingerprint(key), Ordering::Release);
                state.store(first.min(BUSY - 1), Ordering::Release);
                return Inserted::New;
            }
            // Its owner came back, or another key took it: there is one candidate less.
        }
        Inserted::Full
    }

    /// The best slot for a new key: one that was never used or, of those that can be forgotten, the one
    /// that could have been for the longest time. Taking just any would make the keys of a quiet table
    /// drive each other out.
    fn vacancy(
        &self,
        key: Digest,
        now: Tick,
        forget_at: &dyn Fn(u64) -> Tick,
    ) -> Option<(&AtomicU64, &AtomicU64, u64)> {
        let mut best = None;
        let mut earliest = now;
        for choice in 0..CHOICES {
            let bucket = self.bucket(key, choice)?;
            for (owner, state) in bucket.fingerprints.iter().zip(&bucket.states) {
                match state.load(Ordering::Acquire) {
                    0 => return Some((owner, state, 0)),
                    BUSY => {}
                    old => {
                        let since = forget_at(old);
                        if since < earliest {
                            earliest = since;
                            best = Some((owner, state, old));
                        }
                    }
                }
            }
        }
        best
    }

    /// The bucket that is `key`'s n-th choice.
    #[inline]
    fn bucket(&self, key: Digest, choice: usize) -> Option<&Bucket> {
        // Each choice scales other bits of the hash onto the table, which need not be a power of two.
        let bits = key.low().rotate_left(choice as u32 * 21);
        let index = (u128::from(bits) * self.buckets.len() as u128) >> 64;
        self.buckets.get(index as usize)
    }
}

/// A slot that belonged to a key when it was found.
struct Slot<'a> {
    state: &'a AtomicU64,
}

impl Slot<'_> {
    /// Writes `next` if the state is still `seen`, which implies that the slot's owner is still the same.
    #[inline]
    fn swap(&self, seen: u64, next: u64) -> bool {
        self.state
            .compare_exchange(
                seen,
                next.min(BUSY - 1),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }
}

enum Inserted {
    New,
    /// Somebody else inserted the same key meanwhile.
    Known,
    Full,
}

/// The half of the hash that names a key within its bucket; the other half chose the bucket.
#[inline]
fn fingerprint(key: Digest) -> u64 {
    key.high().max(NOBODY + 1)
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("slots", &(self.buckets.len() * WAYS))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
