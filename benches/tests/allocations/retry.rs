//! Retries, of which there are none: the clone of the request's head that is kept, and nothing else.

use std::{
    convert::Infallible,
    future::{Future as _, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use buttress_core::clock::ManualClock;
use buttress_retry::{Cloned, Judgment, RetryLayer};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer as _, Service, service_fn};

use crate::counter::allocations;

fn request(body: &'static str) -> Request<Full<Bytes>> {
    Request::put("https://api.example/v1/things/7")
        .header("accept", "application/json")
        .header("authorization", "Bearer sk-0123456789abcdef")
        .header("x-request-id", "8e03978e-40d5-43dd-bc93-6894a57f9324")
        .body(Full::from(body))
        .unwrap()
}

/// What the second call allocates: the first one may find something to set up.
fn second_call<Req, S>(mut service: S, request: impl Fn() -> Req) -> usize
where
    S: Service<Req>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = || {
        let request = request();
        let mut worked = false;
        let allocations = allocations(|| {
            assert!(service.poll_ready(&mut cx).is_ready());
            let answer = pin!(service.call(request)).poll(&mut cx);
            worked = matches!(answer, Poll::Ready(Ok(_)));
        });
        assert!(worked);
        allocations
    };
    call();
    call()
}

type Answered = Result<Response<Full<Bytes>>, Infallible>;

#[test]
fn a_success_allocates_what_its_clone_does() {
    let of_a_clone = {
        let original = request("");
        allocations(|| drop(original.clone()))
    };
    assert!(of_a_clone > 0, "the counter counts");
    let ok = || ready(Answered::Ok(Response::new(Full::default())));

    let layer = RetryLayer::http()
        .clock(ManualClock::default())
        .build()
        .unwrap();
    let service = layer.layer(service_fn(move |_| ok()));
    assert_eq!(second_call(service, || request("")), of_a_clone);

    let layer = RetryLayer::http().replay(Cloned).build().unwrap();
    let service = layer.layer(service_fn(move |_: Request<Full<Bytes>>| ok()));
    assert_eq!(second_call(service, || request("a thing")), of_a_clone);
}

/// The place that attempts share, and the box of the body. What is remembered is one piece more, and comes when it is read.
#[test]
fn a_body_that_is_kept_costs_two_pieces() {
    let of_a_clone = {
        let original = request("");
        allocations(|| drop(original.clone()))
    };
    let layer = RetryLayer::http().build().unwrap();
    let service = layer.layer(service_fn(|_| {
        ready(Answered::Ok(Response::new(Full::default())))
    }));
    assert_eq!(second_call(service, || request("a thing")), of_a_clone + 2);
}

#[test]
fn a_typed_success_allocates_nothing() {
    let layer = RetryLayer::typed(|_: Result<&u32, &Infallible>| Judgment::Success)
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|n: u32| ready(Ok::<_, Infallible>(n))));
    assert_eq!(second_call(service, || 7), 0);
}
