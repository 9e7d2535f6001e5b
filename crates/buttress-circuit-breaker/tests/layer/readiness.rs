//! Rule 1 of the house: readiness belongs to the inner service.

use std::{
    future::{Future as _, Ready, ready},
    task::{Context, Poll, Waker},
};

use buttress_circuit_breaker::{CircuitBreakerLayer, Error, Outcome, State, Trip};
use buttress_core::clock::ManualClock;
use http::{Request, Response};
use tower::{Layer as _, Service, ServiceExt as _, limit::ConcurrencyLimitLayer};
use tower_test::{assert_request_eq, mock};

use crate::support::{Frames, SECOND, Upstream, request, touchy};

/// Panics when it is called unready, as tower allows. Answers 500.
#[derive(Debug, Default)]
struct Picky {
    ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self { ready: false }
    }
}

impl Service<Request<()>> for Picky {
    type Response = Response<Frames>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Response<Frames>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        ready(Ok(crate::support::status(500)))
    }
}

#[tokio::test]
async fn the_service_that_was_readied_is_the_one_that_is_called() {
    let clock = ManualClock::default();
    let layer = touchy(&clock).build().unwrap();
    let mut service = layer.layer(Picky::default());
    for status in [500, 503, 503] {
        let ready = service.ready().await.unwrap();
        assert_eq!(ready.call(request()).await.unwrap().status(), status);
    }
    clock.advance(5 * SECOND);
    for status in [500, 503] {
        let ready = service.ready().await.unwrap();
        assert_eq!(ready.call(request()).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let layer = CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(1))
        .build()
        .unwrap();
    let breaker = layer.breaker();
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(0);
    assert!(
        service.poll_ready().is_pending(),
        "the inner service is not ready"
    );
    // Not even an open circuit is ready by itself: it reserves nothing, and promises nothing.
    breaker.force_open();
    assert!(service.poll_ready().is_pending());
    breaker.close();
    handle.allow(1);
    assert!(service.poll_ready().is_ready());

    let response = tokio::spawn(service.call(7));
    assert_request_eq!(handle, 7).send_response(8);
    assert_eq!(response.await.unwrap().unwrap(), 8);

    handle.send_error("gone");
    let Poll::Ready(Err(error)) = service.poll_ready() else {
        panic!("the inner service failed")
    };
    assert!(matches!(error, Error::Inner(_)));
}

/// C7 of the traps: whoever was refused must not keep what it was readied with.
#[tokio::test]
async fn a_refusal_gives_the_inner_permit_back() {
    let clock = ManualClock::default();
    let layer = touchy(&clock).build().unwrap();
    let inner = ConcurrencyLimitLayer::new(1).layer(Upstream::default().service());
    let mut idle = layer.layer(inner.clone());
    layer.breaker().force_open();
    let ready = idle.ready().await.unwrap();
    assert_eq!(ready.call(request()).await.unwrap().status(), 503);

    // `idle` is still there, refused and idle. The only permit is free for another connection.
    let mut other = inner;
    let mut context = Context::from_waker(Waker::noop());
    assert!(other.poll_ready(&mut context).is_ready());
    drop(idle);
}

/// Rule 5 of the house: a probe whose future is dropped, polled or not, gives its permit back.
#[tokio::test]
async fn a_dropped_call_gives_its_permit_back() {
    let clock = ManualClock::default();
    let layer = CircuitBreakerLayer::typed::<u32>(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .probes(1)
        .clock(clock.clone())
        .build()
        .unwrap();
    let breaker = layer.breaker();
    breaker.try_acquire().unwrap().record(Outcome::Failure);
    clock.advance(5 * SECOND);
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    for polled in [false, true] {
        assert!(service.poll_ready().is_ready());
        let mut probe = Box::pin(service.call(1));
        if polled {
            let mut context = Context::from_waker(Waker::noop());
            assert!(probe.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(breaker.snapshot().probes_in_flight, 1);
        drop(probe);
        assert_eq!(breaker.snapshot().probes_in_flight, 0);
        assert_eq!(breaker.state(), State::HalfOpen);
    }
    // Requests of calls that were given up.
    let _ = handle.next_request().await;
    let _ = handle.next_request().await;
}
