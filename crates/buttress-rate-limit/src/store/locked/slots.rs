use buttress_core::Tick;

use super::{
    Request,
    lines::{Lines, NOBODY},
    request::Later,
};
use crate::{
    Algorithm, Decision, Quota,
    algorithm::{Summaries, Summarize},
    limit::Tag,
    store::table::{Fingerprint, tag},
};

/// Slots in a bucket: their fingerprints lie beside each other.
pub(super) const WAYS: usize = 4;

/// Buckets in which a key may stand.
pub(super) const CHOICES: usize = 3;

/// The slots of a shard: whose they are, and the states.
pub(in crate::store) struct Slots {
    lines: Lines,
    buckets: usize,
    states: Box<[u64]>,
    /// Of one state.
    words: usize,
}

impl Slots {
    /// So many buckets of slots, for states of so many words.
    pub(super) fn new(buckets: usize, words: usize, summaries: Option<Summaries>) -> Self {
        Self {
            lines: Lines::new(buckets, summaries),
            buckets,
            // No overflow: a part of what `bytes` told.
            states: zeros(buckets * WAYS * words),
            words,
        }
    }

    /// The bytes that these occupy; `None` where nobody has so many.
    pub(super) fn bytes(
        buckets: usize,
        words: usize,
        summaries: Option<Summaries>,
    ) -> Option<usize> {
        let state = words.checked_mul(size_of::<u64>())?;
        let states = buckets.checked_mul(WAYS)?.checked_mul(state)?;
        Lines::bytes(buckets, summaries)?.checked_add(states)
    }

    /// The slot of a key, and the tag of its state, which is most likely this one.
    #[inline]
    pub(super) fn find(&self, key: Fingerprint, tag: Tag) -> Option<(usize, Tag)> {
        let bucket = self.choice(key, 0);
        let way = way(self.lines.owners(bucket)?, key.tagged(tag));
        if way < WAYS {
            return Some((bucket * WAYS + way, tag));
        }
        self.find_anywhere(key)
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

    /// The bucket that is `key`'s n-th choice.
    #[inline]
    fn choice(&self, key: Fingerprint, choice: usize) -> usize {
        scale(key.bits().rotate_left(choice as u32 * 21), self.buckets)
    }

    /// The slots of that bucket.
    pub(super) fn bucket(&self, key: Fingerprint, choice: usize) -> std::ops::Range<usize> {
        let first = self.choice(key, choice) * WAYS;
        first..first + WAYS
    }

    /// A state. From then on it alone tells how it stands.
    pub(super) fn state(&mut self, slot: usize) -> Option<&mut [u64]> {
        let first = slot * self.words;
        let state = self.states.get_mut(first..first + self.words)?;
        if let Some((summaries, summary)) = self.lines.summary(slot)
            && *summary != 0
        {
            summaries.write_back(std::mem::take(summary), state);
        }
        Some(state)
    }

    /// Decides on the summary of a key's state and charges that, if it is enough: where the key stands in its first bucket, by
    /// this tag.
    #[inline(always)]
    pub(in crate::store) fn take_from_summary<A: Summarize + ?Sized>(
        &mut self,
        algorithm: &A,
        (key, tag): (Fingerprint, Tag),
        quota: &Quota,
        now: Tick,
        cost: u64,
    ) -> Option<Decision> {
        let kind = self.lines.summaries()?;
        let (owners, summaries) = self.lines.summarized(self.choice(key, 0))?;
        let summary = summaries.get_mut(way(owners, key.tagged(tag)))?;
        let (decision, next) = algorithm.take_from_summary(kind, quota, *summary, now, cost)?;
        *summary = next;
        Some(decision)
    }

    /// Decides on the state of a key that is known by this tag, charges it, and summarizes it then.
    #[inline]
    pub(in crate::store) fn take<A: Summarize + ?Sized>(
        &mut self,
        key: Fingerprint,
        request: &Request<'_, A>,
    ) -> Option<Decision> {
        let (slot, written) = self.find(key, request.tag())?;
        if written != request.tag() {
            return None;
        }
        let summaries = self.lines.summaries();
        let state = self.state(slot)?;
        let decision = request.take(state);
        let next = summaries.map(|by| request.algorithm.summary(by, request.quota, state));
        if let (Some(next), Some((_, summary))) = (next, self.lines.summary(slot)) {
            *summary = next;
        }
        Some(decision)
    }
}

/// Which of these owners is wanted; or none, which is one beyond.
///
/// All are compared before anything depends on which of them it is, as in the table of one word.
#[inline]
fn way(owners: &[u64; WAYS], wanted: u64) -> usize {
    let mut way = WAYS;
    for (n, owner) in owners.iter().enumerate().rev() {
        way = if *owner == wanted { n } else { way };
    }
    way
}

/// Scales the bits of a hash onto `0..len`.
pub(super) fn scale(bits: u64, len: usize) -> usize {
    ((u128::from(bits) * len as u128) >> 64) as usize
}

/// Asked of the system as zeros, which costs nothing until they are written.
pub(super) fn zeros(len: usize) -> Box<[u64]> {
    vec![0; len].into()
}
