//! Every interleaving of what is stored with what invalidates it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p buttress-cache --release --lib loom`

use loom::thread;

use super::*;
use crate::sync::AtomicUsize;

const KEY: Digest = Digest::from_u128(1);
const NOTHING: usize = 0;

/// What there is at the origin, and what of it is stored; each change is a version of its own.
struct Bench {
    epochs: Arc<Epochs>,
    origin: AtomicUsize,
    /// Behind a lock, as in a store.
    stored: Mutex<usize>,
}

impl Bench {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            epochs: Arc::new(Epochs::new()),
            origin: AtomicUsize::new(1),
            stored: Mutex::new(NOTHING),
        })
    }

    /// In the steps of [`Shared::keep`](crate::shared::Shared::keep).
    fn fetch(&self) {
        let epoch = self.epochs.begin(KEY);
        let came = self.origin.load(Ordering::Acquire);
        if epoch.is_over() {
            return;
        }
        *lock(&self.stored) = came;
        if epoch.is_over() {
            *lock(&self.stored) = NOTHING;
        }
    }

    /// The origin changes, and its answer invalidates, in the steps of `Shared::invalidate`; `all`, in those
    /// of `Cache::clear`.
    fn change(&self, all: bool) {
        self.origin.store(2, Ordering::Release);
        if all {
            self.epochs.advance_all();
        } else {
            self.epochs.advance(KEY);
        }
        *lock(&self.stored) = NOTHING;
    }
}

fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

/// A fetch from before a change and one from after it race with the change: what is stored in the end is
/// nothing from before.
#[test]
fn loom_nothing_from_before_an_invalidation_is_left_after_it() {
    for all in [false, true] {
        model(move || {
            let bench = Bench::new();
            let fetches = {
                let bench = Arc::clone(&bench);
                thread::spawn(move || bench.fetch())
            };
            bench.change(all);
            fetches.join().unwrap();
            assert_ne!(*lock(&bench.stored), 1, "all: {all}");
        });
    }
}

/// The same, with another fetch of the same key under way, whose end must not take the count with it.
#[test]
fn loom_the_end_of_one_fetch_does_not_hide_an_invalidation_from_another() {
    model(|| {
        let bench = Bench::new();
        let epoch = bench.epochs.begin(KEY);
        let other = {
            let bench = Arc::clone(&bench);
            thread::spawn(move || {
                drop(bench.epochs.begin(KEY));
                // Were the count begun anew, it would be the first one's.
                bench.epochs.begin(KEY)
            })
        };
        bench.epochs.advance(KEY);
        let _again = other.join().unwrap();
        assert!(epoch.is_over());
    });
}

/// A fetch from before a doubt races with it: what is stored in the end is doubted.
#[test]
fn loom_nothing_from_before_a_doubt_is_left_without_it() {
    const DOUBTED: usize = 3;
    model(|| {
        let bench = Bench::new();
        let epoch = bench.epochs.begin(KEY);
        let doubts = {
            let bench = Arc::clone(&bench);
            thread::spawn(move || {
                bench.epochs.doubt(KEY);
                let mut stored = lock(&bench.stored);
                if *stored != NOTHING {
                    *stored = DOUBTED;
                }
            })
        };
        // In the steps of `Shared::keep`.
        let is_doubted = epoch.is_doubted();
        *lock(&bench.stored) = if is_doubted { DOUBTED } else { 1 };
        if !is_doubted && epoch.is_doubted() {
            *lock(&bench.stored) = DOUBTED;
        }
        doubts.join().unwrap();
        assert_eq!(*lock(&bench.stored), DOUBTED);
    });
}
