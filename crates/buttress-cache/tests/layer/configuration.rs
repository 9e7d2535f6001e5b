use std::{sync::Arc, time::Duration};

use buttress_cache::{
    CacheLayer, CacheLayerBuilder,
    rfc9111::Heuristic,
    store::{Answer, Entry, Store, Variants},
};
use buttress_core::Digest;

use crate::support::{Setup, answer};

/// A store of one's own.
#[derive(Debug)]
struct Nowhere;

impl Store for Nowhere {
    fn get(&self, _: Digest) -> Answer<Variants> {
        Answer::Now(Variants::none())
    }

    fn put(&self, _: Digest, _: Arc<Entry>, _: &[Arc<Entry>]) -> Answer<bool> {
        Answer::Now(false)
    }

    fn update(&self, _: Digest, _: &Arc<Entry>, _: Option<Arc<Entry>>) -> Answer<bool> {
        Answer::Now(false)
    }

    fn invalidate(&self, _: Digest) -> Answer<bool> {
        Answer::Now(false)
    }

    fn clear(&self) -> Answer<()> {
        Answer::Now(())
    }
}

fn with_fraction(fraction: f64) -> CacheLayerBuilder {
    CacheLayer::shared().heuristic(Some(Heuristic::new(fraction, Duration::MAX)))
}

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
            "capacity: `0` given, expected room for entries of 4096 bytes",
        ),
        (
            CacheLayer::shared().capacity(0).store(Nowhere),
            "capacity: `0` given, expected room for entries of 4096 bytes",
        ),
        (
            CacheLayer::shared().largest_entry(4095),
            "largest_entry: `4095` given, expected room for entries of 4096 bytes",
        ),
        (
            CacheLayer::private().capacity(16_383).largest_entry(4096),
            "capacity: `16383` given, expected at least 4 times",
        ),
        (
            with_fraction(f64::NAN),
            "heuristic.fraction: `NaN` given, expected a share above 0",
        ),
        (with_fraction(0.0), "heuristic.fraction: `0` given"),
        (with_fraction(-0.1), "heuristic.fraction: `-0.1` given"),
        (with_fraction(1.1), "heuristic.fraction: `1.1` given"),
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
        (
            CacheLayer::private().hit_for_miss(Duration::from_secs(1 << 30)),
            "hit_for_miss: `1073741824s` given, expected ten years at most",
        ),
    ];
    for (builder, expected) in cases {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(with_fraction(1.0).build().is_ok());
    assert!(
        CacheLayer::shared()
            .capacity(0)
            .largest_entry(4 << 10)
            .store(Nowhere)
            .build()
            .is_ok()
    );
    assert!(
        CacheLayer::shared()
            .capacity(16 << 10)
            .largest_entry(4 << 10)
            .build()
            .is_ok()
    );
}

/// Nor may the least that can be configured be too little for anything.
#[tokio::test(start_paused = true)]
async fn the_smallest_largest_entry_is_of_use() {
    let mut setup = Setup::with(CacheLayer::shared().largest_entry(4 << 10));
    let fields = [("cache-control", "max-age=60"), ("etag", "\"1\"")];
    setup.fill("/a", answer(&fields, "body")).await;
    assert_eq!(setup.cache.stats().stored, 1);
}
