use std::{convert::Infallible, error::Error, net::SocketAddr, time::Duration};

use buttress_cache::{CacheBody, CacheLayer, CacheService};
use http::{HeaderName, Request, Response};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as HyperService, service_fn},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use intermediary::interim::{Before, Interim, Wire};
use tokio::{
    net::{TcpListener, TcpStream},
    time,
};
use tower_layer::Layer as _;
use tower_service::Service as _;

use crate::{bad_gateway, cli::Cli, upstream::Upstream};

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
    service: Cached,
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
            service: cache.layer(Upstream::at(cli.upstream.clone())),
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
                    tokio::spawn(connection(stream, self.service.clone()));
                }
                Err(error) => {
                    tracing::warn!("a connection was not accepted: {error}");
                    time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, service: Cached) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("no TCP_NODELAY: {error}");
    }
    let interim = Interim::default();
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
    service_fn(move |mut request: Request<Incoming>| {
        let exchange = interim.begin(request.version());
        if let Some(exchange) = &exchange {
            request.extensions_mut().insert(exchange.clone());
        }
        let answer = Before::of(exchange, service.clone().call(request));
        async {
            Ok(answer
                .await
                .unwrap_or_else(|error| bad_gateway::answer(&error)))
        }
    })
}
