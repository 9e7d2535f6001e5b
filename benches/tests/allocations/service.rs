//! A service behind a layer, and what a request to it costs.

use std::{
    convert::Infallible,
    future::{Future as _, Ready, ready},
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
};

use axum::{body::Body, extract::ConnectInfo};
use buttress_benches::keys;
use http::{Request, Response, StatusCode};
use tower::{Service, service_fn};

use crate::counter::allocations;

pub(crate) type Answer = Ready<Result<Response<Body>, Infallible>>;

pub(crate) fn service()
-> impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future = Answer> + Clone
{
    service_fn(|_request| ready(Ok(Response::new(Body::empty()))))
}

/// What one more request allocates, once its peer is known. The request itself is not counted.
pub(crate) fn per_request<S, B>(mut service: S, status: StatusCode) -> usize
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = || {
        let mut request = Request::new(());
        let peer = SocketAddr::new(keys::ip(7), 50_000);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut answered = None;
        let allocations = allocations(|| {
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut call = pin!(service.call(request));
            // Some wait once.
            for _ in 0..4 {
                if let Poll::Ready(Ok(response)) = call.as_mut().poll(&mut cx) {
                    answered = Some(response.status());
                    break;
                }
            }
        });
        (answered, allocations)
    };
    answer();
    let (answered, allocations) = answer();
    assert_eq!(answered, Some(status));
    allocations
}
