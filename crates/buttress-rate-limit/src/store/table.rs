mod bucket;
mod era;
mod find;
mod fingerprint;
mod turnover;

use std::fmt;

use buttress_core::Tick;

pub(super) use self::{bucket::Slot, fingerprint::tag};
use self::{
    bucket::{Bucket, WAYS},
    turnover::{Inserted, Known},
};
pub(crate) use self::{
    era::{Always, Era},
    fingerprint::Fingerprint,
};
use crate::{limit::Tag, sync::Mutex};

/// Slots per key that the table promises room for.
const SLOTS_PER_KEY: usize = 2;

/// Locks among which insertions are spread.
const STRIPES: usize = if cfg!(loom) { 1 } else { 64 };

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
///    for [`BUSY`](bucket::BUSY); then it writes the fingerprint, then the new state.
/// 2. Whoever charges a known key reads the state *first* and the fingerprint *after*, and swaps the
///    state only if it is still the one that was read. A slot that was given away in between has another
///    state: `BUSY`, or one that is forgotten later than the one that was read (see below).
/// 3. Whoever inserts a key holds the lock of that key's stripe, and looks for the key once more before
///    it takes a slot. So no key ever stands in two slots.
///
/// A state is judged forgettable when its `forget_at` is *before* now (or when it was written before the clock
/// stepped back, see below), and one that was charged is forgotten *after* now. Charging only moves it on, and giving
/// back moves it to now at the earliest. So, as long as now does not run backwards, a slot that has changed hands does
/// not return to the state that it was given away with, and rule 2 is not fooled. `tests` explores the interleavings with loom.
///
/// # How a state passes to another quota
///
/// In the same way: an [owner](Fingerprint::tagged) tells the quota of its state, and a state of another
/// [`Era`] is found only by who holds the lock of the key's stripe. They swap it for [`BUSY`](bucket::BUSY), write the owner
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

    /// Whether `key` is known, under whichever tag.
    pub(crate) fn knows(&self, key: Fingerprint) -> bool {
        self.find_anywhere(key).is_some()
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
