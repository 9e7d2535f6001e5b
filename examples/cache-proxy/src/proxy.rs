use std::{
    convert::Infallible, error::Error, future::poll_fn, net::SocketAddr, pin::pin, time::Duration,
};

use buttress_cache::{CacheBody, CacheLayer, CacheService};
use http::{HeaderName, Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as HyperService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::{
    bad_gateway,
    cli::Cli,
    interim::{Interim, Wire},
    upstream::Upstream,
};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What to wait for when there is no file descriptor left for a further connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

type Cached = CacheService<Upstream>;

/// A proxy that is bound to its address and ready to run.
#[derive(Debug)]
pub struct CacheProxy {
    listener: TcpListener,
    address: SocketAddr,
    cache: CacheLayer,
    upstream: Upstream,
}

impl CacheProxy {
    /// Makes the cache, and binds.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot work, or the address cannot be bound.
    pub async fn bind(cli: &Cli) -> Result<Self, Box<dyn Error>> {
        let builder = if cli.private {
            CacheLayer::private()
        } else {
            let cdn = HeaderName::from_static("cdn-cache-control");
            CacheLayer::shared().targeted_fields([cdn])
        };
        let cache = builder.name("cache-proxy").capacity(cli.capacity).build()?;
        let listener = TcpListener::bind(cli.listen).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            cache,
            upstream: Upstream::at(cli.upstream.clone()),
        })
    }

    /// The address that it listens on; the real port where the configured one was 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves HTTP/1.1 for ever.
    pub async fn run(self) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let interim = Interim::default();
                    let upstream = self.upstream.telling(interim.clone());
                    let service = self.cache.layer(upstream);
                    tokio::spawn(connection(stream, service, interim));
                }
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, service: Cached, interim: Interim) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("no TCP_NODELAY: {error}");
    }
    let wire = Wire::of(TokioIo::new(stream), interim.clone());
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(wire, answering(service, interim));
    if let Err(error) = served.await {
        tracing::debug!("a connection broke: {error}");
    }
}

/// The upstream is always ready, so nothing need wait for it.
fn answering(
    service: Cached,
    interim: Interim,
) -> impl HyperService<
    Request<Incoming>,
    Response = Response<CacheBody<Incoming>>,
    Error = Infallible,
    Future: Send,
> {
    service_fn(move |request| {
        interim.begin(request.version());
        let (answer, interim) = (service.clone().call(request), interim.clone());
        async move {
            let mut answer = pin!(answer);
            let answer = poll_fn(|cx| {
                let poll = answer.as_mut().poll(cx);
                // What was sent before this is written when hyper flushes, which it does next.
                if poll.is_pending() {
                    interim.register(cx);
                }
                poll
            });
            let answer = answer.await;
            poll_fn(|cx| interim.poll_end(cx)).await;
            Ok(answer.unwrap_or_else(|error| bad_gateway::answer(&error)))
        }
    })
}
