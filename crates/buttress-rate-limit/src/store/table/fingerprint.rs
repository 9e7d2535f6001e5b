use buttress_core::Digest;

use crate::limit::Tag;

/// What names a key in the tables: half of its digest, the half that the hash has ready first.
///
/// All of it chooses the key's buckets. What stands in a slot is an [`Owner`]: 56 bits of it, and the tag of the
/// quota that the slot's state was written under. In a table for a million keys the first bucket tells the
/// other bits apart, so that two of a million keys meet with a probability of 3 × 10⁻⁸, and of those that stand
/// in a bucket of second choice, of 7 × 10⁻⁶; they share a quota then. The digest's other half would make that
/// less likely still, and cost a fifth of a check: see `docs/decisions.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

/// The bits that stand in a slot.
const OWN: u64 = (1 << 56) - 1;

impl Fingerprint {
    /// A place for one. No digest is so short.
    pub(crate) const NOBODY: Self = Self(1);

    #[inline]
    pub(in crate::store) const fn bits(self) -> u64 {
        self.0
    }

    /// As the owner of a slot whose state has this tag. Never 0.
    #[inline]
    pub(in crate::store) const fn tagged(self, tag: Tag) -> u64 {
        (self.0 & OWN) | ((tag as u64) << 56)
    }

    /// The tag of a slot that belongs to this key.
    #[inline]
    pub(in crate::store) const fn tag_of(self, owner: u64) -> Option<Tag> {
        match (owner ^ self.0) & OWN {
            0 => Some(tag(owner)),
            _ => None,
        }
    }
}

/// The tag of a slot.
#[inline]
pub(in crate::store) const fn tag(owner: u64) -> Tag {
    (owner >> 56) as Tag
}

/// A digest that is as good as the key's own to whoever reads no more of it than this half.
impl From<Fingerprint> for Digest {
    #[inline]
    fn from(key: Fingerprint) -> Self {
        (key.0, 0).into()
    }
}

impl From<Digest> for Fingerprint {
    #[inline]
    fn from(key: Digest) -> Self {
        let bits = key.high();
        // An owner of 0 is nobody.
        Self(bits | (bits & OWN == 0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An owner of 0 is nobody, and its slot anybody's.
    #[test]
    fn no_digest_makes_a_key_of_nobody() {
        for high in [0, 1 << 56, 0xff << 56, 1, u64::MAX] {
            let key = Fingerprint::from(Digest::from((high, 7)));
            assert_ne!(key.tagged(0), 0, "{high:x}");
            assert_eq!(key.tag_of(key.tagged(5)), Some(5));
            assert_eq!(key.tag_of(0), None);
        }
    }
}
