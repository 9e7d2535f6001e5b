//! One quota for all, no keys.

use std::hint::black_box;

use buttress_core::clock::QuantaClock;
use buttress_rate_limit::DirectRateLimiter;
use criterion::{BenchmarkId, Criterion};

use crate::{algorithms, governors_quota, our_quota};

pub(crate) fn check(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_direct");

    let ours = DirectRateLimiter::with_clock(our_quota(), QuantaClock::starting_now())
        .expect("the quota can be expressed");
    group.bench_function(BenchmarkId::new("check", "buttress"), |b| {
        b.iter(|| black_box(ours.check().is_ok()));
    });

    let default_clock = DirectRateLimiter::of(our_quota()).expect("the quota can be expressed");
    group.bench_function(BenchmarkId::new("check", "buttress_default_clock"), |b| {
        b.iter(|| black_box(default_clock.check().is_ok()));
    });

    for (name, ours) in algorithms::direct() {
        group.bench_function(BenchmarkId::new("check", name), |b| {
            b.iter(|| black_box(ours.check().is_ok()));
        });
    }

    let governor = governor::RateLimiter::direct(governors_quota());
    group.bench_function(BenchmarkId::new("check", "governor"), |b| {
        b.iter(|| black_box(governor.check().is_ok()));
    });
}
