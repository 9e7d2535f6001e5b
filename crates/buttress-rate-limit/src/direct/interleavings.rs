//! Every interleaving of a check and a change of the quota.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-rate-limit --release --lib loom`

use buttress_core::clock::ManualClock;
use loom::thread;

use super::*;

const NOW: Tick = Tick::from_nanos(1_000_000_000);

fn limiter(quota: &str) -> DirectRateLimiter {
    DirectRateLimiter::with_clock(quota, ManualClock::at(NOW)).unwrap()
}

fn left(limiter: &DirectRateLimiter) -> u64 {
    limiter.check_n(0).unwrap().remaining()
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.max_branches = 10_000;
    builder.check(check);
}

/// A quarter is charged, under the old quota or the new one: whatever comes first, as much is left.
fn halved_or_doubled(from: &'static str, to: &'static str, expected: [u64; 2]) {
    model(move || {
        let limiter = limiter(from);
        let _ = limiter.check_n(2).unwrap();
        let other = limiter.clone();
        let other = thread::spawn(move || other.check_n(2).is_ok());
        limiter.set_quota(to).unwrap();
        assert!(other.join().unwrap());
        assert!(expected.contains(&left(&limiter)));
    });
}

#[test]
fn loom_a_charge_beside_a_change_counts_under_one_quota_or_the_other() {
    // 2 of 8, and 2 more: of 8 before the change, or of 16 after it.
    halved_or_doubled("8/h", "16/h", [8, 10]);
    halved_or_doubled("8/h", "16/min", [8, 10]);
    halved_or_doubled("8/min", "4/h", [2, 1]);
}

#[test]
fn loom_a_charge_of_an_idle_limiter_is_not_lost_in_a_change() {
    model(|| {
        let limiter = limiter("8/s");
        // Full again, and known: nothing is to be carried over but that.
        limiter.shared.state.store(5, Ordering::Release);
        let other = limiter.clone();
        let other = thread::spawn(move || other.check_n(8).is_ok());
        limiter.set_quota("8/h").unwrap();
        assert!(other.join().unwrap());
        assert_eq!(left(&limiter), 0);
    });
}

#[test]
fn loom_of_two_changes_each_carries_what_the_other_left() {
    model(|| {
        let limiter = limiter("8/h");
        let _ = limiter.check_n(4).unwrap();
        let other = limiter.clone();
        let other = thread::spawn(move || other.set_quota("16/min").unwrap());
        limiter.set_quota("4/s").unwrap();
        other.join().unwrap();
        assert_eq!(left(&limiter) * 2, limiter.quota().burst());
    });
}
