use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

/// Asks for one token at a time until refused: how many there were, and when there is one again.
fn drain(quota: &Quota, state: &mut [u64; 1], now: u64) -> (u64, Option<Duration>) {
    let bucket = TokenBucket::refilled_at_intervals();
    for taken in 0.. {
        let decision = bucket.check(quota, state, at(now), 1);
        if !decision.is_admitted() {
            return (taken, decision.retry_after());
        }
        bucket.charge(quota, state, at(now), 1);
    }
    unreachable!("a bucket has a bottom")
}

#[test]
fn tokens_come_back_together_at_the_boundary() {
    let quota = "5/s burst 12".parse().unwrap();
    let mut state = [0];
    let early = Some(Duration::from_millis(900));
    assert_eq!(drain(&quota, &mut state, SECOND / 10), (12, early));
    let just_before = Some(Duration::from_nanos(1));
    assert_eq!(drain(&quota, &mut state, SECOND - 1), (0, just_before));
    let whole = Some(Duration::from_secs(1));
    assert_eq!(drain(&quota, &mut state, SECOND), (5, whole));
    assert_eq!(drain(&quota, &mut state, 3 * SECOND), (10, whole));
    // Never more than the bucket holds.
    assert_eq!(drain(&quota, &mut state, 99 * SECOND), (12, whole));
}

#[test]
fn waiting_for_more_than_one_refill() {
    let quota = "5/s burst 12".parse().unwrap();
    let (bucket, mut state) = (TokenBucket::refilled_at_intervals(), [0]);
    drain(&quota, &mut state, SECOND / 2);
    let refused = bucket.check(&quota, &state, at(SECOND / 2), 11);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(2_500)));
    assert_eq!(refused.next_after(), Duration::from_millis(500));
    assert_eq!(refused.reset_after(), Duration::from_millis(2_500));
}

/// The whole of the documented worst case, in a window that has no length to speak of.
#[test]
fn around_a_boundary_a_burst_and_a_count() {
    let quota = "5/s burst 12".parse().unwrap();
    let mut state = [0];
    let (before, _) = drain(&quota, &mut state, SECOND - 1);
    let (after, _) = drain(&quota, &mut state, SECOND);
    assert_eq!(before + after, 17);
}

#[test]
fn debt_is_paid_off_first_and_bounded_by_a_burst() {
    let quota = "5/s".parse().unwrap();
    let (bucket, mut state) = (TokenBucket::refilled_at_intervals(), [0]);
    bucket.charge(&quota, &mut state, at(0), i64::MAX);
    assert_eq!(drain(&quota, &mut state, SECOND).0, 0);
    assert_eq!(drain(&quota, &mut state, 2 * SECOND).0, 5);
}

#[test]
fn a_bucket_that_got_all_back_is_known_until_the_boundary() {
    let quota = "5/s".parse().unwrap();
    let (bucket, mut state) = (TokenBucket::refilled_at_intervals(), [0]);
    bucket.charge(&quota, &mut state, at(0), 3);
    bucket.charge(&quota, &mut state, at(0), -3);
    assert_ne!(state, [0]);
    assert_eq!(bucket.forget_at(&quota, &state), at(SECOND));
    assert_eq!(drain(&quota, &mut state, 0).0, 5);
}

#[test]
fn refilled_continuously_it_is_gcra() {
    let quota = "5/s burst 12".parse().unwrap();
    let bucket = TokenBucket::refilled_continuously();
    let (mut ours, mut theirs) = ([0], [0]);
    for now in (0..50).map(|n| at(n * SECOND / 17)) {
        let decision = bucket.check(&quota, &ours, now, 1);
        assert_eq!(decision, Algorithm::check(&Gcra, &quota, &theirs, now, 1));
        bucket.charge(&quota, &mut ours, now, 1);
        Algorithm::charge(&Gcra, &quota, &mut theirs, now, 1);
        assert_eq!(ours, theirs);
    }
}
