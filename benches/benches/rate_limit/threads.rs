//! Two threads at one limiter.

#![expect(
    clippy::disallowed_methods,
    reason = "what two threads take together is measured here"
)]

use std::{
    hint::black_box,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use buttress_benches::keys;
use criterion::{BenchmarkId, Criterion};

use crate::{algorithms, governors_quota, our_limiter};

const KEYS: u32 = 100_000;
const ASKED: usize = 1 << 18;

pub(crate) fn keyed(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_keyed_threads");
    // Briefly: `scripts/bench` looks often.
    group
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let mut random = fastrand::Rng::with_seed(1);
    let many: Vec<_> = (0..ASKED).map(|_| keys::ip(random.u32(0..KEYS))).collect();
    let one = vec![keys::ip(7); ASKED];

    for (case, asked) in [("one_key", &one), ("many_keys", &many)] {
        let gcra = std::iter::once(("buttress", our_limiter(KEYS)));
        for (name, ours) in gcra.chain(algorithms::of(KEYS)) {
            group.bench_function(BenchmarkId::new(case, name), |b| {
                b.iter_custom(|checks| {
                    on_two_threads(checks, |n| {
                        black_box(ours.check(&asked[n % ASKED]).is_ok());
                    })
                });
            });
        }
        let governor = governor::RateLimiter::keyed(governors_quota());
        group.bench_function(BenchmarkId::new(case, "governor"), |b| {
            b.iter_custom(|checks| {
                on_two_threads(checks, |n| {
                    black_box(governor.check_key(&asked[n % ASKED]).is_ok());
                })
            });
        });
    }
}

/// What it takes until both threads have made `checks` each, at other places of the order.
fn on_two_threads(checks: u64, check: impl Fn(usize) + Sync) -> Duration {
    let together = Barrier::new(3);
    thread::scope(|scope| {
        for first in [0, ASKED / 2] {
            let (together, check) = (&together, &check);
            scope.spawn(move || {
                together.wait();
                for n in 0..checks as usize {
                    check(first + n);
                }
                together.wait();
            });
        }
        together.wait();
        let start = Instant::now();
        together.wait();
        start.elapsed()
    })
}
