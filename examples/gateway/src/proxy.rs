//! A request, made ours to send, and the attempts at having it answered.

use std::{
    convert::Infallible,
    future::{Future, ready},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{self, Context, Poll},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use buttress_retry::ReplayBody;
use bytes::Bytes;
use http::request::Parts;
use intermediary::{hop_by_hop, interim::Exchange};
use pin_project_lite::pin_project;
use tower::ServiceExt as _;
use tower_layer::Layer as _;

use crate::{
    call::{Call, Decision},
    config::ClientIpConfig,
    cookie,
    failure::Failure,
    forwarded, max_forwards,
    patience::OfPaths,
    retry,
    shared::{Answer, Serve},
    upstreams::{Preferred, Upstreams, Wanted},
    via,
};

/// Forwards any request: the innermost of the gateway's services.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) upstreams: Arc<Upstreams>,
    /// The layer around the attempts of a call, where there may be several.
    pub(crate) retry: Option<retry::Layer>,
    pub(crate) client_ip: Arc<ClientIpConfig>,
    pub(crate) patience: OfPaths,
}

impl Serve for Proxy {
    fn serve(&self, request: Request) -> Answer {
        let (mut parts, body) = request.into_parts();
        if max_forwards::ends_here(&mut parts) {
            return Box::pin(ready(Ok(max_forwards::answer(&parts))));
        }
        if via::goes_round(&parts.headers) {
            Call::note(|| Decision::of("via", "loop"));
            return Box::pin(ready(Ok(Failure::Loop.into_response())));
        }
        let tunnel = Wanted::take(&mut parts);
        let exchange = parts.extensions.remove::<Exchange>();
        prepare(&self.client_ip, &mut parts);
        // Nobody further in asks who it is, and what is in there is cloned for each attempt.
        parts.extensions.clear();
        if let Some(tunnel) = tunnel {
            parts.extensions.insert(tunnel);
        }
        if let Some(exchange) = exchange {
            parts.extensions.insert(exchange);
        }
        let patience = self.patience.at(parts.uri.path());
        let request = Request::from_parts(parts, body);
        let attempts = Preferred::of(&self.upstreams, patience);
        match &self.retry {
            None => Box::pin(Answered {
                by_upstreams: attempts.oneshot(request),
            }),
            Some(retry) => {
                let attempts = attempts
                    .map_request(|request: http::Request<ReplayBody<Body>>| request.map(Body::new));
                Box::pin(Answered {
                    by_upstreams: retry.layer(attempts).oneshot(request),
                })
            }
        }
    }
}

pin_project! {
    /// There is always an answer: where no upstream has one, it is ours.
    struct Answered<F> {
        #[pin]
        by_upstreams: F,
    }
}

impl<F, B> Future for Answered<F>
where
    F: Future<Output = Result<Response<B>, Failure>>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = task::ready!(self.project().by_upstreams.poll(cx));
        Poll::Ready(Ok(match answer {
            Ok(answer) => answer.map(Body::new),
            Err(failure) => failure.into_response(),
        }))
    }
}

/// Takes away what was for us only, and adds what the upstream should know.
///
/// In this order: a client that names `X-Forwarded-For` in `Connection` does not make ours disappear.
fn prepare(client_ip: &ClientIpConfig, parts: &mut Parts) {
    let host = forwarded::requested_host(parts);
    hop_by_hop::strip(&mut parts.headers);
    cookie::join(&mut parts.headers);
    if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied() {
        let trusted = client_ip.trusts(peer.ip());
        forwarded::tell(&mut parts.headers, peer.ip(), host, trusted);
    }
    // The version stays what it was: by it a gRPC call is known further in.
    via::append(&mut parts.headers, parts.version);
}
