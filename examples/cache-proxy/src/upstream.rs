use std::{
    error::Error,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{
    HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, VIA},
    uri::{PathAndQuery, Scheme},
};
use hyper::{
    body::{Body as _, Incoming},
    ext::on_informational,
};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use intermediary::{hop_by_hop, interim::Exchange};
use tower_service::Service;

use crate::cli::UpstreamUrl;

/// Below the time after which common servers close an idle connection (Node: 5 s), so that a request seldom
/// meets one that is just being closed.
const IDLE: Duration = Duration::from_secs(3);

/// The one place that requests go to.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    url: UpstreamUrl,
    pool: Client<HttpConnector, Incoming>,
}

impl Upstream {
    pub(crate) fn at(url: UpstreamUrl) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pool = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // A request is sent once, or it would be this program's word that it may be repeated.
            .retry_canceled_requests(false)
            .build(connector);
        Self { url, pool }
    }

    /// The address of what a client asks for. Whatever authority it names, there is one upstream.
    fn resolve(&self, requested: &Uri) -> Result<Uri, http::Error> {
        let path = requested.path_and_query().cloned();
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.url.authority().clone())
            .path_and_query(path.unwrap_or_else(|| PathAndQuery::from_static("/")))
            .build()
    }
}

impl Service<Request<Incoming>> for Upstream {
    type Response = Response<Incoming>;
    type Error = UpstreamError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        // A pool is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Answer {
        hop_by_hop::strip(request.headers_mut());
        if let Some(host) = host_of(request.uri()) {
            request.headers_mut().insert(HOST, host);
        }
        let received = match request.version() {
            Version::HTTP_10 => HeaderValue::from_static("1.0 cache-proxy"),
            _ => HeaderValue::from_static("1.1 cache-proxy"),
        };
        request.headers_mut().append(VIA, received);
        if let Some(framing) = framing(&request) {
            request.headers_mut().insert(TRANSFER_ENCODING, framing);
        }
        *request.version_mut() = Version::HTTP_11;
        if let Some(exchange) = request.extensions_mut().remove::<Exchange>() {
            on_informational(&mut request, move |interim| {
                exchange.send(interim.status(), interim.headers());
            });
        }
        Answer(match self.resolve(request.uri()) {
            Ok(uri) => {
                *request.uri_mut() = uri;
                Ok(self.pool.request(request))
            }
            Err(error) => Err(Some(UpstreamError::Target(error))),
        })
    }
}

/// The host of a target in absolute form, which goes before any `Host` (RFC 9112 §3.2.2). What came without one would else
/// be sent on under the upstream's own address, and the answer to that be stored under the name that was asked for.
fn host_of(requested: &Uri) -> Option<HeaderValue> {
    let authority = requested.authority()?.as_str();
    let host = authority.rsplit('@').next()?;
    HeaderValue::try_from(host).ok()
}

/// A body of unknown length is framed by hyper itself, but not with the methods that seldom have one.
fn framing(request: &Request<Incoming>) -> Option<HeaderValue> {
    let body = request.body();
    let unframed = !body.is_end_stream()
        && body.size_hint().exact().is_none()
        && !request.headers().contains_key(CONTENT_LENGTH);
    unframed.then(|| HeaderValue::from_static("chunked"))
}

/// The upstream's answer.
#[derive(Debug)]
pub(crate) struct Answer(Result<legacy::ResponseFuture, Option<UpstreamError>>);

impl Future for Answer {
    type Output = Result<Response<Incoming>, UpstreamError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = match &mut self.0 {
            Ok(answer) => ready!(Pin::new(answer).poll(cx)).map_err(UpstreamError::Client)?,
            Err(error) => {
                return error
                    .take()
                    .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
            }
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Poll::Ready(Err(UpstreamError::Unasked));
        }
        hop_by_hop::strip(response.headers_mut());
        // The version is the connection's affair, not the message's.
        *response.version_mut() = Version::default();
        Poll::Ready(Ok(response))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum UpstreamError {
    /// It was not reached, or broke off, or sent no HTTP.
    Client(legacy::Error),
    /// The target cannot be forwarded.
    Target(http::Error),
    /// It switches protocols, which nobody asked for.
    Unasked,
}

impl fmt::Display for UpstreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "no answer came",
            Self::Target(_) => "the target cannot be forwarded",
            Self::Unasked => "it switched protocols unasked",
        })
    }
}

impl Error for UpstreamError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Client(error) => Some(error),
            Self::Target(error) => Some(error),
            Self::Unasked => None,
        }
    }
}
