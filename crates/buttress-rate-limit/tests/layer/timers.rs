//! One timer for each that waits, and one wake. R10 of the traps.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use buttress_core::{
    Sleep,
    clock::{Sleeping, TokioClock},
};
use buttress_rate_limit::{Pacing, Policy, RateLimiter};
use tower::{Layer as _, ServiceExt as _};

use crate::{
    support::{Handler, http},
    waiting::{poll, request},
};

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Tokio's timer, and how often it was asked for.
#[derive(Debug)]
struct Timers(TokioClock, AtomicUsize);

impl Sleep for Timers {
    fn sleep(&self, span: Duration) -> Sleeping {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.sleep(span)
    }
}

/// A layer's too: one for each that waits, and none for who is refused.
#[tokio::test(start_paused = true)]
async fn who_waits_has_one_timer() {
    let timers = Arc::new(Timers(TokioClock::starting_now(), AtomicUsize::new(0)));
    let pace = Pacing::up_to(Duration::from_millis(250));
    let layer = http(Policy::new("pace", "10/s burst 1").algorithm(pace))
        .timer(Arc::clone(&timers))
        .build()
        .unwrap();
    let handler = Handler::default();
    let mut calls: Vec<_> = (0..5)
        .map(|_| Box::pin(layer.layer(handler.service()).oneshot(request())))
        .collect();
    for call in &mut calls {
        let _ = poll(call.as_mut());
    }
    // However often it is polled.
    for call in &mut calls[1..3] {
        assert!(poll(call.as_mut()).is_pending());
    }
    assert_eq!(timers.1.load(Ordering::SeqCst), 2);
}

/// R10 of the traps: no storm. Ten thousand wait, each on a timer of its own, and each is woken once, in its turn.
#[tokio::test(start_paused = true)]
async fn ten_thousand_waiters_are_woken_once_each() {
    const WAITERS: usize = 10_000;
    let timers = Arc::new(Timers(TokioClock::starting_now(), AtomicUsize::new(0)));
    let pace = RateLimiter::per_key("1000/s burst 1")
        .algorithm(Pacing::up_to(Duration::from_secs(60)))
        .timer(Arc::clone(&timers))
        .build()
        .unwrap();
    let wakes: Vec<_> = (0..WAITERS).map(|_| Arc::new(Wakes::default())).collect();
    let mut waiters: Vec<_> = (0..WAITERS)
        .map(|_| Box::pin(pace.until_ready("api")))
        .collect();
    for (waiter, wakes) in waiters.iter_mut().zip(&wakes) {
        let waker = Waker::from(Arc::clone(wakes));
        let _ = waiter.as_mut().poll(&mut Context::from_waker(&waker));
    }
    for step in 1..=10 {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        let woken = wakes
            .iter()
            .filter(|wakes| wakes.0.load(Ordering::SeqCst) > 0)
            .count();
        // The first had no need to wait.
        let expected = (step * 1_000).min(WAITERS - 1);
        assert!(woken.abs_diff(expected) <= 1, "{woken} after {step} s");
    }
    assert!(
        wakes
            .iter()
            .skip(1)
            .all(|wakes| wakes.0.load(Ordering::SeqCst) == 1)
    );
    for waiter in waiters.into_iter().skip(1) {
        assert!(waiter.await.is_ok());
    }
    assert_eq!(timers.1.load(Ordering::SeqCst), WAITERS - 1);
}
