use std::{fmt, time::Duration};

use buttress_core::{ConfigError, Tick};

use super::parts::Parts;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The window is divided into so many parts, each counted by itself.
const PARTS_OF_WINDOW: usize = if cfg!(loom) { 1 } else { 10 };

/// Those of a window, and the one that has begun: a part is forgotten when all of it is a window old. Were it forgotten
/// when that begins, what was granted at its end would count for nine tenths of a window, and two floors fit into one.
const PARTS: usize = PARTS_OF_WINDOW + 1;

/// The unit in which a ratio is exact.
const PARTS_OF_ONE: u64 = 10_000;

/// In parts: at least ten seconds, at most days.
const FURTHEST_AHEAD: u32 = 1_000;

/// A share of the calls of a window, and a floor.
///
/// Calls are counted without a lock, since all of them are. Retries, of which there are few, take one: who holds it
/// sees all retries that were allowed before, so that no two are allowed for the same tokens. Calls that come at the
/// same moment can only make it more than was seen.
pub(crate) struct Ratio {
    /// Retries per call, in ten-thousandths.
    ratio: u64,
    /// Retries that are allowed in any window.
    floor: u64,
    /// Those of the window.
    parts: Parts,
    calls: [Calls; PARTS],
    retries: Mutex<Retries>,
}

/// The calls of one part: its number, which wraps, in the upper half of the word and how many in the lower.
struct Calls(AtomicU64);

/// The retries of each part, and its number.
struct Retries([(u64, u64); PARTS]);

impl Ratio {
    pub(crate) fn checked(
        ratio: f64,
        per_second: u32,
        window: Duration,
    ) -> Result<Self, ConfigError> {
        let parts = ratio * PARTS_OF_ONE as f64;
        if !(0.0..=10.0).contains(&ratio) || (ratio > 0.0 && parts < 0.5) {
            let expected = "0, or from 0.0001 to 10";
            return Err(ConfigError::new("ratio", ratio, expected));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&window) {
            let given = format!("{window:?}");
            return Err(ConfigError::new("over", given, "from 100 ms to an hour"));
        }
        let nanos = u64::try_from(window.as_nanos()).unwrap_or(u64::MAX);
        let floor = u128::from(per_second) * window.as_nanos() / 1_000_000_000;
        if per_second > 0 && floor == 0 {
            let expected = "0, or at least one in each window: more a second, or a longer window";
            return Err(ConfigError::new("per_second", per_second, expected));
        }
        Ok(Self {
            // At most 100,000.
            ratio: parts.round() as u64,
            floor: u64::try_from(floor).unwrap_or(u64::MAX),
            parts: Parts::of(nanos / PARTS_OF_WINDOW as u64),
            calls: std::array::from_fn(|_| Calls(AtomicU64::new(0))),
            retries: Mutex::new(Retries([(0, 0); PARTS])),
        })
    }

    #[inline]
    pub(crate) fn called(&self, now: Tick) {
        let part = self.part_at(now);
        if let Some(calls) = self.calls.get(index(part)) {
            calls.count(part as u32);
        }
    }

    pub(crate) fn try_retry(&self, now: Tick) -> bool {
        let part = self.part_at(now);
        let mut retries = lock(&self.retries);
        let calls: u64 = self
            .calls
            .iter()
            .map(|calls| calls.within(part as u32))
            .sum();
        let earned = calls.saturating_mul(self.ratio);
        let allowed = self
            .floor
            .saturating_mul(PARTS_OF_ONE)
            .saturating_add(earned);
        let with_this = retries.within(part) + 1;
        let granted = with_this.saturating_mul(PARTS_OF_ONE) <= allowed;
        if granted {
            retries.count(part);
        }
        granted
    }

    /// A retry that was granted then was not made.
    pub(crate) fn refund(&self, granted: Tick) {
        let part = self.part_at(granted);
        lock(&self.retries).uncount(part);
    }

    fn part_at(&self, now: Tick) -> u64 {
        self.parts.number(now.as_nanos())
    }
}

fn index(part: u64) -> usize {
    // The remainder is less than a `usize` holds.
    (part % PARTS as u64) as usize
}

impl Calls {
    #[inline]
    fn count(&self, part: u32) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let (of, calls) = ((word >> 32) as u32, word as u32);
            let next = match of.wrapping_sub(part) {
                0 if calls == u32::MAX => return,
                0 => word + 1,
                // Another thread is further on in time than this one: a whole window, since this slot is reused. What
                // seems further ahead than a thread can be kept waiting is long past, and the number wrapped.
                ahead if ahead < FURTHEST_AHEAD => return,
                _ => u64::from(part) << 32 | 1,
            };
            // What is counted guards nothing else; whoever sums it up may see it or not.
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// How many there were, if they are of the window that ends in `part`.
    fn within(&self, part: u32) -> u64 {
        let word = self.0.load(Ordering::Relaxed);
        let age = part.wrapping_sub((word >> 32) as u32);
        if (age as usize) < PARTS {
            u64::from(word as u32)
        } else {
            0
        }
    }
}

impl Retries {
    fn count(&mut self, part: u64) {
        if let Some((of, retries)) = self.0.get_mut(index(part)) {
            *retries = if *of == part { *retries + 1 } else { 1 };
            *of = part;
        }
    }

    /// Unless the part is forgotten already.
    fn uncount(&mut self, part: u64) {
        if let Some((of, retries)) = self.0.get_mut(index(part))
            && *of == part
        {
            *retries = retries.saturating_sub(1);
        }
    }

    /// Retries of parts to come, which a clock's step back leaves, count too.
    fn within(&self, part: u64) -> u64 {
        let oldest = (part + 1).saturating_sub(PARTS as u64);
        let parts = self.0.iter().filter(|(of, _)| *of >= oldest);
        parts.map(|(_, retries)| retries).sum()
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ratio")
            .field("ratio", &(self.ratio as f64 / PARTS_OF_ONE as f64))
            .field("retries_in_any_window", &self.floor)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn ratio(ratio: f64, per_second: u32) -> Ratio {
        Ratio::checked(ratio, per_second, 10 * S).unwrap()
    }

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    /// T7 of the traps: others grant a half for 0.4, and everything for 0.6.
    #[test]
    fn the_ratio_is_exact() {
        for (share, per_ten) in [(0.1, 1), (0.4, 4), (0.6, 6), (0.9, 9), (0.0, 0), (1.0, 10)] {
            let budget = ratio(share, 0);
            (0..1_000).for_each(|_| budget.called(at(0)));
            let granted = (0..10_000).filter(|_| budget.try_retry(at(0))).count();
            assert_eq!(granted, per_ten * 100, "{share}");
        }
        // In binary 0.57 is less than it looks.
        for hundredths in 1..=100_u32 {
            let budget = ratio(f64::from(hundredths) / 100.0, 0);
            (0..100).for_each(|_| budget.called(at(0)));
            let granted = (0..200).filter(|_| budget.try_retry(at(0))).count();
            assert_eq!(granted, hundredths as usize);
        }
        let third = ratio(1.0 / 3.0, 0);
        (0..10_000).for_each(|_| third.called(at(0)));
        assert_eq!((0..9_999).filter(|_| third.try_retry(at(0))).count(), 3_333);
    }

    #[test]
    fn the_floor_is_there_without_calls() {
        let budget = ratio(0.2, 3);
        assert_eq!((0..100).filter(|_| budget.try_retry(at(0))).count(), 30);
        assert!(!budget.try_retry(at(10_999)), "spent for the whole window");
        assert_eq!(
            (0..100).filter(|_| budget.try_retry(at(11_000))).count(),
            30
        );
    }

    /// Were a part forgotten before all of it is a window old, two floors would fit into one window.
    #[test]
    fn no_window_has_two_floors() {
        let budget = ratio(0.0, 1);
        let grant = |at| (0..100).filter(|_| budget.try_retry(at)).count();
        assert_eq!(grant(at(999)), 10);
        assert_eq!(grant(at(10_000)), 0, "after nine seconds");
        assert_eq!(grant(at(10_998)), 0);
        assert_eq!(grant(at(11_000)), 10);
    }

    #[test]
    fn calls_and_retries_are_forgotten() {
        let budget = ratio(0.5, 0);
        (0..10).for_each(|_| budget.called(at(500)));
        assert!(budget.try_retry(at(10_999)));
        assert!(
            !budget.try_retry(at(11_000)),
            "the first second's calls are forgotten"
        );
        (0..10).for_each(|_| budget.called(at(12_000)));
        // One retry of the tenth second is still remembered.
        assert_eq!((0..10).filter(|_| budget.try_retry(at(12_000))).count(), 4);
        // Long idle, and past the number of a part that comes round again.
        assert!(!budget.try_retry(at(3_600_000)));
    }

    #[test]
    fn what_was_not_made_is_given_back_once() {
        let budget = ratio(0.0, 1);
        let grant = |at| (0..100).filter(|_| budget.try_retry(at)).count();
        assert_eq!(grant(at(0)), 10);
        budget.refund(at(999));
        assert_eq!(grant(at(5_000)), 1);
        // The window is over, and another part stands in the place of the first one.
        assert_eq!(grant(at(11_000)), 9);
        budget.refund(at(0));
        assert_eq!(grant(at(11_000)), 0);
        budget.refund(at(22_000));
        assert_eq!(grant(at(11_000)), 0);
    }

    /// A thread that was kept waiting for a window counts nothing, and breaks nothing.
    #[test]
    fn a_late_thread_does_no_harm() {
        let budget = ratio(1.0, 0);
        budget.called(at(20_000));
        budget.called(at(9_000));
        assert!(budget.try_retry(at(20_000)));
        assert!(!budget.try_retry(at(20_000)));
    }

    #[test]
    fn what_cannot_work_is_found() {
        for share in [-0.1, 10.1, f64::NAN, f64::INFINITY, 0.000_04] {
            assert_eq!(
                Ratio::checked(share, 0, 10 * S).unwrap_err().field(),
                "ratio",
                "{share}"
            );
        }
        for window in [Duration::ZERO, 3_601 * S, Duration::MAX] {
            assert_eq!(Ratio::checked(0.1, 0, window).unwrap_err().field(), "over");
        }
        assert!(Ratio::checked(10.0, u32::MAX, 3_600 * S).is_ok());
    }

    proptest! {
        /// Whatever comes when, no window of ten seconds sees more retries than its calls, and those that are not yet
        /// forgotten, allow.
        #[test]
        fn it_bites(
            steps in proptest::collection::vec((0..700_u64, 0..3_u8, 0..3_u8), 1..200),
            parts in 0..10_000_u64, floor in 0..3_u32,
        ) {
            let budget = ratio(parts as f64 / 10_000.0, floor);
            let (mut now, mut calls, mut retries) = (0, Vec::new(), Vec::new());
            for (step, called, tried) in steps {
                now += step;
                for _ in 0..called {
                    budget.called(at(now));
                    calls.push(now);
                }
                for _ in 0..tried {
                    let since = |times: &[u64], from: u64| times.iter().filter(|t| **t >= from).count() as u64;
                    let oldest = (now / 1_000).saturating_sub(10) * 1_000;
                    let allowed = u64::from(floor) * 10 * 10_000 + since(&calls, oldest) * parts;
                    let expected = (since(&retries, oldest) + 1) * 10_000 <= allowed;
                    prop_assert_eq!(budget.try_retry(at(now)), expected);
                    if expected {
                        retries.push(now);
                        let in_a_window = since(&retries, (now + 1).saturating_sub(10_000));
                        prop_assert!(in_a_window * 10_000 <= allowed);
                    }
                }
            }
        }
    }
}

#[cfg(all(test, loom))]
mod interleavings {
    //! `RUSTFLAGS="--cfg loom" cargo test -p buttress-retry --release --lib loom`

    use loom::{sync::Arc, thread};

    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_nanos(seconds * 1_000_000_000)
    }

    /// Two calls earn one retry: two threads that want one never get two, and one of them does.
    #[test]
    fn loom_no_retry_is_granted_twice() {
        loom::model(|| {
            let ratio = Ratio::checked(0.5, 0, Duration::from_secs(1)).unwrap();
            let ratio = Arc::new(ratio);
            ratio.called(at(0));
            ratio.called(at(0));
            let other = Arc::clone(&ratio);
            let other = thread::spawn(move || other.try_retry(at(0)));
            let mine = ratio.try_retry(at(0));
            assert_ne!(mine, other.join().unwrap());
        });
    }

    /// No call of the present part is lost to one that begins the part.
    #[test]
    fn loom_calls_are_counted() {
        loom::model(|| {
            let ratio = Ratio::checked(0.5, 0, Duration::from_secs(1)).unwrap();
            let ratio = Arc::new(ratio);
            ratio.called(at(0));
            let other = Arc::clone(&ratio);
            let other = thread::spawn(move || other.called(at(2)));
            ratio.called(at(2));
            other.join().unwrap();
            assert!(ratio.try_retry(at(2)));
            assert!(!ratio.try_retry(at(2)));
        });
    }
}
