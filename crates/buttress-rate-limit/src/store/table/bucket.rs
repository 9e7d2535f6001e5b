use super::Fingerprint;
use crate::{
    limit::Tag,
    sync::{AtomicU64, Ordering},
};

/// Slots in a bucket: with a word of fingerprint and a word of state each, they fill one cache line.
pub(super) const WAYS: usize = 4;

/// The state of a slot that is passing from one key to another, or from one quota to the next.
pub(super) const BUSY: u64 = u64::MAX;

/// Slots beside each other, and the rules of the [table](super::Table) by which they are read.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Bucket {
    pub(super) owners: [AtomicU64; WAYS],
    pub(super) states: [AtomicU64; WAYS],
}

impl Bucket {
    /// The slot at `way`, if it has the owner that is wanted.
    #[inline]
    pub(super) fn slot_of(&self, wanted: u64, way: usize) -> Option<Slot<'_>> {
        let (owner, state) = (self.owners.get(way)?, self.states.get(way)?);
        let seen = state.load(Ordering::Acquire);
        // Read *after* the state: rule 2. Acquiring a state makes the fingerprint that was written before
        // it visible.
        let owned = owner.load(Ordering::Relaxed) == wanted;
        (owned && seen != BUSY).then_some(Slot { state, seen })
    }

    /// The slots whose owner is the key, with a state of whichever tag.
    pub(super) fn slots_of(&self, key: Fingerprint) -> impl Iterator<Item = Tagged<'_>> {
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
pub(in crate::store) struct Slot<'a> {
    pub(in crate::store) state: &'a AtomicU64,
    pub(in crate::store) seen: u64,
}

impl Slot<'_> {
    /// Writes `next` if the state is still the one that was seen, which implies that the slot's owner is
    /// still the same.
    #[inline]
    pub(in crate::store) fn swap(&self, next: u64) -> bool {
        self.exchange(next.min(BUSY - 1))
    }

    #[inline]
    pub(super) fn exchange(&self, next: u64) -> bool {
        self.state
            .compare_exchange(self.seen, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

/// A slot of a key, and the tag of its state.
pub(super) struct Tagged<'a> {
    pub(super) owner: &'a AtomicU64,
    pub(super) slot: Slot<'a>,
    pub(super) tag: Tag,
}
