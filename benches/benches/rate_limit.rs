//! The rate limiter's handle against `governor`.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroU32,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use buttress_core::clock::QuantaClock;
use buttress_rate_limit::{DirectRateLimiter, Quota, RateLimiter};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const RATE: u32 = 1_000_000_000;

fn theirs() -> governor::Quota {
    governor::Quota::per_second(NonZeroU32::new(RATE).unwrap())
}

fn ours(keys: usize) -> RateLimiter {
    RateLimiter::per_key(Quota::per_second(RATE.into())).clock(QuantaClock::starting_now()).max_keys(keys).build().unwrap()
}

fn direct(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_direct");
    let limiter = DirectRateLimiter::with_clock(Quota::per_second(RATE.into()), QuantaClock::starting_now()).unwrap();
    group.bench_function(BenchmarkId::new("check", "buttress"), |b| b.iter(|| black_box(limiter.check().is_ok())));
    let limiter = governor::RateLimiter::direct(theirs());
    group.bench_function(BenchmarkId::new("check", "governor"), |b| b.iter(|| black_box(limiter.check().is_ok())));
}

fn sizes() -> [(&'static str, usize); 3] {
    [("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)]
}

fn order(keys: usize) -> Vec<u32> {
    let mut rng = fastrand::Rng::with_seed(1);
    (0..1 << 20).map(|_| rng.u32(0..keys as u32)).collect()
}

fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
}

fn keyed_ip(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_keyed_ip");
    for (name, keys) in sizes() {
        let order = order(keys);
        {
            let limiter = ours(keys);
            for n in 0..keys as u32 { let _ = limiter.check(&ip(n)); }
            let mut i = 0;
            group.bench_function(BenchmarkId::new(name, "buttress"), |b| b.iter(|| { i = (i + 1) & ((1 << 20) - 1); black_box(limiter.check(&ip(order[i])).is_ok()) }));
        }
        {
            let limiter = governor::RateLimiter::keyed(theirs());
            for n in 0..keys as u32 { let _ = limiter.check_key(&ip(n)); }
            let mut i = 0;
            group.bench_function(BenchmarkId::new(name, "governor"), |b| b.iter(|| { i = (i + 1) & ((1 << 20) - 1); black_box(limiter.check_key(&ip(order[i])).is_ok()) }));
        }
    }
}

fn keyed_string(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_keyed_string");
    for (name, keys) in [("1k", 1_000), ("1m", 1_000_000)] {
        let order = order(keys);
        let names: Vec<String> = (0..keys).map(|n| format!("tenant-{n:033}")).collect();
        {
            let limiter = ours(keys);
            for n in &names { let _ = limiter.check(n); }
            let mut i = 0;
            group.bench_function(BenchmarkId::new(name, "buttress"), |b| b.iter(|| { i = (i + 1) & ((1 << 20) - 1); black_box(limiter.check(&names[order[i] as usize]).is_ok()) }));
        }
        {
            let limiter = governor::RateLimiter::keyed(theirs());
            for n in &names { let _ = limiter.check_key(n); }
            let mut i = 0;
            group.bench_function(BenchmarkId::new(name, "governor"), |b| b.iter(|| { i = (i + 1) & ((1 << 20) - 1); black_box(limiter.check_key(&names[order[i] as usize]).is_ok()) }));
        }
    }
}

fn on_two_threads(iters: u64, work: impl Fn(u64) + Sync) -> Duration {
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        for t in 0..2 {
            let (barrier, work) = (&barrier, &work);
            scope.spawn(move || { barrier.wait(); for n in 0..iters { work(n * 2 + t); } barrier.wait(); });
        }
        barrier.wait();
        let start = Instant::now();
        barrier.wait();
        start.elapsed()
    })
}

fn threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("rate_limit_keyed_threads");
    let order = order(100_000);
    for (name, one) in [("one_key", true), ("many_keys", false)] {
        let pick = |n: u64| if one { ip(7) } else { ip(order[n as usize & ((1 << 20) - 1)]) };
        let limiter = ours(100_000);
        group.bench_function(BenchmarkId::new(name, "buttress"), |b| b.iter_custom(|iters| on_two_threads(iters, |n| { black_box(limiter.check(&pick(n)).is_ok()); })));
        let limiter = governor::RateLimiter::keyed(theirs());
        group.bench_function(BenchmarkId::new(name, "governor"), |b| b.iter_custom(|iters| on_two_threads(iters, |n| { black_box(limiter.check_key(&pick(n)).is_ok()); })));
    }
}

criterion_group! {
    name = handle;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(30).without_plots();
    targets = direct, keyed_ip, keyed_string, threads
}
criterion_main!(handle);
