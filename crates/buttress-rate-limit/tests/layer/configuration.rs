//! What cannot work is an error when it is built, and names the field.

use std::time::Duration;

use buttress_core::Tick;
use buttress_http::FieldStyle;
use buttress_rate_limit::{
    Algorithm, Decision, DirectRateLimiter, FixedWindow, Policy, Quota, RateLimitLayer,
    RateLimiter, SlidingLog,
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
            RateLimitLayer::http(Policy::new("all", "1/s").algorithm(Words(0)))
                .build()
                .map(drop),
            "algorithm.words",
        ),
        (
            RateLimitLayer::http(Policy::new("all", "9/s burst 2").algorithm(FixedWindow))
                .build()
                .map(drop),
            "burst",
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
    let twice = || RateLimitLayer::http(Policy::new("one", "1/s"));
    for other in [
        Policy::new("one", "2/s"),
        Policy::new("one", "2/s").shadow(),
    ] {
        // Also where no field tells the name.
        let layer = twice().fields(FieldStyle::None).policy(other.clone());
        assert_eq!(layer.build().unwrap_err().field(), "policy.name");
        assert!(twice().policy(other).build().is_err());
    }
    // Nobody waits for a quota that only tries something out.
    let tried = Policy::new("two", "1/h").quota_by_lookup(|_| async { None });
    let tried = twice().policy(tried.shadow()).build();
    assert_eq!(tried.unwrap_err().field(), "shadow");
    let typed = RateLimitLayer::typed(Policy::<u8>::new("one", "1/s"));
    let typed = typed.policy(Policy::new("one", "1/h"));
    assert_eq!(typed.build().unwrap_err().field(), "policy.name");
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
    let log = SlidingLog::for_counts_up_to(9);
    let too_short = RateLimiter::per_key("10/s").algorithm(log).build();
    assert_eq!(too_short.unwrap_err().field(), "count");
    for words in [usize::MAX, (1 << 20) + 1] {
        let too_long = RateLimiter::per_key("1/s").algorithm(Words(words)).build();
        assert_eq!(too_long.unwrap_err().field(), "algorithm.words");
    }
    let too_many = RateLimiter::per_key("1/s")
        .algorithm(Words(1 << 20))
        .max_keys(1 << 28)
        .build();
    assert_eq!(too_many.unwrap_err().field(), "algorithm.words");
    assert_eq!(
        DirectRateLimiter::of("1/parsec").unwrap_err().field(),
        "quota"
    );
}

/// An algorithm whose states are of that many words.
#[derive(Debug)]
struct Words(usize);

impl Algorithm for Words {
    fn words(&self) -> usize {
        self.0
    }

    fn check(&self, _: &Quota, _: &[u64], _: Tick, _: u64) -> Decision {
        Decision::admitted(0, Duration::ZERO, Duration::ZERO)
    }

    fn charge(&self, _: &Quota, _: &mut [u64], _: Tick, _: i64) {}

    fn forget_at(&self, _: &Quota, _: &[u64]) -> Tick {
        Tick::ZERO
    }
}
