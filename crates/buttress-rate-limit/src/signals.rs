use std::time::Duration;

use buttress_core::{ConfigError, Digest, Tick};

use crate::{
    Decision, Quota,
    algorithm::SKEW,
    room::too_many,
    store::{Always, Table, Updated},
};

/// By how many percentage points the use must fall below a threshold before it can be crossed again.
const HYSTERESIS: u64 = 10;

/// At which percentages of a quota its observer is told, unless the user says otherwise.
pub(crate) const DEFAULT_THRESHOLDS: [u8; 3] = [50, 70, 90];

/// Notices when a key crosses a threshold of its quota: once per crossing, and not again before its use
/// has clearly fallen below.
///
/// Remembers crossings in a table of its own, of fixed size: what is kept is until when a threshold stays
/// crossed if nothing more is asked, so it forgets by itself. Keys for which there is no room are not
/// signalled.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Ascending, in percent.
    thresholds: Box<[u8]>,
    crossed: Table,
}

impl Signals {
    /// `None` where there is no threshold.
    pub(crate) fn build(thresholds: &[u8], keys: usize) -> Result<Option<Self>, ConfigError> {
        if let Some(bad) = thresholds
            .iter()
            .find(|threshold| !(1..=100).contains(*threshold))
        {
            return Err(ConfigError::new("near_limit", bad, "1 to 100 percent"));
        }
        let mut thresholds = thresholds.to_vec();
        thresholds.sort_unstable();
        thresholds.dedup();
        if thresholds.is_empty() {
            return Ok(None);
        }
        // For all that one key can cross, where there is but one.
        let room = keys.max(thresholds.len());
        let crossed = Table::with_room_for(room).ok_or_else(|| too_many(room))?;
        Ok(Some(Self {
            thresholds: thresholds.into(),
            crossed,
        }))
    }

    /// The highest threshold that a request has just crossed, after which the quota stands as `decision`
    /// tells. `whose` tells the keys of one policy from those of another.
    pub(crate) fn crossed(
        &self,
        now: Tick,
        whose: usize,
        key: Digest,
        quota: &Quota,
        decision: &Decision,
    ) -> Option<u8> {
        let used = Used::of(quota, decision);
        let mut highest = None;
        for &threshold in &self.thresholds {
            let percent = u64::from(threshold);
            let rearm_below = percent.saturating_sub(HYSTERESIS);
            let key = of_threshold(key, whose, threshold);
            if !used.is_at_least(rearm_below) {
                if self.rearm(now, key) {
                    continue;
                }
                // Nor is any higher one crossed.
                break;
            }
            let until = now.saturating_add(used.time_above(rearm_below)).as_nanos();
            // What would hold for longer than all of it takes to come back was noted before the clock stepped back.
            let longest = now.saturating_add(decision.reset_after()).as_nanos();
            let still =
                |state: u64| state > now.as_nanos() && state <= longest.saturating_add(SKEW);
            if !used.is_at_least(percent) {
                self.crossed.update_known(key, &Always, |state| {
                    if still(state) {
                        state.max(until)
                    } else {
                        state
                    }
                });
                continue;
            }
            let mut news = false;
            let updated = self.crossed.update(key, now, &Always, |state| {
                news = !still(state);
                Some(if news { until } else { state.max(until) })
            });
            if news && updated == Updated::Done {
                highest = Some(threshold);
            }
        }
        highest
    }

    /// Its use is clearly below a threshold, be it that something was given back: from now on, crossing it is news. Tells
    /// whether it was crossed.
    fn rearm(&self, now: Tick, key: Digest) -> bool {
        let (mut was_crossed, now) = (false, now.as_nanos());
        self.crossed.update_known(key, &Always, |until| {
            was_crossed = until > now;
            until.min(now)
        });
        was_crossed
    }
}

/// How much of a quota is used.
struct Used {
    requests: u64,
    burst: u64,
    comes_back_in: Duration,
}

impl Used {
    fn of(quota: &Quota, decision: &Decision) -> Self {
        Self {
            requests: quota.burst().saturating_sub(decision.remaining()),
            burst: quota.burst(),
            comes_back_in: decision.reset_after(),
        }
    }

    fn is_at_least(&self, percent: u64) -> bool {
        self.requests > 0
            && u128::from(self.requests) * 100 >= u128::from(self.burst) * u128::from(percent)
    }

    /// How long the use stays at `percent` or above if nothing more is asked, for a quota that comes back
    /// evenly.
    fn time_above(&self, percent: u64) -> Duration {
        let target = u128::from(self.burst) * u128::from(percent) / 100;
        let above = u128::from(self.requests).saturating_sub(target);
        let nanos = self.comes_back_in.as_nanos() * above / u128::from(self.requests.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The key under which a crossing is remembered.
fn of_threshold(key: Digest, whose: usize, threshold: u8) -> Digest {
    // Odd, so that it spreads over both halves and no two of these fall together.
    const SPREAD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    let which = (whose as u128) << 8 | u128::from(threshold);
    Digest::from_u128(key.as_u128() ^ which.wrapping_mul(SPREAD))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use buttress_core::DigestKey;

    use super::*;
    use crate::algorithm::{Gcra, OneWord};

    const SECOND: u64 = 1_000_000_000;

    /// A key's use of "100 an hour", and what was signalled of it.
    struct Key {
        quota: Quota,
        signals: Signals,
        state: u64,
        now: u64,
    }

    impl Key {
        fn new(thresholds: &[u8]) -> Self {
            Self {
                quota: "100/h".parse().unwrap(),
                signals: Signals::build(thresholds, 10).unwrap().unwrap(),
                state: 0,
                now: SECOND,
            }
        }

        /// Asks for `cost` after `seconds`.
        fn ask(&mut self, seconds: u64, cost: u64) -> Option<u8> {
            self.now += seconds * SECOND;
            let now = Tick::from_nanos(self.now);
            let decision = OneWord::check(&Gcra, &self.quota, self.state, now, cost);
            assert!(decision.is_admitted());
            self.state = OneWord::charge(&Gcra, &self.quota, self.state, now, cost as i64);
            let key = DigestKey::from_words(1, 2).digest("alice");
            self.signals.crossed(now, 0, key, &self.quota, &decision)
        }

        /// Gives back what was charged, of which nobody is told.
        fn refund(&mut self, cost: i64) {
            let now = Tick::from_nanos(self.now);
            self.state = OneWord::charge(&Gcra, &self.quota, self.state, now, -cost);
        }
    }

    #[test]
    fn each_threshold_is_told_once_when_it_is_crossed() {
        let mut key = Key::new(&DEFAULT_THRESHOLDS);
        let told: Vec<_> = (1..=100)
            .filter_map(|n| Some((n, key.ask(0, 1)?)))
            .collect();
        assert_eq!(told, [(50, 50), (70, 70), (90, 90)]);
    }

    #[test]
    fn a_leap_tells_the_highest() {
        let mut key = Key::new(&DEFAULT_THRESHOLDS);
        assert_eq!(key.ask(0, 75), Some(70));
        assert_eq!(key.ask(0, 14), None, "89");
        assert_eq!(key.ask(0, 1), Some(90));
    }

    #[test]
    fn swaying_about_a_threshold_tells_once() {
        let mut key = Key::new(&[50]);
        assert_eq!(key.ask(0, 50), Some(50));
        // One comes back every 36 seconds: down to 41, up to 55, and down again, for hours.
        for _ in 0..50 {
            assert_eq!(key.ask(9 * 36, 1), None);
            assert_eq!(key.ask(0, 8), None);
        }
    }

    #[test]
    fn falling_clearly_below_makes_it_news_again() {
        let mut key = Key::new(&[50]);
        assert_eq!(key.ask(0, 50), Some(50));
        // 39 are left used, below 40.
        assert_eq!(key.ask(11 * 36, 0), None);
        assert_eq!(key.ask(0, 11), Some(50));
    }

    #[test]
    fn a_refund_makes_it_news_again() {
        let mut key = Key::new(&DEFAULT_THRESHOLDS);
        assert_eq!(key.ask(0, 95), Some(90));
        key.refund(85);
        assert_eq!(key.ask(0, 1), None);
        assert_eq!(key.ask(0, 39), Some(50));
        assert_eq!(key.ask(0, 25), Some(70));
        assert_eq!(key.ask(0, 20), Some(90));
    }

    #[test]
    fn a_refund_that_leaves_it_near_the_threshold_does_not() {
        let mut key = Key::new(&[50]);
        assert_eq!(key.ask(0, 60), Some(50));
        key.refund(20);
        assert_eq!(key.ask(0, 1), None, "41");
        assert_eq!(key.ask(0, 9), None, "50");
    }

    /// What is asked between the two keeps the crossing, where it still holds, and does not bring it back where it is over.
    #[test]
    fn use_just_below_a_threshold_prolongs_only_what_was_crossed() {
        let mut key = Key::new(&[50]);
        assert_eq!(key.ask(0, 50), Some(50));
        assert_eq!(key.ask(9 * 36, 4), None, "45, and above 40 for five more");
        assert_eq!(key.ask(4 * 36, 9), None, "50");

        let mut key = Key::new(&[50]);
        assert_eq!(key.ask(0, 50), Some(50));
        assert_eq!(key.ask(11 * 36, 5), None, "44, from 39");
        assert_eq!(key.ask(0, 6), Some(50));
    }

    /// What was crossed before does not stay so until the clock is there again.
    #[test]
    fn a_clock_that_steps_back_makes_it_news_again() {
        let mut key = Key::new(&DEFAULT_THRESHOLDS);
        assert_eq!(key.ask(86_400, 95), Some(90));
        key.now -= 80_000 * SECOND;
        assert_eq!(key.ask(0, 50), Some(50));
        assert_eq!(key.ask(0, 1), None);
        assert_eq!(key.ask(0, 40), Some(90));
    }

    /// Whoever crosses it first tells of it, and nobody else.
    #[test]
    fn threads_that_cross_together_tell_once() {
        let (quota, key): (Quota, _) = (
            "100/h".parse().unwrap(),
            DigestKey::from_words(1, 2).digest("alice"),
        );
        let now = Tick::from_nanos(SECOND);
        let decision = OneWord::check(&Gcra, &quota, 0, now, 75);
        for _ in 0..200 {
            let signals = Signals::build(&DEFAULT_THRESHOLDS, 10).unwrap().unwrap();
            let together = std::sync::Barrier::new(3);
            let cross = || {
                together.wait();
                signals.crossed(now, 0, key, &quota, &decision)
            };
            let told: usize = std::thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(cross));
                let told = threads.map(|thread| thread.join().unwrap());
                told.iter().flatten().count()
            });
            // Of the two that are crossed each is told of by one, who may be another.
            assert!((1..=2).contains(&told), "{told}");
        }
    }

    #[test]
    fn thresholds_are_checked() {
        for bad in [0, 101, 255] {
            assert_eq!(
                Signals::build(&[50, bad], 1).unwrap_err().field(),
                "near_limit"
            );
        }
        assert!(Signals::build(&[], 1).unwrap().is_none());
    }

    #[test]
    fn policies_and_keys_are_told_apart() {
        let secret = DigestKey::from_words(1, 2);
        let mut seen = Vec::new();
        for key in ["a", "b"] {
            for whose in 0..8 {
                for threshold in 1..=100 {
                    seen.push(of_threshold(secret.digest(key), whose, threshold).as_u128() as u64);
                    seen.push(
                        (of_threshold(secret.digest(key), whose, threshold).as_u128() >> 64) as u64,
                    );
                }
            }
        }
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), all);
    }
}
