use super::{
    Request,
    lines::{Lines, NOBODY, NONE},
    request::Later,
};
use crate::{
    Algorithm,
    algorithm::Summaries,
    limit::Tag,
    store::table::{Fingerprint, tag},
    sync::MutexGuard,
};

/// Slots in a bucket: their fingerprints lie beside each other.
pub(super) const WAYS: usize = 4;

/// Buckets in which a key may stand.
pub(super) const CHOICES: usize = 3;

/// The states of a shard.
pub(super) struct States {
    all: Box<[u64]>,
    /// Of one.
    words: usize,
}

impl States {
    /// Of so many words each, for so many buckets of slots.
    pub(super) fn new(buckets: usize, words: usize) -> Self {
        Self {
            // No overflow: what `bytes` told.
            all: zeros(buckets * WAYS * words),
            words,
        }
    }

    /// The bytes that these occupy; `None` where nobody has so many.
    pub(super) fn bytes(buckets: usize, words: usize) -> Option<usize> {
        let state = words.checked_mul(size_of::<u64>())?;
        buckets.checked_mul(WAYS)?.checked_mul(state)
    }
}

/// The slots of a shard for who holds its lock: whose they are, and the states.
pub(super) struct Slots<'a> {
    pub(super) lines: &'a Lines,
    pub(super) states: MutexGuard<'a, States>,
}

impl Slots<'_> {
    /// The slot of a key, and the tag of its state, which is most likely this one.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint, tag: Tag) -> Option<(usize, Tag)> {
        match self.lines.find(choice(self.lines, key, 0), key.tagged(tag)) {
            Some(slot) => Some((slot, tag)),
            None => self.find_anywhere(key),
        }
    }

    /// As [`find`](Self::find) does, one slot after the other, in all buckets.
    #[cold]
    #[inline(never)]
    fn find_anywhere(&self, key: Fingerprint) -> Option<(usize, Tag)> {
        (0..CHOICES)
            .flat_map(|choice| self.bucket(key, choice))
            .find_map(|slot| Some((slot, key.tag_of(self.lines.owner(slot)?)?)))
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
        self.lines.own(slot, key.tagged(request.tag()));
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
        self.lines.own(slot, NOBODY);
        let state = self.state(slot)?;
        state.fill(0);
        request.charge(state, by);
        self.lines.own(slot, key.tagged(request.tag()));
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
        let (mut best, furthest) = (None, request.furthest());
        for choice in 0..CHOICES {
            for slot in self.bucket(key, choice) {
                let owner = self.lines.owner(slot)?;
                if owner == NOBODY {
                    return Some(slot);
                }
                // As it would be carried over, which is left to its owner's next request.
                let since = if tag(owner) == request.tag() {
                    request.can_forget(self.state(slot)?, tag(owner), furthest)
                } else {
                    let mut state = self.state(slot)?.to_vec();
                    request.can_forget(&mut state, tag(owner), furthest)
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
    pub(super) fn bucket(&self, key: Fingerprint, nth: usize) -> std::ops::Range<usize> {
        let first = choice(self.lines, key, nth) * WAYS;
        first..first + WAYS
    }

    /// A state. It has no summary then, and nobody else who comes near it.
    pub(super) fn state(&mut self, slot: usize) -> Option<&mut [u64]> {
        let States { all, words } = &mut *self.states;
        let state = all.get_mut(slot * *words..(slot + 1) * *words)?;
        if let Some((summaries, summary)) = self.lines.put_aside(slot) {
            summaries.write_back(summary, state);
        }
        Some(state)
    }

    /// Charges a state, and gives it a summary then, as its algorithm reckons it, unless `charge` says that nothing came
    /// of it.
    #[inline(always)]
    pub(super) fn summarizing(
        &mut self,
        slot: usize,
        charge: impl FnOnce(&mut [u64]) -> bool,
        summary: impl FnOnce(Summaries, &[u64]) -> u64,
    ) -> Option<()> {
        let lines = self.lines;
        let state = self.state(slot)?;
        if charge(state)
            && let Some(summaries) = lines.summaries()
        {
            match summary(summaries, state) {
                NONE => {}
                summary => lines.summarize(slot, summary),
            }
        }
        Some(())
    }
}

/// The slot of a key whose state is of this tag, for who holds no lock: it may change hands meanwhile.
#[inline]
pub(super) fn look(lines: &Lines, key: Fingerprint, tag: Tag) -> Option<usize> {
    let wanted = key.tagged(tag);
    lines
        .find(choice(lines, key, 0), wanted)
        .or_else(|| look_further(lines, key, wanted))
}

#[cold]
#[inline(never)]
fn look_further(lines: &Lines, key: Fingerprint, wanted: u64) -> Option<usize> {
    (1..CHOICES).find_map(|nth| lines.find(choice(lines, key, nth), wanted))
}

/// The bucket that is `key`'s n-th choice.
#[inline]
fn choice(lines: &Lines, key: Fingerprint, nth: usize) -> usize {
    scale(key.bits().rotate_left(nth as u32 * 21), lines.buckets())
}

/// Scales the bits of a hash onto `0..len`.
pub(super) fn scale(bits: u64, len: usize) -> usize {
    ((u128::from(bits) * len as u128) >> 64) as usize
}

/// Asked of the system as zeros, which costs nothing until they are written.
pub(super) fn zeros(len: usize) -> Box<[u64]> {
    vec![0; len].into()
}
