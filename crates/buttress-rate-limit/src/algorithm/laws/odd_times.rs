//! Clocks that step, quotas that change unannounced, the end of time, and states that nobody wrote.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

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
