use buttress_circuit_breaker::{CircuitBreakerLayer, Refused, State, Trip};
use buttress_core::clock::ManualClock;
use buttress_http::{Head, LocalRefusal};
use bytes::Bytes;
use http::Response;
use tower::{Layer as _, ServiceExt as _, limit::ConcurrencyLimitLayer, service_fn};

use crate::support::{SECOND, Upstream, request, send, touchy};

#[tokio::test]
async fn a_response_of_the_users() {
    let (clock, upstream) = (ManualClock::default(), Upstream::default());
    let layer = touchy(&clock)
        .fallback(|head, refused| {
            let text = format!("{} for {:?}", head.uri().path(), refused.retry_after());
            Response::new(Bytes::from(text))
        })
        .build()
        .unwrap();
    upstream.will_say(500);
    send(&layer, &upstream, request()).await.unwrap();
    let answer = send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.unwrap(), "/ for Some(5s)");
    assert_eq!(answer.local, Some(LocalRefusal::new(Some(5 * SECOND))));
}

#[tokio::test]
async fn another_service() {
    let (clock, upstream, other) = (
        ManualClock::default(),
        Upstream::default(),
        Upstream::default(),
    );
    // It has one slot: were it called unready, or its readiness kept, this would panic or hang.
    let replica = ConcurrencyLimitLayer::new(1).layer(other.service());
    let layer = touchy(&clock).fallback_service(replica).build().unwrap();
    let service = layer.layer(upstream.service());
    upstream.will_say(500);
    other.will_say(203).will_say(500).will_say(203);
    let mut codes = Vec::new();
    for _ in 0..4 {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(
            LocalRefusal::of(&response),
            None,
            "it is a word of the other's"
        );
        codes.push(response.status().as_u16());
    }
    assert_eq!(codes, [500, 203, 500, 203]);
    assert_eq!((upstream.calls(), other.calls()), (1, 3));

    // Nobody judges the other by its answers.
    clock.advance(5 * SECOND);
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(layer.breaker().state(), State::Closed);
}

/// Of several, the one that was given last answers.
#[tokio::test]
async fn the_last_one_holds() {
    let (clock, upstream, other) = (
        ManualClock::default(),
        Upstream::default(),
        Upstream::default(),
    );
    let saying = |text: &'static str| move |_: &Head, _: &Refused| Response::new(text.into());
    let responses = touchy(&clock)
        .fallback(saying("first"))
        .fallback(saying("second"));
    let layer = responses.build().unwrap();
    upstream.will_say(500);
    send(&layer, &upstream, request()).await.unwrap();
    let answer = send(&layer, &upstream, request()).await.unwrap();
    assert_eq!(answer.body.unwrap(), "second");

    let unused = Upstream::default();
    let layer = touchy(&clock)
        .fallback(saying("a response"))
        .fallback_service(unused.service())
        .fallback_service(other.service())
        .build()
        .unwrap();
    let service = layer.layer(upstream.service());
    upstream.will_say(500);
    other.will_say(203);
    for expected in [500, 203] {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), expected);
    }
    assert_eq!((unused.calls(), other.calls()), (0, 1));
}

#[tokio::test]
async fn another_service_for_any_protocol() {
    let layer = CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(1))
        .fallback_service(service_fn(|n: u32| async move { Ok::<_, &str>(n + 1) }))
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|_: u32| async { Err::<u32, _>("down") }));
    assert!(service.clone().oneshot(1).await.is_err());
    assert_eq!(service.oneshot(1).await, Ok(2));
}
