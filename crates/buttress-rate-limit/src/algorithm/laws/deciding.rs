//! What is decided, and what is told of it.
//!
//! Runs begin after the clock's origin, where the word 1 says that all was given back ([`Gcra`]): with one request a nanosecond
//! that is a charge's, too, and whatever another algorithm fails by would be shrunk to it.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// The stated worst case, over every window of the run.
    #[test]
    fn admits_no_more_than_it_says(
        quota in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), ones: bool,
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

    /// To take is to decide and to charge, to the bit, whatever the state: in debt, after the clock stepped back, and
    /// carried over from another quota.
    #[test]
    fn taking_is_deciding_and_charging(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(),
        by in prop_oneof![-40..80_i64, any::<i64>()], back in 0..SECOND * 4_000,
        cost in prop_oneof![0..45_u64, any::<u64>()],
    ) {
        run(&quota, start, &arrivals, |lawful, key, now, _, _| {
            let earlier = now.saturating_sub(back);
            let settled = |by| {
                let mut key = Key { state: key.state.clone(), ..*key };
                key.charge(now, by);
                key
            };
            let mut states = vec![(settled(0), now), (settled(by), now), (settled(0), earlier), (settled(by), earlier)];
            if let Some(mut carried) = lawful.key(&other) {
                carried.state.clone_from(&key.state);
                let (from, to) = (&key.quota, &carried.quota);
                key.algorithm.carry_over(from, to, &mut carried.state, at(now));
                states.push((carried, now));
            }
            for (key, now) in states {
                for cost in [0, 1, cost] {
                    let mut taken = Key { state: key.state.clone(), ..key };
                    let mut charged = Key { state: key.state.clone(), ..key };
                    // What costs nothing is not charged.
                    let decided = match cost {
                        0 => charged.check(now, cost),
                        _ => charged.request(now, cost),
                    };
                    prop_assert_eq!(taken.take(now, cost), decided, "{:?}", key.algorithm);
                    prop_assert_eq!(taken.state, charged.state, "{:?}", key.algorithm);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn refused_until_exactly_retry_after(quota in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals()) {
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
        quota in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), debt in 0_i64..50,
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

    #[test]
    fn a_cost_of_zero_is_free_even_in_debt(
        quota in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), debt in 0..i64::MAX,
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
        quota in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), more in 1..u64::MAX,
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
}
