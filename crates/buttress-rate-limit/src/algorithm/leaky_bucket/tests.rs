use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn request(quota: &Quota, state: &mut [u64; 1], now: u64, cost: u64) -> Decision {
    let bucket = LeakyBucket::as_queue();
    let decision = bucket.check(quota, state, at(now), cost);
    if decision.is_admitted() {
        bucket.charge(quota, state, at(now), cost as i64);
    }
    decision
}

#[test]
fn each_waits_for_those_before_it() {
    let quota = "10/s burst 4".parse().unwrap();
    let mut state = [0];
    let delays: Vec<u128> = (0..4)
        .map(|_| request(&quota, &mut state, SECOND, 1).delay().as_millis())
        .collect();
    assert_eq!(delays, [0, 100, 200, 300]);
    let refused = request(&quota, &mut state, SECOND, 1);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(refused.delay(), Duration::ZERO);
    let later = request(&quota, &mut state, SECOND + SECOND / 4, 2);
    assert_eq!(later.delay(), Duration::from_millis(150));
    let free = request(&quota, &mut state, SECOND + SECOND / 4, 0);
    assert_eq!(free.delay(), Duration::ZERO);
}

#[test]
fn two_seconds_at_most_at_ten_a_second() {
    let quota = Quota::per_second(10).burst(21).build().unwrap();
    assert_eq!(LeakyBucket::longest_delay(&quota), Duration::from_secs(2));
    let mut state = [0];
    let delays = (0..99).map(|_| request(&quota, &mut state, 0, 1).delay());
    assert_eq!(delays.max(), Some(Duration::from_secs(2)));
}

#[test]
fn a_meter_delays_nobody() {
    let quota = "10/s".parse().unwrap();
    let (meter, mut state) = (LeakyBucket::as_meter(), [0]);
    for _ in 0..12 {
        let decision = meter.check(&quota, &state, at(5), 1);
        assert_eq!(decision.delay(), Duration::ZERO);
        meter.charge(&quota, &mut state, at(5), 1);
    }
}

proptest! {
    /// Whatever comes in, a constant rate comes out, in the order of arrival, and nobody waits for longer
    /// than the longest delay.
    #[test]
    fn a_constant_rate_comes_out(
        count in 1_u64..50, burst in 1_u64..20,
        arrivals in prop::collection::vec((prop_oneof![Just(0), 0..SECOND / 2], 1_u64..4), 1..200),
    ) {
        let quota = Quota::per_second(count).burst(burst).build().unwrap();
        let interval = quota.interval_nanos().get();
        let (mut state, mut now, mut free_at, mut out) = ([0], 0, 0, Vec::new());
        for (step, cost) in arrivals {
            now += step;
            let decision = request(&quota, &mut state, now, cost);
            if decision.is_admitted() {
                prop_assert!(decision.delay() <= LeakyBucket::longest_delay(&quota));
                let proceeds = now + decision.delay().as_nanos() as u64;
                prop_assert!(proceeds >= free_at);
                free_at = proceeds + cost * interval;
                out.push(proceeds);
            }
        }
        for (first, start) in out.iter().enumerate() {
            for (last, end) in out.iter().enumerate().skip(first) {
                prop_assert!((last - first) as u64 <= (end - start) / interval);
            }
        }
    }
}
