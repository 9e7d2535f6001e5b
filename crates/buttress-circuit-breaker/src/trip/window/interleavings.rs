//! Every interleaving of a few threads that add to one window.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-circuit-breaker --release --lib loom`

use loom::{sync::Arc, thread};

use super::*;

const FAILURE: Counts = Counts {
    calls: 1,
    failures: 1,
    slow: 0,
};

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

/// Calls are added while two threads put the open slice away: each is counted, and once.
#[test]
fn loom_no_call_is_lost_or_counted_twice() {
    model(|| {
        let window = Arc::new(Window::of(10, ()));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let window = Arc::clone(&window);
                thread::spawn(move || {
                    window.add(FAILURE);
                    window.turn_after(0);
                })
            })
            .collect();
        window.add(FAILURE);
        for thread in threads {
            thread.join().unwrap();
        }
        let counts = window.exactly(None);
        assert_eq!((counts.calls, counts.failures), (3, 3));
    });
}

/// Of two calls that are counted at the same moment, one at least sees both, even while a slice is put away.
#[test]
fn loom_somebody_sees_all_calls() {
    model(|| {
        let window = Arc::new(Window::of(10, ()));
        let other = Arc::clone(&window);
        let other = thread::spawn(move || {
            other.turn_after(0);
            other.add(FAILURE).failures
        });
        let here = window.add(FAILURE).failures;
        let there = other.join().unwrap();
        assert_eq!(here.max(there), 2, "{here} and {there}");
    });
}
