//! The other algorithms, each in the cases that [`direct`](crate::direct), [`keyed`](crate::keyed),
//! [`threads`](crate::threads) and [`layer`](crate::layer) take of GCRA. The token bucket refilled continuously and the
//! leaky bucket as a meter are GCRA.

use std::time::Duration;

use buttress_core::clock::QuantaClock;
use buttress_http::ClientIp;
use buttress_rate_limit::{
    Algorithm, DirectRateLimiter, FixedWindow, LeakyBucket, Pacing, Policy, Quota, QuotaBuilder,
    RateLimiter, SlidingLog, SlidingWindow, TokenBucket,
};

use crate::our_quota;

/// How many requests a log holds. A million of them take most of a gigabyte.
const LOG: u64 = 64;

struct Measured {
    /// The name that it has in the results.
    name: &'static str,
    algorithm: fn() -> Box<dyn Algorithm>,
    /// The widest quota that it can keep.
    wide: fn() -> QuotaBuilder,
}

const ALL: [Measured; 6] = [
    Measured {
        name: "buttress_token_bucket_at_intervals",
        algorithm: || Box::new(TokenBucket::refilled_at_intervals()),
        wide: our_quota,
    },
    Measured {
        name: "buttress_leaky_bucket_as_queue",
        algorithm: || Box::new(LeakyBucket::as_queue()),
        wide: our_quota,
    },
    Measured {
        name: "buttress_pacing",
        algorithm: || Box::new(Pacing::up_to(Duration::ZERO)),
        wide: our_quota,
    },
    Measured {
        name: "buttress_fixed_window",
        algorithm: || Box::new(FixedWindow),
        wide: || Quota::per_second(250_000_000),
    },
    Measured {
        name: "buttress_sliding_window",
        algorithm: || Box::new(SlidingWindow::of_sub_windows(10)),
        wide: our_quota,
    },
    Measured {
        name: "buttress_sliding_log",
        algorithm: || Box::new(SlidingLog::for_counts_up_to(LOG as usize)),
        wide: || Quota::per(LOG, Duration::from_nanos(LOG)),
    },
];

/// Handles of all, with room for so many keys.
pub(crate) fn of(keys: u32) -> impl Iterator<Item = (&'static str, RateLimiter)> {
    ALL.into_iter().map(move |measured| {
        let limiter = RateLimiter::per_key((measured.wide)())
            .algorithm((measured.algorithm)())
            .clock(QuantaClock::starting_now())
            .max_keys(keys as usize)
            .build();
        (measured.name, limiter.expect("the configuration is valid"))
    })
}

/// Limiters without keys, of all.
pub(crate) fn direct() -> impl Iterator<Item = (&'static str, DirectRateLimiter)> {
    ALL.into_iter().map(|measured| {
        let limiter = DirectRateLimiter::builder((measured.wide)())
            .algorithm((measured.algorithm)())
            .clock(QuantaClock::starting_now())
            .build();
        (measured.name, limiter.expect("the configuration is valid"))
    })
}

/// A policy with each, by peer: of the widest quota, or of `quota`.
pub(crate) fn policies(
    quota: Option<QuotaBuilder>,
) -> impl Iterator<Item = (&'static str, impl Fn(&str) -> Policy)> {
    ALL.into_iter().map(move |measured| {
        let policy = move |name: &str| {
            let quota = quota.unwrap_or_else(measured.wide);
            let policy = Policy::new(name, quota).key(ClientIp::peer());
            policy.algorithm((measured.algorithm)())
        };
        (measured.name, policy)
    })
}

/// The same of the widest quota, which comes by request.
pub(crate) fn policies_by_request() -> impl Iterator<Item = (&'static str, Policy)> {
    ALL.into_iter().map(|measured| {
        let wide = measured.wide;
        let policy = Policy::new("per-ip", wide()).key(ClientIp::peer());
        let policy = policy.algorithm((measured.algorithm)());
        (measured.name, policy.quota_by(move |_| wide().build().ok()))
    })
}
