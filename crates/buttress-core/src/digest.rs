use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
};

use crate::{ExtractKey, Key, KeyWriter, MissingKey, siphash::SipHasher};

/// A key, reduced to 128 bits by a keyed hash.
///
/// With 128 bits two of a million keys meet with a probability of about 10⁻²⁷, and without the
/// [`DigestKey`] nobody can look for two that do.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u128);

impl Digest {
    /// A digest made elsewhere, such as one read back from a store.
    #[must_use]
    pub const fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// All 128 bits.
    #[must_use]
    #[inline]
    pub const fn as_u128(self) -> u128 {
        self.0
    }

    /// The upper half: the one that the hash has ready first.
    #[must_use]
    #[inline]
    pub const fn high(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The lower half.
    #[must_use]
    #[inline]
    pub const fn low(self) -> u64 {
        self.0 as u64
    }
}

impl From<(u64, u64)> for Digest {
    #[inline]
    fn from((high, low): (u64, u64)) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({:032x})", self.0)
    }
}

/// The secret under which keys are hashed: SipHash-1-3 with 128 bits of output.
///
/// Keys are chosen by whoever sends requests, so the hash must be one that an attacker cannot steer
/// into one bucket of a table. SipHash-1-3 is what Rust's own `HashMap` uses for that reason.
#[derive(Clone, Copy)]
pub struct DigestKey {
    words: (u64, u64),
}

impl DigestKey {
    /// A secret of this process, from the operating system's entropy.
    #[must_use]
    pub fn random() -> Self {
        // `RandomState` is keyed by the operating system; its hash of two different words gives two
        // words that nobody else can know, without a dependency on a source of entropy of our own.
        let state = RandomState::new();
        let word = |n: u8| {
            let mut hasher = state.build_hasher();
            hasher.write_u8(n);
            hasher.finish()
        };
        Self::from_words(word(0), word(1))
    }

    /// A secret that several processes share, so that they agree on the digest of a key. Draw both
    /// words from a source of entropy, and keep them.
    #[must_use]
    pub const fn from_words(first: u64, second: u64) -> Self {
        Self {
            words: (first, second),
        }
    }

    #[inline(always)]
    fn hasher(&self) -> SipHasher {
        SipHasher::keyed(self.words.0, self.words.1)
    }

    /// The digest of `key`.
    #[must_use]
    // Always, because whoever needs one half of it then does not compute the other.
    #[inline(always)]
    pub fn digest<K: Key + ?Sized>(&self, key: &K) -> Digest {
        KeyWriter::digest(self.hasher(), |writer| key.write(writer))
    }

    /// The digest of the key that `extractor` finds in `from`.
    ///
    /// # Errors
    ///
    /// What the extractor says where there is none.
    #[inline(always)]
    pub fn digest_from<T: ?Sized>(
        &self,
        extractor: &(impl ExtractKey<T> + ?Sized),
        from: &T,
    ) -> Result<Digest, MissingKey> {
        KeyWriter::try_digest(self.hasher(), |writer| extractor.extract(from, writer))
    }
}

impl Default for DigestKey {
    fn default() -> Self {
        Self::random()
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever knows the words can choose keys that meet.
        f.debug_struct("DigestKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differs_by_secret_and_agrees_under_one() {
        let (one, same, other) = (
            DigestKey::from_words(1, 2),
            DigestKey::from_words(1, 2),
            DigestKey::random(),
        );
        assert_eq!(one.digest("alice"), same.digest("alice"));
        assert_ne!(one.digest("alice"), one.digest("bob"));
        assert_ne!(one.digest("alice"), other.digest("alice"));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(
            format!("{:?}", DigestKey::from_words(1, 2)),
            "DigestKey { .. }"
        );
    }

    #[test]
    fn a_missing_key_has_no_digest() {
        let extractor = |_: &str, key: &mut KeyWriter<'_>| {
            key.text("half");
            Err(MissingKey::new("it broke off"))
        };
        let key = DigestKey::random();
        assert_eq!(
            key.digest_from(&extractor, "x").map_err(|e| e.to_string()),
            Err("no key: it broke off".into())
        );
    }
}
