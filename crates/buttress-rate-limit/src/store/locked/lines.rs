use super::slots::WAYS;
use crate::algorithm::Summaries;

/// A fingerprint of 0 marks a slot that was never used.
pub(super) const NOBODY: u64 = 0;

/// Words of a cache line.
const LINE: usize = 8;

/// Whose the slots of a shard are: the owners of two buckets to a cache line. Or those of one and the summaries of their
/// states, so that whoever is decided on by a summary has no other line read.
pub(super) struct Lines {
    lines: Box<[Line]>,
    summaries: Option<Summaries>,
}

#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line([u64; LINE]);

impl Lines {
    pub(super) fn new(buckets: usize, summaries: Option<Summaries>) -> Self {
        let line = Line([NOBODY; LINE]);
        Self {
            lines: vec![line; Self::count(buckets, summaries)].into(),
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

    /// How states are summarized, if they are.
    #[inline]
    pub(super) const fn summaries(&self) -> Option<Summaries> {
        self.summaries
    }

    /// The owners of a bucket's slots.
    #[inline]
    pub(super) fn owners(&self, bucket: usize) -> Option<&[u64; WAYS]> {
        let (line, word) = self.place(bucket * WAYS);
        self.lines.get(line)?.0.get(word..)?.first_chunk()
    }

    /// The same, and their summaries.
    #[inline]
    pub(super) fn summarized(&mut self, bucket: usize) -> Option<(&[u64; WAYS], &mut [u64])> {
        let line = self.lines.get_mut(bucket)?;
        let (owners, summaries) = line.0.split_first_chunk_mut()?;
        Some((owners, summaries))
    }

    pub(super) fn owner(&self, slot: usize) -> Option<u64> {
        let (line, word) = self.place(slot);
        self.lines.get(line)?.0.get(word).copied()
    }

    pub(super) fn own(&mut self, slot: usize, owner: u64) {
        let (line, word) = self.place(slot);
        let line = self.lines.get_mut(line);
        if let Some(place) = line.and_then(|line| line.0.get_mut(word)) {
            *place = owner;
        }
    }

    /// The summary of a slot's state, and how it is to be read.
    pub(super) fn summary(&mut self, slot: usize) -> Option<(Summaries, &mut u64)> {
        let summaries = self.summaries?;
        let (line, word) = self.place(slot);
        let summary = self.lines.get_mut(line)?.0.get_mut(word + WAYS)?;
        Some((summaries, summary))
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
