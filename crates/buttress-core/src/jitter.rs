//! Jitter: spreading in time what would otherwise happen at once.
//!
//! The first three families are those of the AWS Architecture Blog's "Exponential Backoff And Jitter".
//! None of them exceeds the bound that it is given: a cap stays a cap. Everything is reckoned in whole
//! nanoseconds, so delays below a second keep their jitter.

use std::time::Duration;

use crate::Random;

/// Full jitter: evenly from zero to `delay`.
#[must_use]
pub fn full(delay: Duration, random: &Random) -> Duration {
    random.duration_up_to(delay)
}

/// Equal jitter: half of `delay`, and evenly up to the other half.
#[must_use]
pub fn equal(delay: Duration, random: &Random) -> Duration {
    let half = delay / 2;
    half + random.duration_up_to(delay - half)
}

/// Decorrelated jitter: evenly from `base` to three times the `previous` delay, at most `cap`.
///
/// Give `base` as the first `previous`.
#[must_use]
pub fn decorrelated(
    base: Duration,
    previous: Duration,
    cap: Duration,
    random: &Random,
) -> Duration {
    let top = previous.saturating_mul(3).max(base);
    (base + random.duration_up_to(top - base)).min(cap)
}

/// Jitter on top of a server's word: never earlier than `floor`, at most `spread` later.
///
/// A crowd that was told the same instant comes back over a span instead of as one.
#[must_use]
pub fn added(floor: Duration, spread: Duration, random: &Random) -> Duration {
    floor.saturating_add(random.duration_up_to(spread))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span() -> impl Strategy<Value = Duration> {
        any::<u64>().prop_map(Duration::from_nanos)
    }

    proptest! {
        #[test]
        fn no_family_leaves_its_bounds(delay in span(), base in span(), cap in span(), seed: u64) {
            let random = Random::seeded(seed);
            prop_assert!(full(delay, &random) <= delay);
            let drawn = equal(delay, &random);
            prop_assert!(delay / 2 <= drawn && drawn <= delay);
            let drawn = decorrelated(base, delay, cap, &random);
            prop_assert!(drawn <= cap && (drawn >= base || drawn == cap));
            let drawn = added(delay, base, &random);
            prop_assert!(delay <= drawn && drawn <= delay.saturating_add(base));
        }
    }

    /// A thousand draws fill the range: every tenth of it gets its share.
    #[test]
    fn full_jitter_is_even() {
        let random = Random::seeded(42);
        let mut tenths = [0_u32; 10];
        for _ in 0..1_000 {
            let drawn = full(Duration::from_millis(100), &random);
            let tenth = usize::try_from(drawn.as_micros() / 10_000)
                .unwrap_or(9)
                .min(9);
            tenths[tenth] += 1;
        }
        assert!(
            tenths.iter().all(|&n| (60..=140).contains(&n)),
            "{tenths:?}"
        );
    }
}
