//! What is charged and given back afterwards.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

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

    /// Whatever is charged: with the burst and the debt that is stated given back, all is back. And no less than a debt is
    /// remembered, up to the one that is stated.
    #[test]
    fn debt_is_bounded_as_it_says(
        quota in quotas(), start in 0..SECOND * 4_000, arrivals in arrivals(), more in 0..i64::MAX, less in 1_u64..80,
    ) {
        for lawful in all() {
            let Some(mut key) = lawful.key(&quota) else { continue };
            let (mut now, mut refused) = (start, None);
            for &(step, cost) in &arrivals {
                now = go(now, step, &key.quota, refused.as_ref());
                let decision = key.request(now, cost);
                refused = (!decision.is_admitted()).then_some(decision);
            }
            let (burst, debt) = (key.quota.burst(), (lawful.debt)(&key.quota));
            let signed = |amount: u64| i64::try_from(amount).unwrap();
            let most = signed(burst + debt);
            let mut indebted = Key { state: key.state.clone(), ..key };
            indebted.charge(now, more.max(most));
            indebted.charge(now, -most);
            prop_assert_eq!(indebted.check(now, 0).remaining(), burst, "{:?}", key.algorithm);

            // From a key that was never seen, so that all of it is of now.
            let mut unseen = lawful.key(&quota).unwrap();
            let owed = debt.min(less);
            unseen.charge(now, signed(burst + owed));
            unseen.charge(now, -signed(burst));
            let left = burst.saturating_sub(owed);
            prop_assert_eq!(unseen.check(now, 0).remaining(), left, "{:?}", key.algorithm);
        }
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
                // Nor is anything hidden behind a whole burst.
                let mut taken = 0;
                while refunded.has(now, 1) && taken <= key.quota.burst() {
                    refunded.charge(now, 1);
                    taken += 1;
                }
                prop_assert_eq!(taken, standing.remaining(), "{:?}", key.algorithm);
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
}
