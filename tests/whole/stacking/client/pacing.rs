//! The pace is on this side: what it says is nobody else's word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::Response;
use buttress::{
    CircuitBreakerLayer, FieldStyle, Head, LocalRefusal, Policy, RateLimitLayer, Trip, View as _,
    circuit_breaker::{Event, Happening, State},
    keys::Authority,
    rate_limit::Pacing,
};
use tower::{ServiceBuilder, ServiceExt as _, util::MapResponseLayer};

use super::support::{SECOND, Upstream, answer, paced, request, retry, status};

/// The pace outside of the circuit breaker: what the pace refuses says nothing of the upstream, whose circuit does not
/// even hear of it, and parks nobody. D7 of the traps.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_our_own_opens_no_circuit_and_parks_nobody() {
    let heard = Arc::new(AtomicUsize::new(0));
    let breaker = || {
        let heard = Arc::clone(&heard);
        let count = move |event: &Event<'_>| {
            if matches!(event.happening, Happening::Call { .. }) {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        };
        let trip = Trip::consecutive_failures(1);
        let breaker = CircuitBreakerLayer::http(trip).observer(count);
        breaker.build().unwrap()
    };
    let impatient = || paced(Pacing::up_to(Duration::ZERO));

    let upstream = Upstream::default();
    let (retry, right) = (retry(), breaker());
    let circuit = right.breaker();
    let service = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(impatient())
        .layer(right)
        .service(upstream.answering(|_| answer(200)));
    let (first, second) = (
        status(service.clone(), request()),
        status(service, request()),
    );
    let watched = async {
        // The second was refused by now, and waits.
        tokio::time::sleep(SECOND / 2).await;
        (upstream.calls(), retry.parked(Head::of(&request())))
    };
    let (first, second, watched) = tokio::join!(first, second, watched);
    assert_eq!((first, second), (200, 200));
    assert_eq!(watched, (1, None));
    assert_eq!(circuit.state(), State::Closed);
    assert!(upstream.gaps()[0] >= SECOND);
    assert_eq!(heard.swap(0, Ordering::SeqCst), 2);

    let wrong = ServiceBuilder::new()
        .layer(breaker())
        .layer(impatient())
        .service(Upstream::default().answering(|_| answer(200)));
    assert_eq!(status(wrong.clone(), request()).await, 200);
    assert_eq!(status(wrong, request()).await, 429);
    assert_eq!(heard.load(Ordering::SeqCst), 2, "of one that was not sent");
}

/// It is the mark that does it: without it the same refusal is the upstream's word.
#[tokio::test(start_paused = true)]
async fn without_its_mark_a_refusal_would_be_the_upstreams() {
    let unmark = MapResponseLayer::new(|mut response: Response<_>| {
        let mark = response.extensions_mut().remove::<LocalRefusal>();
        assert_eq!(mark.is_some(), response.status() == 429);
        response
    });
    let upstream = Upstream::default();
    let retry = retry();
    let service = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(unmark)
        .layer(paced(Pacing::up_to(Duration::ZERO)))
        .service(upstream.answering(|_| answer(200)));
    let (first, second) = (
        status(service.clone(), request()),
        status(service, request()),
    );
    let watched = async {
        tokio::time::sleep(SECOND / 2).await;
        retry.parked(Head::of(&request()))
    };
    let (_, _, parked) = tokio::join!(first, second, watched);
    assert!(parked.is_some());
}

/// A pace that tells of itself in the answers of others: GitHub's 403 means that something is forbidden, unless a limit
/// is used up, and that would be our own.
#[tokio::test(start_paused = true)]
async fn the_fields_of_a_pace_are_not_taken_for_the_providers() {
    let forbidden = |_| {
        let mut response = answer(403);
        let headers = response.headers_mut();
        headers.insert("x-github-request-id", "1".parse().unwrap());
        headers.insert("x-ratelimit-remaining", "4999".parse().unwrap());
        response
    };
    let policy = || {
        Policy::new("pace", "1/s burst 1")
            .key(Authority)
            .algorithm(Pacing::up_to(10 * SECOND))
    };
    let silent = RateLimitLayer::http(policy()).fields(FieldStyle::None);
    let telling = RateLimitLayer::http(policy());
    for (pace, calls) in [(silent, 1), (telling, 3)] {
        let upstream = Upstream::default();
        let service = ServiceBuilder::new()
            .layer(retry())
            .layer(pace.build().unwrap())
            .service(upstream.answering(forbidden));
        let response = service.oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(upstream.calls(), calls, "{:?}", response.headers());
    }
}
