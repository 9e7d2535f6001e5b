use buttress_cache::CacheLayer;
use http::Uri;

use crate::support::{Setup, answer, empty, read, settle};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

fn uri(path: &str) -> Uri {
    format!("http://example.com{path}").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn tells_what_is_stored_and_forgets_it() {
    let mut setup = Setup::shared();
    for path in ["/a", "/b"] {
        setup.fill(path, answer(&[FRESH], "body")).await;
    }
    let stored = setup.cache.get(&uri("/a")).await.unwrap();
    assert_eq!(stored.as_slice().len(), 1);
    assert_eq!(stored.as_slice()[0].body(), "body");
    let stats = setup.cache.stats();
    assert_eq!((stats.stored, stats.usage.keys), (2, 2));
    let weight = stored.weight() as u64;
    assert!(stats.usage.bytes >= 2 * weight - 2 && stats.usage.bytes <= 2 * weight + 2);

    assert!(setup.cache.invalidate(&uri("/a")).await.unwrap());
    assert!(!setup.cache.invalidate(&uri("/a")).await.unwrap(), "twice");
    assert!(
        setup
            .cache
            .get(&uri("/a"))
            .await
            .unwrap()
            .as_slice()
            .is_empty()
    );
    assert_eq!(setup.hit("/b").await.body, "body");

    setup.cache.clear().await.unwrap();
    assert_eq!(setup.cache.stats().usage.keys, 0);
    let stats = setup.cache.stats();
    assert_eq!((stats.hits, stats.forwarded, stats.invalidated), (1, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_forgotten_too() {
    let mut setup = Setup::shared();
    for clear in [false, true] {
        let asked = setup.get("/a");
        let call = setup.call().await;
        if clear {
            setup.cache.clear().await.unwrap();
        } else {
            setup.cache.invalidate(&uri("/a")).await.unwrap();
        }
        call.answer(answer(&[FRESH], "from before"));
        read(asked).await;
        settle().await;
        assert_eq!(setup.cache.stats().stored, 0);
    }
}

/// A scheme has no case, wherever it is told.
#[tokio::test(start_paused = true)]
async fn the_schemes_own_port_is_the_same_as_none() {
    let mut setup = Setup::with(CacheLayer::shared().scheme("HTTPS"));
    let of = |host: &str| empty(http::Request::get("/a").header("host", host));
    let asked = setup.ask(of("example.com:443"));
    setup.call().await.answer(answer(&[FRESH], "body"));
    read(asked).await;
    let uri = Uri::from_static("https://example.com/a");
    assert_eq!(setup.cache.get(&uri).await.unwrap().as_slice().len(), 1);
    let _asked = setup.ask(of("example.com"));
    setup.origin_is_left_alone().await;
}

#[tokio::test(start_paused = true)]
async fn a_relative_uri_names_nothing() {
    let setup = Setup::shared();
    let stored = setup.cache.get(&"/a".parse().unwrap()).await.unwrap();
    assert!(stored.as_slice().is_empty());
}
