//! Tunnels: `Upgrade` (RFC 9110 §7.8), such as WebSocket's, and `CONNECT` (§9.3.6).
//!
//! 1. The request goes to the first upstream that may be called, over a connection of its own. A CONNECT does too, with the
//!    authority that the client named: whether to connect there is the upstream's to decide, so this gateway
//!    is no open proxy.
//! 2. Where the upstream agrees (101; any 2xx to CONNECT) so do we, and bytes are copied both ways until both
//!    sides have ended, neither has said anything for `timeouts.upstream_idle`, or a shutdown cuts the tunnel.
//! 3. Any other answer is relayed like any other answer.
//!
//! That connection is of HTTP/1.1, also where the upstream is otherwise spoken to in HTTP/2: most servers of HTTP/2 speak
//! both, and few of them make tunnels in HTTP/2 (RFC 8441). To one that does not the answer is a 501, which is no failure of
//! the upstream's: clients who ask it for tunnels must not open its circuit.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, Method, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, HOST, UPGRADE},
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use intermediary::{hop_by_hop, interim::Exchange};
use tokio::io;
use tokio_util::io::InspectWriter;

use super::attempt::{Destination, in_time};
use crate::{
    answer,
    call::{Call, End},
    failure::Failure,
    idle::Pulse,
    patience::Patience,
};

/// A request's wish for a tunnel, with the client's end of it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    client: OnUpgrade,
    kind: Kind,
}

#[derive(Clone, Debug)]
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
pub(super) async fn forward(
    destination: &Destination,
    mut parts: Parts,
    body: Body,
    Wanted { client, kind }: Wanted,
    exchange: Option<Exchange>,
    patience: Patience,
) -> Result<Response, Failure> {
    aim(destination, &mut parts, &kind)?;
    let (request, watch) = destination.watched(parts, body, exchange, patience);
    let asked = destination.target.send_alone(request, &watch);
    let answer = in_time(patience, &watch, asked).await;
    let mut answer = answer.map_err(|failure| match failure {
        // Its circuit hears of it from all other calls, if it is not HTTP/1.1 that it broke off at.
        Failure::BrokenOff | Failure::Unsent if destination.target.speaks_http2() => {
            Failure::NoTunnel
        }
        failure => failure,
    })?;

    let agreed = match kind {
        Kind::Upgrade(_) => answer.status() == StatusCode::SWITCHING_PROTOCOLS,
        Kind::Connect => answer.status().is_success(),
    };
    if !agreed {
        return answer::relay(destination.read(answer, watch, patience));
    }
    let upstream = hyper::upgrade::on(&mut answer);
    keep_open(destination, client, upstream, patience.upstream_idle);
    let protocols = answer.headers().get(UPGRADE).cloned();
    let mut answer = answer::our_own(answer.map(|_| Body::empty()));
    // A tunnel has no length, whatever the upstream says, and hyper resets an h2c stream over one.
    answer.headers_mut().remove(CONTENT_LENGTH);
    if let (Kind::Upgrade(_), Some(protocols)) = (kind, protocols) {
        hop_by_hop::announce_upgrade(answer.headers_mut(), protocols);
    }
    Ok(answer)
}

/// Sets the target, `Host` and the wish itself, as this connection's first line and fields have them.
fn aim(destination: &Destination, parts: &mut Parts, kind: &Kind) -> Result<(), Failure> {
    let bad_target = |error: &(dyn std::error::Error + 'static)| {
        Failure::BadTarget.because(&destination.name, error)
    };
    let host = match kind {
        Kind::Connect => {
            let authority = parts.uri.authority().ok_or(Failure::BadTarget)?.clone();
            let host = HeaderValue::from_str(authority.as_str());
            parts.uri = Uri::from(authority);
            host
        }
        Kind::Upgrade(protocols) => {
            hop_by_hop::announce_upgrade(&mut parts.headers, protocols.clone());
            let target = destination.target.resolved(&parts.uri)?;
            parts.uri = target
                .path_and_query()
                .cloned()
                .map_or_else(Uri::default, Uri::from);
            HeaderValue::from_str(destination.target.url().authority().as_str())
        }
    };
    let host = host.map_err(|error| bad_target(&error))?;
    parts.headers.insert(HOST, host);
    Ok(())
}

/// Copies both ways in a task that a shutdown waits for, and cuts when its bound is over.
fn keep_open(
    destination: &Destination,
    client: OnUpgrade,
    upstream: OnUpgrade,
    idle: Option<Duration>,
) {
    let cut = destination.shutdown.cut_off();
    // The call is not over before the tunnel is.
    let call = Call::current();
    if let Some(call) = &call {
        call.ended(End::Tunnel);
    }
    destination.shutdown.track(async move {
        tokio::select! {
            () = cut => tracing::debug!("a tunnel was cut by the shutdown"),
            ended = splice(client, upstream, call.as_deref(), idle) => {
                if let Err(error) = ended {
                    tracing::debug!("a tunnel broke: {error}");
                }
            }
        }
        drop(call);
    });
}

async fn splice(
    client: OnUpgrade,
    upstream: OnUpgrade,
    call: Option<&Call>,
    idle: Option<Duration>,
) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let pulse = Pulse::default();
    let mut upstream = InspectWriter::new(TokioIo::new(upstream), |_: &[u8]| pulse.beat());
    // As they go, since a tunnel that is cut tells no sum.
    let mut client = InspectWriter::new(TokioIo::new(client), |bytes: &[u8]| {
        pulse.beat();
        if let Some(call) = call {
            call.sent(bytes.len() as u64);
        }
    });
    tokio::select! {
        ended = io::copy_bidirectional(&mut client, &mut upstream) => ended.map(drop),
        () = pulse.stops(idle) => Err(io::ErrorKind::TimedOut.into()),
    }
}
