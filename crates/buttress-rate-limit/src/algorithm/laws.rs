//! What every algorithm keeps to, over random and adversarial arrivals.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::decision::Verdict;

mod carried_over;

const SECOND: u64 = 1_000_000_000;

const LONGEST_WAIT: u64 = SECOND / 7;

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
        at_once: Decision::is_admitted,
        windows: false,
    };
    let sliding = |algorithm: Box<dyn Algorithm>| Lawful {
        algorithm,
        most: |quota, window| quota.count() * (1 + window / quota.period_nanos()),
        lockout: |quota| 3 * quota.period_nanos().get() + SKEW + 60,
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
            at_once: Decision::is_admitted,
            windows: false,
        },
        Lawful {
            algorithm: Box::new(FixedWindow),
            most: |quota, window| quota.count() * (1 + window.div_ceil(quota.period_nanos().get())),
            lockout: |quota| 2 * quota.period_nanos().get() + SKEW,
            at_once: Decision::is_admitted,
            windows: true,
        },
        Lawful {
            algorithm: Box::new(Pacing::up_to(Duration::from_nanos(LONGEST_WAIT))),
            // A place for each that waits, too.
            most: |quota, window| quota.burst() + (window + LONGEST_WAIT) / quota.interval_nanos(),
            lockout: |quota| 2 * quota.refill_nanos() + LONGEST_WAIT + SKEW,
            at_once: |decision| decision.is_admitted() && decision.delay().is_zero(),
            windows: false,
        },
        bucket(Box::new(Pacing::up_to(Duration::ZERO))),
        sliding(Box::new(SlidingWindow::of_sub_windows(1))),
        sliding(Box::new(SlidingWindow::of_sub_windows(7))),
        // Behind a pointer, as one is that was chosen when the program runs.
        sliding(Box::new(
            std::sync::Arc::new(SlidingLog::for_counts_up_to(64)) as std::sync::Arc<dyn Algorithm>,
        )),
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The stated worst case, over every window of the run.
    #[test]
    fn admits_no_more_than_it_says(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), ones: bool,
    ) {
        for lawful in all() {
            let Some(mut key) = lawful.key(&quota) else { continue };
            let (mut now, mut refused, mut admitted) = (start, None, Vec::new());
            for &(step, cost) in &arrivals {
                now = go(now, step, &key.quota, refused.as_ref());
                let cost = if ones { 1 } else { cost };
                // An adversary sends until it is refused, as far as anybody has the patience to look.
                while admitted.len() < MOST_ADMITTED {
                    let decision = key.request(now, cost);
                    refused = (!decision.is_admitted()).then_some(decision);
                    if refused.is_some() || cost == 0 {
                        break;
                    }
                    admitted.push((now, cost));
                }
            }
            for (first, &(start, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for &(end, cost) in &admitted[first..] {
                    sum += cost;
                    let most = (lawful.most)(&key.quota, end - start);
                    prop_assert!(
                        sum <= most,
                        "{:?} admitted {sum}, not {most}, of {} from {start} to {end}",
                        key.algorithm, key.quota.count()
                    );
                }
            }
        }
    }

    #[test]
    fn refused_until_exactly_retry_after(quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals()) {
        run(&quota, start, &arrivals, |_, key, now, cost, decision| {
            if let Some(wait) = decision.retry_after() {
                let wait = nanos(wait);
                for early in [0, wait / 2, wait - 1] {
                    prop_assert_eq!(key.check(now + early, cost).verdict(), Verdict::Refused, "{:?}", key.algorithm);
                }
                prop_assert!(key.admits(now + wait, cost), "{:?}", key.algorithm);
            }
            Ok(())
        })?;
    }

    /// `remaining`, `next_after` and `reset_after` are what the next requests find, in debt too.
    #[test]
    fn the_standing_is_true(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), debt in 0_i64..50,
    ) {
        let truth = |key: &Key<'_>, now, decision: &Decision| {
            let (next, reset) = (nanos(decision.next_after()), nanos(decision.reset_after()));
            let burst = key.quota.burst();
            prop_assert!(key.has(now, decision.remaining()), "{:?}", key.algorithm);
            prop_assert!(!key.has(now, decision.remaining() + 1), "{:?}", key.algorithm);
            prop_assert!(key.has(now + next, 1), "{:?}", key.algorithm);
            prop_assert!(next == 0 || !key.has(now + next - 1, 1), "{:?}", key.algorithm);
            prop_assert!(key.has(now + reset, burst), "{:?}", key.algorithm);
            prop_assert!(reset == 0 || !key.has(now + reset - 1, burst), "{:?}", key.algorithm);
            Ok(())
        };
        run(&quota, start, &arrivals, |_, key, now, cost, decision| {
            truth(key, now, decision)?;
            let mut indebted = Key { state: key.state.clone(), ..*key };
            indebted.charge(now, debt);
            truth(&indebted, now, &indebted.check(now, 0))?;
            let then = indebted.check(now, cost);
            if !then.is_admitted() {
                truth(&indebted, now, &then)?;
            }
            Ok(())
        })?;
    }

    /// Until a state may be forgotten it is remembered, from then on it decides as one never seen.
    #[test]
    fn forgetting_loses_nothing(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), later in 0..SECOND * 9_000,
    ) {
        run(&quota, start, &arrivals, |_, key, now, cost, decision| {
            let forget_at = key.forget_at();
            if decision.is_admitted() && cost > 0 {
                prop_assert!(forget_at > now, "{:?}", key.algorithm);
            }
            prop_assert!(now + nanos(decision.reset_after()) <= forget_at.max(now), "{:?}", key.algorithm);
            let unseen = vec![0; key.state.len()];
            for then in [0, 1, later].map(|later| forget_at.max(now) + later) {
                for cost in [0, 1, key.quota.burst(), key.quota.burst() + 1] {
                    let unseen = key.algorithm.check(&key.quota, &unseen, at(then), cost);
                    prop_assert_eq!(key.check(then, cost), unseen, "{:?}", key.algorithm);
                }
            }
            Ok(())
        })?;
    }

    /// Charging never makes a state forgettable earlier, nor one that is known unknown; giving back never
    /// makes it forgettable before now. The table in memory is built on that.
    #[test]
    fn charging_moves_the_time_of_forgetting_on(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), by in -50_i64..50, behind in 0..SECOND,
    ) {
        run(&quota, start, &arrivals, |_, key, now, _, _| {
            let then = now.saturating_sub(behind);
            let mut next = Key { state: key.state.clone(), ..*key };
            next.charge(then, by);
            let (before, after) = (key.forget_at(), next.forget_at());
            if by > 0 {
                prop_assert!(after >= before && after > then, "{:?}", key.algorithm);
            } else if let &[before_word] = &*key.state {
                // Longer states stand behind a lock.
                prop_assert!(after >= before.min(then), "{:?}", key.algorithm);
                prop_assert!(before_word == 0 || next.state[0] != 0, "{:?}", key.algorithm);
            }
            Ok(())
        })?;
    }

    /// Giving back what was charged leaves what would have been without.
    #[test]
    fn a_refund_undoes_its_charge(
        quota in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), cost in 1_u64..40, later in 0..SECOND,
    ) {
        run(&quota, start, &arrivals, |_, key, now, _, _| {
            let mut charged = Key { state: key.state.clone(), ..*key };
            if charged.request(now, cost).is_admitted() {
                charged.charge(now, -i64::try_from(cost).unwrap());
                for then in [now, now + later] {
                    for cost in [0, 1, cost, key.quota.burst()] {
                        prop_assert_eq!(charged.check(then, cost), key.check(then, cost), "{:?}", key.algorithm);
                    }
                }
            }
            Ok(())
        })?;
    }

    /// Whatever is given back, and whenever, no more than the burst is admitted at once.
    #[test]
    fn nothing_is_lifted_above_full(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), by in 0..i64::MAX, ago in 0..SECOND * 10,
    ) {
        run(&quota, start, &arrivals, |_, key, now, _, _| {
            for by in [by, by % 50] {
                let mut refunded = Key { state: key.state.clone(), ..*key };
                refunded.charge(now.saturating_sub(ago), -by);
                let standing = refunded.check(now, 0);
                prop_assert!(standing.remaining() <= key.quota.burst(), "{:?}", key.algorithm);
                prop_assert!(standing.remaining() >= key.check(now, 0).remaining(), "{:?}", key.algorithm);
            }
            Ok(())
        })?;
    }

    /// What is given back long after goes to the window in which it was charged, if to any.
    #[test]
    fn a_late_refund_credits_no_other_window(
        quota in quotas(), start in 1..SECOND * 4_000, before in arrivals(), after in arrivals(), cost in 1_u64..40,
    ) {
        for lawful in all().iter().filter(|lawful| lawful.windows) {
            let Some(mut with) = lawful.key(&quota) else { continue };
            let (mut now, mut refused) = (start, None);
            for &(step, cost) in &before {
                now = go(now, step, &with.quota, refused.as_ref());
                let decision = with.request(now, cost);
                refused = (!decision.is_admitted()).then_some(decision);
            }
            let mut without = Key { state: with.state.clone(), ..with };
            let charged = now;
            if !with.request(now, cost).is_admitted() {
                continue;
            }
            for &(step, cost) in &after {
                now = go(now, step, &with.quota, refused.as_ref());
                let decision = with.request(now, cost);
                if decision.is_admitted() {
                    without.charge(now, i64::try_from(cost).unwrap());
                }
                refused = (!decision.is_admitted()).then_some(decision);
            }
            with.charge(charged, -i64::try_from(cost).unwrap());
            for cost in [0, 1, with.quota.count()] {
                prop_assert_eq!(with.check(now, cost), without.check(now, cost), "{:?}", with.algorithm);
            }
        }
    }

    #[test]
    fn a_cost_of_zero_is_free_even_in_debt(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), debt in 0..i64::MAX,
    ) {
        run(&quota, start, &arrivals, |_, key, now, _, _| {
            let mut indebted = Key { state: key.state.clone(), ..*key };
            indebted.charge(now, debt);
            let before = indebted.state.clone();
            prop_assert!(indebted.request(now, 0).is_admitted(), "{:?}", key.algorithm);
            prop_assert_eq!(before, indebted.state, "{:?}", key.algorithm);
            Ok(())
        })?;
    }

    #[test]
    fn a_cost_above_the_burst_can_never_succeed(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), more in 1..u64::MAX,
    ) {
        run(&quota, start, &arrivals, |_, key, now, _, _| {
            for cost in [key.quota.burst() + 1, key.quota.burst().saturating_add(more)] {
                let decision = key.check(now, cost);
                prop_assert_eq!(decision.verdict(), Verdict::CostExceedsBurst, "{:?}", key.algorithm);
                prop_assert_eq!(decision.retry_after(), None);
            }
            Ok(())
        })?;
    }

    /// The clock steps back, by however much: the lockout is bounded, and whoever waits as told is
    /// admitted.
    #[test]
    fn a_clock_that_steps_back_locks_nobody_out_for_long(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), back in 0..Tick::MAX.as_nanos(),
        debt in 0..i64::MAX,
    ) {
        run(&quota, Tick::MAX.as_nanos() / 2 + start, &arrivals, |lawful, key, now, _, _| {
            let mut indebted = Key { state: key.state.clone(), ..*key };
            indebted.charge(now, debt);
            for back in [back, back % (3_600 * SECOND), back % (61 * SECOND)] {
                let then = now.saturating_sub(back);
                for cost in [1, key.quota.burst()] {
                    if let Some(wait) = indebted.check(then, cost).retry_after() {
                        let wait = nanos(wait);
                        prop_assert!(wait <= (lawful.lockout)(&key.quota), "{:?}: {wait}", key.algorithm);
                        prop_assert!(indebted.admits(then + wait, cost), "{:?}", key.algorithm);
                    }
                }
            }
            Ok(())
        })?;
    }

    /// A thread that was kept waiting after it had read the clock finds the states of those that overtook
    /// it: what is used up is used up for it too.
    #[test]
    fn a_clock_that_is_behind_frees_nobody(
        quota in quotas(), start in 61 * SECOND..4_000 * SECOND, arrivals in arrivals(), behind in 0..=SKEW,
    ) {
        run(&quota, start, &arrivals, |_, key, now, _, decision| {
            if decision.verdict() == Verdict::Refused {
                let cost = key.quota.burst();
                prop_assert!(!key.admits(now - behind, cost), "{:?}", key.algorithm);
            }
            if decision.remaining() == 0 {
                prop_assert!(!key.has(now - behind, 1), "{:?}", key.algorithm);
            }
            Ok(())
        })?;
    }

    /// A quota changes between two requests. Its key is not locked out for longer than the new one
    /// explains, and has no more than one burst of it.
    #[test]
    fn another_quota_finds_a_state_it_can_work_with(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), step in 0..SECOND,
    ) {
        run(&quota, start, &arrivals, |lawful, key, now, _, _| {
            let Some(new) = lawful.key(&other) else { return Ok(()) };
            let mut changed = Key { state: key.state.clone(), ..new };
            let mut now = now + step;
            let mut at_once = 0;
            while at_once <= changed.quota.burst() {
                let decision = changed.request(now, 1);
                if let Some(wait) = decision.retry_after() {
                    let wait = nanos(wait);
                    prop_assert!(wait <= (lawful.lockout)(&changed.quota), "{:?}: {wait}", key.algorithm);
                    now += wait;
                    prop_assert!(changed.admits(now, 1), "{:?}", key.algorithm);
                    break;
                }
                if !(lawful.at_once)(&decision) {
                    break;
                }
                at_once += 1;
            }
            prop_assert!(at_once <= changed.quota.burst(), "{:?}", key.algorithm);
            Ok(())
        })?;
    }

    /// Nothing panics: not at the end of time, under no quota, with no cost, on no state.
    #[test]
    fn nothing_overflows(
        words in prop::collection::vec(prop_oneof![any::<u64>(), 0..100_u64, Just(u64::MAX)], 70),
        now: u64, cost: u64, charge: i64,
        count in 1..u64::MAX, period in 1..u64::MAX, burst in prop_oneof![1..u64::MAX, 1..9_u64],
    ) {
        let quotas = [(count, period, burst), (count, period, count), (count % 90 + 1, period, burst)];
        for (count, period, burst) in quotas {
            let Ok(quota) = Quota::per(count, Duration::from_nanos(period)).burst(burst).build() else { continue };
            for Lawful { algorithm, .. } in all() {
                let mut state = words[..algorithm.words()].to_vec();
                for (now, cost, charge) in [(now, cost, charge), (u64::MAX, 1, i64::MIN), (now % 9, 1, i64::MAX)] {
                    let _ = algorithm.supports(&quota);
                    let decision = algorithm.check(&quota, &state, at(now), cost);
                    let _ = (decision.remaining(), decision.retry_after());
                    algorithm.charge(&quota, &mut state, at(now), charge);
                    let _ = algorithm.forget_at(&quota, &state);
                }
                let _ = algorithm.check(&quota, &[], at(now), cost);
                algorithm.charge(&quota, &mut [], at(now), charge);
                let _ = algorithm.forget_at(&quota, &[]);
            }
        }
    }
}

#[test]
fn the_end_of_time_still_limits() {
    let quota = "3/s".parse().unwrap();
    for lawful in all() {
        let mut key = lawful.key(&quota).unwrap();
        let admitted = (0..9)
            .filter(|_| key.request(Tick::MAX.as_nanos(), 1).is_admitted())
            .count();
        assert_eq!(admitted, 3, "{:?}", key.algorithm);
    }
}
