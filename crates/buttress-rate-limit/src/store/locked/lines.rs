use super::slots::WAYS;
use crate::{
    algorithm::Summaries,
    store::table::Slot,
    sync::{AtomicU64, Ordering},
};

/// A fingerprint of 0 marks a slot that was never used.
pub(super) const NOBODY: u64 = 0;

/// A summary of 0 is none: the state behind the lock tells all.
pub(super) const NONE: u64 = 0;

/// Words of a cache line.
const LINE: usize = 8;

/// Whose the slots of a shard are: the owners of two buckets to a cache line. Or those of one and the summaries of their
/// states, so that whoever is decided on by a summary has no other line read, and takes no lock.
///
/// Three rules make that safe:
///
/// 1. Owners are written only by who holds the shard's lock, and only while the slot has no summary.
/// 2. So is a summary where there is none, and it is put aside by nobody else. All others swap one for the next if it is
///    still what they have seen.
/// 3. They read the summary *first* and its owner *after*. A slot that was given away in between has none, or one of a later
///    charge.
///
/// A summary that was put aside comes about again, for another owner or under another quota, only where all that it told
/// of was given back, or where the clock stepped back. Whoever has read it before, and swaps it after, charges
/// one request to the slot's new owner, or at the old price: one for each thread that is caught so.
pub(super) struct Lines {
    lines: Box<[Line]>,
    buckets: usize,
    summaries: Option<Summaries>,
}

#[repr(align(64))]
struct Line([AtomicU64; LINE]);

impl Lines {
    pub(super) fn new(buckets: usize, summaries: Option<Summaries>) -> Self {
        let line = |_| Line(std::array::from_fn(|_| AtomicU64::new(NOBODY)));
        Self {
            lines: (0..Self::count(buckets, summaries)).map(line).collect(),
            buckets,
            summaries,
        }
    }

    /// The bytes that those of so many buckets occupy; `None` where nobody has so many.
    pub(super) fn bytes(buckets: usize, summaries: Option<Summaries>) -> Option<usize> {
        Self::count(buckets, summaries).checked_mul(size_of::<Line>())
    }

    fn count(buckets: usize, summaries: Option<Summaries>) -> usize {
        buckets.div_ceil(LINE / words_per_bucket(summaries))
    }

    #[inline]
    pub(super) const fn buckets(&self) -> usize {
        self.buckets
    }

    /// How states are summarized, if they are.
    #[inline]
    pub(super) const fn summaries(&self) -> Option<Summaries> {
        self.summaries
    }

    /// The slot in a bucket whose owner is wanted.
    #[inline]
    pub(super) fn find(&self, bucket: usize, wanted: u64) -> Option<usize> {
        let (line, word) = self.place(bucket * WAYS);
        let owners = self.lines.get(line)?.0.get(word..)?.first_chunk()?;
        let way = way(owners, wanted);
        (way < WAYS).then_some(bucket * WAYS + way)
    }

    /// The summary of a slot's state, for who holds no lock: if it has one, and if the slot's owner is still this one.
    #[inline]
    pub(super) fn summary_of(&self, slot: usize, owner: u64) -> Option<(Summaries, Slot<'_>)> {
        let (summaries, state) = self.summary(slot)?;
        let seen = state.load(Ordering::Acquire);
        // After the summary: rule 3. Acquiring it makes the owner visible that was written before.
        (self.owner(slot)? == owner && seen != NONE).then_some((summaries, Slot { state, seen }))
    }

    #[inline]
    pub(super) fn owner(&self, slot: usize) -> Option<u64> {
        let (line, word) = self.place(slot);
        let owner = self.lines.get(line)?.0.get(word)?;
        Some(owner.load(Ordering::Relaxed))
    }

    pub(super) fn own(&self, slot: usize, owner: u64) {
        let (line, word) = self.place(slot);
        let line = self.lines.get(line);
        if let Some(place) = line.and_then(|line| line.0.get(word)) {
            place.store(owner, Ordering::Relaxed);
        }
    }

    /// Puts the summary of a slot's state aside, if it has one, which is told, and how it is to be read.
    pub(super) fn put_aside(&self, slot: usize) -> Option<(Summaries, u64)> {
        let (summaries, place) = self.summary(slot)?;
        if place.load(Ordering::Relaxed) == NONE {
            return None;
        }
        Some((summaries, place.swap(NONE, Ordering::AcqRel)))
    }

    /// Gives a slot's state a summary, which it has none of.
    pub(super) fn summarize(&self, slot: usize, summary: u64) {
        if let Some((_, place)) = self.summary(slot) {
            place.store(summary, Ordering::Release);
        }
    }

    #[inline]
    fn summary(&self, slot: usize) -> Option<(Summaries, &AtomicU64)> {
        let summaries = self.summaries?;
        let (line, word) = self.place(slot);
        Some((summaries, self.lines.get(line)?.0.get(word + WAYS)?))
    }

    /// In which line the owner of a slot stands, and where in it.
    #[inline]
    fn place(&self, slot: usize) -> (usize, usize) {
        let word = slot / WAYS * words_per_bucket(self.summaries) + slot % WAYS;
        (word / LINE, word % LINE)
    }
}

#[inline]
const fn words_per_bucket(summaries: Option<Summaries>) -> usize {
    match summaries {
        Some(_) => 2 * WAYS,
        None => WAYS,
    }
}

/// Which of these owners is wanted; or none, which is one beyond.
///
/// All are compared before anything depends on which of them it is, as in the table of one word.
#[inline]
fn way(owners: &[AtomicU64; WAYS], wanted: u64) -> usize {
    let mut way = WAYS;
    for (n, owner) in owners.iter().enumerate().rev() {
        let found = owner.load(Ordering::Relaxed) == wanted;
        way = if found { n } else { way };
    }
    way
}
