use http::{
    HeaderValue, Method, Request, Response, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};
use http_body::Body as _;
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{future::poll_fn, time::Duration};
use tower_service::Service;

use super::upload::Upload;
use crate::{config::UpstreamUrl, failure::Failure};

/// Shorter than the time after which common servers close an idle connection (Node: 5 s), so that a request
/// seldom meets one that is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// How often a connection of HTTP/2 is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// A place that requests go to, and the connections to it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: UpstreamUrl,
    http2: bool,
    pooled: Client<HttpConnector, Upload>,
    connector: HttpConnector,
}

impl Target {
    pub(super) fn at(url: UpstreamUrl, http2: bool) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pooled = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // Whether a request may be sent twice is for a retry layer to decide, not for the pool.
            .retry_canceled_requests(false)
            .http2_only(http2)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_INTERVAL)
            .build(connector.clone());
        Self {
            url,
            http2,
            pooled,
            connector,
        }
    }

    pub(super) const fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Whether this is it.
    pub(super) fn is_at(&self, url: &UpstreamUrl, http2: bool) -> bool {
        self.url == *url && self.http2 == http2
    }

    /// Whether it speaks HTTP/2.
    pub(super) const fn speaks_http2(&self) -> bool {
        self.http2
    }

    /// The request with this upstream's address, version and framing.
    pub(super) fn addressed(
        &self,
        mut request: Request<Upload>,
    ) -> Result<Request<Upload>, Failure> {
        let target = self.url.resolve(request.uri());
        *request.uri_mut() = target.map_err(|error| Failure::BadTarget.because(&error))?;
        // The pool writes the upstream's own.
        request.headers_mut().remove(HOST);
        if self.http2 {
            *request.version_mut() = Version::HTTP_2;
            // A wish for trailers has no company there (RFC 9113 §8.2.2).
            request.headers_mut().remove(CONNECTION);
        } else {
            frame(&mut request);
        }
        Ok(request)
    }

    /// Sends over a connection of the pool. The target is a full address.
    pub(super) async fn send(
        &self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, Failure> {
        self.pooled.request(request).await.map_err(|error| {
            if error.is_connect() {
                Failure::Unreachable.because(&error)
            } else {
                Failure::BrokenOff.because(&error)
            }
        })
    }

    /// Sends over a new connection, which the answer may turn into a tunnel. The target is sent as it is.
    pub(super) async fn send_alone(
        &self,
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, Failure> {
        frame(&mut request);
        let stream = self.connect().await?;
        let broken = |error: hyper::Error| Failure::BrokenOff.because(&error);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(broken)?;
        // Ends when the answer is read, or given up, or its connection was handed to the tunnel.
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(broken)
    }

    async fn connect(&self) -> Result<<HttpConnector as Service<Uri>>::Response, Failure> {
        let address = self
            .url
            .resolve(&Uri::default())
            .map_err(|error| Failure::Unreachable.because(&error))?;
        let mut connector = self.connector.clone();
        let connected = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(address).await
        };
        connected
            .await
            .map_err(|error| Failure::Unreachable.because(&error))
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
