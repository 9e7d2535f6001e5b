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
/// forgotten *after* now. Charging only moves it on, and giving back moves it to now at the earliest. So,
/// as long as now does not run backwards, a slot that has changed hands does not return to the state that
/// it was given away with, and rule 2 is not fooled. `tests` explores the interleavings with loom.
///
/// Where the clock steps back, or a thread gives back by a reading that it took long ago, that very state may
/// come about again. A thread that has read it before the slot changed hands, and swaps it after, then
/// charges its one request to the slot's new owner: one request for each thread that is caught so.
pub(crate) struct Table {
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
pub(crate) enum Updated {
    /// The key's state was decided on, and written if it changed.
    Done,
    /// The key is unknown, and all the slots in which it could stand are taken by others.
    Full,
}

impl Table {
    /// A table with room for `keys` keys, in 32 bytes each; `None` where there is not so much memory.
    pub(crate) fn with_room_for(keys: usize) -> Option<Self> {
        let count = keys.checked_mul(SLOTS_PER_KEY)?.div_ceil(WAYS).max(1);
        let mut buckets = Vec::new();
        // A vector that grows beyond what the system has ends the process.
        buckets.try_reserve_exact(count).ok()?;
        buckets.resize_with(count, Bucket::default);
        Some(Self {
            buckets: buckets.into(),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        })
    }

    /// The bytes that the table occupies, from its first day to its last.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets) + size_of_val(&*self.stripes)
    }

    /// The state of `key`; 0 where it is unknown.
    #[inline]
    pub(crate) fn get(&self, key: impl Into<Fingerprint>) -> u64 {
        self.find(key.into()).map_or(0, |slot| slot.seen)
    }

    /// Decides on the state of `key` (0 where it is unknown) and writes what `decide` returns, if
    /// anything. When others come in between, `decide` is called again with the newer state.
    #[inline(always)]
    pub(crate) fn update(
        &self,
        key: impl Into<Fingerprint>,
        now: Tick,
        forget_at: impl Fn(u64) -> Tick,
        mut decide: impl FnMut(u64) -> Option<u64>,
    ) -> Updated {
        let key = key.into();
        loop {
            let known = self.find(key);
            let Some(next) = decide(known.as_ref().map_or(0, |slot| slot.seen)) else {
                return Updated::Done;
            };
            match known {
                Some(slot) if slot.swap(next) => return Updated::Done,
                Some(_) => {}
                None => match self.insert(key, next, now, &forget_at) {
                    Inserted::New => return Updated::Done,
                    Inserted::Full => return Updated::Full,
                    Inserted::Known => {}
                },
            }
        }
    }

    /// Decides on the state of `key` if it is known, as [`update`](Self::update) does, and tells whether it
    /// is.
    pub(crate) fn update_known(
        &self,
        key: impl Into<Fingerprint>,
        mut decide: impl FnMut(u64) -> u64,
    ) -> bool {
        let key = key.into();
        while let Some(slot) = self.find(key) {
            let next = decide(slot.seen);
            if next == slot.seen || slot.swap(next) {
                return true;
            }
        }
        false
    }

    /// Whether `key` is known, or would find a place now.
    pub(crate) fn has_place_for(
        &self,
        key: impl Into<Fingerprint>,
        now: Tick,
        forget_at: impl Fn(u64) -> Tick,
    ) -> bool {
        let key = key.into();
        self.find(key).is_some() || self.vacancy(key, now, &forget_at).is_some()
    }

    /// The slot of a key, and a state that was its own.
    #[inline(always)]
    fn find(&self, key: Fingerprint) -> Option<Slot<'_>> {
        // All slots of the first bucket are compared before anything depends on which of them it is: of
        // branches on that, a processor foresees half, and the others cost it the whole hash.
        let bucket = self.bucket(key, 0)?;
        let mut way = WAYS;
        for (n, owner) in bucket.fingerprints.iter().enumerate().rev() {
            let found = owner.load(Ordering::Acquire) == key.0;
            way = if found { n } else { way };
        }
        bucket.slot_of(key, way).or_else(|| self.find_anywhere(key))
    }

    /// As [`find`](Self::find) does, one slot after the other, in all buckets.
    #[cold]
    #[inline(never)]
    fn find_anywhere(&self, key: Fingerprint) -> Option<Slot<'_>> {
        (0..CHOICES).find_map(|choice| {
            let bucket = self.bucket(key, choice)?;
            (0..WAYS).find_map(|way| bucket.slot_of(key, way))
        })
    }

    #[cold]
    #[inline(never)]
    fn insert(
        &self,
        key: Fingerprint,
        first: u64,
        now: Tick,
        forget_at: &dyn Fn(u64) -> Tick,
    ) -> Inserted {
        let stripe = (key.0 % STRIPES as u64) as usize;
        // A poisoned lock guards nothing that could be half done.
        let _inserting = self.stripes.get(stripe).map(Mutex::lock);
        if self.find_anywhere(key).is_some() {
            return Inserted::Known;
        }
        while let Some((owner, state, old)) = self.vacancy(key, now, forget_at) {
            if state
                .compare_exchange(old, BUSY, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                owner.store(key.0, Ordering::Release);
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
        key: Fingerprint,
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
    fn bucket(&self, key: Fingerprint, choice: usize) -> Option<&Bucket> {
        // Each choice scales other bits of the hash onto the table, which need not be a power of two.
        let bits = key.0.rotate_left(choice as u32 * 21);
        let index = (u128::from(bits) * self.buckets.len() as u128) >> 64;
        self.buckets.get(index as usize)
    }
}

impl Bucket {
    /// The slot at `way`, if it is the key's.
    #[inline]
    fn slot_of(&self, key: Fingerprint, way: usize) -> Option<Slot<'_>> {
        let (owner, state) = (self.fingerprints.get(way)?, self.states.get(way)?);
        let seen = state.load(Ordering::Acquire);
        // Read *after* the state: rule 2. Acquiring a state makes the fingerprint that was written before
        // it visible.
        let owned = owner.load(Ordering::Relaxed) == key.0;
        (owned && seen != BUSY).then_some(Slot { state, seen })
    }
}

/// A slot that belonged to a key when it was found.
struct Slot<'a> {
    state: &'a AtomicU64,
    seen: u64,
}

impl Slot<'_> {
    /// Writes `next` if the state is still the one that was seen, which implies that the slot's owner is
    /// still the same.
    #[inline]
    fn swap(&self, next: u64) -> bool {
        self.state
            .compare_exchange(
                self.seen,
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

/// What names a key in the table: half of its digest, the half that the hash has ready first.
///
/// Two of a million keys meet with a probability of 3 × 10⁻⁸, and share a quota then. The other half would
/// make that less likely still, and cost a fifth of a check: see `docs/decisions.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    /// Never 0.
    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }
}

impl From<Digest> for Fingerprint {
    #[inline]
    fn from(key: Digest) -> Self {
        Self(key.high().max(NOBODY + 1))
    }
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
