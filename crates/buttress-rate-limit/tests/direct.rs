//! The limiter without keys, with every algorithm.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress_core::{
    Clock as _, Tick,
    clock::{ManualClock, TokioClock},
};
use buttress_rate_limit::{
    Algorithm, Decision, DirectRateLimiter, Event, FixedWindow, Gcra, LeakyBucket, Pacing, Quota,
    RateLimiter, SlidingLog, SlidingWindow, TokenBucket,
};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// One of somebody's own, of as many words: counts for a period from its first request on.
#[derive(Debug)]
struct Own {
    words: usize,
}

impl Algorithm for Own {
    fn words(&self) -> usize {
        self.words
    }

    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        let over = self.forget_at(quota, state);
        let wait = over.saturating_duration_since(now);
        let used = if wait.is_zero() { 0 } else { state[0] % 1_000 };
        let left = quota.count().saturating_sub(used);
        if cost > quota.count() {
            Decision::cost_exceeds_burst(left, Duration::ZERO, wait)
        } else if cost > left {
            Decision::refused(left, wait, wait, wait)
        } else {
            let wait = if wait.is_zero() && cost > 0 {
                quota.period()
            } else {
                wait
            };
            Decision::admitted(left - cost, Duration::ZERO, wait)
        }
    }

    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        let is_over = now >= self.forget_at(quota, state);
        if is_over && cost > 0 {
            state[0] = now.as_nanos() / 1_000 * 1_000;
        }
        let (start, used) = (state[0] / 1_000 * 1_000, state[0] % 1_000);
        state[0] = start + used.saturating_add_signed(cost).clamp(1, 999);
        if let Some(last) = state.get_mut(1) {
            *last = now.as_nanos();
        }
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        match state[0] {
            0 => Tick::ZERO,
            first => Tick::from_nanos(first / 1_000 * 1_000).saturating_add(quota.period()),
        }
    }
}

type Make = fn() -> Arc<dyn Algorithm>;

const ALL: [Make; 11] = [
    || Arc::new(Gcra),
    || Arc::new(TokenBucket::refilled_continuously()),
    || Arc::new(TokenBucket::refilled_at_intervals()),
    || Arc::new(LeakyBucket::as_meter()),
    || Arc::new(LeakyBucket::as_queue()),
    || Arc::new(Pacing::up_to(Duration::from_millis(700))),
    || Arc::new(FixedWindow),
    || Arc::new(SlidingWindow::of_sub_windows(4)),
    || Arc::new(SlidingLog::for_counts_up_to(64)),
    || Arc::new(Own { words: 1 }),
    || Arc::new(Own { words: 3 }),
];

#[derive(Clone, Debug)]
enum Op {
    Wait(u64),
    Check(u64),
    Refund(u64),
    SetQuota(usize),
    Peek,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => (0..SECOND / 2).prop_map(Op::Wait),
        6 => (0..7_u64).prop_map(Op::Check),
        1 => (0..4_u64).prop_map(Op::Refund),
        1 => (0..QUOTAS.len()).prop_map(Op::SetQuota),
        2 => Just(Op::Peek),
    ];
    prop::collection::vec(op, 1..60)
}

const QUOTAS: [&str; 4] = ["10/s", "20/s", "5/2s", "30/3s"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// It decides as the limiter by key does for one key, which the laws of the algorithms and the models of the
    /// store are about.
    #[test]
    fn it_is_a_limiter_by_key_that_has_one(ops in ops()) {
        for make in ALL {
            let clock = ManualClock::at(Tick::from_nanos(1_000 * SECOND));
            let direct = DirectRateLimiter::builder(QUOTAS[0]).algorithm(make()).clock(clock.clone()).build().unwrap();
            let keyed = RateLimiter::per_key(QUOTAS[0]).algorithm(make()).clock(clock.clone()).build().unwrap();
            for op in ops.iter().chain([&Op::Peek]) {
                match *op {
                    Op::Peek => prop_assert_eq!(direct.peek(), keyed.peek("a"), "{:?}", make()),
                    Op::Wait(nanos) => clock.advance(Duration::from_nanos(nanos)),
                    Op::Check(cost) => {
                        let (one, other) = (direct.check_n(cost), keyed.check_n("a", cost));
                        prop_assert_eq!(one, other, "{:?}", make());
                    }
                    Op::Refund(cost) => {
                        direct.refund(cost);
                        keyed.refund("a", cost);
                    }
                    Op::SetQuota(nth) => {
                        direct.set_quota(QUOTAS[nth]).unwrap();
                        keyed.set_quota(QUOTAS[nth]).unwrap();
                    }
                }
            }
        }
    }
}

/// Clones on several threads share one state, of however many words.
#[test]
fn all_threads_together_get_the_quota_once() {
    for make in ALL {
        let limiter = DirectRateLimiter::builder("60/h")
            .algorithm(make())
            .clock(ManualClock::at(Tick::from_nanos(7_200 * SECOND)))
            .build()
            .unwrap();
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let limiter = limiter.clone();
                    scope.spawn(move || (0..40).filter(|_| limiter.check().is_ok()).count())
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(admitted, 60, "{:?}", make());
    }
}

#[test]
fn a_quota_that_the_algorithm_cannot_keep_is_an_error() {
    let built = DirectRateLimiter::builder("10/s burst 3")
        .algorithm(FixedWindow)
        .build();
    assert_eq!(built.unwrap_err().field(), "burst");
    let limiter = DirectRateLimiter::builder("10/s")
        .algorithm(FixedWindow)
        .build()
        .unwrap();
    assert_eq!(
        limiter.set_quota("10/s burst 3").unwrap_err().field(),
        "burst"
    );
    assert_eq!(limiter.quota(), "10/s".parse().unwrap());
    assert!(limiter.check().is_ok());
}

/// Panics when it is asked to carry a state over.
#[derive(Debug)]
struct Panics;

impl Algorithm for Panics {
    fn words(&self) -> usize {
        1
    }

    fn check(&self, quota: &Quota, state: &[u64], now: Tick, cost: u64) -> Decision {
        Gcra.check(quota, state, now, cost)
    }

    fn charge(&self, quota: &Quota, state: &mut [u64], now: Tick, cost: i64) {
        Gcra.charge(quota, state, now, cost);
    }

    fn forget_at(&self, quota: &Quota, state: &[u64]) -> Tick {
        Gcra.forget_at(quota, state)
    }

    fn carry_over(&self, _: &Quota, _: &Quota, _: &mut [u64], _: Tick) {
        panic!("not implemented");
    }
}

#[test]
fn an_algorithm_that_panics_in_a_change_locks_nobody_out() {
    let limiter = DirectRateLimiter::builder("10/h")
        .algorithm(Panics)
        .clock(ManualClock::at(Tick::from_nanos(SECOND)))
        .build()
        .unwrap();
    let _ = limiter.check_n(10).unwrap();
    let changing = std::panic::AssertUnwindSafe(|| limiter.set_quota("20/h"));
    assert!(std::panic::catch_unwind(changing).is_err());
    assert_eq!(limiter.quota().count(), 20);
    assert!(limiter.check_n(20).is_err());
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn who_waits_comes_in_turn_and_gives_the_place_back_if_not() {
    let pacing: Arc<dyn Algorithm> = Arc::new(Pacing::up_to(Duration::from_secs(9)));
    let queue: Arc<dyn Algorithm> = Arc::new(LeakyBucket::as_queue());
    for (algorithm, quota) in [(pacing, "1/s burst 1"), (queue, "1/s burst 4")] {
        let clock = TokioClock::starting_now();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let observer = move |event: &Event<'_>| match event {
            Event::Queued { wait, .. } => log.lock().unwrap().push(wait.as_secs()),
            Event::Dequeued { .. } => log.lock().unwrap().push(0),
            _ => {}
        };
        let limiter = DirectRateLimiter::builder(quota)
            .algorithm(algorithm)
            .clock(clock)
            .observer(observer)
            .build()
            .unwrap();
        let _ = limiter.until_ready().await.unwrap();
        let mut given_up = Box::pin(limiter.until_ready());
        let mut second = Box::pin(limiter.until_ready());
        assert!(poll(given_up.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        drop(given_up);
        let mut third = Box::pin(limiter.until_ready());
        assert!(poll(third.as_mut()).is_pending());
        let _ = second.await.unwrap();
        assert_eq!(clock.now().as_nanos() / SECOND, 2, "it keeps its turn");
        let _ = third.await.unwrap();
        assert_eq!(clock.now().as_nanos() / SECOND, 2, "the place was free");
        assert_eq!(*heard.lock().unwrap(), [1, 2, 0, 2, 0, 0]);
    }
}

/// A place that was taken under one quota comes back in proportion under the next.
#[tokio::test(start_paused = true)]
async fn a_place_comes_back_also_after_a_change() {
    let limiter = DirectRateLimiter::builder("1/s burst 2")
        .algorithm(Pacing::up_to(Duration::from_secs(9)))
        .clock(TokioClock::starting_now())
        .build()
        .unwrap();
    let _ = limiter.check_n(2).unwrap();
    let mut waits = Box::pin(limiter.until_ready());
    assert!(poll(waits.as_mut()).is_pending());
    limiter.set_quota("2/s burst 4").unwrap();
    assert_eq!(limiter.peek().delay(), Duration::from_millis(1_500));
    drop(waits);
    assert_eq!(limiter.peek().delay(), Duration::from_millis(500));
}

/// However many thresholds there are, and all of them of one quota.
#[test]
fn each_threshold_is_told() {
    for step in [1, 2, 5, 10, 50] {
        let thresholds: Vec<u8> = (1..=100).filter(|percent| percent % step == 0).collect();
        let told = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&told);
        let observer = move |event: &Event<'_>| {
            if let Event::NearLimit { percent, .. } = event {
                log.lock().unwrap().push(*percent);
            }
        };
        let limiter = DirectRateLimiter::builder("100/h")
            .clock(ManualClock::default())
            .observer(observer)
            .near_limit(thresholds.clone())
            .build()
            .unwrap();
        for _ in 0..100 {
            assert!(limiter.check().is_ok());
        }
        assert_eq!(*told.lock().unwrap(), thresholds);
    }
}
