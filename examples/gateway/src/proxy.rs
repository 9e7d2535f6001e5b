//! One request there and one answer back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request, State},
    response::Response,
};
use http::{
    HeaderValue, Method, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
    request::Parts,
};
use http_body::Body as _;

use crate::{
    config::ClientIpConfig,
    failure::Failure,
    forwarded, hop_by_hop,
    shutdown::Shutdown,
    upgrade,
    upload::{Upload, Watch},
    upstream::Upstream,
    via,
};

/// What forwarding needs to know.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) upstream: Upstream,
    pub(crate) client_ip: ClientIpConfig,
    /// `timeouts.response`.
    pub(crate) patience: Duration,
    /// Keeps the tunnels' tasks.
    pub(crate) shutdown: Shutdown,
}

/// Forwards any request; the router's only handler.
pub(crate) async fn forward(
    State(proxy): State<Arc<Proxy>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<Response, Failure> {
    let (mut parts, body) = request.into_parts();
    let tunnel = upgrade::Wanted::take(&mut parts);
    prepare(&proxy, &mut parts, peer);
    frame(&mut parts, &body);
    if let Some(tunnel) = tunnel {
        return upgrade::forward(&proxy, parts, body, tunnel).await;
    }

    let target = proxy.upstream.url().resolve(&parts.uri);
    parts.uri = target.map_err(|error| Failure::BadTarget.because(&error))?;
    // The pool writes the upstream's own.
    parts.headers.remove(HOST);
    let (upload, watch) = Upload::watched(body);
    let request = Request::from_parts(parts, upload);
    let answer = proxy.in_time(&watch, proxy.upstream.send(request)).await?;
    relay(answer.map(Body::new))
}

impl Proxy {
    /// Waits for an answer's headers, and no longer than the upstream may take.
    pub(crate) async fn in_time<T>(
        &self,
        watch: &Watch,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            answer = answer => answer.map_err(|failure| {
                if watch.client_broke_off() { Failure::BadBody } else { failure }
            }),
            () = watch.upstream_is_late(self.patience) => Err(Failure::Late),
        }
    }
}

/// Makes the upstream's answer ours to send.
///
/// One that switches protocols is none here: nobody asked for it, and the client would wait for ever.
pub(crate) fn relay(answer: Response) -> Result<Response, Failure> {
    if answer.status().is_informational() {
        return Err(Failure::Unasked);
    }
    Ok(our_own(answer))
}

/// Takes the fields for one hop away, and adds `Via`.
pub(crate) fn our_own(mut answer: Response) -> Response {
    let received = answer.version();
    hop_by_hop::strip(answer.headers_mut());
    via::append(answer.headers_mut(), received);
    // The version is the connection's affair, not the message's.
    *answer.version_mut() = Version::default();
    answer
}

/// Takes away what was for us only, and adds what the upstream should know.
///
/// In this order: a client that names `X-Forwarded-For` in `Connection` does not make ours disappear.
fn prepare(proxy: &Proxy, parts: &mut Parts, peer: SocketAddr) {
    let received = parts.version;
    let host = forwarded::requested_host(parts);
    let trusted = proxy.client_ip.trusts(peer.ip());
    hop_by_hop::strip(&mut parts.headers);
    forwarded::tell(&mut parts.headers, peer.ip(), host, trusted);
    via::append(&mut parts.headers, received);
    parts.version = Version::HTTP_11;
}

/// Frames a body of unknown length, because hyper sends none with GET and HEAD unless told.
fn frame(parts: &mut Parts, body: &Body) {
    let rare = matches!(parts.method, Method::GET | Method::HEAD);
    if rare
        && !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !parts.headers.contains_key(CONTENT_LENGTH)
    {
        let chunked = HeaderValue::from_static("chunked");
        parts.headers.insert(TRANSFER_ENCODING, chunked);
    }
}
