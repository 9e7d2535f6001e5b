//! Rule 1 of the house: readiness belongs to the inner service.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use buttress_http::FieldStyle;
use buttress_rate_limit::{Policy, RateLimitLayer};
use http::{Request, Response};
use tower::{Layer as _, Service, limit::ConcurrencyLimitLayer};
use tower_test::{assert_request_eq, mock};

use crate::support::{Handler, clock, http, status_of};

/// Panics when it is called unready, as tower allows.
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
    type Response = Response<String>;
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Response<String>, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        ready(Ok(Response::new(String::new())))
    }
}

#[tokio::test]
async fn the_service_that_was_readied_is_the_one_that_is_called() {
    let layer = http(Policy::new("all", "2/h"))
        .clock(clock())
        .build()
        .unwrap();
    let mut service = layer.layer(Picky::default());
    for status in [200, 200, 429, 429] {
        assert_eq!(status_of(&mut service, Request::new(())).await, status);
    }
}

#[tokio::test]
async fn readiness_is_the_inner_services() {
    let layer = RateLimitLayer::typed(Policy::<u32>::new("all", "1/h"))
        .clock(clock())
        .build()
        .unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(0);
    assert!(
        service.poll_ready().is_pending(),
        "the inner service is not ready"
    );
    handle.allow(1);
    assert!(service.poll_ready().is_ready());

    let response = tokio::spawn(service.call(7));
    assert_request_eq!(handle, 7).send_response(8);
    assert_eq!(response.await.unwrap().unwrap(), 8);

    handle.send_error("gone");
    let Poll::Ready(Err(error)) = service.poll_ready() else {
        panic!("the inner service failed")
    };
    assert!(matches!(error, buttress_rate_limit::Error::Inner(_)));
}

/// C7 of the traps: whoever was refused must not keep what it was readied with.
#[tokio::test]
async fn a_refusal_gives_the_inner_permit_back() {
    let layer = http(Policy::new("all", "1/h"))
        .fields(FieldStyle::None)
        .clock(clock())
        .build()
        .unwrap();
    let handler = Handler::default();
    let concurrency = ConcurrencyLimitLayer::new(1);
    let inner = concurrency.layer(handler.service());
    let mut idle = layer.layer(inner.clone());
    assert_eq!(status_of(&mut idle, Request::new(())).await, 200);
    assert_eq!(status_of(&mut idle, Request::new(())).await, 429);

    // `idle` is still there, refused and idle. The only permit is free for another connection.
    let mut other = inner;
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(other.poll_ready(&mut context).is_ready());
    drop(idle);
}
