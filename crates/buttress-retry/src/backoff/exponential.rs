use std::time::Duration;

use buttress_core::{ConfigError, Random, jitter};

use super::Backoff;

/// Longer each time: `v = min(cap, base · factorⁿ)` before the retry `n + 1`, spread by [`Jitter`].
///
/// The default starts at 100 ms, doubles, ends at 10 s, and has full jitter.
///
/// ```
/// use std::time::Duration;
/// use buttress_core::Random;
/// use buttress_retry::{Backoff as _, Exponential, Jitter};
///
/// let backoff = Exponential::starting_at(Duration::from_millis(100))
///     .factor(2.0)
///     .cap(Duration::from_secs(1))
///     .jitter(Jitter::None);
/// let random = Random::seeded(1);
/// let delays = [1, 2, 3, 4, 5].map(|retry| backoff.delay(retry, None, &random).as_millis());
/// assert_eq!(delays, [100, 200, 400, 800, 1_000]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it does nothing until a policy is built with it"]
pub struct Exponential {
    base: Duration,
    factor: f64,
    cap: Duration,
    jitter: Jitter,
}

/// How the delays of [`Exponential`] are spread (AWS Architecture Blog, "Exponential Backoff And Jitter").
///
/// No jitter exceeds the cap, and all are drawn in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Jitter {
    /// Evenly from zero to `v`: spreads best.
    #[default]
    Full,
    /// Half of `v`, and evenly up to the other half: never at once.
    Equal,
    /// Evenly from the base to three times the delay before, at most the cap. The factor has no say.
    Decorrelated,
    /// `v` itself.
    None,
}

impl Exponential {
    /// The first delay is `base`, before jitter.
    pub const fn starting_at(base: Duration) -> Self {
        Self {
            base,
            factor: 2.0,
            cap: Duration::from_secs(10),
            jitter: Jitter::Full,
        }
    }

    /// How much longer each delay is than the one before; 2 if not given, at least 1.
    pub const fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest delay, jitter included; 10 s if not given, at least the base.
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// How the delays are spread; [`Jitter::Full`] if not given.
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// `min(cap, base · factorⁿ)`.
    fn nth(&self, n: u32) -> Duration {
        let power = self.factor.powi(i32::try_from(n).unwrap_or(i32::MAX));
        let grown = self.base.as_secs_f64() * power;
        // What no `Duration` holds is beyond any cap. Zero times infinity is no number, and zero.
        match Duration::try_from_secs_f64(grown) {
            Ok(grown) => grown.min(self.cap),
            Err(_) if self.base.is_zero() => Duration::ZERO,
            Err(_) => self.cap,
        }
    }
}

impl Default for Exponential {
    fn default() -> Self {
        Self::starting_at(Duration::from_millis(100))
    }
}

impl Backoff for Exponential {
    fn delay(&self, retry: u32, previous: Option<Duration>, random: &Random) -> Duration {
        let v = || self.nth(retry.saturating_sub(1));
        match self.jitter {
            Jitter::Full => jitter::full(v(), random),
            Jitter::Equal => jitter::equal(v(), random),
            Jitter::Decorrelated => {
                let previous = previous.unwrap_or(self.base);
                jitter::decorrelated(self.base, previous, self.cap, random)
            }
            Jitter::None => v(),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !(self.factor.is_finite() && self.factor >= 1.0) {
            return Err(ConfigError::new("factor", self.factor, "at least 1"));
        }
        if self.cap < self.base {
            let given = format!("{:?}", self.cap);
            let expected = format!("at least the base, {:?}", self.base);
            return Err(ConfigError::new("cap", given, expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_grows_to_its_cap_and_never_overflows() {
        let backoff = Exponential::starting_at(3 * MS)
            .factor(10.0)
            .cap(Duration::from_secs(1))
            .jitter(Jitter::None);
        let random = Random::seeded(1);
        let delay = |retry| backoff.delay(retry, None, &random);
        assert_eq!(
            [1, 2, 3, 4].map(delay),
            [3 * MS, 30 * MS, 300 * MS, 1_000 * MS]
        );
        assert_eq!(
            [0, 1_000, u32::MAX].map(delay),
            [3 * MS, 1_000 * MS, 1_000 * MS]
        );
        let zero = Exponential::starting_at(Duration::ZERO).jitter(Jitter::None);
        assert_eq!(zero.delay(u32::MAX, None, &random), Duration::ZERO);
    }

    #[test]
    fn the_default_is_as_it_says() {
        let backoff = Exponential::default();
        let random = Random::seeded(1);
        let steady = backoff.jitter(Jitter::None);
        let delays = [1, 2, 3, 7, 8, 100].map(|retry| steady.delay(retry, None, &random));
        let expected = [100, 200, 400, 6_400, 10_000, 10_000].map(|millis| MS * millis);
        assert_eq!(delays, expected);
        assert_eq!(backoff, backoff.jitter(Jitter::Full));
    }

    /// The article begins with the base as the delay before.
    #[test]
    fn the_first_decorrelated_delay_is_drawn_too() {
        let backoff = Exponential::starting_at(100 * MS).jitter(Jitter::Decorrelated);
        let random = Random::seeded(1);
        let drawn = (0..100).map(|_| backoff.delay(1, None, &random));
        let late = drawn.filter(|delay| *delay > 200 * MS).count();
        assert!((30..=70).contains(&late), "{late} of 100 past the middle");
    }

    /// Others truncate a base of 250 ms to whole seconds, and with it its jitter (T2 of the traps).
    #[test]
    fn jitter_below_a_second_survives() {
        let random = Random::seeded(1);
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
            let backoff = Exponential::starting_at(MS).cap(250 * MS).jitter(jitter);
            let mut previous = None;
            let drawn: std::collections::BTreeSet<_> = (1..100)
                .map(|retry| {
                    let delay = backoff.delay(retry, previous, &random);
                    previous = Some(delay);
                    delay
                })
                .collect();
            assert!(drawn.len() > 60, "{jitter:?}: {} of 99 differ", drawn.len());
        }
    }

    #[test]
    fn what_cannot_work_is_found() {
        let field = |backoff: Exponential| backoff.check().map_err(|error| error.field());
        let good = Exponential::default();
        assert_eq!(field(good), Ok(()));
        for factor in [0.5, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(field(good.factor(factor)), Err("factor"), "{factor}");
        }
        assert_eq!(field(good.cap(MS)), Err("cap"));
    }

    proptest! {
        /// T2 of the traps: the cap holds, with all jitters.
        #[test]
        fn no_delay_leaves_its_bounds(
            base in 0..10_000_u64, cap in 0..100_000_u64, factor in 1.0..10.0_f64,
            retry in 1..100_u32, previous: Option<u32>, seed: u64,
        ) {
            let (base, cap) = (Duration::from_micros(base), Duration::from_micros(base + cap));
            let backoff = Exponential::starting_at(base).factor(factor).cap(cap);
            let random = Random::seeded(seed);
            let v = backoff.jitter(Jitter::None).delay(retry, None, &random);
            prop_assert!(base <= v && v <= cap);
            prop_assert!(backoff.delay(retry, None, &random) <= v);
            let equal = backoff.jitter(Jitter::Equal).delay(retry, None, &random);
            prop_assert!(v / 2 <= equal && equal <= v);
            let previous = previous.map(|micros| Duration::from_micros(micros.into()));
            let drawn = backoff.jitter(Jitter::Decorrelated).delay(retry, previous, &random);
            prop_assert!(base <= drawn && drawn <= cap);
        }
    }
}
