//! A quota for each key, asked for in random order.
//!
//! A key that is asked for was just read from a request, so it is in the processor's cache: the keys to
//! ask for lie one behind the other in that random order. Where the limiter has its own copy, or its
//! own word, for a key is what is random.

use std::hint::black_box;

use buttress_benches::keys;
use buttress_core::Key;
use buttress_rate_limit::RateLimiter;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, measurement::WallTime};

use crate::{algorithms, governors_quota, our_limiter, our_quota};

/// How many are asked for before the order repeats. A power of two.
const ASKED: usize = 1 << 18;

pub(crate) fn by_ip(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_keyed_ip");
    for (case, count) in [("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)] {
        compare(&mut group, case, count, keys::ip);
    }
}

pub(crate) fn by_text(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_keyed_string");
    for (case, count) in [("1k", 1_000), ("1m", 1_000_000)] {
        compare(&mut group, case, count, keys::text);
    }
}

fn compare<K>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    case: &str,
    count: u32,
    key: impl Fn(u32) -> K,
) where
    K: Key + Clone + Eq + std::hash::Hash,
{
    let mut random = fastrand::Rng::with_seed(1);
    let asked: Vec<K> = (0..ASKED).map(|_| key(random.u32(0..count))).collect();

    let ours = |name: &str, limiter: RateLimiter, group: &mut BenchmarkGroup<'_, WallTime>| {
        for n in 0..count {
            let _ = limiter.check(&key(n));
        }
        let mut next = 0;
        group.bench_function(BenchmarkId::new(case, name), |b| {
            b.iter(|| {
                next = (next + 1) % ASKED;
                black_box(limiter.check(&asked[next]).is_ok())
            });
        });
    };
    ours("buttress", our_limiter(count), group);
    let on_default_clock = RateLimiter::per_key(our_quota())
        .max_keys(count as usize)
        .build()
        .expect("the configuration is valid");
    ours("buttress_default_clock", on_default_clock, group);
    for (name, limiter) in algorithms::of(count) {
        ours(name, limiter, group);
    }

    let governor = governor::RateLimiter::keyed(governors_quota());
    for n in 0..count {
        let _ = governor.check_key(&key(n));
    }
    let mut next = 0;
    group.bench_function(BenchmarkId::new(case, "governor"), |b| {
        b.iter(|| {
            next = (next + 1) % ASKED;
            black_box(governor.check_key(&asked[next]).is_ok())
        });
    });
}
