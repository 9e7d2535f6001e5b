//! A request, made ours to send, and the attempts at having it answered.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    extract::{ConnectInfo, Request},
    response::Response,
};
use buttress_retry::Retry;
use http::{Extensions, request::Parts};
use intermediary::{hop_by_hop, interim::Exchange};
use pin_project_lite::pin_project;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::{
    body::IntoBody,
    call::{Call, Decision},
    config::ClientIpConfig,
    cookie,
    failure::Failure,
    forwarded, max_forwards,
    patience::OfPaths,
    retry, shared,
    upstreams::{Preferred, Upstreams, Wanted},
    via,
};

/// Forwards any request: the innermost of the gateway's services. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Proxy(Arc<Forwarding>);

#[derive(Debug)]
struct Forwarding {
    upstreams: Arc<Upstreams>,
    /// The layer around the attempts of a call, where there may be several.
    retry: Option<retry::Layer>,
    client_ip: ClientIpConfig,
    patience: OfPaths,
}

impl Proxy {
    pub(crate) fn to(
        upstreams: &Arc<Upstreams>,
        retry: Option<retry::Layer>,
        client_ip: &ClientIpConfig,
        patience: OfPaths,
    ) -> Self {
        Self(Arc::new(Forwarding {
            upstreams: Arc::clone(upstreams),
            retry,
            client_ip: client_ip.clone(),
            patience,
        }))
    }
}

impl Service<Request> for Proxy {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Answering {
        let (mut parts, body) = request.into_parts();
        if max_forwards::ends_here(&mut parts) {
            return Answering::at_once(max_forwards::answer(&parts));
        }
        if via::goes_round(&parts.headers) {
            Call::note(|| Decision::of("via", "loop"));
            return Answering::at_once(Failure::Loop.into_response());
        }
        let Forwarding {
            upstreams,
            retry,
            client_ip,
            patience,
        } = &*self.0;
        let tunnel = Wanted::take(&mut parts);
        let exchange = parts.extensions.remove::<Exchange>();
        prepare(client_ip, &mut parts);
        let patience = patience.at(parts.uri.path());
        let mut attempts = Preferred::of(upstreams, patience, tunnel, exchange);
        // Nobody further in asks who it is.
        match retry {
            None => {
                parts.extensions.clear();
                Answering::Once {
                    answer: shared::call(&mut attempts, Request::from_parts(parts, body)),
                }
            }
            Some(retry) => {
                // For each attempt there is a clone, which takes allocations even where they are clear.
                parts.extensions = Extensions::new();
                let request = Request::from_parts(parts, body);
                Answering::Repeated {
                    answer: shared::call(&mut retry.layer(attempts), request),
                }
            }
        }
    }
}

pin_project! {
    /// There is always an answer: where no upstream has one, it is ours.
    #[project = AnsweringProjection]
    pub(crate) enum Answering {
        AtOnce {
            answer: Option<Response>,
        },
        Once {
            #[pin]
            answer: <Preferred as Service<Request>>::Future,
        },
        Repeated {
            #[pin]
            answer: <Retry<Preferred, retry::Flavor> as Service<Request>>::Future,
        },
    }
}

impl Answering {
    const fn at_once(answer: Response) -> Self {
        Self::AtOnce {
            answer: Some(answer),
        }
    }
}

impl Future for Answering {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project() {
            // Polled again after it was ready, it has nothing to say, as the contract allows.
            AnsweringProjection::AtOnce { answer } => match answer.take() {
                Some(answer) => answer,
                None => return Poll::Pending,
            },
            AnsweringProjection::Once { answer } => said(ready!(answer.poll(cx))),
            AnsweringProjection::Repeated { answer } => said(ready!(answer.poll(cx))),
        }))
    }
}

fn said<B: IntoBody>(answer: Result<Response<B>, Failure>) -> Response {
    match answer {
        Ok(answer) => answer.map(IntoBody::into_body),
        Err(failure) => failure.into_response(),
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
