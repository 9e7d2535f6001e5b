//! How slots pass from one key to another, and states from one era to the next.

use buttress_core::Tick;

use super::{
    Era, Fingerprint, Table,
    bucket::{BUSY, Slot, Tagged},
    find::CHOICES,
    fingerprint::tag,
};
use crate::sync::{AtomicU64, MutexGuard, Ordering, unpoisoned};

impl Table {
    /// The state of a key that was not found in this era, without writing it.
    #[cold]
    #[inline(never)]
    pub(super) fn get_other(&self, key: Fingerprint, era: &dyn Era) -> Option<u64> {
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
    pub(super) fn carry_over(&self, key: Fingerprint, era: &dyn Era) -> Known {
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
    pub(super) fn insert(
        &self,
        key: Fingerprint,
        first: u64,
        now: Tick,
        era: &dyn Era,
    ) -> Inserted {
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
    pub(super) fn vacancy(
        &self,
        key: Fingerprint,
        now: Tick,
        era: &dyn Era,
    ) -> Option<(&AtomicU64, Slot<'_>)> {
        let mut best = None;
        let mut earliest = now;
        let furthest = era.furthest(now);
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
                let Some(current) = current else {
                    continue;
                };
                let since = era.forget_at(current);
                if since < earliest {
                    earliest = since;
                    best = Some((owner, slot));
                } else if since.as_nanos() > furthest && era.is_of_another_time(current, now) {
                    earliest = Tick::ZERO;
                    best = Some((owner, slot));
                }
            }
        }
        best
    }

    /// Locks the insertions of a key, which guards nothing that could be half done.
    fn stripe(&self, key: Fingerprint) -> Option<MutexGuard<'_, ()>> {
        let stripe = key.bits() % self.stripes.len() as u64;
        self.stripes
            .get(stripe as usize)
            .map(|stripe| unpoisoned(stripe.lock()))
    }
}

/// Whether a key that was not found in an era is known.
pub(super) enum Known {
    No,
    /// Its state is one of the era now.
    Yes,
    /// Its state is one of a later era.
    Later,
}

pub(super) enum Inserted {
    New,
    /// Somebody else inserted the same key meanwhile.
    Known,
    Full,
}
