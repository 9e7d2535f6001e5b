//! How a body ends is part of the outcome.

use buttress_circuit_breaker::{CircuitBreakerLayer, State, Trip};
use buttress_core::clock::ManualClock;
use buttress_http::LocalRefusal;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Frames, SECOND, Upstream, request, send, status, touchy};

fn fails(layer: &CircuitBreakerLayer) -> (u64, u64) {
    let snapshot = layer.breaker().snapshot();
    (snapshot.calls, snapshot.failures)
}

fn counting() -> CircuitBreakerLayer {
    CircuitBreakerLayer::http(Trip::over_calls(100).minimum_calls(100))
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure() {
    let (layer, upstream) = (counting(), Upstream::default());
    upstream.will(Ok(Response::new(
        Frames::default().data("half").breaks_off(),
    )));
    let answer = send(&layer, &upstream, request()).await.unwrap();
    assert_eq!((answer.status, answer.body), (200, Err("connection reset")));
    assert_eq!(fails(&layer), (1, 1));
}

#[tokio::test]
async fn one_outcome_for_each_call_at_the_end_of_its_body() {
    let (layer, upstream) = (counting(), Upstream::default());
    let body = || Frames::default().data("a").data("b");
    for body in [
        body(),
        body().knows_its_end(),
        body().trailers("digest", "x"),
        Frames::default(),
        Frames::default().knows_its_end(),
    ] {
        upstream.will(Ok(Response::new(body)));
        send(&layer, &upstream, request()).await.unwrap();
    }
    assert_eq!(fails(&layer), (5, 0));

    // Not before.
    upstream.will(Ok(Response::new(body())));
    let response = layer
        .layer(upstream.service())
        .oneshot(request())
        .await
        .unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(fails(&layer), (5, 0));
    body.frame().await.unwrap().unwrap();
    assert!(body.frame().await.is_none());
    assert_eq!(fails(&layer), (6, 0));
    drop(body);
    assert_eq!(fails(&layer), (6, 0));
}

/// Whoever reads may stop where the body says that it is at its end.
#[tokio::test]
async fn the_last_frame_is_the_end_where_the_body_knows_it() {
    let (layer, upstream) = (counting(), Upstream::default());
    upstream.will(Ok(Response::new(
        Frames::default().data("all").knows_its_end(),
    )));
    let response = layer
        .layer(upstream.service())
        .oneshot(request())
        .await
        .unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
    assert_eq!(fails(&layer), (1, 0));
    // Kept, not dropped: the outcome did not wait for that.
    drop(body);
}

/// A caller that only looks at the status has been answered: if that counted as nothing, only failures would.
#[tokio::test]
async fn a_body_that_nobody_reads_is_a_success() {
    let (layer, upstream) = (counting(), Upstream::default());
    upstream.will(Ok(Response::new(
        Frames::default().data("much").data("more"),
    )));
    drop(
        layer
            .layer(upstream.service())
            .oneshot(request())
            .await
            .unwrap(),
    );
    assert_eq!(fails(&layer), (1, 0));
}

#[tokio::test]
async fn unwatched_bodies_end_at_their_headers() {
    let layer = CircuitBreakerLayer::http(Trip::over_calls(100).minimum_calls(100))
        .watch_bodies(false)
        .build()
        .unwrap();
    let upstream = Upstream::default();
    upstream.will(Ok(Response::new(
        Frames::default().data("half").breaks_off(),
    )));
    send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(fails(&layer), (1, 0));
}

/// An endless stream would keep the circuit half open for ever.
#[tokio::test]
async fn a_probe_is_over_at_its_headers() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    upstream.will_say(500);
    send(&layer, &upstream, request()).await.unwrap();
    clock.advance(5 * SECOND);
    upstream.will(Ok(Response::new(Frames::default().data("event"))));
    let stream = layer
        .layer(upstream.service())
        .oneshot(request())
        .await
        .unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    drop(stream);
}

/// Rule 12 of the house: tunnels pass untouched, and are over at their headers.
#[tokio::test]
async fn tunnels_are_over_at_their_headers() {
    #[derive(Clone, Debug, PartialEq)]
    struct Upgrade(u32);

    let (layer, upstream) = (counting(), Upstream::default());
    let connect = Request::builder().method(Method::CONNECT).body(()).unwrap();
    for (request, code) in [(request(), 101), (connect, 200)] {
        let mut switched = status(code).map(|_| Frames::default());
        switched.extensions_mut().insert(Upgrade(7));
        upstream.will(Ok(switched));
        let before = fails(&layer).0;
        let tunnel = layer
            .layer(upstream.service())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(tunnel.status(), StatusCode::from_u16(code).unwrap());
        assert_eq!(tunnel.extensions().get(), Some(&Upgrade(7)));
        assert_eq!(fails(&layer), (before + 1, 0));
    }
}

#[tokio::test]
async fn frames_size_and_trailers_are_the_upstreams() {
    let (layer, upstream) = (counting(), Upstream::default());
    upstream.will(Ok(Response::new(
        Frames::default()
            .data("a")
            .data("b")
            .trailers("digest", "x"),
    )));
    let answer = send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(answer.body.unwrap(), "ab");
    assert_eq!(answer.trailers.unwrap()["digest"], "x");
    assert_eq!(answer.local, None::<LocalRefusal>);
}
