use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use buttress_core::{Tick, clock::ManualClock};
use buttress_http::{PeerAddr, ResponseBody};
use buttress_rate_limit::{MeteredBody, Policy, RateLimitLayer, RateLimitLayerBuilder};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

/// A clock that stands at 1,000 seconds.
pub(crate) fn clock() -> ManualClock {
    ManualClock::at(Tick::from_nanos(1_000_000_000_000))
}

pub(crate) fn from_peer(ip: impl Into<IpAddr>) -> Request<()> {
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(PeerAddr(SocketAddr::new(ip.into(), 4_000)));
    request
}

/// Answers 200 with a body, and counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler {
    calls: Arc<AtomicUsize>,
}

impl Handler {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<Request<()>, Response = Response<String>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        let calls = Arc::clone(&self.calls);
        service_fn(move |_: Request<()>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async { Ok(Response::new("handled".to_owned())) }
        })
    }
}

/// What came back of one request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) extensions: http::Extensions,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) type Http = RateLimitLayer;

/// Sends one request through a fresh service of `layer`, as axum does for each connection.
pub(crate) async fn send(layer: &Http, handler: &Handler, request: Request<()>) -> Answer {
    let response: Response<ResponseBody<MeteredBody<String>>> = layer
        .layer(handler.service())
        .oneshot(request)
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        extensions: parts.extensions,
        body,
    }
}

pub(crate) fn http(
    policy: Policy,
) -> RateLimitLayerBuilder<buttress_http::Head, buttress_rate_limit::AsResponse> {
    RateLimitLayer::http(policy)
}
