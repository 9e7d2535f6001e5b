use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use buttress_core::{Tick, clock::ManualClock};
use buttress_http::{Head, PeerAddr, ResponseBody};
use buttress_rate_limit::{MeteredBody, Policy, Quota, RateLimitLayer, RateLimitLayerBuilder};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
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

/// A request with these fields, such as gRPC may send, too.
pub(crate) fn with(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = from_peer(Ipv4Addr::LOCALHOST);
    *request.method_mut() = Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(*name, HeaderValue::from_static(value));
    }
    request
}

/// The quota of the tier that a request names.
pub(crate) fn by_tier(head: &Head) -> Option<Quota> {
    let tier = head.headers().get("x-tier")?;
    match tier.as_bytes() {
        b"gold" => Quota::per_hour(100).build().ok(),
        b"minute" => Quota::per_minute(100).build().ok(),
        b"silver" => Quota::per_hour(4).burst(2).build().ok(),
        _ => None,
    }
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

/// The status of what a service answers that is kept, as a connection keeps its own: it is made ready and called, in place.
pub(crate) async fn status_of<S, B>(service: &mut S, request: Request<()>) -> u16
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let ready = service.ready().await.unwrap();
    ready.call(request).await.unwrap().status().as_u16()
}

pub(crate) fn http(policy: Policy) -> RateLimitLayerBuilder<Head, buttress_rate_limit::AsResponse> {
    RateLimitLayer::http(policy)
}

/// What handlers return that settle.
pub(crate) type Handled = Result<Response<String>, Infallible>;

/// What the next request is told of how it stands.
pub(crate) async fn told(layer: &RateLimitLayer) -> String {
    let probe = service_fn(|_: Request<()>| async { Handled::Ok(Response::default()) });
    let request = from_peer(Ipv4Addr::LOCALHOST);
    let answer = layer.layer(probe).oneshot(request).await.unwrap();
    answer.headers()["ratelimit"].to_str().unwrap().to_owned()
}

/// How many are left under the first policy, once `handler` has handled a request.
pub(crate) async fn remaining<S>(layer: &RateLimitLayer, handler: S) -> u64
where
    S: Service<Request<()>, Response = Response<String>, Error = Infallible> + Clone,
{
    layer
        .layer(handler)
        .oneshot(from_peer(Ipv4Addr::LOCALHOST))
        .await
        .unwrap();
    told(layer)
        .await
        .split(";r=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}
