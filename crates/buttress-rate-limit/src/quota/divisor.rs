use std::{fmt, num::NonZeroU64};

/// A number that others are divided by for each request: with its reciprocal, since a multiplication takes a
/// fraction of the time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Divisor {
    by: NonZeroU64,
    /// 2⁶⁴ by it, rounded down.
    reciprocal: u64,
}

impl Divisor {
    pub(super) const fn new(by: NonZeroU64) -> Self {
        Self {
            by,
            reciprocal: u64::MAX / by.get(),
        }
    }

    #[inline]
    pub(super) const fn get(self) -> NonZeroU64 {
        self.by
    }

    /// What remains of `number`.
    #[inline]
    pub(super) const fn remainder(self, number: u64) -> u64 {
        // The true quotient, or one less: the reciprocal falls short of 2⁶⁴ / by by one at most, and so does
        // the quotient, by number / 2⁶⁴ and by what was rounded off.
        let quotient = ((number as u128 * self.reciprocal as u128) >> 64) as u64;
        let remainder = number - quotient * self.by.get();
        if remainder >= self.by.get() {
            remainder - self.by.get()
        } else {
            remainder
        }
    }
}

impl fmt::Debug for Divisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.by, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_the_remainder(
            by in prop_oneof![1..u64::MAX, 1..1_000_u64, Just(u64::MAX), Just(1 << 63)],
            number in prop_oneof![any::<u64>(), 0..1_000_u64],
            times: u64,
        ) {
            let divisor = Divisor::new(NonZeroU64::new(by).unwrap());
            let multiple = by.wrapping_mul(times % (u64::MAX / by).saturating_add(1).max(1));
            for number in [number, u64::MAX, multiple, multiple.saturating_sub(1)] {
                prop_assert_eq!(divisor.remainder(number), number % by);
            }
        }
    }
}
