use super::{Request, request::Later};
use crate::{
    Algorithm,
    limit::Tag,
    store::table::{Fingerprint, tag},
};

/// Slots in a bucket: their fingerprints lie beside each other.
pub(super) const WAYS: usize = 4;

/// Buckets in which a key may stand.
const CHOICES: usize = 3;

/// A fingerprint of 0 marks a slot that was never used.
const NOBODY: u64 = 0;

/// The slots of a shard: whose they are, and the states.
pub(super) struct Slots {
    owners: Box<[u64]>,
    states: Box<[u64]>,
    /// Of one state.
    words: usize,
}

impl Slots {
    /// So many slots, for states of so many words.
    pub(super) fn new(slots: usize, words: usize) -> Self {
        Self {
            owners: zeros(slots),
            // No overflow: a part of what `LockedTable::with_room_for` asked for.
            states: zeros(slots * words),
            words,
        }
    }

    /// The slot of a key, and the tag of its state, which is most likely this one.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint, tag: Tag) -> Option<(usize, Tag)> {
        // All slots of the first bucket are compared before anything depends on which of them it is, as in the table of
        // one word.
        let first = self.bucket(key, 0);
        let wanted = key.tagged(tag);
        let owners = self.owners.get(first.clone())?;
        let mut found = first.end;
        for (slot, owner) in first.clone().zip(owners).rev() {
            found = if *owner == wanted { slot } else { found };
        }
        if found < first.end {
            return Some((found, tag));
        }
        self.find_anywhere(key)
    }

    /// As [`find`](Self::find) does, one slot after the other, in all buckets.
    #[cold]
    #[inline(never)]
    fn find_anywhere(&self, key: Fingerprint) -> Option<(usize, Tag)> {
        (0..CHOICES)
            .flat_map(|choice| self.bucket(key, choice))
            .find_map(|slot| Some((slot, key.tag_of(*self.owners.get(slot)?)?)))
    }

    #[cold]
    pub(super) fn carry_over<A: Algorithm + ?Sized>(
        &mut self,
        slot: usize,
        key: Fingerprint,
        request: &Request<'_, A>,
        written: Tag,
    ) -> Result<(), Later> {
        if let Some(state) = self.state(slot) {
            request.carry_over(state, written)?;
        }
        self.own(slot, key.tagged(request.tag()));
        Ok(())
    }

    /// Gives `key` a slot, if there is one, and charges it.
    #[cold]
    pub(super) fn insert<A: Algorithm + ?Sized>(
        &mut self,
        key: Fingerprint,
        request: &Request<'_, A>,
        by: i64,
    ) -> Option<()> {
        let slot = self.vacancy(key, request)?;
        // Nobody's until it is charged, should the algorithm panic.
        self.own(slot, NOBODY);
        let state = self.state(slot)?;
        state.fill(0);
        request.charge(state, by);
        self.own(slot, key.tagged(request.tag()));
        Some(())
    }

    /// The best slot for a new key: one that was never used or, of those that can be forgotten, the one
    /// that could have been for the longest time.
    #[cold]
    pub(super) fn vacancy<A: Algorithm + ?Sized>(
        &mut self,
        key: Fingerprint,
        request: &Request<'_, A>,
    ) -> Option<usize> {
        let mut best = None;
        for choice in 0..CHOICES {
            for slot in self.bucket(key, choice) {
                let owner = *self.owners.get(slot)?;
                if owner == NOBODY {
                    return Some(slot);
                }
                // As it would be carried over, which is left to its owner's next request.
                let since = if tag(owner) == request.tag() {
                    request.can_forget(self.state(slot)?, tag(owner))
                } else {
                    let mut state = self.state(slot)?.to_vec();
                    request.can_forget(&mut state, tag(owner))
                };
                if let Some(since) = since
                    && best.is_none_or(|(earliest, _)| since < earliest)
                {
                    best = Some((since, slot));
                }
            }
        }
        best.map(|(_, slot)| slot)
    }

    /// The slots of the bucket that is `key`'s n-th choice.
    pub(super) fn bucket(&self, key: Fingerprint, choice: usize) -> std::ops::Range<usize> {
        let bits = key.bits().rotate_left(choice as u32 * 21);
        let first = scale(bits, self.owners.len() / WAYS) * WAYS;
        first..first + WAYS
    }

    fn own(&mut self, slot: usize, owner: u64) {
        if let Some(place) = self.owners.get_mut(slot) {
            *place = owner;
        }
    }

    pub(super) fn state(&mut self, slot: usize) -> Option<&mut [u64]> {
        let first = slot * self.words;
        self.states.get_mut(first..first + self.words)
    }
}

/// Scales the bits of a hash onto `0..len`.
pub(super) fn scale(bits: u64, len: usize) -> usize {
    ((u128::from(bits) * len as u128) >> 64) as usize
}

/// Asked of the system as zeros, which costs nothing until they are written.
pub(super) fn zeros(len: usize) -> Box<[u64]> {
    vec![0; len].into()
}
