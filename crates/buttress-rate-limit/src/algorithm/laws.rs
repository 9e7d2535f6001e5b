//! What every algorithm keeps to, over random and adversarial arrivals.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::decision::Verdict;

mod carried_over;
mod deciding;
mod forgetting;
mod odd_times;
mod settling;

const SECOND: u64 = 1_000_000_000;

const LONGEST_WAIT: u64 = SECOND / 7;

/// How long the log is.
const LOG: u64 = 64;

/// How many admissions of a run are looked at: a queue may hold millions.
const MOST_ADMITTED: usize = 300;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

/// An algorithm, and what its documentation says of it.
struct Lawful {
    algorithm: Box<dyn Algorithm>,
    /// The most that it admits in a window of that length.
    most: fn(&Quota, u64) -> u64,
    /// The longest that a clock which stepped back locks a key out.
    lockout: fn(&Quota) -> u64,
    /// The most that charging drives a key into debt.
    debt: fn(&Quota) -> u64,
    /// Whether a request of this decision may proceed now, as far as the quota is concerned.
    at_once: fn(&Decision) -> bool,
    /// Whether it counts in windows: a burst of its own means nothing to it, and what is given back goes
    /// to the window in which it was charged.
    windows: bool,
}

fn all() -> Vec<Lawful> {
    let bucket = |algorithm: Box<dyn Algorithm>| Lawful {
        algorithm,
        most: |quota, window| quota.burst() + window / quota.interval_nanos(),
        lockout: |quota| 2 * quota.refill_nanos() + SKEW,
        debt: Quota::burst,
        at_once: Decision::is_admitted,
        windows: false,
    };
    let sliding = |algorithm: Box<dyn Algorithm>| Lawful {
        algorithm,
        most: |quota, window| quota.count() * (1 + window / quota.period_nanos()),
        lockout: |quota| 3 * quota.period_nanos().get() + SKEW + 60,
        debt: Quota::count,
        at_once: Decision::is_admitted,
        windows: true,
    };
    vec![
        bucket(Box::new(Gcra)),
        bucket(Box::new(TokenBucket::refilled_continuously())),
        bucket(Box::new(LeakyBucket::as_meter())),
        bucket(Box::new(LeakyBucket::as_queue())),
        Lawful {
            algorithm: Box::new(TokenBucket::refilled_at_intervals()),
            most: |quota, window| {
                let period = quota.interval_nanos().get() * quota.count();
                quota.burst() + quota.count() * window.div_ceil(period)
            },
            lockout: |quota| {
                let period = quota.interval_nanos().get() * quota.count();
                2 * quota.refill_nanos() + SKEW + period
            },
            debt: Quota::burst,
            at_once: Decision::is_admitted,
            windows: false,
        },
        Lawful {
            algorithm: Box::new(FixedWindow),
            most: |quota, window| quota.count() * (1 + window.div_ceil(quota.period_nanos().get())),
            lockout: |quota| 2 * quota.period_nanos().get() + SKEW,
            debt: Quota::count,
            at_once: Decision::is_admitted,
            windows: true,
        },
        Lawful {
            algorithm: Box::new(Pacing::up_to(Duration::from_nanos(LONGEST_WAIT))),
            // A place for each that waits, too.
            most: |quota, window| quota.burst() + (window + LONGEST_WAIT) / quota.interval_nanos(),
            lockout: |quota| 2 * quota.refill_nanos() + LONGEST_WAIT + SKEW,
            // Beyond all that may wait.
            debt: |quota| quota.burst() + LONGEST_WAIT.div_ceil(quota.interval_nanos().get()),
            at_once: |decision| decision.is_admitted() && decision.delay().is_zero(),
            windows: false,
        },
        bucket(Box::new(Pacing::up_to(Duration::ZERO))),
        sliding(Box::new(SlidingWindow::of_sub_windows(1))),
        sliding(Box::new(SlidingWindow::of_sub_windows(7))),
        // Behind a pointer, as one is that was chosen when the program runs.
        Lawful {
            debt: |quota| LOG - quota.count(),
            ..sliding(Box::new(
                std::sync::Arc::new(SlidingLog::for_counts_up_to(LOG as usize))
                    as std::sync::Arc<dyn Algorithm>,
            ))
        },
    ]
}

/// One key of one limit.
struct Key<'a> {
    algorithm: &'a dyn Algorithm,
    at_once: fn(&Decision) -> bool,
    quota: Quota,
    state: Vec<u64>,
}

impl Key<'_> {
    fn check(&self, now: u64, cost: u64) -> Decision {
        self.algorithm
            .check(&self.quota, &self.state, at(now), cost)
    }

    fn admits(&self, now: u64, cost: u64) -> bool {
        self.check(now, cost).is_admitted()
    }

    /// Whether such a request could proceed now.
    fn has(&self, now: u64, cost: u64) -> bool {
        (self.at_once)(&self.check(now, cost))
    }

    fn charge(&mut self, now: u64, cost: i64) {
        self.algorithm
            .charge(&self.quota, &mut self.state, at(now), cost);
    }

    fn take(&mut self, now: u64, cost: u64) -> Decision {
        self.algorithm
            .take(&self.quota, &mut self.state, at(now), cost)
    }

    /// Decides, and charges what was admitted.
    fn request(&mut self, now: u64, cost: u64) -> Decision {
        let decision = self.check(now, cost);
        if decision.is_admitted() {
            self.charge(now, i64::try_from(cost).unwrap());
        }
        decision
    }

    fn forget_at(&self) -> u64 {
        self.algorithm
            .forget_at(&self.quota, &self.state)
            .as_nanos()
    }
}

impl Lawful {
    /// A key that was never seen, if the quota is one for this algorithm.
    fn key(&self, quota: &Quota) -> Option<Key<'_>> {
        let quota = if self.windows {
            Quota::per(quota.count(), quota.period()).build().unwrap()
        } else {
            *quota
        };
        self.algorithm.supports(&quota).ok()?;
        Some(Key {
            algorithm: &*self.algorithm,
            at_once: self.at_once,
            quota,
            state: vec![0; self.algorithm.words()],
        })
    }
}

fn quotas() -> impl Strategy<Value = Quota> {
    let spans = prop_oneof![1..SECOND * 3_600, Just(SECOND), 1..2_000_u64, 1..SECOND];
    (1_u64..=40, spans, 1_u64..=40).prop_filter_map("not expressible", |(count, nanos, burst)| {
        Quota::per(count, Duration::from_nanos(nanos))
            .burst(burst)
            .build()
            .ok()
    })
}

/// When the next request comes.
#[derive(Clone, Copy, Debug)]
enum Step {
    AtOnce,
    /// In hundredths of the interval.
    Intervals(u64),
    /// In hundredths of the period.
    Periods(u64),
    /// So many nanoseconds before the next multiple of the period, or after it.
    ToBoundary(i64),
    /// So many nanoseconds before a refused one would be admitted, or after.
    ToRetry(i64),
}

/// Most requests come in bursts, around boundaries, and the moment they are admitted.
fn arrivals() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        6 => Just(Step::AtOnce),
        2 => (0..300_u64).prop_map(Step::Intervals),
        1 => (0..250_u64).prop_map(Step::Periods),
        2 => (-1..=1_i64).prop_map(Step::ToBoundary),
        3 => (-1..=1_i64).prop_map(Step::ToRetry),
    ];
    let cost = prop_oneof![4 => Just(1), 1 => 0..5_u64, 1 => 0..45_u64];
    prop::collection::vec((step, cost), 1..100)
}

/// Where the clock goes from `now`.
fn go(now: u64, step: Step, quota: &Quota, refused: Option<&Decision>) -> u64 {
    let period = quota.period_nanos().get();
    let around = |then: u64, off: i64| then.saturating_add_signed(off).max(now);
    match step {
        Step::AtOnce => now,
        Step::Intervals(hundredths) => now + quota.interval_nanos().get() * hundredths / 100,
        Step::Periods(hundredths) => now + period * hundredths / 100,
        Step::ToBoundary(off) => around((now / period + 1) * period, off),
        Step::ToRetry(off) => {
            let wait = refused.and_then(Decision::retry_after).unwrap_or_default();
            around(now + u64::try_from(wait.as_nanos()).unwrap(), off)
        }
    }
}

/// Runs `arrivals` on one key of each algorithm; `law` sees each decision just after it was made.
fn run(
    quota: &Quota,
    start: u64,
    arrivals: &[(Step, u64)],
    mut law: impl FnMut(&Lawful, &Key<'_>, u64, u64, &Decision) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for lawful in all() {
        let Some(mut key) = lawful.key(quota) else {
            continue;
        };
        let (mut now, mut refused) = (start, None);
        for &(step, cost) in arrivals {
            now = go(now, step, &key.quota, refused.as_ref());
            let decision = key.request(now, cost);
            refused = (!decision.is_admitted()).then_some(decision);
            law(&lawful, &key, now, cost, &decision)?;
        }
    }
    Ok(())
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap()
}
