/// Which part of time a moment belongs to, all parts being as long: a division by what is always the same, and so a
/// multiplication and a shift (Granlund and Montgomery, "Division by Invariant Integers using Multiplication", 1994,
/// theorem 4.2). Every call is counted in a part, and a division takes a processor several times as long as these.
pub(super) struct Parts {
    factor: u64,
    shift: u32,
}

impl Parts {
    /// Parts of so many nanoseconds, of which there are at least two.
    pub(super) fn of(nanos: u64) -> Self {
        let nanos = nanos.max(2);
        // 2^(shift + 1) is the first power of two that is not less than the divisor. So the factor is less than 2^64, and
        // rounded up it is too large by so little that no quotient of a number of 63 bits, as those of ticks are, changes.
        let shift = (nanos - 1).ilog2();
        let factor = (1_u128 << (64 + shift)).div_ceil(nanos.into());
        Self {
            factor: u64::try_from(factor).unwrap_or(u64::MAX),
            shift,
        }
    }

    /// The number of the part that the nanosecond is in.
    #[inline]
    pub(super) fn number(&self, nanos: u64) -> u64 {
        // What is shifted out of 128 bits leaves 64.
        ((u128::from(nanos) * u128::from(self.factor)) >> 64) as u64 >> self.shift
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use buttress_core::Tick;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_are_where_division_has_them() {
        let last = Tick::MAX.as_nanos();
        for length in [
            2,
            3,
            5,
            7,
            64,
            10_000_000,
            999_999_999,
            1_000_000_000,
            360_000_000_000,
        ] {
            let parts = Parts::of(length);
            for number in [0, 1, 2, 1_000, last / length - 1, last / length] {
                let begins = number * length;
                assert_eq!(parts.number(begins), number, "{length}");
                assert_eq!(parts.number(begins + 1), number, "{length}");
                if number > 0 {
                    assert_eq!(parts.number(begins - 1), number - 1, "{length}");
                }
            }
            assert_eq!(parts.number(last), last / length, "{length}");
        }
    }

    proptest! {
        #[test]
        fn as_division_has_it(length in 2..=360_000_000_000_u64, at in 0..=Tick::MAX.as_nanos()) {
            let parts = Parts::of(length);
            prop_assert_eq!(parts.number(at), at / length);
            let begins = at / length * length;
            prop_assert_eq!(parts.number(begins), at / length);
            prop_assert_eq!(parts.number(begins.saturating_sub(1)), begins.saturating_sub(1) / length);
        }
    }
}
