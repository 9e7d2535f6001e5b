use std::time::Duration;

use buttress_core::{ConfigError, Tick};

use super::{Algorithm, Gcra, SKEW, carry};
use crate::{Decision, Quota, decision::Verdict};

/// [`Gcra`] with a queue before it: what a burst has no room for waits for its turn instead
/// of being refused, up to a longest wait.
///
/// For clients that pace themselves. A place is reserved on arrival, so whoever comes first goes first;
/// [`Decision::delay`] says how long to wait for it, which `RateLimitLayer` and
/// [`RateLimiter::until_ready`](crate::RateLimiter::until_ready) do. Giving a place back, because the
/// request was given up, brings later arrivals nearer and disturbs nobody who already waits.
///
/// # The most it admits
///
/// What proceeds, after its delay, in any window of length W: `burst + ⌊W / interval⌋` requests of cost 1,
/// and one more for each place that was given back while others already waited behind it: they keep their
/// turns, and who comes next takes a turn beside the last of them.
///
/// # Debt and clocks
///
/// Those of [`Gcra`], with the longest wait on top of each bound.
///
/// State: as with [`Gcra`], nanoseconds of the theoretical arrival time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    longest_wait: Duration,
}

/// As with a quota's longest refill: sums with a tick stay within 64 bits.
const LONGEST: Duration = Duration::from_nanos(1 << 60);

impl Pacing {
    /// Requests wait for `longest_wait` at most; who would have to wait for longer is refused at once.
    #[must_use]
    pub const fn up_to(longest_wait: Duration) -> Self {
        Self { longest_wait }
    }

    #[inline]
    fn longest_nanos(self) -> u64 {
        Tick::from_duration(self.longest_wait.min(LONGEST)).as_nanos()
    }

    /// The furthest that a state may be ahead of now: a full burst, all that may wait, and a burst of debt.
    #[inline]
    fn most_used(self, quota: &Quota) -> u64 {
        quota.refill_nanos() * 2 + self.longest_nanos()
    }

    #[inline]
    fn used(self, quota: &Quota, state: u64, now: Tick) -> u64 {
        let ahead = Gcra::ahead(state, now);
        if ahead > self.most_used(quota) + SKEW {
            0
        } else {
            ahead
        }
    }
}

impl Algorithm for Pacing {
    fn words(&self) -> usize {
        1
    }

    #[inline]
    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let (interval, full) = (quota.interval_nanos(), quota.refill_nanos());
        let used = self.used(quota, state.first().copied().unwrap_or(0), now);
        if cost > quota.burst() {
            return Decision::by_time(Verdict::CostExceedsBurst, full, used, interval, 0);
        }
        // Not beyond 64 bits: two refill times of 2⁶¹, a wait of 2⁶⁰, and a price of one refill time.
        let then_used = used.saturating_add(interval.get() * cost);
        let wait = then_used.saturating_sub(full);
        if cost == 0 {
            Decision::by_time(Verdict::Admitted, full, used, interval, 0)
        } else if wait <= self.longest_nanos() {
            Decision::by_time(Verdict::Admitted, full, then_used, interval, 0)
                .delayed_by_nanos(wait)
        } else {
            let retry_after = wait - self.longest_nanos();
            Decision::by_time(Verdict::Refused, full, used, interval, retry_after)
        }
    }

    #[inline]
    fn take(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: u64) -> Decision {
        let decision = self.check(quota, state, now, cost);
        if let Some(word) = state.first_mut()
            && decision.is_admitted()
            && cost > 0
        {
            // What is used then is within the burst and what may wait, so what bounds a debt has no say: it is what
            // `charge` writes.
            *word = now.as_nanos() + decision.reset_after_nanos();
        }
        decision
    }

    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let Some(word) = state.first_mut() else {
            return;
        };
        let price = quota
            .interval_nanos()
            .get()
            .saturating_mul(cost.unsigned_abs());
        *word = if cost > 0 {
            let used = self.used(quota, *word, now);
            let most = self.most_used(quota).max(used);
            now.as_nanos() + used.saturating_add(price).min(most)
        } else {
            Gcra::given_back(*word, price, now)
        };
    }

    fn forget_at(&self, _quota: &Quota, state: &[u64]) -> Tick {
        Tick::from_nanos(state.first().copied().unwrap_or(0))
    }

    /// Those who wait keep their turns; what comes after them waits in proportion.
    fn carry_over(&self, from: &Quota, to: &Quota, state: &mut [u64], at: Tick) {
        if let Some(word) = state.first_mut() {
            let full = (from.refill_nanos(), to.refill_nanos());
            let used = self.used(from, *word, at);
            *word = carry::in_time(*word, used, full, self.most_used(to), at.as_nanos());
        }
    }

    fn supports(&self, _quota: &Quota) -> Result<(), ConfigError> {
        if self.longest_wait > LONGEST {
            let given = format!("{:?}", self.longest_wait);
            return Err(ConfigError::new("longest_wait", given, "at most 36 years"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    /// Asks, and takes the place that is given.
    fn ask(pacing: Pacing, quota: &Quota, state: &mut u64, now: u64) -> Option<u64> {
        let mut words = [*state];
        let decision = pacing.check(quota, &words, at(now), 1);
        decision.is_admitted().then(|| {
            pacing.charge(quota, &mut words, at(now), 1);
            *state = words[0];
            now + decision.delay().as_nanos() as u64
        })
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_turn() {
        let (pacing, quota) = (
            Pacing::up_to(Duration::from_millis(300)),
            "10/s burst 2".parse().unwrap(),
        );
        let mut state = 0;
        let turns: Vec<_> = (0..6)
            .map(|_| ask(pacing, &quota, &mut state, SECOND))
            .collect();
        let after = |millis: u64| Some(SECOND + millis * 1_000_000);
        assert_eq!(
            turns,
            [after(0), after(0), after(100), after(200), after(300), None]
        );
        let refused = pacing.check(&quota, &[state], at(SECOND), 1);
        assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
        assert_eq!((refused.remaining(), refused.delay()), (0, Duration::ZERO));
    }

    #[test]
    fn a_place_that_is_given_back_is_the_next_ones() {
        let (pacing, quota) = (
            Pacing::up_to(Duration::from_secs(9)),
            "1/s burst 1".parse::<Quota>().unwrap(),
        );
        let mut state = 0;
        let turns: Vec<_> = (0..3)
            .map(|_| ask(pacing, &quota, &mut state, SECOND).unwrap() / SECOND)
            .collect();
        assert_eq!(turns, [1, 2, 3]);
        let mut words = [state];
        pacing.charge(&quota, &mut words, at(SECOND), -1);
        assert_eq!(ask(pacing, &quota, &mut words[0], SECOND), Some(3 * SECOND));
    }

    #[test]
    fn a_wait_beyond_all_bounds_is_an_error() {
        let quota = "1/s".parse().unwrap();
        assert_eq!(
            Pacing::up_to(Duration::MAX)
                .supports(&quota)
                .unwrap_err()
                .field(),
            "longest_wait"
        );
        assert_eq!(Pacing::up_to(LONGEST).supports(&quota), Ok(()));
        let slowest = "1/year burst 73".parse().unwrap();
        let mut state = [0];
        let patient = Pacing::up_to(LONGEST);
        patient.charge(&slowest, &mut state, Tick::MAX, i64::MAX);
        assert!(!patient.check(&slowest, &state, Tick::MAX, 1).is_admitted());
    }

    proptest! {
        /// Whatever arrives: turns come in the order of arrival, nobody waits for longer than allowed, and
        /// what proceeds keeps to the quota in every window.
        #[test]
        fn turns_are_fair_and_keep_to_the_quota(
            burst in 1_u64..6,
            wait in 0_u64..20,
            steps in prop::collection::vec(0_u64..250, 1..150),
        ) {
            let quota: Quota = Quota::per_second(10).burst(burst).build().unwrap();
            let interval = quota.interval_nanos().get();
            let pacing = Pacing::up_to(Duration::from_nanos(wait * interval));
            let (mut state, mut now, mut turns) = (0, SECOND, Vec::new());
            for step in steps {
                now += step * interval / 100;
                if let Some(turn) = ask(pacing, &quota, &mut state, now) {
                    prop_assert!(turn - now <= wait * interval);
                    turns.push(turn);
                }
            }
            prop_assert!(turns.is_sorted());
            for (first, start) in turns.iter().enumerate() {
                for (last, end) in turns.iter().enumerate().skip(first) {
                    prop_assert!((last - first + 1) as u64 <= burst + (end - start) / interval);
                }
            }
        }
    }
}
