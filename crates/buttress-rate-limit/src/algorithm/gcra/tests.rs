use std::{num::NonZeroU32, time::Duration};

use governor::{RateLimiter as Governor, clock::FakeRelativeClock};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn quota(text: &str) -> Quota {
    text.parse().unwrap()
}

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

/// Decides, and charges what was admitted.
fn request(quota: &Quota, state: &mut u64, now: Tick, cost: u64) -> Decision {
    let decision = OneWord::check(&Gcra, quota, *state, now, cost);
    if decision.is_admitted() {
        *state = OneWord::charge(&Gcra, quota, *state, now, i64::try_from(cost).unwrap());
    }
    decision
}

#[test]
fn a_burst_and_then_the_rate() {
    let (quota, mut state) = (quota("10/s burst 3"), 0);
    let start = at(5 * SECOND);
    let remaining: Vec<u64> = (0..3)
        .map(|_| request(&quota, &mut state, start, 1).remaining())
        .collect();
    assert_eq!(remaining, [2, 1, 0]);

    let refused = request(&quota, &mut state, start, 1);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(refused.next_after(), Duration::from_millis(100));
    assert_eq!(refused.reset_after(), Duration::from_millis(300));
    assert_eq!(refused.remaining(), 0);

    assert!(!request(&quota, &mut state, at(5 * SECOND + 99_999_999), 1).is_admitted());
    assert!(request(&quota, &mut state, at(5 * SECOND + 100_000_000), 1).is_admitted());
}

#[test]
fn a_cost_of_zero_is_free_even_in_debt() {
    let (quota, mut state) = (quota("1/s"), 0);
    state = OneWord::charge(&Gcra, &quota, state, at(0), 2);
    let before = state;
    assert!(!request(&quota, &mut state, at(0), 1).is_admitted());
    assert!(request(&quota, &mut state, at(0), 0).is_admitted());
    assert_eq!(state, before);
}

#[test]
fn a_cost_above_the_burst_can_never_succeed() {
    let (quota, mut state) = (quota("10/s burst 3"), 0);
    for cost in [4, u64::MAX] {
        let decision = OneWord::check(&Gcra, &quota, state, at(0), cost);
        assert_eq!(decision.verdict(), Verdict::CostExceedsBurst);
        assert_eq!(decision.retry_after(), None);
    }
    assert!(request(&quota, &mut state, at(0), 3).is_admitted());
}

#[test]
fn one_a_year_and_a_billion_a_second() {
    let year = 365 * 86_400 * SECOND;
    let (yearly, mut state) = (quota("1/year"), 0);
    assert!(request(&yearly, &mut state, at(1), 1).is_admitted());
    assert_eq!(
        request(&yearly, &mut state, at(2), 1).retry_after(),
        Some(Duration::from_nanos(year - 1))
    );
    assert!(request(&yearly, &mut state, at(1 + year), 1).is_admitted());

    let (fast, mut state) = (quota("1_000_000_000/s burst 1"), 0);
    for nanos in 1..=1_000 {
        assert!(request(&fast, &mut state, at(nanos), 1).is_admitted());
        assert!(!request(&fast, &mut state, at(nanos), 1).is_admitted());
    }
}

#[test]
fn the_end_of_time_still_limits() {
    let (quota, mut state) = (quota("1/s burst 2"), 0);
    for expected in [true, true, false, false] {
        assert_eq!(
            request(&quota, &mut state, Tick::MAX, 1).is_admitted(),
            expected
        );
    }
    let (slowest, mut state) = (self::quota("1/year burst 73"), 0);
    state = OneWord::charge(&Gcra, &slowest, state, Tick::MAX, i64::MAX);
    assert!(!request(&slowest, &mut state, Tick::MAX, 1).is_admitted());
    state = OneWord::charge(&Gcra, &slowest, state, Tick::MAX, i64::MIN);
    assert_eq!(
        OneWord::check(&Gcra, &slowest, state, Tick::MAX, 73).verdict(),
        Verdict::Admitted
    );
}

/// By less than a minute, threads may be apart; by more, the state is of another time.
#[test]
fn a_clock_that_steps_back_locks_out_for_two_refill_times_and_a_minute() {
    let (quota, mut state) = (quota("10/s burst 3"), 0);
    state = OneWord::charge(&Gcra, &quota, state, at(1_000 * SECOND), 6);
    let refused = request(&quota, &mut state, at(940 * SECOND), 3);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(60_600)));
    let admitted = request(&quota, &mut state, at(940 * SECOND - 1), 3);
    assert!(admitted.is_admitted());
    let refused = request(&quota, &mut state, at(940 * SECOND - 1), 3);
    assert_eq!(refused.retry_after(), Some(Duration::from_millis(300)));
}

/// Where tokio's time is paused, a test may not leave the clock's origin at all.
#[test]
fn at_the_origin_of_time_too_a_refund_is_whole() {
    let quota = quota("3/min");
    let mut state = 0;
    for _ in 0..5 {
        assert!(request(&quota, &mut state, at(0), 1).is_admitted());
        state = OneWord::charge(&Gcra, &quota, state, at(0), -1);
    }
    let left: Vec<_> = (0..4)
        .map(|_| request(&quota, &mut state, at(0), 1).is_admitted())
        .collect();
    assert_eq!(left, [true, true, true, false]);
}

#[test]
fn debt_is_bounded_by_one_burst() {
    let (quota, mut state) = (quota("10/s burst 3"), 0);
    state = OneWord::charge(&Gcra, &quota, state, at(0), i64::MAX);
    let refused = request(&quota, &mut state, at(0), 1);
    assert_eq!(refused.reset_after(), quota.refill_time() * 2);
    assert!(
        request(
            &quota,
            &mut state,
            at(0).saturating_add(refused.retry_after().unwrap()),
            1
        )
        .is_admitted()
    );
}

fn quotas() -> impl Strategy<Value = Quota> {
    (1_u64..=50, 1_u64..=SECOND * 3_600, 1_u64..=40).prop_filter_map(
        "not expressible",
        |(count, nanos, burst)| {
            Quota::per(count, Duration::from_nanos(nanos))
                .burst(burst)
                .build()
                .ok()
        },
    )
}

/// Steps between requests, in hundredths of the interval, and what each costs.
fn arrivals() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec(
        (prop_oneof![Just(0), 0..300_u64, Just(100)], 0_u64..4),
        1..200,
    )
}

proptest! {
    #[test]
    fn agrees_with_governor(quota in quotas(), arrivals in arrivals()) {
        let theirs = governor::Quota::with_period(quota.interval())
            .unwrap()
            .allow_burst(NonZeroU32::new(quota.burst() as u32).unwrap());
        let clock = FakeRelativeClock::default();
        let governor = Governor::direct_with_clock(theirs, clock.clone());
        let (mut state, mut now) = (0, 0);
        for (step, cost) in arrivals {
            let step = step * quota.interval_nanos().get() / 100;
            clock.advance(Duration::from_nanos(step));
            now += step;
            let ours = request(&quota, &mut state, at(now), cost);
            let Some(cost) = NonZeroU32::new(cost as u32) else {
                prop_assert!(ours.is_admitted());
                continue;
            };
            match governor.check_n(cost) {
                Ok(Ok(())) => prop_assert_eq!(ours.verdict(), Verdict::Admitted),
                Ok(Err(not_until)) => {
                    prop_assert_eq!(ours.verdict(), Verdict::Refused);
                    let wait = not_until.wait_time_from(governor::clock::Clock::now(&clock));
                    prop_assert_eq!(ours.retry_after(), Some(wait));
                }
                Err(_) => prop_assert_eq!(ours.verdict(), Verdict::CostExceedsBurst),
            }
        }
    }

    #[test]
    fn refused_until_exactly_retry_after(quota in quotas(), arrivals in arrivals()) {
        let (mut state, mut now) = (0, 0);
        for (step, cost) in arrivals {
            now += step * quota.interval_nanos().get() / 100;
            if let Some(wait) = request(&quota, &mut state, at(now), cost).retry_after() {
                let then = at(now).saturating_add(wait);
                let just_before = at(then.as_nanos() - 1);
                prop_assert_eq!(OneWord::check(&Gcra, &quota, state, just_before, cost).verdict(), Verdict::Refused);
                prop_assert!(OneWord::check(&Gcra, &quota, state, then, cost).is_admitted());
            }
        }
    }

    /// `remaining`, `next_after` and `reset_after` are what the next requests find.
    #[test]
    fn the_standing_is_true(quota in quotas(), arrivals in arrivals()) {
        let (mut state, mut now) = (0, 0);
        for (step, cost) in arrivals {
            now += step * quota.interval_nanos().get() / 100;
            let decision = request(&quota, &mut state, at(now), cost);
            let check = |now, cost| OneWord::check(&Gcra, &quota, state, now, cost).is_admitted();
            prop_assert!(check(at(now), decision.remaining()));
            prop_assert!(!check(at(now), decision.remaining() + 1));
            prop_assert!(check(at(now).saturating_add(decision.next_after()), 1));
            prop_assert!(check(at(now).saturating_add(decision.reset_after()), quota.burst()));
        }
    }

    /// The stated worst case, over every window of the run.
    #[test]
    fn admits_no_more_than_it_says(quota in quotas(), arrivals in arrivals()) {
        let (mut state, mut now, mut admitted) = (0, 0, Vec::new());
        for (step, _) in arrivals {
            now += step * quota.interval_nanos().get() / 100;
            if request(&quota, &mut state, at(now), 1).is_admitted() {
                admitted.push(now);
            }
        }
        for (first, start) in admitted.iter().enumerate() {
            for (last, end) in admitted.iter().enumerate().skip(first) {
                let most = quota.burst() + (end - start) / quota.interval_nanos();
                prop_assert!((last - first + 1) as u64 <= most);
            }
        }
    }

    /// Giving back what was charged leaves what would have been without; never more than full.
    #[test]
    fn a_refund_undoes_its_charge(quota in quotas(), used in 0_u64..40, cost in 1_i64..40, now in 1_u64..SECOND) {
        let mut state = 0;
        for _ in 0..used.min(quota.burst()) {
            let _ = request(&quota, &mut state, at(now), 1);
        }
        let charged = OneWord::charge(&Gcra, &quota, state, at(now), cost);
        let refunded = OneWord::charge(&Gcra, &quota, charged, at(now), -cost);
        let (before, after) = (
            OneWord::check(&Gcra, &quota, state, at(now), 0),
            OneWord::check(&Gcra, &quota, refunded, at(now), 0),
        );
        prop_assert!(after.remaining() >= before.remaining());
        prop_assert!(after.remaining() <= quota.burst());
        if used.min(quota.burst()) as i64 + cost <= 2 * quota.burst() as i64 {
            prop_assert_eq!(before, after);
        }
    }

    /// Deciding and charging in one step is both of them one after the other, whatever the state is.
    #[test]
    fn a_step_is_a_decision_and_its_charge(quota in quotas(), state: u64, ahead in 0..u64::MAX, now: u64, cost in 0_u64..40) {
        let now = at(now);
        let near = now.as_nanos().saturating_add(ahead % (3 * quota.refill_nanos()));
        for state in [state, near, 0, 1] {
            let mut decision = UNDECIDED;
            let next = Gcra.step(&quota, state, now, cost, &mut decision);
            prop_assert_eq!(decision, OneWord::check(&Gcra, &quota, state, now, cost));
            let charged = OneWord::charge(&Gcra, &quota, state, now, cost as i64);
            let charges = decision.is_admitted() && cost > 0;
            prop_assert_eq!(next, charges.then_some(charged));
        }
    }

    #[test]
    fn what_was_charged_is_not_forgotten(quota in quotas(), state: u64, now: u64, cost in 1..i64::MAX) {
        let now = at(now);
        let charged = OneWord::charge(&Gcra, &quota, state, now, cost);
        let forget_at = OneWord::forget_at(&Gcra, &quota, charged);
        prop_assert!(forget_at > now || now == Tick::MAX);
        let (known, unknown) = (
            OneWord::check(&Gcra, &quota, charged, forget_at, 1),
            OneWord::check(&Gcra, &quota, 0, forget_at, 1),
        );
        prop_assert!(known == unknown || forget_at == Tick::MAX);
    }
}
