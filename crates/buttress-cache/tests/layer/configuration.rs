use std::time::Duration;

use buttress_cache::CacheLayer;

#[test]
fn what_cannot_work_is_an_error_that_says_why() {
    let cases = [
        (
            CacheLayer::shared().name("caf\u{e9}"),
            "name: `caf\u{e9}` given",
        ),
        (
            CacheLayer::shared().scheme("not a scheme"),
            "scheme: `not a scheme` given",
        ),
        (
            CacheLayer::shared().capacity(0),
            "capacity: `0` given, expected at least 4 times",
        ),
        (
            CacheLayer::private().capacity(100).largest_entry(26),
            "capacity: `100` given, expected at least 4 times",
        ),
        (
            CacheLayer::private().collapse_wait(Duration::ZERO),
            "collapse_wait: `0s` given",
        ),
        (
            CacheLayer::private().patience(Duration::ZERO),
            "patience: `0s` given",
        ),
        (
            CacheLayer::private().background_timeout(Duration::ZERO),
            "background_timeout: `0s` given",
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(
        CacheLayer::shared()
            .capacity(4 << 10)
            .largest_entry(1 << 10)
            .build()
            .is_ok()
    );
}
