use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

/// Sends until refused: how many were admitted, and how long the next would wait.
fn drain(quota: &Quota, state: &mut [u64; 1], now: u64) -> (u64, Option<Duration>) {
    for admitted in 0.. {
        let decision = FixedWindow.check(quota, state, at(now), 1);
        if !decision.is_admitted() {
            return (admitted, decision.retry_after());
        }
        FixedWindow.charge(quota, state, at(now), 1);
    }
    unreachable!("a window has a limit")
}

#[test]
fn starts_anew_at_multiples_of_the_period() {
    let quota = "100/s".parse().unwrap();
    let mut state = [0];
    let rest = Some(Duration::from_millis(750));
    assert_eq!(drain(&quota, &mut state, SECOND / 4), (100, rest));
    let just_before = Some(Duration::from_nanos(1));
    assert_eq!(drain(&quota, &mut state, SECOND - 1), (0, just_before));
    let whole = Some(Duration::from_secs(1));
    assert_eq!(drain(&quota, &mut state, SECOND), (100, whole));
}

/// The documented worst case, in a window that has no length to speak of.
#[test]
fn twice_the_count_around_a_boundary() {
    let quota = "100/s".parse().unwrap();
    let mut state = [0];
    let (before, _) = drain(&quota, &mut state, SECOND - 1);
    let (after, _) = drain(&quota, &mut state, SECOND);
    assert_eq!(before + after, 200);
}

#[test]
fn debt_ends_with_the_window() {
    let quota = "5/s".parse().unwrap();
    let mut state = [0];
    FixedWindow.charge(&quota, &mut state, at(1), i64::MAX);
    FixedWindow.charge(&quota, &mut state, at(2), -5);
    assert_eq!(drain(&quota, &mut state, 3).0, 0);
    FixedWindow.charge(&quota, &mut state, at(4), -1);
    assert_eq!(drain(&quota, &mut state, 5).0, 1);
    FixedWindow.charge(&quota, &mut state, at(6), i64::MAX);
    assert_eq!(drain(&quota, &mut state, SECOND).0, 5);
}

#[test]
fn another_count_of_the_same_period_finds_the_same_part_used() {
    let ten = "10/min".parse().unwrap();
    let mut state = [0];
    FixedWindow.charge(&ten, &mut state, at(1), 4);
    for (text, remaining) in [
        ("10/min", 6),
        ("100/min", 60),
        ("5/min", 3),
        ("1000/min", 600),
    ] {
        let quota = text.parse().unwrap();
        let standing = FixedWindow.check(&quota, &state, at(2), 0);
        assert_eq!(standing.remaining(), remaining, "{text}");
    }
}

#[test]
fn the_shortest_windows_still_count() {
    let quota = Quota::per(4, Duration::from_nanos(12)).build().unwrap();
    FixedWindow.supports(&quota).unwrap();
    let mut state = [0];
    for window in 0..50 {
        assert_eq!(drain(&quota, &mut state, window * 12 + window % 12).0, 4);
    }
}

#[test]
fn what_it_cannot_keep_is_said_when_it_is_built() {
    let burst = "10/s burst 3".parse().unwrap();
    let error = FixedWindow.supports(&burst).unwrap_err().to_string();
    assert_eq!(
        error,
        "burst: `3` given, expected the count of 10, or no burst: a window admits its whole count at once"
    );
    let fast = "1_000_000_000/s".parse().unwrap();
    assert_eq!(FixedWindow.supports(&fast).unwrap_err().field(), "count");
}
