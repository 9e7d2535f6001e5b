//! A request, made ours to send, and the attempts at having it answered.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use buttress_core::BoxFuture;
use bytes::Bytes;
use http::request::Parts;
use tower_service::Service;

use crate::{
    config::ClientIpConfig,
    failure::Failure,
    forwarded, hop_by_hop,
    upstreams::{Tried, Wanted},
    via,
};

/// Forwards any request: the innermost of the gateway's services.
#[derive(Clone, Debug)]
pub(crate) struct Proxy<S> {
    /// Where attempts are made.
    pub(crate) upstreams: S,
    pub(crate) client_ip: Arc<ClientIpConfig>,
}

impl<S, B> Service<Request> for Proxy<S>
where
    S: Service<Request, Response = http::Response<B>, Error = Failure> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // The upstreams are made ready when their turn comes.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Self {
            mut upstreams,
            client_ip,
        } = self.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let tunnel = Wanted::take(&mut parts);
            prepare(&client_ip, &mut parts);
            if let Some(tunnel) = tunnel {
                parts.extensions.insert(tunnel);
            }
            parts.extensions.insert(Tried::default());
            let request = Request::from_parts(parts, body);
            let answer = async {
                poll_fn(|cx| upstreams.poll_ready(cx)).await?;
                Ok(upstreams.call(request).await?.map(Body::new))
            };
            Ok(answer
                .await
                .unwrap_or_else(|failure: Failure| failure.into_response()))
        })
    }
}

/// Takes away what was for us only, and adds what the upstream should know.
///
/// In this order: a client that names `X-Forwarded-For` in `Connection` does not make ours disappear.
fn prepare(client_ip: &ClientIpConfig, parts: &mut Parts) {
    let host = forwarded::requested_host(parts);
    hop_by_hop::strip(&mut parts.headers);
    if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>().copied() {
        let trusted = client_ip.trusts(peer.ip());
        forwarded::tell(&mut parts.headers, peer.ip(), host, trusted);
    }
    // The version stays what it was: by it a gRPC call is known further in.
    via::append(&mut parts.headers, parts.version);
}
