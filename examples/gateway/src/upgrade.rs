//! Tunnels: `Upgrade` (RFC 9110 §7.8), such as WebSocket's, and `CONNECT` (§9.3.6).
//!
//! 1. The request goes to the configured upstream, over a connection of its own. A CONNECT does too, with the
//!    authority that the client named: whether to connect there is the upstream's to decide, so this gateway
//!    is no open proxy.
//! 2. Where the upstream agrees (101; any 2xx to CONNECT) so do we, and bytes are copied both ways until both
//!    sides have ended, or a shutdown cuts the tunnel.
//! 3. Any other answer is relayed like any other answer.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, HOST, UPGRADE},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io;

use crate::{
    failure::Failure,
    hop_by_hop,
    proxy::{self, Proxy},
    upload::Upload,
};

/// A request's wish for a tunnel, with the client's end of it.
#[derive(Debug)]
pub(crate) struct Wanted {
    client: OnUpgrade,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Upgrade(HeaderValue),
    Connect,
}

impl Wanted {
    /// The wish, if the request has one; to be asked before the fields for one hop are stripped.
    pub(crate) fn take(request: &mut Parts) -> Option<Self> {
        let kind = if request.method == Method::CONNECT {
            Kind::Connect
        } else if request.version == Version::HTTP_11 {
            Kind::Upgrade(hop_by_hop::upgrade(&request.headers)?)
        } else {
            // Neither HTTP/1.0 nor HTTP/2 has the field.
            return None;
        };
        let client = request.extensions.remove()?;
        Some(Self { client, kind })
    }
}

/// Asks the upstream for the tunnel, and keeps it open if it agrees.
pub(crate) async fn forward(
    proxy: &Proxy,
    mut parts: Parts,
    body: Body,
    Wanted { client, kind }: Wanted,
) -> Result<Response, Failure> {
    aim(proxy, &mut parts, &kind)?;
    let (upload, watch) = Upload::watched(body);
    let request = Request::from_parts(parts, upload);
    let asked = proxy.upstream.send_alone(request);
    let mut answer = proxy.in_time(&watch, asked).await?;

    let agreed = match kind {
        Kind::Upgrade(_) => answer.status() == StatusCode::SWITCHING_PROTOCOLS,
        Kind::Connect => answer.status().is_success(),
    };
    if !agreed {
        return proxy::relay(answer.map(Body::new));
    }
    keep_open(proxy, client, hyper::upgrade::on(&mut answer));
    let protocols = answer.headers().get(UPGRADE).cloned();
    let mut answer = proxy::our_own(answer.map(|_| Body::empty()));
    // A tunnel has no length, whatever the upstream says, and hyper resets an h2c stream over one.
    answer.headers_mut().remove(CONTENT_LENGTH);
    if let (Kind::Upgrade(_), Some(protocols)) = (kind, protocols) {
        hop_by_hop::announce_upgrade(answer.headers_mut(), protocols);
    }
    Ok(answer)
}

/// Sets the target, `Host` and the wish itself, as this connection's first line and fields have them.
fn aim(proxy: &Proxy, parts: &mut Parts, kind: &Kind) -> Result<(), Failure> {
    let bad_target = |error: &(dyn std::error::Error + 'static)| Failure::BadTarget.because(error);
    let host = match kind {
        Kind::Connect => {
            let authority = parts.uri.authority().ok_or(Failure::BadTarget)?.clone();
            let host = HeaderValue::from_str(authority.as_str());
            parts.uri = Uri::from(authority);
            host
        }
        Kind::Upgrade(protocols) => {
            hop_by_hop::announce_upgrade(&mut parts.headers, protocols.clone());
            let url = proxy.upstream.url();
            let target = url
                .resolve(&parts.uri)
                .map_err(|error| bad_target(&error))?;
            parts.uri = target
                .path_and_query()
                .cloned()
                .map_or_else(Uri::default, Uri::from);
            HeaderValue::from_str(url.authority().as_str())
        }
    };
    let host = host.map_err(|error| bad_target(&error))?;
    parts.headers.insert(HOST, host);
    Ok(())
}

/// Copies both ways in a task that a shutdown waits for, and cuts when its bound is over.
fn keep_open(proxy: &Proxy, client: OnUpgrade, upstream: OnUpgrade) {
    let cut = proxy.shutdown.cut_off();
    proxy.shutdown.track(async move {
        tokio::select! {
            () = cut => tracing::debug!("a tunnel was cut by the shutdown"),
            ended = splice(client, upstream) => {
                if let Err(error) = ended {
                    tracing::debug!("a tunnel broke: {error}");
                }
            }
        }
    });
}

async fn splice(client: OnUpgrade, upstream: OnUpgrade) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    io::copy_bidirectional(&mut client, &mut upstream).await?;
    Ok(())
}
