//! The cache is the outermost.

use std::time::Duration;

use buttress::CacheLayer;
use tower::ServiceBuilder;

use super::support::{SECOND, Upstream, answer, pace, request, status};

/// The cache outermost: what is fresh is not sent, and does not wait for a turn either.
#[tokio::test(start_paused = true)]
async fn what_is_fresh_is_never_sent() {
    let fresh = |_| {
        let mut response = answer(200);
        let headers = response.headers_mut();
        headers.insert("cache-control", "max-age=60".parse().unwrap());
        response
    };
    let cache = || CacheLayer::private().build().unwrap();

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(cache())
        .layer(pace())
        .service(upstream.answering(fresh));
    let begun = upstream.age();
    for _ in 0..3 {
        assert_eq!(status(right.clone(), request()).await, 200);
    }
    assert_eq!(
        (upstream.calls(), upstream.age() - begun),
        (1, Duration::ZERO)
    );

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(pace())
        .layer(cache())
        .service(upstream.answering(fresh));
    let begun = upstream.age();
    for _ in 0..3 {
        assert_eq!(status(wrong.clone(), request()).await, 200);
    }
    assert_eq!(upstream.calls(), 1);
    assert!(
        upstream.age() - begun >= 2 * SECOND,
        "hits waited for a turn"
    );
}
