//! What every algorithm keeps to when a limit's quota is changed while it is in use.

use super::*;

/// A quota of the same algorithm: the burst of one that counts in windows is its count.
fn carried<'a>(lawful: &'a Lawful, key: &Key<'_>, to: &Quota, at_nanos: u64) -> Option<Key<'a>> {
    let mut carried = lawful.key(to)?;
    carried.state = key.state.clone();
    carried
        .algorithm
        .carry_over(&key.quota, &carried.quota, &mut carried.state, at(at_nanos));
    Some(carried)
}

/// The part of the burst that is left.
fn left(key: &Key<'_>, now: u64) -> f64 {
    key.check(now, 0).remaining() as f64 / key.quota.burst() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// What is left of the old burst is left of the new one, in proportion: within one request of each.
    #[test]
    fn what_was_used_is_used_in_proportion(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), late in 0..SECOND,
    ) {
        run(&quota, start, &arrivals, |lawful, key, now, _, _| {
            // Anything may have come back since, or not.
            for now in [now, now + late] {
                let Some(changed) = carried(lawful, key, &other, now) else { return Ok(()) };
                let (before, after) = (left(key, now), left(&changed, now));
                // A nanosecond of each sub-window is a request where requests are nanoseconds apart.
                let nanosecond = 8.0 / changed.quota.refill_nanos() as f64;
                let one = 1.0 / key.quota.burst() as f64 + 1.0 / changed.quota.burst() as f64 + nanosecond;
                prop_assert!(
                    (before - after).abs() <= one + 1e-6,
                    "{:?}: {before} of {:?} became {after} of {:?}", key.algorithm, key.quota, changed.quota
                );
                // Where the new one is no finer, nothing is gained by rounding.
                if changed.quota.burst() >= key.quota.burst() {
                    prop_assert!(after <= before + 1.0 / key.quota.burst() as f64 + 1e-6, "{:?}", key.algorithm);
                }
            }
            Ok(())
        })?;
    }

    /// To another quota and back, however often: nobody gains more than what time gives back.
    #[test]
    fn flapping_gives_no_burst(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), times in 1..40,
    ) {
        run(&quota, start, &arrivals, |lawful, key, now, _, _| {
            let before = key.check(now, 0);
            let mut flapped = Key { state: key.state.clone(), ..*key };
            for _ in 0..times {
                let Some(there) = carried(lawful, &flapped, &other, now) else { return Ok(()) };
                let Some(back) = carried(lawful, &there, &key.quota, now) else { return Ok(()) };
                flapped = back;
            }
            let after = flapped.check(now, 0);
            prop_assert!(after.remaining() <= before.remaining(), "{:?}", key.algorithm);
            Ok(())
        })?;
    }

    /// From the change on the new quota's worst case holds, in every window, whoever drives it.
    #[test]
    fn the_new_worst_case_holds_from_the_change_on(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), later in arrivals(),
    ) {
        for lawful in all() {
            let Some(mut key) = lawful.key(&quota) else { continue };
            let (mut now, mut refused) = (start, None);
            for &(step, cost) in &arrivals {
                now = go(now, step, &key.quota, refused.as_ref());
                let decision = key.request(now, cost);
                refused = (!decision.is_admitted()).then_some(decision);
            }
            let Some(mut key) = carried(&lawful, &key, &other, now) else { continue };
            let mut admitted = Vec::new();
            for &(step, _) in &later {
                now = go(now, step, &key.quota, refused.as_ref());
                while admitted.len() < MOST_ADMITTED {
                    let decision = key.request(now, 1);
                    refused = (!decision.is_admitted()).then_some(decision);
                    if refused.is_some() {
                        break;
                    }
                    admitted.push(now);
                }
            }
            for (first, &start) in admitted.iter().enumerate() {
                for (last, &end) in admitted.iter().enumerate().skip(first) {
                    let (sum, most) = ((last - first + 1) as u64, (lawful.most)(&key.quota, end - start));
                    prop_assert!(sum <= most, "{:?} admitted {sum}, not {most}", key.algorithm);
                }
            }
        }
    }

    /// What comes back does so exactly when it is said to, and nobody is locked out for longer than the new quota
    /// explains.
    #[test]
    fn a_carried_state_keeps_its_word(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), debt in 0_i64..90,
    ) {
        run(&quota, start, &arrivals, |lawful, key, now, cost, _| {
            let mut indebted = Key { state: key.state.clone(), ..*key };
            indebted.charge(now, debt);
            let Some(changed) = carried(lawful, &indebted, &other, now) else { return Ok(()) };
            let decision = changed.check(now, cost);
            if let Some(wait) = decision.retry_after() {
                let wait = nanos(wait);
                prop_assert!(wait <= (lawful.lockout)(&changed.quota), "{:?}: {wait}", key.algorithm);
                prop_assert!(!changed.admits(now + wait - 1, cost), "{:?}", key.algorithm);
                prop_assert!(changed.admits(now + wait, cost), "{:?}", key.algorithm);
            }
            let forget_at = changed.forget_at().max(now);
            let reset = nanos(changed.check(now, 0).reset_after());
            prop_assert!(now + reset <= forget_at, "{:?}", key.algorithm);
            let unseen = vec![0; changed.state.len()];
            let unseen = changed.algorithm.check(&changed.quota, &unseen, at(forget_at), cost);
            prop_assert_eq!(changed.check(forget_at, cost), unseen, "{:?}", key.algorithm);
            Ok(())
        })?;
    }

    /// What was charged before the change and is given back after it goes where the charge went.
    #[test]
    fn a_refund_across_a_change_finds_its_charge(
        quota in quotas(), other in quotas(), start in 1..SECOND * 4_000, arrivals in arrivals(), later in 0..SECOND,
    ) {
        run(&quota, start, &arrivals, |lawful, key, now, _, _| {
            let Some(without) = carried(lawful, key, &other, now + later) else { return Ok(()) };
            let mut charged = Key { state: key.state.clone(), ..*key };
            if !charged.request(now, 1).is_admitted() {
                return Ok(());
            }
            let Some(mut with) = carried(lawful, &charged, &other, now + later) else { return Ok(()) };
            let date = with.algorithm.redate(&key.quota, &with.quota, at(now), at(now + later));
            // As much as one request was, rounded up: all of it, and not more than there is.
            let share = with.quota.burst().div_ceil(key.quota.burst());
            with.charge(date.as_nanos(), -i64::try_from(share).unwrap());
            let (with, without) = (with.check(now + later, 0).remaining(), without.check(now + later, 0).remaining());
            prop_assert!(with + 1 >= without, "{:?}: {with} left, {without} without", key.algorithm);
            Ok(())
        })?;
    }

    #[test]
    fn one_never_seen_stays_so(quota in quotas(), other in quotas(), now in 0..SECOND * 4_000) {
        for lawful in all() {
            let Some(key) = lawful.key(&quota) else { continue };
            let Some(changed) = carried(&lawful, &key, &other, now) else { continue };
            prop_assert!(changed.state.iter().all(|&word| word == 0), "{:?}", key.algorithm);
        }
    }
}
