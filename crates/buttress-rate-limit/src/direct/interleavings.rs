//! Every interleaving of a check and a change of the quota.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-rate-limit --release --lib loom`

use buttress_core::{Tick, clock::ManualClock};
use loom::thread;

use super::*;
use crate::{Algorithm, FixedWindow, SlidingWindow, TokenBucket};

const NOW: Tick = Tick::from_nanos(1_000_000_000);

fn limiter(quota: &str) -> DirectRateLimiter {
    DirectRateLimiter::with_clock(quota, ManualClock::at(NOW)).unwrap()
}

fn limiter_of(algorithm: impl Algorithm, quota: &str) -> DirectRateLimiter {
    let builder = DirectRateLimiter::builder(quota).algorithm(algorithm);
    builder.clock(ManualClock::at(NOW)).build().unwrap()
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
        limiter.shared.set_word(5);
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

/// As [`halved_or_doubled`], of any algorithm.
fn of_one_quota_or_the_other(algorithm: impl Algorithm + Clone) {
    model(move || {
        let limiter = limiter_of(algorithm.clone(), "8/h");
        let _ = limiter.check_n(2).unwrap();
        let other = limiter.clone();
        let other = thread::spawn(move || other.check_n(2).is_ok());
        limiter.set_quota("16/h").unwrap();
        assert!(other.join().unwrap());
        assert!([8, 10].contains(&left(&limiter)), "{}", left(&limiter));
    });
}

#[test]
fn loom_so_does_a_charge_by_any_algorithm_of_one_word() {
    of_one_quota_or_the_other(TokenBucket::refilled_at_intervals());
    of_one_quota_or_the_other(FixedWindow);
}

#[test]
fn loom_so_does_a_charge_to_several_words() {
    of_one_quota_or_the_other(SlidingWindow::of_sub_windows(2));
}

/// Both charges are there, and no more is admitted than the quota.
fn two_charges(algorithm: impl Algorithm + Clone) {
    model(move || {
        let limiter = limiter_of(algorithm.clone(), "3/h");
        let other = limiter.clone();
        let other = thread::spawn(move || other.check_n(2).is_ok());
        let one = limiter.check_n(2).is_ok();
        assert!(one != other.join().unwrap());
        assert_eq!(left(&limiter), 1);
    });
}

#[test]
fn loom_two_charges_are_two_by_every_algorithm() {
    two_charges(TokenBucket::refilled_at_intervals());
    two_charges(SlidingWindow::of_sub_windows(2));
}

/// A quarter is given back, under the old quota or the new one: all of it is there then.
fn given_back(algorithm: impl Algorithm + Clone) {
    model(move || {
        let limiter = limiter_of(algorithm.clone(), "8/h");
        let _ = limiter.check_n(2).unwrap();
        let charged_under = limiter.shared.in_force();
        let other = limiter.clone();
        let other = thread::spawn(move || other.shared.settle(NOW, charged_under, -2));
        limiter.set_quota("16/h").unwrap();
        other.join().unwrap();
        assert_eq!(left(&limiter), 16);
    });
}

#[test]
fn loom_what_is_given_back_beside_a_change_is_there_under_the_new_quota() {
    given_back(crate::Gcra);
    given_back(FixedWindow);
    given_back(SlidingWindow::of_sub_windows(2));
}
