use std::{error::Error, fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::net::TcpListener;

use crate::{
    config::{Config, UpstreamUrl, Violation},
    demo_upstream::DemoUpstream,
    limits,
    proxy::{self, Proxy},
    serve::serve,
    shutdown::Shutdown,
    upstream::Upstream,
};

/// A gateway that is bound to its address and ready to run.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    upstream: UpstreamUrl,
    /// Lives as long as the gateway, draining included.
    demo: Option<DemoUpstream>,
    app: Router,
    bound: Duration,
    shutdown: Shutdown,
}

impl Gateway {
    /// Builds the limits, starts the built-in upstream where no other is configured, and binds. The gateway
    /// ends when `shutdown` is asked for.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot work, or an address cannot be bound.
    pub async fn bind(config: &Config, shutdown: Shutdown) -> Result<Self, StartError> {
        let limits = limits::layer(config).map_err(StartError::Config)?;
        let (demo, upstream) = match &config.upstream {
            Some(url) => (None, url.clone()),
            None => {
                let demo = DemoUpstream::start().await.map_err(StartError::Demo)?;
                let url = demo.url().clone();
                (Some(demo), url)
            }
        };
        let bind = |error| StartError::Bind(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let proxy = Proxy {
            upstream: Upstream::at(upstream.clone()),
            client_ip: config.client_ip.clone(),
            patience: config.timeouts.response,
            shutdown: shutdown.clone(),
        };
        let app = Router::new()
            .fallback(proxy::forward)
            .layer(limits)
            .with_state(Arc::new(proxy));
        Ok(Self {
            listener,
            address,
            upstream,
            demo,
            app,
            bound: config.timeouts.shutdown,
            shutdown,
        })
    }

    /// The address that it listens on; the real port where the configured one was 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The upstream that it forwards to.
    #[must_use]
    pub const fn upstream(&self) -> &UpstreamUrl {
        &self.upstream
    }

    /// Whether the upstream is the built-in one.
    #[must_use]
    pub const fn has_demo_upstream(&self) -> bool {
        self.demo.is_some()
    }

    /// Serves until the shutdown, and then until what is in flight has finished or `timeouts.shutdown` is
    /// over. Tells whether it finished.
    pub async fn run(self) -> bool {
        serve(self.listener, self.app, &self.shutdown).await;
        self.shutdown.drain(self.bound).await
    }
}

/// Why a gateway does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot work.
    Config(Violation),
    /// The address to listen on cannot be bound.
    Bind(SocketAddr, io::Error),
    /// The built-in upstream found no port.
    Demo(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(violation) => violation.fmt(f),
            Self::Bind(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Demo(error) => write!(f, "cannot start the built-in upstream: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(violation) => Some(violation),
            Self::Bind(_, error) | Self::Demo(error) => Some(error),
        }
    }
}
