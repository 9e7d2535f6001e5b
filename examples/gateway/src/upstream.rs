use http::{Request, Response, Uri};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{future::poll_fn, time::Duration};
use tower_service::Service;

use crate::{config::UpstreamUrl, failure::Failure, upload::Upload};

/// Shorter than the time after which common servers close an idle connection (Node: 5 s), so that a request
/// seldom meets one that is just being closed.
const IDLE: Duration = Duration::from_secs(4);

/// The one place that requests go to.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    url: UpstreamUrl,
    pooled: Client<HttpConnector, Upload>,
    connector: HttpConnector,
}

impl Upstream {
    pub(crate) fn at(url: UpstreamUrl) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let pooled = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            // Whether a request may be sent twice is for a retry layer to decide, not for the pool.
            .retry_canceled_requests(false)
            .build(connector.clone());
        Self {
            url,
            pooled,
            connector,
        }
    }

    pub(crate) const fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Sends over a connection of the pool. The target is a full address.
    pub(crate) async fn send(
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
    pub(crate) async fn send_alone(
        &self,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, Failure> {
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
