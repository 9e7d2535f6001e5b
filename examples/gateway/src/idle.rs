//! How long something may stand still.

use std::{
    future::pending,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use buttress_core::{Clock as _, Tick, clock::TokioClock};
use tokio::time::{self, Sleep};

/// Sees how long nothing has moved. What always moves costs nothing: a timer is made where something is first waited for, and
/// is let run on where it moved in the meantime.
#[derive(Debug, Default)]
pub(crate) struct IdleTimer {
    armed: Option<Armed>,
    waits: bool,
}

#[derive(Debug)]
struct Armed {
    clock: TokioClock,
    /// When the wait began.
    since: Tick,
    sleep: Pin<Box<Sleep>>,
}

impl IdleTimer {
    /// Something moved.
    pub(crate) const fn moved(&mut self) {
        self.waits = false;
    }

    /// Nothing moves. Ready where nothing has for so long; never without a bound.
    pub(crate) fn poll_over(&mut self, bound: Option<Duration>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(bound) = bound else {
            return Poll::Pending;
        };
        let armed = self.armed.get_or_insert_with(|| Armed::for_now(bound));
        if !self.waits {
            self.waits = true;
            armed.since = armed.clock.now();
        }
        loop {
            ready!(armed.sleep.as_mut().poll(cx));
            let stood = armed.clock.now().saturating_duration_since(armed.since);
            let left = bound.saturating_sub(stood);
            if left.is_zero() {
                return Poll::Ready(());
            }
            armed.sleep.set(time::sleep(left));
        }
    }
}

impl Armed {
    fn for_now(bound: Duration) -> Self {
        let clock = TokioClock::starting_now();
        Self {
            since: clock.now(),
            clock,
            sleep: Box::pin(time::sleep(bound)),
        }
    }
}

/// The last time that one of several moved.
#[derive(Debug)]
pub(crate) struct Pulse {
    clock: TokioClock,
    /// In nanoseconds of that clock.
    last: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Self {
        let clock = TokioClock::starting_now();
        Self {
            last: AtomicU64::new(clock.now().as_nanos()),
            clock,
        }
    }
}

impl Pulse {
    /// One of them moves.
    pub(crate) fn beat(&self) {
        self.last
            .store(self.clock.now().as_nanos(), Ordering::Relaxed);
    }

    /// Is over when none of them has moved for so long; never without a bound.
    pub(crate) async fn stops(&self, bound: Option<Duration>) {
        let Some(bound) = bound else {
            return pending().await;
        };
        let mut left = bound;
        while !left.is_zero() {
            time::sleep(left).await;
            let last = Tick::from_nanos(self.last.load(Ordering::Relaxed));
            left = bound.saturating_sub(self.clock.now().saturating_duration_since(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const BOUND: Duration = Duration::from_secs(60);

    async fn is_over(timer: &mut IdleTimer, within: Duration) -> bool {
        let over = poll_fn(|cx| timer.poll_over(Some(BOUND), cx));
        time::timeout(within, over).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_stands_still_for_all_of_it_is_over() {
        let mut timer = IdleTimer::default();
        for _ in 0..5 {
            assert!(!is_over(&mut timer, BOUND * 2 / 3).await);
            timer.moved();
            // While nobody waits, no time counts.
            time::sleep(BOUND * 3).await;
        }
        assert!(!is_over(&mut timer, BOUND - Duration::from_millis(2)).await);
        assert!(is_over(&mut timer, Duration::from_millis(4)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nothing_is_over() {
        let mut timer = IdleTimer::default();
        let over = poll_fn(|cx| timer.poll_over(None, cx));
        assert!(time::timeout(BOUND * 1_000, over).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pulse_stops_where_nothing_beats_for_all_of_it() {
        let pulse = Pulse::default();
        let stops = async |within| {
            let stops = pulse.stops(Some(BOUND));
            time::timeout(within, stops).await.is_ok()
        };
        for _ in 0..5 {
            assert!(!stops(BOUND * 2 / 3).await);
            pulse.beat();
        }
        let beats = async {
            time::sleep(BOUND / 2).await;
            pulse.beat();
            time::sleep(BOUND * 2 / 3).await;
        };
        tokio::select! {
            () = pulse.stops(Some(BOUND)) => panic!("it had moved"),
            () = beats => {}
        }
        assert!(stops(BOUND).await);
        assert!(
            time::timeout(BOUND * 1_000, pulse.stops(None))
                .await
                .is_err()
        );
    }
}
