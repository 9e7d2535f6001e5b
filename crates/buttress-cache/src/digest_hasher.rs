use std::hash::{BuildHasherDefault, Hasher};

/// Hashes digests, which are hashes already, by taking half of them.
pub(crate) type DigestHasher = BuildHasherDefault<LowerHalf>;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LowerHalf(u64);

impl Hasher for LowerHalf {
    // A digest is written as one number; this is here because the trait asks for it.
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    #[inline]
    fn write_u128(&mut self, digest: u128) {
        self.0 = digest as u64;
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
