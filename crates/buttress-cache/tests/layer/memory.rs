use buttress_cache::CacheLayer;

use crate::support::{Setup, answer, empty, get, read, status};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn a_flood_of_objects_does_not_go_beyond_the_bound() {
    const CAPACITY: usize = 1 << 20;
    let mut setup = Setup::with(CacheLayer::shared().capacity(CAPACITY));
    let body = "x".repeat(3_000);
    for n in 0..3_000 {
        let read = setup.fill(&format!("/{n}"), answer(&[FRESH], &body)).await;
        assert_eq!(read.body.len(), 3_000);
        let usage = setup.cache.stats().usage;
        assert!(usage.bytes <= CAPACITY as u64, "{usage:?}");
    }
    let usage = setup.cache.stats().usage;
    assert!(usage.bytes > CAPACITY as u64 / 2, "{usage:?}");
    // Each key is accounted for with more than its body.
    assert!(usage.bytes > 3_300 * usage.keys as u64, "{usage:?}");
}

/// Whoever makes up values of a field that `Vary` names fills one key, and not the cache.
#[tokio::test(start_paused = true)]
async fn variants_of_one_key_are_bounded() {
    let mut setup = Setup::shared();
    let ask = |setup: &Setup, n: usize| {
        setup.ask(crate::support::empty(
            get("/a").header("x-kind", n.to_string()),
        ))
    };
    for n in 0..100 {
        let asked = ask(&setup, n);
        let fields = [FRESH, ("vary", "x-kind")];
        setup.call().await.answer(answer(&fields, &n.to_string()));
        read(asked).await;
    }
    let uri = "http://example.com/a".parse().unwrap();
    let stored = setup.cache.get(&uri).await.unwrap();
    assert_eq!(stored.as_slice().len(), 32);
    // The newest are there.
    assert_eq!(read(ask(&setup, 99)).await.body, "99");
    setup.origin_is_left_alone().await;
}

/// Many large bodies at once: what finds no room streams on.
#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_bounded_too() {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(16 << 10);
    let mut setup = Setup::with(builder);
    let fields = [FRESH];
    let mut asked = Vec::new();
    for n in 0..8 {
        asked.push(setup.get(&format!("/{n}")));
        let (mut origin, response) = crate::support::streaming(&fields);
        setup.call().await.answer(response);
        tokio::spawn(async move {
            for _ in 0..10 {
                let _ = origin.send_data(vec![b'x'; 1 << 10].into()).await;
            }
            // Held open, so that all are under way at once.
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        });
    }
    for asked in asked {
        assert_eq!(read(asked).await.body.len(), 10 << 10);
    }
    let stored = setup.cache.stats().stored;
    assert!((1..8).contains(&stored), "{stored}");
    assert_eq!(setup.heard("NoRoom"), 8 - usize::try_from(stored).unwrap());
}

/// One of the largest finds room in any case, also where its length is not known beforehand.
#[tokio::test(start_paused = true)]
async fn the_largest_finds_room_without_a_length() {
    let builder = CacheLayer::shared()
        .capacity(80 << 10)
        .largest_entry(20 << 10);
    let mut setup = Setup::with(builder);
    let asked = setup.get("/a");
    let (mut origin, response) = crate::support::streaming(&[FRESH]);
    setup.call().await.answer(response);
    for _ in 0..18 {
        origin.send_data(vec![b'x'; 1 << 10].into()).await.unwrap();
    }
    drop(origin);
    assert_eq!(read(asked).await.body.len(), 18 << 10);
    assert_eq!(setup.cache.stats().stored, 1);
}

/// What would not be stored anyhow is not worth the collecting.
#[tokio::test(start_paused = true)]
async fn a_part_of_what_is_too_large_is_not_completed() {
    for (length, completed) in [("4096", true), ("4097", false)] {
        let mut setup = Setup::with(CacheLayer::shared().largest_entry(4 << 10));
        let range = format!("bytes 0-1/{length}");
        let part = [FRESH, ("etag", "\"1\""), ("content-range", &range)];
        let asked = setup.ask(empty(get("/a").header("range", "bytes=0-1")));
        setup.call().await.answer(status(206, &part, "bo"));
        read(asked).await;
        let _asked = setup.get("/a");
        let asked_for = setup.call().await.header("range").map(str::to_owned);
        assert_eq!(asked_for.as_deref(), completed.then_some("bytes=2-"));
    }
}
