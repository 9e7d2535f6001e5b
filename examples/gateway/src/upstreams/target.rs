use std::{error::Error, future::poll_fn, time::Duration};

use axum::BoxError;
use buttress_retry::{ClassifyError as _, HyperErrors, Judgment};
use http::{
    HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tower_service::Service;

use super::{
    connect::InTime,
    tls,
    upload::{Upload, Watch},
};
use crate::{
    config::{UnresolvedTarget, UpstreamConfig, UpstreamUrl},
    failure::Failure,
};

/// Shorter than the time after which common servers close an idle connection (Node: 5 s), so that a request
/// seldom meets one that is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How often a connection of HTTP/2 is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// A place that requests go to, and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    config: UpstreamConfig,
    /// What the file of certificates held, if there is one.
    ca: Option<Vec<u8>>,
    pooled: Client<InTime, Upload>,
    /// For connections that stand alone: tunnels are of HTTP/1.1.
    alone: InTime,
}

impl Target {
    /// The error is what is wrong with the certificates.
    pub(super) fn of(
        config: &UpstreamConfig,
        ca: Option<Vec<u8>>,
        connect: Duration,
    ) -> Result<Self, String> {
        let (pooled, alone) = tls::connectors(config, ca.as_deref())?;
        let in_time = |connector, hears| InTime {
            connector,
            bound: connect,
            hears,
        };
        let (pooled, alone) = (in_time(pooled, !config.http2), in_time(alone, false));
        let pooled = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // Whether a request may be sent twice is for a retry layer to decide, not for the pool.
            .retry_canceled_requests(false)
            .http2_only(config.http2)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_INTERVAL)
            .build(pooled);
        Ok(Self {
            config: config.clone(),
            ca,
            pooled,
            alone,
        })
    }

    pub(super) const fn url(&self) -> &UpstreamUrl {
        &self.config.url
    }

    /// Whether this is it, and trusts who is trusted now: certificates change in the file that they stand in.
    pub(super) fn is_of(
        &self,
        config: &UpstreamConfig,
        ca: Option<&[u8]>,
        connect: Duration,
    ) -> bool {
        let of = |config: &UpstreamConfig| (config.url.clone(), config.http2, config.ca.clone());
        of(&self.config) == of(config) && self.ca.as_deref() == ca && self.alone.bound == connect
    }

    /// Whether it speaks HTTP/2.
    pub(super) const fn speaks_http2(&self) -> bool {
        self.config.http2
    }

    /// Gives the request this upstream's address, version and framing.
    pub(super) fn address(&self, request: &mut Request<Upload>) -> Result<(), Failure> {
        *request.uri_mut() = self.resolved(request.uri())?;
        // The pool writes the upstream's own.
        request.headers_mut().remove(HOST);
        if self.config.http2 {
            *request.version_mut() = Version::HTTP_2;
            // A wish for trailers has no company there (RFC 9113 §8.2.2).
            request.headers_mut().remove(CONNECTION);
        } else {
            *request.version_mut() = Version::HTTP_11;
            frame(request);
        }
        Ok(())
    }

    /// The address of what a client asks for.
    pub(super) fn resolved(&self, requested: &Uri) -> Result<Uri, Failure> {
        let resolved = self.config.url.resolve(requested);
        resolved.map_err(|error| match error {
            // Clients may ask for that as often as they like, and the operator need not hear of it each time.
            UnresolvedTarget::Climbs => Failure::BadTarget,
            error => Failure::BadTarget.because(self.config.name(), &error),
        })
    }

    /// Sends over a connection of the pool. The target is a full address. `watch` is that of the request's body: where the
    /// client broke off, what follows is not told as a failure of the upstream's.
    pub(super) fn send(
        &self,
        request: Request<Upload>,
        watch: &Watch,
    ) -> impl Future<Output = Result<Response<Incoming>, Failure>> {
        let answer = self.pooled.request(request);
        async {
            answer.await.map_err(|error| {
                if let Some(failure) = watch.clients_failure() {
                    return failure;
                }
                let failure = if error.is_connect() {
                    Failure::Unreachable
                } else {
                    of_error(&error)
                };
                failure.because(self.config.name(), &error)
            })
        }
    }

    /// Sends over a new connection, which the answer may turn into a tunnel. The target is sent as it is.
    pub(super) async fn send_alone(
        &self,
        mut request: Request<Upload>,
        watch: &Watch,
    ) -> Result<Response<Incoming>, Failure> {
        *request.version_mut() = Version::HTTP_11;
        frame(&mut request);
        let stream = self.connect().await?;
        let broken = |error: hyper::Error| {
            if let Some(failure) = watch.clients_failure() {
                return failure;
            }
            of_error(&error).because(self.config.name(), &error)
        };
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        // Ends when the answer is read, or given up, or its connection was handed to the tunnel.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(broken)
    }

    async fn connect(&self) -> Result<<InTime as Service<Uri>>::Response, Failure> {
        let address = self
            .config
            .url
            .resolve(&Uri::default())
            .map_err(|error| Failure::Unreachable.because(self.config.name(), &error))?;
        let mut connector = self.alone.clone();
        let connected = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(address).await
        };
        connected
            .await
            .map_err(|error: BoxError| Failure::Unreachable.because(self.config.name(), &*error))
    }
}

/// Whether anything of the request was sent decides on whether it may be sent again.
fn of_error<E: Error + 'static>(error: &E) -> Failure {
    match HyperErrors.classify_error(error) {
        Judgment::Unprocessed { .. } => Failure::Unsent,
        _ => Failure::BrokenOff,
    }
}

/// Frames a body of unknown length, because hyper sends none with GET and HEAD unless told.
fn frame(request: &mut Request<Upload>) {
    let rare = matches!(*request.method(), Method::GET | Method::HEAD);
    let body = request.body();
    if rare
        && !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !request.headers().contains_key(CONTENT_LENGTH)
    {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}
