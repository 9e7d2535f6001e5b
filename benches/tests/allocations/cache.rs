//! Caches.

use std::{
    convert::Infallible,
    future::{Future as _, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

use buttress_cache::CacheLayer;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service, service_fn};

use crate::counter::allocations;

/// How often a call allocates that is answered at once.
fn allocations_of<S, B>(service: &mut S, method: &Method) -> usize
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let mut request = Request::new(Full::default());
    *request.method_mut() = method.clone();
    *request.uri_mut() = Uri::from_static("http://example.com/a?b=c");
    allocations(|| {
        let answered = pin!(service.call(request));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(answered.poll(&mut cx).is_ready(), "it waits for nobody");
    })
}

/// One for what is kept of the call and one for Cache-Status; where an answer may be stored after all, one for its place
/// among the fetches (and two for a copy of the request's fields, which has none here). No task.
#[test]
fn what_is_not_stored_allocates_up_to_three_times() {
    let origin = |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        let value = HeaderValue::from_static("no-store");
        response.headers_mut().insert("cache-control", value);
        ready(Ok::<_, Infallible>(response))
    };
    let bare = allocations_of(&mut service_fn(origin), &Method::GET);
    let mut service = CacheLayer::shared()
        .build()
        .unwrap()
        .layer(service_fn(origin));
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let mut request = Request::new(Full::default());
            *request.uri_mut() = Uri::from_static("http://example.com/a?b=c");
            let answered = service.call(request).await.unwrap();
            assert!(!answered.headers()["cache-status"].is_empty());
        });
    for (method, most) in [(Method::PUT, 2), (Method::POST, 3), (Method::GET, 3)] {
        let once = allocations_of(&mut service, &method);
        assert_eq!(once - bare, most, "{method}");
    }
}

/// Two for the map of fields, one each for Age and Cache-Status; the body is shared.
#[test]
fn a_hit_in_the_cache_allocates_four_times() {
    let origin = |_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::<Bytes>::from(vec![b'x'; 1024]));
        for (name, value) in [
            ("cache-control", "max-age=31536000"),
            ("content-type", "text/plain"),
            ("etag", "\"v1\""),
            ("server", "hand-made"),
        ] {
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        Ok::<_, Infallible>(response)
    };
    let cache = CacheLayer::shared().build().unwrap();
    let mut service = cache.layer(service_fn(origin));
    let uri = Uri::from_static("http://example.com/a?b=c");
    let request = || {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.clone();
        request
    };
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let stored = service.call(request()).await.unwrap();
            stored.into_body().collect().await.unwrap();
        });
    let mut hit = || {
        let request = request();
        let mut served = None;
        let count = allocations(|| {
            let answered = pin!(service.call(request));
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(response)) = answered.poll(&mut cx) else {
                panic!("a hit waits for nobody");
            };
            let (parts, body) = response.into_parts();
            let mut body = pin!(body);
            let frame = body.as_mut().poll_frame(&mut cx);
            served = Some((parts, frame));
        });
        assert!(served.unwrap().0.headers.contains_key("age"));
        count
    };
    // The first one makes the stored bytes shared.
    hit();
    assert_eq!(hit(), 4);
}
