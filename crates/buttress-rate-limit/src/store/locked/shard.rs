use super::{
    Request,
    lines::Lines,
    slots::{Slots, States, look},
};
use crate::{
    Decision, Quota,
    algorithm::{Kind, Summaries, Summarize},
    limit::Tag,
    store::table::{Fingerprint, Slot},
    sync::{Mutex, unpoisoned},
};

/// A part of a table: some buckets, behind a lock of their own.
pub(super) struct Shard {
    lines: Lines,
    states: Locked,
}

/// In a cache line of its own, so that who takes the lock does not hold up who needs none.
#[repr(align(64))]
struct Locked(Mutex<States>);

impl Shard {
    /// So many buckets, for states of so many words.
    pub(super) fn new(buckets: usize, words: usize, summaries: Option<Summaries>) -> Self {
        Self {
            lines: Lines::new(buckets, summaries),
            states: Locked(Mutex::new(States::new(buckets, words))),
        }
    }

    /// The bytes that it occupies; `None` where nobody has so many.
    pub(super) fn bytes(
        buckets: usize,
        words: usize,
        summaries: Option<Summaries>,
    ) -> Option<usize> {
        Lines::bytes(buckets, summaries)?
            .checked_add(States::bytes(buckets, words)?)?
            .checked_add(size_of::<Self>())
    }

    /// The state of a key that is known, if it is one of this tag.
    #[inline]
    pub(super) fn look(&self, key: Fingerprint, tag: Tag) -> Option<Known<'_>> {
        Some(Known {
            shard: self,
            slot: look(&self.lines, key, tag)?,
            owner: key.tagged(tag),
        })
    }

    #[inline]
    pub(super) fn lock(&self) -> Slots<'_> {
        let Self { lines, states } = self;
        let states = unpoisoned(states.0.lock());
        Slots { lines, states }
    }
}

/// A state that belonged to a key when it was looked for.
#[derive(Clone, Copy)]
pub(in crate::store) struct Known<'a> {
    shard: &'a Shard,
    slot: usize,
    owner: u64,
}

impl<'a> Known<'a> {
    /// Its summary, if it has one.
    #[inline]
    pub(in crate::store) fn summary(self) -> Option<(Summaries, Slot<'a>)> {
        self.shard.lines.summary_of(self.slot, self.owner)
    }

    /// The state itself, if it still is the key's.
    #[inline(always)]
    pub(in crate::store) fn hold(self) -> Option<Held<'a>> {
        let slots = self.shard.lock();
        let slot = self.slot;
        (slots.lines.owner(slot)? == self.owner).then_some(Held { slots, slot })
    }
}

/// A state that nobody else reads or changes meanwhile.
pub(in crate::store) struct Held<'a> {
    slots: Slots<'a>,
    slot: usize,
}

impl Held<'_> {
    #[inline]
    pub(in crate::store) fn words(&mut self) -> &mut [u64] {
        self.slots.state(self.slot).unwrap_or_default()
    }

    /// Decides on it, charges it, and summarizes it then; not if it refuses, for the next one will be refused by it, too.
    #[inline(always)]
    pub(in crate::store) fn take<A: Summarize + ?Sized>(
        &mut self,
        request: &Request<'_, A>,
        out: &mut Decision,
    ) -> Option<()> {
        let Request {
            algorithm, quota, ..
        } = request;
        let take = |state: &mut [u64]| {
            *out = request.take(state);
            out.is_admitted()
        };
        let summary = |summaries, state: &[u64]| algorithm.summary(summaries, quota, state);
        self.slots.summarizing(self.slot, take, summary)
    }

    /// Charges it what is planned, and summarizes it then.
    #[inline]
    pub(in crate::store) fn charge(
        &mut self,
        kind: &Kind,
        quota: &Quota,
        charge: impl FnOnce(&mut [u64]),
    ) {
        let charge = |state: &mut [u64]| {
            charge(state);
            true
        };
        let summary = |summaries, state: &[u64]| kind.summary(summaries, quota, state);
        self.slots.summarizing(self.slot, charge, summary);
    }
}
