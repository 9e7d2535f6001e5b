//! Rule 1 of the house: readiness belongs to the inner service; and what is dropped holds nothing.

use std::{
    convert::Infallible,
    future::{Future as _, Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress_retry::{Ended, Judgment, RetryLayer, Typed};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use tokio_test::{assert_pending, assert_ready};
use tower::{Layer as _, Service, ServiceExt as _, limit::ConcurrencyLimitLayer};
use tower_test::{assert_request_eq, mock};

use crate::support::{
    Inner, MS, NOW, S, Upstream, ended, get, http, report, send, status, steady, too_many,
};

/// Panics when it is called unready, as tower allows. Answers 503, but to the last of its calls.
#[derive(Debug)]
struct Picky {
    ready: bool,
    left: Arc<AtomicUsize>,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            left: Arc::clone(&self.left),
        }
    }
}

impl<B> Service<Request<B>> for Picky {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        let left = self.left.fetch_sub(1, Ordering::SeqCst) - 1;
        let mut response = Response::new(Full::default());
        if !left.is_multiple_of(3) {
            *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        }
        ready(Ok(response))
    }
}

type Asked = Request<Full<bytes::Bytes>>;

async fn made_ready<Req, S: Service<Req, Error: std::fmt::Debug>>(service: &mut S) -> &mut S {
    service.ready().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn no_service_is_called_unready() {
    // Also where nothing is waited for.
    for backoff in [NOW, 100 * MS] {
        let picky = Picky {
            ready: false,
            left: Arc::new(AtomicUsize::new(9)),
        };
        let layer = http().backoff(backoff).build().unwrap();
        let mut service = layer.layer(picky.clone());
        for _ in 0..3 {
            let ready = made_ready::<Asked, _>(&mut service).await;
            assert_eq!(ready.call(get()).await.unwrap().status(), 200);
        }
        assert_eq!(picky.left.load(Ordering::SeqCst), 0);
    }
}

fn typed(backoff: Duration) -> RetryLayer<Typed<u32, tower::BoxError>> {
    let judge = |result: Result<&u32, &tower::BoxError>| match result {
        Ok(_) => Judgment::Success,
        Err(_) => Judgment::TRANSIENT,
    };
    let builder = steady(RetryLayer::typed(judge));
    builder.backoff(backoff).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_attempt_takes_readiness_anew() {
    for backoff in [NOW, 100 * MS] {
        let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(typed(backoff));
        handle.allow(0);
        assert_pending!(service.poll_ready());
        handle.allow(1);
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = tokio_test::task::spawn(service.call(7));
        assert_pending!(call.poll());
        assert_request_eq!(handle, 7).send_error("broken");
        // It waits for its backoff, and then for the service.
        assert_pending!(call.poll());
        tokio::time::sleep(101 * MS).await;
        assert_pending!(call.poll());
        assert_pending!(handle.poll_request());
        handle.allow(1);
        assert_pending!(call.poll());
        assert_request_eq!(handle, 7).send_response(8);
        assert_eq!(assert_ready!(call.poll()).unwrap(), 8);
    }
}

/// Whoever waits before a parked upstream, or between two attempts, holds no permit of the layers below.
#[tokio::test(start_paused = true)]
async fn who_waits_holds_no_permit() {
    let layer = http().build().unwrap();
    let upstream = Upstream::new().answers(too_many("5"));
    let inner = ConcurrencyLimitLayer::new(1).layer(upstream.clone());

    let mut waiting = layer.layer(inner.clone());
    let mut first = tokio_test::task::spawn(made_ready::<Asked, _>(&mut waiting).await.call(get()));
    assert_pending!(first.poll());
    let mut idle = layer.layer(inner.clone());
    let mut second = tokio_test::task::spawn(made_ready::<Asked, _>(&mut idle).await.call(get()));
    assert_pending!(second.poll());

    let mut context = Context::from_waker(Waker::noop());
    let mut other = inner.clone();
    assert!(Service::<Inner<Full<bytes::Bytes>>>::poll_ready(&mut other, &mut context).is_ready());
    drop(other);
    tokio::time::sleep(6 * S).await;
    assert_eq!(status(&first.await), 200);
    assert_eq!(status(&second.await), 200);
}

/// Dropped at any point, a call leaves nothing behind: the next one goes.
#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_at_any_point() {
    let refusal = || {
        let frames = crate::support::Frames::default().data("x").hangs();
        crate::support::with(
            crate::support::answer(429),
            "content-type",
            "application/json",
        )
        .map(|_| frames)
    };
    // Looking for 1 s, letting go for 50 ms, waiting for 1 s, calling for ever.
    for millis in (0..=2_100).step_by(25) {
        let layer = http().max_parks(0).build().unwrap();
        let upstream = Upstream::new().answers(refusal()).hangs();
        let limited = ConcurrencyLimitLayer::new(1).layer(upstream.clone());
        let service = layer.layer(limited.clone());
        let dropped = tokio::time::timeout(millis * MS, service.oneshot(get()));
        assert!(dropped.await.is_err(), "after {millis} ms");
        let mut other = limited.clone();
        let free = made_ready::<Inner<Full<bytes::Bytes>>, _>(&mut other);
        let free = tokio::time::timeout(MS, free).await.is_ok();
        assert!(free, "after {millis} ms somebody still holds the permit");
    }
}

/// Whoever keeps a future that has answered, as a select in a loop does, keeps neither the request nor a service.
#[tokio::test(start_paused = true)]
async fn what_a_call_held_goes_with_its_answer() {
    for answers in [
        &[200][..],
        &[400],
        &[503, 200],
        &[503, 503, 503],
        &[429, 200],
    ] {
        let upstream = answers
            .iter()
            .fold(Upstream::new(), |upstream, &status| upstream.says(status));
        let (in_request, in_service) = (Arc::new(()), Arc::new(()));
        let held_by_service = Arc::clone(&in_service);
        let inner = upstream.clone();
        let mut service = http().build().unwrap().layer(tower::service_fn(
            move |request: Inner<Full<bytes::Bytes>>| {
                let _held = &held_by_service;
                inner.clone().oneshot(request)
            },
        ));
        let mut request = get();
        request.extensions_mut().insert(Arc::clone(&in_request));
        let mut future = Box::pin(service.ready().await.unwrap().call(request));
        drop(service);
        assert!(Arc::strong_count(&in_request) > 1);
        let response = (&mut future).await.unwrap();
        assert_eq!(u16::from(response.status()), *answers.last().unwrap());
        assert_eq!(Arc::strong_count(&in_request), 1, "{answers:?}");
        assert_eq!(Arc::strong_count(&in_service), 1, "{answers:?}");
        assert_pending!(
            future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        );
    }
}

/// A broken service is no attempt.
#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_ends_it() {
    for backoff in [NOW, 100 * MS] {
        let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(typed(backoff));
        handle.allow(1);
        assert_ready!(service.poll_ready()).unwrap();
        let mut call = tokio_test::task::spawn(service.call(7));
        assert_pending!(call.poll());
        let (_, attempt) = handle.next_request().await.unwrap();
        attempt.send_error("broken");
        if !backoff.is_zero() {
            assert_pending!(call.poll());
        }
        handle.send_error("gone");
        tokio::time::sleep(101 * MS).await;
        let error = assert_ready!(call.poll()).unwrap_err();
        assert_eq!(error.report().unwrap().attempts(), 1);
        assert_eq!(error.into_inner().unwrap().to_string(), "gone");
    }
}

/// hyper's executor, tonic and axum ask for that.
#[test]
fn futures_can_be_sent() {
    fn is_send<T: Send>(_: &T) {}
    let service = Picky {
        ready: true,
        left: Arc::default(),
    };
    let layer = http().build().unwrap();
    let service = layer.layer(service);
    is_send(&service.oneshot(Request::new(Empty::<bytes::Bytes>::new())));
    let upstream = Upstream::new();
    is_send(&send(&layer, &upstream, get()));
}

/// Waiting for the service is part of the call: the deadline ends that, too.
#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_wait_for_readiness() {
    let layer = http().total_timeout(2 * S).build().unwrap();
    let upstream = Upstream::new().says(503);
    let inner = ConcurrencyLimitLayer::new(1).layer(upstream.clone());
    let mut other = inner.clone();
    let call = tokio::spawn(layer.layer(inner).oneshot(get()));
    tokio::time::sleep(50 * MS).await;
    // Between its attempts somebody takes the only permit, and keeps it.
    made_ready::<Inner<Full<bytes::Bytes>>, _>(&mut other).await;
    let out = tokio::time::timeout(3 * S, call).await;
    let out = out.expect("it waits past its deadline").unwrap();
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::Deadline, 1)))
    );
    assert_eq!(report(&out).unwrap().elapsed(), 2 * S);
    assert_eq!(upstream.calls(), 1);
}

/// Also where it begins at once, with the end of the attempt before.
#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_wait_for_readiness_without_a_backoff() {
    let layer = http().backoff(NOW).total_timeout(2 * S).build().unwrap();
    let permits = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let failing = tower::service_fn(|_: Inner<Full<bytes::Bytes>>| async {
        tokio::time::sleep(50 * MS).await;
        Ok::<_, &'static str>(crate::support::answer(503))
    });
    let call = layer.layer(permits.layer(failing)).oneshot(get());
    // It is in line while the first attempt is made, and keeps the only permit from then on.
    let hogging = permits.layer(Upstream::new().hangs());
    let hogging = async { tokio::time::timeout(10 * S, hogging.oneshot(get())).await };
    let (out, _) = tokio::join!(tokio::time::timeout(3 * S, call), hogging);
    let out = out.expect("it waits past its deadline");
    assert_eq!(
        (status(&out), ended(&out)),
        (504, Some((Ended::Deadline, 1)))
    );
    assert_eq!(report(&out).unwrap().elapsed(), 2 * S);
}
