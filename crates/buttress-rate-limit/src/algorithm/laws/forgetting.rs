//! When a state says nothing more.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

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
}
