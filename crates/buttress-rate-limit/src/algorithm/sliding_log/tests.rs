use std::{collections::VecDeque, time::Duration};

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn request(log: SlidingLog, quota: &Quota, state: &mut [u64], now: u64, cost: u64) -> Decision {
    let decision = log.check(quota, state, at(now), cost);
    if decision.is_admitted() {
        log.charge(quota, state, at(now), cost as i64);
    }
    decision
}

#[test]
fn each_comes_back_one_period_after_it_was_used() {
    let (log, quota) = (SlidingLog::for_counts_up_to(3), "3/s".parse().unwrap());
    let mut state = [0; 5];
    for now in [100, 400, 900] {
        assert!(request(log, &quota, &mut state, now, 1).is_admitted());
    }
    let refused = request(log, &quota, &mut state, SECOND, 1);
    assert_eq!(refused.retry_after(), Some(Duration::from_nanos(100)));
    assert_eq!(refused.reset_after(), Duration::from_nanos(900));
    let refused = request(log, &quota, &mut state, SECOND, 2);
    assert_eq!(refused.retry_after(), Some(Duration::from_nanos(400)));
    assert!(request(log, &quota, &mut state, SECOND + 100, 1).is_admitted());
    assert!(!request(log, &quota, &mut state, SECOND + 399, 1).is_admitted());
}

#[test]
fn debt_is_as_long_as_the_log() {
    let (log, quota) = (SlidingLog::for_counts_up_to(5), "3/s".parse().unwrap());
    let mut state = [0; 7];
    log.charge(&quota, &mut state, at(1), 3);
    log.charge(&quota, &mut state, at(2), i64::MAX);
    let standing = log.check(&quota, &state, at(2), 1);
    assert_eq!(standing.retry_after(), Some(Duration::from_secs(1)));
    log.charge(&quota, &mut state, at(2), -3);
    assert_eq!(log.check(&quota, &state, at(2), 0).remaining(), 1);
}

#[test]
fn what_it_cannot_keep_is_said_when_it_is_built() {
    let log = SlidingLog::for_counts_up_to(100);
    let supports = |quota: &str| log.supports(&quota.parse().unwrap());
    assert_eq!(supports("100/min"), Ok(()));
    assert_eq!(
        supports("101/min").unwrap_err().to_string(),
        "count: `101` given, expected at most 100, the length of the log"
    );
    assert_eq!(supports("100/min burst 9").unwrap_err().field(), "burst");
    for length in [0, 65_537, usize::MAX] {
        let log = SlidingLog::for_counts_up_to(length);
        let error = log.supports(&"1/s".parse().unwrap()).unwrap_err();
        assert_eq!(error.field(), "length");
    }
}

proptest! {
    /// Against the definition: keep them all, and count those of the last period.
    #[test]
    fn agrees_with_counting(
        count in 1_u64..12,
        steps in prop::collection::vec((prop_oneof![0_u64..3, 0..400_u64, Just(1_000)], 0_u64..6, -3_i64..1), 1..300),
    ) {
        let quota = Quota::per(count, Duration::from_nanos(1_000)).build().unwrap();
        let log = SlidingLog::for_counts_up_to(12);
        let (mut state, mut model, mut now) = ([0; 14], VecDeque::new(), 0);
        for (step, cost, refund) in steps {
            now += step;
            model.retain(|&admitted| admitted + 1_000 > now);
            let expected = cost == 0 || model.len() as u64 + cost <= count;
            let decision = request(log, &quota, &mut state, now, cost);
            prop_assert_eq!(decision.is_admitted(), expected);
            if expected {
                model.extend((0..cost).map(|_| now));
                // Gives some of what was just charged back.
                let refund = refund.max(-(cost as i64));
                log.charge(&quota, &mut state, at(now), refund);
                model.truncate(model.len() - refund.unsigned_abs() as usize);
            }
            let standing = log.check(&quota, &state, at(now), 0);
            prop_assert_eq!(standing.remaining(), count - model.len() as u64);
        }
    }
}
