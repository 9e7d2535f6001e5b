//! The other algorithms, each as the limiter of the cases that [`keyed`](crate::keyed) and
//! [`threads`](crate::threads) take of GCRA. The token bucket refilled continuously and the leaky bucket
//! as a meter are GCRA.

use buttress_core::clock::QuantaClock;
use buttress_rate_limit::{
    FixedWindow, LeakyBucket, Quota, QuotaBuilder, RateLimiter, RateLimiterBuilder, SlidingLog,
    SlidingWindow, TokenBucket,
};

use crate::our_quota;

/// How many requests a log holds.
const LOG: u64 = 64;

/// The name that it has in the results, the most keys that it is measured with, and how it is built.
type Measured = (&'static str, u32, fn() -> RateLimiterBuilder);

const ALL: [Measured; 5] = [
    ("buttress_token_bucket_at_intervals", u32::MAX, || {
        limiter(our_quota()).algorithm(TokenBucket::refilled_at_intervals())
    }),
    ("buttress_leaky_bucket_as_queue", u32::MAX, || {
        limiter(our_quota()).algorithm(LeakyBucket::as_queue())
    }),
    ("buttress_fixed_window", u32::MAX, || {
        // The widest quota of its own.
        limiter(Quota::per_second(250_000_000)).algorithm(FixedWindow)
    }),
    ("buttress_sliding_window", u32::MAX, || {
        limiter(our_quota()).algorithm(SlidingWindow::of_sub_windows(10))
    }),
    // A million logs would be a gigabyte.
    ("buttress_sliding_log", 100_000, || {
        let as_fast = Quota::per(LOG, std::time::Duration::from_nanos(LOG));
        limiter(as_fast).algorithm(SlidingLog::for_counts_up_to(LOG as usize))
    }),
];

fn limiter(quota: QuotaBuilder) -> RateLimiterBuilder {
    RateLimiter::per_key(quota).clock(QuantaClock::starting_now())
}

/// All that are measured with so many keys.
pub(crate) fn of(keys: u32) -> impl Iterator<Item = (&'static str, RateLimiter)> {
    ALL.into_iter()
        .filter(move |(_, most, _)| keys <= *most)
        .map(move |(name, _, limiter)| {
            let limiter = limiter().max_keys(keys as usize).build();
            (name, limiter.expect("the configuration is valid"))
        })
}
