/// So many calls, and how many of them were bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) failures: u64,
    pub(crate) slow: u64,
}

/// The bits of one count in a [packed](Counts::pack) word.
const BITS: u32 = 21;
const ONE: u64 = (1 << BITS) - 1;

impl Counts {
    /// So many calls fit into a packed word with as much room again, for those that are counted while it
    /// is being emptied.
    pub(crate) const FULL: u64 = 1 << (BITS - 1);

    /// One call.
    #[inline]
    pub(crate) fn one(failed: bool, slow: bool) -> Self {
        Self {
            calls: 1,
            failures: u64::from(failed),
            slow: u64::from(slow),
        }
    }

    /// All three in one word, of which two can be added as numbers.
    #[inline]
    pub(crate) const fn pack(self) -> u64 {
        self.calls | (self.failures << BITS) | (self.slow << (2 * BITS))
    }

    #[inline]
    pub(crate) const fn unpack(word: u64) -> Self {
        Self {
            calls: word & ONE,
            failures: (word >> BITS) & ONE,
            slow: word >> (2 * BITS),
        }
    }

    #[inline]
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            failures: self.failures.saturating_add(other.failures),
            slow: self.slow.saturating_add(other.slow),
        }
    }

    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(other.calls),
            failures: self.failures.saturating_sub(other.failures),
            slow: self.slow.saturating_sub(other.slow),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn packed_counts_add_up() {
        let slow_failure = Counts::one(true, true).pack();
        let success = Counts::one(false, false).pack();
        let sum = Counts::unpack(slow_failure + success + slow_failure);
        assert_eq!(
            sum,
            Counts {
                calls: 3,
                failures: 2,
                slow: 2
            }
        );
        let full = Counts::unpack((2 * Counts::FULL - 1) * slow_failure);
        assert_eq!(full.calls, 2 * Counts::FULL - 1);
        assert_eq!((full.failures, full.slow), (full.calls, full.calls));
    }
}
