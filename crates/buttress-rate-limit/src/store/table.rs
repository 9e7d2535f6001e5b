mod era;
mod fingerprint;

use std::fmt;

use buttress_core::Tick;

pub(super) use self::fingerprint::tag;
pub(crate) use self::{
    era::{Always, Era},
    fingerprint::Fingerprint,
};
use crate::{
    limit::Tag,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, unpoisoned},
};

/// Slots in a bucket: with a word of fingerprint and a word of state each, they fill one cache line.
const WAYS: usize = 4;

/// Buckets in which a key may stand. In a table of twice as many slots as keys, one in a few hundred
/// keys finds all of them full when the table is as full as it may be, and hardly any before. Loom explores tables
/// of one bucket.
const CHOICES: usize = if cfg!(loom) { 1 } else { 3 };

/// Slots per key that the table promises room for.
const SLOTS_PER_KEY: usize = 2;

/// Locks among which insertions are spread.
const STRIPES: usize = if cfg!(loom) { 1 } else { 64 };

/// The state of a slot that is passing from one key to another, or from one quota to the next.
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
/// # How a state passes to another quota
///
/// In the same way: an [owner](Fingerprint::tagged) tells the quota of its state, and a state of another
/// [`Era`] is found only by who holds the lock of the key's stripe. They swap it for [`BUSY`], write the owner
/// with its new tag, then the state that was carried over; whoever does not find its key, because it is busy
/// or of another era, waits for that lock and looks again. Who is of an earlier era than the state has to ask for
/// the quota anew.
///
/// # When a state comes about again
///
/// Where the clock steps back, or a thread gives back by a reading that it took long ago, that very state may
/// come about again. A thread that has read it before the slot changed hands, and swaps it after, then
/// charges its one request to the slot's new owner: one request for each thread that is caught so. The same holds
/// for a state that is carried over to the very word that it was.
pub(crate) struct Table {
    buckets: Box<[Bucket]>,
    stripes: Box<[Mutex<()>]>,
}

#[repr(align(64))]
#[derive(Default)]
struct Bucket {
    owners: [AtomicU64; WAYS],
    states: [AtomicU64; WAYS],
}

/// How [`Table::update`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Updated {
    /// The key's state was decided on, and written if it changed.
    Done,
    /// The key is unknown, and all the slots in which it could stand are taken by others.
    Full,
    /// The key's state is of a later era.
    Stale,
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
            stripes: (0..STRIPES.min(count)).map(|_| Mutex::new(())).collect(),
        })
    }

    /// The bytes that the table occupies, from its first day to its last.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.buckets) + size_of_val(&*self.stripes)
    }

    /// The state of `key` as one of this era; 0 where it is unknown. `None` where it is of a later one.
    #[inline]
    pub(crate) fn get(&self, key: impl Into<Fingerprint>, era: &impl Era) -> Option<u64> {
        let key = key.into();
        match self.find(key, era.tag()) {
            Some(slot) => Some(slot.seen),
            None => self.get_other(key, era),
        }
    }

    /// Decides on the state of `key` (0 where it is unknown) and writes what `decide` returns, if
    /// anything. When others come in between, `decide` is called again with the newer state.
    #[inline(always)]
    pub(crate) fn update(
        &self,
        key: impl Into<Fingerprint>,
        now: Tick,
        era: &impl Era,
        mut decide: impl FnMut(u64) -> Option<u64>,
    ) -> Updated {
        let key = key.into();
        loop {
            let known = self.find(key, era.tag());
            if known.is_none() {
                match self.carry_over(key, era) {
                    Known::No => {}
                    Known::Yes => continue,
                    Known::Later => return Updated::Stale,
                }
            }
            let Some(next) = decide(known.as_ref().map_or(0, |slot| slot.seen)) else {
                return Updated::Done;
            };
            match known {
                Some(slot) if slot.swap(next) => return Updated::Done,
                Some(_) => {}
                None => match self.insert(key, next, now, era) {
                    Inserted::New => return Updated::Done,
                    Inserted::Full => return Updated::Full,
                    Inserted::Known => {}
                },
            }
        }
    }

    /// Decides on the state of `key` if it is known, as [`update`](Self::update) does; `None` where it is not.
    pub(crate) fn update_known(
        &self,
        key: impl Into<Fingerprint>,
        era: &impl Era,
        mut decide: impl FnMut(u64) -> u64,
    ) -> Option<Updated> {
        let key = key.into();
        loop {
            if let Some(slot) = self.find(key, era.tag()) {
                let next = decide(slot.seen);
                if next == slot.seen || slot.swap(next) {
                    return Some(Updated::Done);
                }
            } else {
                match self.carry_over(key, era) {
                    Known::No => return None,
                    Known::Yes => {}
                    Known::Later => return Some(Updated::Stale),
                }
            }
        }
    }

    /// The slot of a key whose state is of this tag, to decide on it now and write it later.
    #[inline]
    pub(super) fn look(&self, key: impl Into<Fingerprint>, tag: Tag) -> Option<Slot<'_>> {
        self.find(key.into(), tag)
    }

    /// Whether `key` is known, or would find a place now.
    pub(crate) fn has_place_for(
        &self,
        key: impl Into<Fingerprint>,
        now: Tick,
        era: &impl Era,
    ) -> bool {
        let key = key.into();
        self.find_anywhere(key).is_some() || self.vacancy(key, now, era).is_some()
    }

    /// The slot of a key, and a state that was its own and of this tag.
    #[inline(always)]
    fn find(&self, key: Fingerprint, tag: Tag) -> Option<Slot<'_>> {
        // All slots of the first bucket are compared before anything depends on which of them it is: of
        // branches on that, a processor foresees half, and the others cost it the whole hash.
        let bucket = self.bucket(key, 0)?;
        let wanted = key.tagged(tag);
        let mut way = WAYS;
        for (n, owner) in bucket.owners.iter().enumerate().rev() {
            let found = owner.load(Ordering::Acquire) == wanted;
            way = if found { n } else { way };
        }
        bucket
            .slot_of(wanted, way)
            .or_else(|| self.find_in_others(key, wanted))
    }

    /// As [`find`](Self::find) does, one slot after the other, in all buckets.
    #[cold]
    #[inline(never)]
    fn find_in_others(&self, key: Fingerprint, wanted: u64) -> Option<Slot<'_>> {
        (0..CHOICES).find_map(|choice| {
            let bucket = self.bucket(key, choice)?;
            (0..WAYS).find_map(|way| bucket.slot_of(wanted, way))
        })
    }

    /// The slot of a key, whatever the era of its state. Busy only if there is no other: a slot that is given
    /// away still has its old owner's name, who may stand in another one by now.
    #[cold]
    #[inline(never)]
    fn find_anywhere(&self, key: Fingerprint) -> Option<Tagged<'_>> {
        let mut given_away = None;
        for choice in 0..CHOICES {
            for found in self.bucket(key, choice)?.slots_of(key) {
                match found.slot.seen {
                    BUSY => given_away = Some(found),
                    _ => return Some(found),
                }
            }
        }
        given_away
    }

    /// The state of a key that was not found in this era, without writing it.
    #[cold]
    #[inline(never)]
    fn get_other(&self, key: Fingerprint, era: &dyn Era) -> Option<u64> {
        if self.find_anywhere(key).is_none() {
            return Some(0);
        }
        let _carrying = self.stripe(key);
        match self.find_anywhere(key) {
            // Busy: it is given to another key.
            Some(found) if found.slot.seen == BUSY => Some(0),
            Some(found) if found.tag == era.tag() => Some(found.slot.seen),
            Some(found) => era.carried_over(found.slot.seen, found.tag),
            None => Some(0),
        }
    }

    /// Makes the state of a key that was not found in this era one of it.
    #[cold]
    #[inline(never)]
    fn carry_over(&self, key: Fingerprint, era: &dyn Era) -> Known {
        // As good as all of those that are not found were never seen, or were forgotten.
        if self.find_anywhere(key).is_none() {
            return Known::No;
        }
        let _carrying = self.stripe(key);
        while let Some(Tagged { owner, slot, tag }) = self.find_anywhere(key) {
            // Busy: it is given to another key, by somebody who holds the lock of that one.
            if slot.seen == BUSY {
                return Known::No;
            }
            if tag == era.tag() {
                return Known::Yes;
            }
            let Some(carried) = era.carried_over(slot.seen, tag) else {
                return Known::Later;
            };
            if slot.exchange(BUSY) {
                owner.store(key.tagged(era.tag()), Ordering::Release);
                slot.state.store(carried.min(BUSY - 1), Ordering::Release);
                return Known::Yes;
            }
        }
        Known::No
    }

    #[cold]
    #[inline(never)]
    fn insert(&self, key: Fingerprint, first: u64, now: Tick, era: &dyn Era) -> Inserted {
        let _inserting = self.stripe(key);
        if self
            .find_anywhere(key)
            .is_some_and(|found| found.slot.seen != BUSY)
        {
            return Inserted::Known;
        }
        while let Some((owner, slot)) = self.vacancy(key, now, era) {
            if slot.exchange(BUSY) {
                owner.store(key.tagged(era.tag()), Ordering::Release);
                slot.state.store(first.min(BUSY - 1), Ordering::Release);
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
        era: &dyn Era,
    ) -> Option<(&AtomicU64, Slot<'_>)> {
        let mut best = None;
        let mut earliest = now;
        for choice in 0..CHOICES {
            let bucket = self.bucket(key, choice)?;
            for (owner, state) in bucket.owners.iter().zip(&bucket.states) {
                let seen = state.load(Ordering::Acquire);
                let slot = Slot { state, seen };
                if seen == 0 {
                    return Some((owner, slot));
                }
                if seen == BUSY {
                    continue;
                }
                let current = match tag(owner.load(Ordering::Relaxed)) {
                    tag if tag == era.tag() => Some(seen),
                    tag => era.carried_over(seen, tag),
                };
                // One of a later era was charged just now.
                let Some(since) = current.map(|state| era.forget_at(state)) else {
                    continue;
                };
                if since < earliest {
                    earliest = since;
                    best = Some((owner, slot));
                }
            }
        }
        best
    }

    /// The bucket that is `key`'s n-th choice.
    #[inline]
    fn bucket(&self, key: Fingerprint, choice: usize) -> Option<&Bucket> {
        // Each choice scales other bits of the hash onto the table, which need not be a power of two.
        let bits = key.bits().rotate_left(choice as u32 * 21);
        let index = (u128::from(bits) * self.buckets.len() as u128) >> 64;
        self.buckets.get(index as usize)
    }

    /// Locks the insertions of a key, which guards nothing that could be half done.
    fn stripe(&self, key: Fingerprint) -> Option<MutexGuard<'_, ()>> {
        let stripe = key.bits() % self.stripes.len() as u64;
        self.stripes
            .get(stripe as usize)
            .map(|stripe| unpoisoned(stripe.lock()))
    }
}

impl Bucket {
    /// The slot at `way`, if it has the owner that is wanted.
    #[inline]
    fn slot_of(&self, wanted: u64, way: usize) -> Option<Slot<'_>> {
        let (owner, state) = (self.owners.get(way)?, self.states.get(way)?);
        let seen = state.load(Ordering::Acquire);
        // Read *after* the state: rule 2. Acquiring a state makes the fingerprint that was written before
        // it visible.
        let owned = owner.load(Ordering::Relaxed) == wanted;
        (owned && seen != BUSY).then_some(Slot { state, seen })
    }

    /// The slots whose owner is the key, with a state of whichever tag.
    fn slots_of(&self, key: Fingerprint) -> impl Iterator<Item = Tagged<'_>> {
        let slots = self.owners.iter().zip(&self.states);
        slots.filter_map(move |(owner, state)| {
            let seen = state.load(Ordering::Acquire);
            // After the state, as above.
            let tag = key.tag_of(owner.load(Ordering::Relaxed))?;
            let slot = Slot { state, seen };
            Some(Tagged { owner, slot, tag })
        })
    }
}

/// A slot that belonged to a key when it was found.
pub(super) struct Slot<'a> {
    state: &'a AtomicU64,
    pub(super) seen: u64,
}

impl Slot<'_> {
    /// Writes `next` if the state is still the one that was seen, which implies that the slot's owner is
    /// still the same.
    #[inline]
    pub(super) fn swap(&self, next: u64) -> bool {
        self.exchange(next.min(BUSY - 1))
    }

    #[inline]
    fn exchange(&self, next: u64) -> bool {
        self.state
            .compare_exchange(self.seen, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// A slot of a key, and the tag of its state.
struct Tagged<'a> {
    owner: &'a AtomicU64,
    slot: Slot<'a>,
    tag: Tag,
}

/// Whether a key that was not found in an era is known.
enum Known {
    No,
    /// Its state is one of the era now.
    Yes,
    /// Its state is one of a later era.
    Later,
}

enum Inserted {
    New,
    /// Somebody else inserted the same key meanwhile.
    Known,
    Full,
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
