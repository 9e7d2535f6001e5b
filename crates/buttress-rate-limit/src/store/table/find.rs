//! Where a key stands, and where it may.

use super::{
    Fingerprint, Table,
    bucket::{BUSY, Bucket, Slot, Tagged, WAYS},
};
use crate::{limit::Tag, sync::Ordering};

/// Buckets in which a key may stand. In a table of twice as many slots as keys, one in a few hundred
/// keys finds all of them full when the table is as full as it may be, and hardly any before. Loom explores tables
/// of one bucket.
pub(super) const CHOICES: usize = if cfg!(loom) { 1 } else { 3 };

impl Table {
    /// The slot of a key, and a state that was its own and of this tag.
    #[inline(always)]
    pub(super) fn find(&self, key: Fingerprint, tag: Tag) -> Option<Slot<'_>> {
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
    pub(super) fn find_anywhere(&self, key: Fingerprint) -> Option<Tagged<'_>> {
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

    /// The bucket that is `key`'s n-th choice.
    #[inline]
    pub(super) fn bucket(&self, key: Fingerprint, choice: usize) -> Option<&Bucket> {
        // Each choice scales other bits of the hash onto the table, which need not be a power of two.
        let bits = key.bits().rotate_left(choice as u32 * 21);
        let index = (u128::from(bits) * self.buckets.len() as u128) >> 64;
        self.buckets.get(index as usize)
    }
}
