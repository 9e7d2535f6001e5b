use std::time::Duration;

use super::*;

const SECOND: u64 = 1_000_000_000;
const TEN: SlidingWindow = SlidingWindow::of_sub_windows(10);

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn quota() -> Quota {
    "100/s".parse().unwrap()
}

/// Sends until refused: how many were admitted, and how long the next would wait.
fn drain(state: &mut [u64], now: u64) -> (u64, Option<Duration>) {
    let quota = quota();
    for admitted in 0.. {
        let decision = TEN.check(&quota, state, at(now), 1);
        if !decision.is_admitted() {
            return (admitted, decision.retry_after());
        }
        TEN.charge(&quota, state, at(now), 1);
    }
    unreachable!("a window has a limit")
}

/// What the weighing counter makes 199 of, and a fixed window 200.
#[test]
fn an_adversary_around_a_boundary_gets_the_count() {
    let mut state = [0; 13];
    let (before, _) = drain(&mut state, SECOND - 1);
    let (after, _) = drain(&mut state, SECOND);
    let (later, _) = drain(&mut state, 2 * SECOND - 2);
    assert_eq!((before, after, later), (100, 0, 0));
}

#[test]
fn what_was_used_comes_back_at_most_a_sub_window_after_a_period() {
    let mut state = [0; 13];
    let tenth = SECOND / 10;
    // At the end of a sub-window, nearly at once; at its beginning, a sub-window later.
    let short = Some(Duration::from_nanos(SECOND + 1));
    assert_eq!(drain(&mut state, 5 * tenth - 1), (100, short));
    let mut state = [0; 13];
    let long = Some(Duration::from_millis(1_100));
    assert_eq!(drain(&mut state, 5 * tenth), (100, long));
    assert_eq!(drain(&mut state, 16 * tenth - 1).0, 0);
    assert_eq!(drain(&mut state, 16 * tenth).0, 100);
}

#[test]
fn sub_windows_come_back_one_by_one() {
    let (quota, mut state) = (quota(), [0; 13]);
    for (now, cost) in [(0, 30), (SECOND / 2, 70)] {
        TEN.charge(&quota, &mut state, at(now), cost);
    }
    let check = |cost| TEN.check(&quota, &state, at(SECOND), cost);
    assert_eq!(check(30).retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(check(31).retry_after(), Some(Duration::from_millis(600)));
    assert_eq!(check(1).next_after(), Duration::from_millis(100));
    assert_eq!(check(1).reset_after(), Duration::from_millis(600));
}

/// As much as the documentation says that it costs to be strict.
#[test]
fn who_keeps_sending_gets_ten_elevenths() {
    let mut state = [0; 13];
    let step = SECOND / 1_000;
    let admitted: u64 = (0..110_000).map(|n| drain(&mut state, n * step).0).sum();
    assert_eq!(admitted, 100 * 100);
}

#[test]
fn another_count_finds_the_same_part_used() {
    let mut state = [0; 13];
    TEN.charge(&quota(), &mut state, at(1), 40);
    for (text, remaining) in [("100/s", 60), ("10/s", 6), ("1000/s", 600)] {
        let quota = text.parse().unwrap();
        let standing = TEN.check(&quota, &state, at(2), 0);
        assert_eq!(standing.remaining(), remaining, "{text}");
    }
}

#[test]
fn what_it_cannot_keep_is_said_when_it_is_built() {
    for sub_windows in [0, 61, usize::MAX] {
        let error = SlidingWindow::of_sub_windows(sub_windows)
            .supports(&quota())
            .unwrap_err();
        assert_eq!(error.field(), "sub_windows");
    }
    let burst = "10/s burst 3".parse().unwrap();
    assert_eq!(TEN.supports(&burst).unwrap_err().field(), "burst");
}
