//! The rate limiter against its peers.
//!
//! Every quota is so wide that all requests are admitted, except where refusals are measured. Both
//! sides read `quanta`'s clock, which is governor's own choice; `buttress_default_clock` stands beside
//! it where the clock is a part worth mentioning.

mod algorithms;
mod direct;
mod keyed;
mod layer;
mod threads;

use std::{num::NonZeroU32, time::Duration};

use buttress_core::clock::QuantaClock;
use buttress_rate_limit::{Quota, QuotaBuilder, RateLimiter};
use criterion::{Criterion, criterion_group, criterion_main};

/// The widest quota that both sides can express.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000_000_000).expect("it is not zero");

fn our_quota() -> QuotaBuilder {
    Quota::per_second(PER_SECOND.get().into())
}

fn governors_quota() -> governor::Quota {
    governor::Quota::per_second(PER_SECOND)
}

/// With room for `keys`, as a user who knows how many to expect would have it.
fn our_limiter(keys: u32) -> RateLimiter {
    RateLimiter::per_key(our_quota())
        .clock(QuantaClock::starting_now())
        .max_keys(keys as usize)
        .build()
        .expect("the configuration is valid")
}

fn config() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(50)
        .without_plots()
}

criterion_group! {
    name = rate_limit;
    config = config();
    targets = direct::check, keyed::by_ip, keyed::by_text, threads::keyed, layer::layer
}
criterion_main!(rate_limit);
