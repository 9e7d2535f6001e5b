//! The handles, without tower.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    thread,
    time::Duration,
};

use buttress_core::{Tick, clock::ManualClock};
use buttress_rate_limit::{
    Algorithm, DirectRateLimiter, FixedWindow, Gcra, Overflow, Quota, RateLimiter, SlidingWindow,
    Verdict,
};

fn clock() -> ManualClock {
    ManualClock::at(Tick::from_nanos(5_000_000_000))
}

fn limiter(quota: &str, clock: &ManualClock) -> RateLimiter {
    RateLimiter::per_key(quota)
        .clock(clock.clone())
        .build()
        .unwrap()
}

#[test]
fn each_key_has_its_own_quota() {
    let clock = clock();
    let limiter = limiter("1/s burst 2", &clock);
    assert_eq!(limiter.check("alice").unwrap().remaining(), 1);
    assert_eq!(limiter.check("alice").unwrap().remaining(), 0);
    let refused = limiter.check("alice").unwrap_err();
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    assert_eq!(refused.to_string(), "rate limit exceeded, retry after 1s");
    assert_eq!(limiter.check("bob").unwrap().remaining(), 1);

    clock.advance(Duration::from_nanos(999_999_999));
    assert!(limiter.check("alice").is_err());
    clock.advance(Duration::from_nanos(1));
    assert!(limiter.check("alice").is_ok());
}

#[test]
fn anything_that_identifies_is_a_key() {
    let limiter = limiter("1/h", &clock());
    let ip: IpAddr = Ipv6Addr::LOCALHOST.into();
    assert!(limiter.check(&ip).is_ok());
    assert!(limiter.check(&("acme", 7_u32)).is_ok());
    assert!(limiter.check(&7_u32).is_ok());
    assert!(limiter.check(&b"7"[..]).is_ok());
    assert!(limiter.check(&Some("7")).is_ok());
    assert!(limiter.check(&String::from("7")).is_ok());
    assert!(
        limiter.check("7").is_err(),
        "the same text, however it is held"
    );
}

#[test]
fn a_cost_above_the_burst_says_that_it_can_never_succeed() {
    let limiter = limiter("10/s burst 20", &clock());
    let refused = limiter.check_n("alice", 21).unwrap_err();
    assert_eq!(refused.retry_after(), None);
    assert_eq!(refused.decision().verdict(), Verdict::CostExceedsBurst);
    assert_eq!(
        refused.to_string(),
        "a cost of 21 exceeds the burst of 20: it can never be admitted"
    );
    assert!(limiter.check_n("alice", u64::MAX).is_err());
    assert_eq!(
        limiter.check_n("alice", 20).unwrap().remaining(),
        0,
        "nothing was charged before"
    );
}

#[test]
fn a_cost_of_zero_is_free() {
    let limiter = limiter("1/h", &clock());
    for _ in 0..100 {
        assert_eq!(limiter.check_n("alice", 0).unwrap().remaining(), 1);
    }
    assert!(limiter.check("alice").is_ok());
    assert!(limiter.check_n("alice", 0).is_ok());
    assert!(limiter.check("alice").is_err());
}

#[test]
fn looking_charges_nothing_and_a_refund_gives_back() {
    let limiter = limiter("2/h", &clock());
    assert!(limiter.check("alice").is_ok());
    for _ in 0..10 {
        assert_eq!(
            limiter.peek("alice").remaining(),
            0,
            "what a request now would leave"
        );
    }
    assert!(limiter.check("alice").is_ok());
    assert!(!limiter.peek("alice").is_admitted());
    limiter.refund("alice", 1);
    assert!(limiter.check("alice").is_ok());
    assert!(limiter.check("alice").is_err());
    limiter.refund("alice", u64::MAX);
    limiter.refund("nobody", 5);
    assert_eq!(
        [0; 4].map(|_| limiter.check("alice").is_ok()),
        [true, true, false, false],
        "never more than full"
    );
}

#[test]
fn a_clock_that_steps_back_locks_nobody_out_for_good() {
    let clock = clock();
    let limiter = limiter("10/s burst 5", &clock);
    assert!(limiter.check("alice").is_ok());
    clock.set(Tick::ZERO);
    if let Err(refused) = limiter.check("alice") {
        let wait = refused.retry_after().unwrap();
        let minute = Duration::from_secs(60);
        assert!(
            wait <= limiter.quota().refill_time() * 2 + minute,
            "{wait:?}"
        );
        clock.advance(wait);
    }
    assert!(limiter.check("alice").is_ok());
}

#[test]
fn clones_share_their_state_across_threads() {
    let limiter = limiter("1000/h", &clock());
    let admitted: usize = thread::scope(|scope| {
        let check = || {
            (0..1_000)
                .filter(|_| limiter.clone().check("alice").is_ok())
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(check)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 1_000);
}

/// R2 and R3 of the traps: a flood of keys neither grows the limiter nor frees who is throttled.
#[test]
fn a_flood_neither_grows_it_nor_frees_the_throttled() {
    let clock = clock();
    let limiter = RateLimiter::per_key("1/h")
        .max_keys(100)
        .clock(clock.clone())
        .build()
        .unwrap();
    assert!(limiter.check("throttled").is_ok());
    let bytes = limiter.bytes();
    assert!(bytes < 32 * 100 + 4_096, "{bytes}");
    let admitted = (0..100_000_u32)
        .filter(|n| limiter.check(n).is_ok())
        .count();
    assert!(
        (100..=201).contains(&admitted),
        "{admitted} of the flood: each slot, and the shared bucket"
    );
    assert!(limiter.check("throttled").is_err());
    assert_eq!(limiter.bytes(), bytes);

    // What the flood took is free again with time.
    clock.advance(Duration::from_secs(3_601));
    assert!(limiter.check("somebody new").is_ok());
}

#[test]
fn what_happens_to_keys_without_room_is_the_users_choice() {
    // In the table without locks, by name and by `dyn`, and in the one with.
    let algorithms: [fn() -> Box<dyn Algorithm>; 3] = [
        || Box::new(Gcra),
        || Box::new(FixedWindow),
        || Box::new(SlidingWindow::of_sub_windows(3)),
    ];
    for algorithm in algorithms {
        for (overflow, expected) in [(Overflow::Admit, 1_000), (Overflow::Refuse, 0)] {
            let limiter = RateLimiter::per_key("1/h")
                .algorithm(algorithm())
                .max_keys(1)
                .overflow(overflow)
                .clock(clock())
                .build()
                .unwrap();
            for n in 0..100_u32 {
                let _ = limiter.check(&("crowd", n));
            }
            let before = limiter.overflowed();
            assert!(before > 0);
            let admits = |n: &u32| limiter.check(n).is_ok();
            assert_eq!(
                (0..1_000).filter(admits).count(),
                expected,
                "{overflow:?}, {:?}",
                algorithm()
            );
            assert_eq!(limiter.overflowed(), before + 1_000);
            let stranger = 5_000_u32;
            assert_eq!(limiter.peek(&stranger).is_admitted(), expected > 0);
            if let Err(refused) = limiter.check(&stranger) {
                assert_eq!(refused.retry_after(), Some(Duration::from_secs(3_600)));
            }
            let never = limiter.check_n(&stranger, 9).unwrap_err();
            assert_eq!(never.decision().verdict(), Verdict::CostExceedsBurst);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_clock_follows_paused_time() {
    let limiter = RateLimiter::per_key("1/min").build().unwrap();
    let direct = DirectRateLimiter::of("1/min").unwrap();
    for expected in [true, false] {
        assert_eq!(
            (limiter.check("alice").is_ok(), direct.check().is_ok()),
            (expected, expected)
        );
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(limiter.check("alice").is_ok() && direct.check().is_ok());
}

#[test]
fn without_keys() {
    let clock = clock();
    let limiter =
        DirectRateLimiter::with_clock(Quota::per_second(10).burst(3), clock.clone()).unwrap();
    assert_eq!(
        [0; 4].map(|_| limiter.check().is_ok()),
        [true, true, true, false]
    );
    assert_eq!(
        limiter.check().unwrap_err().retry_after(),
        Some(Duration::from_millis(100))
    );
    assert!(limiter.check_n(0).is_ok());
    assert!(
        limiter
            .check_n(4)
            .unwrap_err()
            .to_string()
            .contains("never")
    );
    clock.advance(Duration::from_millis(200));
    assert_eq!(limiter.check_n(2).unwrap().remaining(), 0);
    assert_eq!(limiter.quota().burst(), 3);
}

#[test]
fn without_keys_across_threads() {
    let limiter = Arc::new(DirectRateLimiter::with_clock("1000/h", clock()).unwrap());
    let admitted: usize = thread::scope(|scope| {
        let check = || (0..1_000).filter(|_| limiter.check().is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(check)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 1_000);
}

/// What a key without a place is told, and what it gives back, are the shared bucket's.
#[test]
fn a_key_without_a_place_can_look_and_give_back() {
    let crowded = |overflow| {
        let limiter = RateLimiter::per_key("10/h")
            .max_keys(1)
            .overflow(overflow)
            .clock(clock())
            .build()
            .unwrap();
        for n in 0..100_u32 {
            let _ = limiter.check(&("crowd", n));
        }
        limiter
    };
    let shared = crowded(Overflow::Share);
    assert!(shared.overflowed() > 80, "{}", shared.overflowed());
    assert!(!shared.peek("alice").is_admitted(), "as check would");
    assert!(shared.check("alice").is_err());
    shared.refund("alice", 1);
    assert!(shared.peek("alice").is_admitted());
    // Logins that succeed and are given back, as often as one likes.
    for _ in 0..20 {
        assert!(shared.check("alice").is_ok());
        shared.refund("alice", 1);
    }

    let refusing = crowded(Overflow::Refuse);
    let refused = refusing.check("alice").unwrap_err();
    assert_eq!(
        refused.decision().remaining(),
        0,
        "nothing that this key could have"
    );
    assert_eq!(refused.decision(), &refusing.peek("alice"));
    assert!(crowded(Overflow::Admit).peek("alice").is_admitted());

    let roomy = limiter("10/h", &clock());
    assert!(roomy.check("alice").is_ok());
    assert_eq!(roomy.overflowed(), 0);
}

/// Who is unknown, and would find a place, was full: what it gives back is nobody's, and not that of those without a place.
#[test]
fn a_refund_of_a_key_that_was_forgotten_credits_nobody() {
    let algorithms: [fn() -> Box<dyn Algorithm>; 2] = [
        || Box::new(Gcra),
        || Box::new(SlidingWindow::of_sub_windows(3)),
    ];
    for algorithm in algorithms {
        let clock = clock();
        let limiter = RateLimiter::per_key("2/h")
            .algorithm(algorithm())
            .max_keys(1)
            .clock(clock.clone())
            .build()
            .unwrap();
        for n in 0..100_u32 {
            let _ = limiter.check_n(&("crowd", n), 2);
        }
        limiter.refund(&("crowd", 0_u32), 2);
        clock.advance(Duration::from_nanos(1));
        limiter.refund("nobody", 1);
        assert!(
            limiter.check_n("somebody", 2).is_ok(),
            "in the place that is free"
        );
        assert!(limiter.check("alice").is_err(), "{:?}", algorithm());
    }
}

#[test]
fn room_that_nobody_has_is_an_error() {
    for max_keys in [0, (1 << 28) + 1, usize::MAX] {
        let error = RateLimiter::per_key("1/s")
            .max_keys(max_keys)
            .build()
            .unwrap_err();
        assert_eq!(error.field(), "max_keys");
    }
}
