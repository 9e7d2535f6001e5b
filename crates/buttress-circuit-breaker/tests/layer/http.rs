//! What an answer means, and how a refusal reads, in HTTP.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use buttress_circuit_breaker::{CircuitBreakerLayer, Outcome, State, Trip, Waited};
use buttress_core::clock::{ManualClock, WallClock};
use buttress_http::LocalRefusal;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::{Frames, SECOND, Upstream, request, send, status, touchy};

#[tokio::test]
async fn a_refusal_is_a_503_that_says_for_how_long() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).name("payments").build().unwrap();
    upstream.will_say(500);
    assert_eq!(
        send(&layer, &upstream, request()).await.unwrap().status,
        500
    );

    clock.advance(Duration::from_millis(1_500));
    let refused = send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.header("retry-after"),
        Some("4"),
        "3.5 s, rounded up"
    );
    assert_eq!(refused.header("cache-control"), Some("no-store"));
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let exactly = LocalRefusal::new(Some(Duration::from_millis(3_500)));
    assert_eq!(refused.local, Some(exactly), "rule 11 of the house");
    let problem = String::from_utf8(refused.body.unwrap().to_vec()).unwrap();
    for part in [
        r#""type":"https://iana.org/assignments/http-problem-types#temporary-reduced-capacity""#,
        r#""status":503"#,
        r#""violated-policies":["payments"]"#,
    ] {
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(upstream.calls(), 1, "what is refused is not sent");
}

#[tokio::test]
async fn an_answer_may_tell_that_somebody_else_was_waited_for() {
    let clock = ManualClock::default();
    let trip = Trip::over_calls(2)
        .failure_rate(1.0)
        .slow_call_rate(1.0, SECOND)
        .minimum_calls(1);
    let layer = CircuitBreakerLayer::http(trip)
        .clock(clock.clone())
        .build()
        .unwrap();
    let service = layer.layer(service_fn(move |request: Request<()>| {
        clock.advance(60 * SECOND);
        let mut response = Response::new(Frames::default());
        if let Some(waited) = request.extensions().get::<Waited>() {
            response.extensions_mut().insert(*waited);
        }
        async { Ok::<_, Infallible>(response) }
    }));
    for (waited, slow_calls) in [(Some(60 * SECOND), 0), (Some(SECOND), 1), (None, 2)] {
        let mut request = request();
        if let Some(waited) = waited {
            request.extensions_mut().insert(Waited(waited));
        }
        service.clone().oneshot(request).await.unwrap();
        assert_eq!(layer.breaker().snapshot().slow_calls, slow_calls);
    }
}

/// A body would reset the stream of a HEAD over HTTP/2.
#[tokio::test]
async fn a_head_is_refused_without_a_body() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    layer.breaker().force_open();
    let get = send(&layer, &upstream, request()).await.unwrap();
    let head = Request::head("/").body(()).unwrap();
    let head = send(&layer, &upstream, head).await.unwrap();
    assert_eq!((head.status, head.body.as_deref()), (503, Ok(&[][..])));
    let length = get.body.unwrap().len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
}

#[tokio::test]
async fn opened_by_hand_nobody_knows_for_how_long() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    layer.breaker().force_open();
    let refused = send(&layer, &upstream, request()).await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (503, None));
    assert_eq!(refused.local, Some(LocalRefusal::new(None)));
}

/// B5 of the traps: `Ok(500)` is no success. And what is no fault of the upstream's is none.
#[tokio::test]
async fn what_is_a_failure() {
    for (code, state) in [
        (200, State::Closed),
        (301, State::Closed),
        (400, State::Closed),
        (404, State::Closed),
        (408, State::Closed),
        (429, State::Closed),
        (500, State::Open),
        (501, State::Closed),
        (502, State::Open),
        (503, State::Open),
        (504, State::Open),
        (505, State::Closed),
    ] {
        let (clock, upstream) = (ManualClock::default(), Upstream::default());
        let layer = touchy(&clock).build().unwrap();
        upstream.will_say(code);
        send(&layer, &upstream, request()).await.unwrap();
        assert_eq!(layer.breaker().state(), state, "{code}");
    }
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    upstream.will(Err("connection refused"));
    // Rule 3: the error comes out as it went in.
    let error = send(&layer, &upstream, request()).await.unwrap_err();
    assert_eq!(error, "connection refused");
    assert_eq!(layer.breaker().state(), State::Open);
}

/// D7 of the traps: a refusal that was made on this side is no word of the upstream's.
#[tokio::test]
async fn a_local_refusal_is_no_outcome() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).build().unwrap();
    for code in [429, 503] {
        let mut refusal = status(code);
        refusal
            .headers_mut()
            .insert("retry-after", "60".parse().unwrap());
        LocalRefusal::new(Some(60 * SECOND)).mark(&mut refusal);
        upstream.will(Ok(refusal));
        assert_eq!(
            send(&layer, &upstream, request()).await.unwrap().status,
            code
        );
        let snapshot = layer.breaker().snapshot();
        assert_eq!((snapshot.state, snapshot.parked), (State::Closed, None));
    }
    assert_eq!(
        send(&layer, &upstream, request()).await.unwrap().status,
        200
    );
}

/// B8 of the traps: throttled is not broken. The wait is heard in whichever dialect it is told.
#[tokio::test]
async fn who_is_throttled_parks_for_everybody() {
    let github = [
        ("x-github-request-id", "1"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "30"),
    ];
    let dialects: [(u16, &[(&str, &str)]); 5] = [
        (429, &[("retry-after", "30")]),
        (429, &[("retry-after-ms", "29500.5")]),
        (429, &[("ratelimit", r#""day";r=0;t=30"#)]),
        (
            503,
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "29.5s"),
            ],
        ),
        (403, &github),
    ];
    for (code, fields) in dialects {
        let (clock, upstream) = (ManualClock::default(), Upstream::default());
        let layer = touchy(&clock).build().unwrap();
        let mut throttled = status(code);
        for (name, value) in fields {
            let value = HeaderValue::from_static(value);
            throttled.headers_mut().insert(*name, value);
        }
        upstream.will(Ok(throttled));
        let answer = send(&layer, &upstream, request()).await.unwrap();
        assert_eq!(answer.status, code);
        clock.advance(12 * SECOND);
        let refused = send(&layer.clone(), &upstream, request()).await.unwrap();
        let told = (refused.status, refused.header("retry-after"));
        assert_eq!(told, (503, Some("18")), "{code} {fields:?}");
        clock.advance(18 * SECOND);
        let answer = send(&layer, &upstream, request()).await.unwrap();
        assert_eq!(
            (answer.status, upstream.calls()),
            (200, 2),
            "{code} {fields:?}"
        );
    }
}

/// Sunday, 6 November 1994, 08:49:37.
#[derive(Debug)]
struct In1994;

impl WallClock for In1994 {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }
}

#[tokio::test]
async fn a_date_is_reckoned_on_the_wall_clock() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock).wall_clock(In1994).build().unwrap();
    let mut throttled = status(503);
    let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:50:00 GMT");
    throttled.headers_mut().insert("retry-after", date);
    upstream.will(Ok(throttled));
    send(&layer, &upstream, request()).await.unwrap();
    let parked = layer.breaker().snapshot().parked;
    assert_eq!(parked, Some(23 * SECOND));
}

#[tokio::test]
async fn the_user_may_know_better() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock)
        .classify(|response| match response.status.as_u16() {
            500 => Some(Outcome::Success),
            501 => Some(Outcome::Failure),
            _ => None,
        })
        .build()
        .unwrap();
    upstream.will_say(500).will_say(501);
    send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Open);
}

/// Whoever knows the upstream's answers better does not know ours.
#[tokio::test]
async fn the_user_is_not_asked_about_local_refusals() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock)
        .classify(|_| Some(Outcome::Failure))
        .build()
        .unwrap();
    let mut refusal = status(503);
    LocalRefusal::new(None).mark(&mut refusal);
    upstream.will(Ok(refusal)).will_say(200);
    send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Closed);
    send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(layer.breaker().state(), State::Open);
}

/// Slowness is the time to the headers, not to the end of the body.
#[tokio::test(start_paused = true)]
async fn a_long_body_is_not_slow() {
    let trip = Trip::over_calls(1)
        .failure_rate(1.0)
        .slow_call_rate(1.0, SECOND);
    let layer = CircuitBreakerLayer::http(trip).build().unwrap();
    let upstream = Upstream::default();
    upstream.will(Ok(Response::new(Frames::default().data("a").data("b"))));
    let service = layer.layer(upstream.service());
    let response = service.oneshot(request()).await.unwrap();
    tokio::time::advance(60 * SECOND).await;
    response.into_body().collect().await.unwrap();
    let snapshot = layer.breaker().snapshot();
    assert_eq!((snapshot.calls, snapshot.slow_calls), (1, 0));
}
