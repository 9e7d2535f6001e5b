//! What cannot work is an error when it is built, and names the field.

use std::time::Duration;

use buttress_core::Tick;
use buttress_rate_limit::{
    Algorithm, Decision, DirectRateLimiter, Policy, Quota, RateLimitLayer, RateLimiter,
};

#[test]
fn layers() {
    let errors = [
        (
            RateLimitLayer::http(Policy::new("all", "0/s"))
                .build()
                .map(drop),
            "count",
        ),
        (
            RateLimitLayer::http(Policy::new("all", "ten/s"))
                .build()
                .map(drop),
            "quota",
        ),
        (
            RateLimitLayer::http(Policy::new("all", Quota::per_second(1).burst(0)))
                .build()
                .map(drop),
            "burst",
        ),
        (
            RateLimitLayer::http(Policy::new("all", "1/s"))
                .max_keys(0)
                .build()
                .map(drop),
            "max_keys",
        ),
        (
            RateLimitLayer::http(Policy::new("all", "1/s"))
                .max_keys(usize::MAX)
                .build()
                .map(drop),
            "max_keys",
        ),
        (
            RateLimitLayer::http(Policy::new("all", "1/s").algorithm(Wide))
                .build()
                .map(drop),
            "algorithm.words",
        ),
        (
            RateLimitLayer::typed(Policy::<u8>::new("all", "1/0s"))
                .build()
                .map(drop),
            "period",
        ),
        (
            (1..9_u8)
                .map(|n| Policy::new(&format!("p{n}"), "1/s"))
                .fold(
                    RateLimitLayer::http(Policy::new("p0", "1/s")),
                    RateLimitLayerBuilder::policy,
                )
                .build()
                .map(drop),
            "policies",
        ),
    ];
    for (result, field) in errors {
        assert_eq!(result.unwrap_err().field(), field);
    }
    for name in ["", "naïve", "new\nline"] {
        assert!(
            RateLimitLayer::http(Policy::new(name, "1/s"))
                .build()
                .is_err(),
            "{name:?} cannot stand in a field"
        );
    }
    let twice = RateLimitLayer::http(Policy::new("one", "1/s")).policy(Policy::new("one", "2/s"));
    assert!(twice.build().is_err());
}

use buttress_rate_limit::RateLimitLayerBuilder;

#[test]
fn handles() {
    assert_eq!(
        RateLimiter::per_key("1/s burst 0")
            .build()
            .unwrap_err()
            .field(),
        "burst"
    );
    assert_eq!(
        RateLimiter::per_key("1/s")
            .max_keys(0)
            .build()
            .unwrap_err()
            .field(),
        "max_keys"
    );
    assert_eq!(
        DirectRateLimiter::of("1/parsec").unwrap_err().field(),
        "quota"
    );
}

/// An algorithm whose state does not fit into a word.
#[derive(Debug)]
struct Wide;

impl Algorithm for Wide {
    fn words(&self) -> usize {
        2
    }

    fn check(&self, _: &Quota, _: &[u64], _: Tick, _: u64) -> Decision {
        Decision::admitted(0, Duration::ZERO, Duration::ZERO)
    }

    fn charge(&self, _: &Quota, _: &mut [u64], _: Tick, _: i64) {}

    fn forget_at(&self, _: &Quota, _: &[u64]) -> Tick {
        Tick::ZERO
    }
}
