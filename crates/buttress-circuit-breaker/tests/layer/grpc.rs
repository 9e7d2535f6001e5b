//! gRPC: the status in the headers or in the trailers, and a refusal that its callers understand.

use std::time::Duration;

use buttress_circuit_breaker::{CircuitBreakerLayer, OnDrop, Outcome, State};
use buttress_core::clock::ManualClock;
use buttress_http::{GrpcCode, LocalRefusal, Pushback, RetryInfo, grpc_status};
use http::Response;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _};

use crate::support::{Answers, Frames, SECOND, Upstream, grpc_request, send, touchy};

fn in_trailers(code: &'static str) -> Answers {
    Response::new(
        Frames::default()
            .data("message")
            .trailers("grpc-status", code),
    )
}

fn in_headers(code: &'static str) -> Answers {
    Response::builder()
        .header("grpc-status", code)
        .body(Frames::default().knows_its_end())
        .unwrap()
}

#[tokio::test]
async fn the_status_counts_wherever_it_stands() {
    for (code, state) in [
        ("0", State::Closed),
        ("1", State::Closed),
        ("2", State::Open),
        ("3", State::Closed),
        ("4", State::Open),
        ("5", State::Closed),
        ("8", State::Closed),
        ("12", State::Closed),
        ("13", State::Open),
        ("14", State::Open),
        ("15", State::Open),
        ("16", State::Closed),
    ] {
        for answer in [in_trailers, in_headers] {
            let (clock, upstream) = (ManualClock::default(), Upstream::default());
            let layer = touchy(&clock).build().unwrap();
            upstream.will(Ok(answer(code)));
            let answer = send(&layer, &upstream, grpc_request()).await.unwrap();
            let seen = answer.trailers.as_ref().unwrap_or(&answer.headers);
            assert_eq!(seen["grpc-status"], code, "nothing is withheld");
            assert_eq!(layer.breaker().state(), state, "{code}");
        }
    }
}

/// The headers come out before the trailers went in.
#[tokio::test]
async fn trailers_are_seen_as_they_pass() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    upstream.will(Ok(in_trailers("14")));
    let response = layer
        .layer(upstream.service())
        .oneshot(grpc_request())
        .await
        .unwrap();
    let mut body = response.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "message"
    );
    assert_eq!(layer.breaker().state(), State::Closed);
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers["grpc-status"], "14");
    assert_eq!(layer.breaker().state(), State::Open);
}

#[tokio::test]
async fn a_call_that_ends_without_a_status_failed() {
    for body in [
        Frames::default().data("message"),
        Frames::default().data("message").knows_its_end(),
        Frames::default().data("message").trailers("digest", "x"),
        Frames::default().data("message").breaks_off(),
        Frames::default().knows_its_end(),
    ] {
        let (clock, upstream) = (ManualClock::default(), Upstream::default());
        let layer = touchy(&clock).build().unwrap();
        upstream.will(Ok(Response::new(body)));
        send(&layer, &upstream, grpc_request()).await.unwrap();
        assert_eq!(layer.breaker().state(), State::Open);
    }
}

#[tokio::test]
async fn who_is_exhausted_or_asks_for_time_parks() {
    for (code, pushback, parked) in [
        ("8", None, SECOND),
        ("8", Some("7000"), 7 * SECOND),
        ("14", Some("7000"), 7 * SECOND),
    ] {
        let (clock, upstream) = (ManualClock::default(), Upstream::default());
        let layer = touchy(&clock).build().unwrap();
        let mut fields = vec![("grpc-status", code)];
        fields.extend(pushback.map(|pushback| ("grpc-retry-pushback-ms", pushback)));
        upstream.will(Ok(Response::new(Frames::default().fields(&fields))));
        send(&layer, &upstream, grpc_request()).await.unwrap();
        let snapshot = layer.breaker().snapshot();
        assert_eq!(snapshot.state, State::Closed);
        assert_eq!(snapshot.parked, Some(parked));
    }
}

#[tokio::test]
async fn a_refusal_is_unavailable_and_says_for_how_long() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    upstream.will(Ok(in_trailers("14")));
    send(&layer, &upstream, grpc_request()).await.unwrap();
    clock.advance(Duration::from_millis(1_500));
    let left = Duration::from_millis(3_500);
    for content_type in [
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web",
    ] {
        let mut request = grpc_request();
        let content_type = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", content_type);
        let response = layer
            .layer(upstream.service())
            .oneshot(request)
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers();
        assert_eq!(grpc_status(headers), Some(GrpcCode::Unavailable));
        assert_eq!(RetryInfo::from_headers(headers), Some(RetryInfo::new(left)));
        assert_eq!(Pushback::from_headers(headers), Some(Pushback::After(left)));
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(
            LocalRefusal::of(&response),
            Some(LocalRefusal::new(Some(left)))
        );
        assert!(
            response.body().is_end_stream(),
            "the headers end the stream"
        );
    }
    assert_eq!(upstream.calls(), 1);
}

fn opened_and_due(on_drop: OnDrop) -> (CircuitBreakerLayer, Upstream, ManualClock) {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).on_drop(on_drop).build().unwrap();
    layer
        .breaker()
        .try_acquire()
        .unwrap()
        .record(Outcome::Failure);
    clock.advance(5 * SECOND);
    (layer, upstream, clock)
}

/// A probe is over at its status ..
#[tokio::test]
async fn a_probe_is_over_at_its_status() {
    for (code, state) in [("0", State::Closed), ("14", State::Open)] {
        let (layer, upstream, _) = opened_and_due(OnDrop::Ignore);
        upstream.will(Ok(in_trailers(code)));
        let response = layer
            .layer(upstream.service())
            .oneshot(grpc_request())
            .await
            .unwrap();
        assert_eq!(layer.breaker().state(), State::HalfOpen);
        response.into_body().collect().await.unwrap();
        assert_eq!(layer.breaker().state(), state);
    }
}

/// .. or at its deadline: a stream that has begun by then is a sign of life.
#[tokio::test]
async fn a_probe_that_streams_is_a_success_at_its_deadline() {
    let (layer, upstream, clock) = opened_and_due(OnDrop::Ignore);
    upstream.will(Ok(in_trailers("14")));
    let stream = layer
        .layer(upstream.service())
        .oneshot(grpc_request())
        .await
        .unwrap();
    assert_eq!(
        send(&layer, &upstream, grpc_request())
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(layer.breaker().state(), State::HalfOpen);
    assert_eq!(upstream.calls(), 1, "the second was refused");
    clock.advance(10 * SECOND);
    upstream.will(Ok(in_trailers("0")));
    send(&layer, &upstream, grpc_request()).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    // What the stream says now was said in another generation.
    stream.into_body().collect().await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
}

/// A call that is dropped before its status came says what the user wants it to say.
#[tokio::test]
async fn a_stream_that_is_dropped_counts_as_the_user_says() {
    for (on_drop, state) in [
        (OnDrop::Ignore, State::HalfOpen),
        (OnDrop::Fail, State::Open),
    ] {
        let (layer, upstream, _) = opened_and_due(on_drop);
        upstream.will(Ok(in_trailers("0")));
        drop(
            layer
                .layer(upstream.service())
                .oneshot(grpc_request())
                .await
                .unwrap(),
        );
        assert_eq!(layer.breaker().state(), state);
        assert_eq!(layer.breaker().snapshot().probes_in_flight, 0);
    }
}
