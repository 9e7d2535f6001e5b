use std::{error::Error, fmt, io, net::SocketAddr};

use tokio::{net::TcpListener, time};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    admin::{self, Metrics},
    call_log::CallLog,
    config::{Config, UpstreamUrl, Violation},
    demo_upstream::DemoUpstream,
    reload::InForce,
    serve::serve,
    shutdown::Shutdown,
    telemetry::Telemetry,
};

/// A gateway that is bound to its addresses and ready to run.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    admin: Option<(TcpListener, SocketAddr)>,
    metrics: Option<Metrics>,
    upstreams: Vec<UpstreamUrl>,
    /// Lives as long as the gateway, draining included.
    demo: Option<DemoUpstream>,
    in_force: InForce,
    shutdown: Shutdown,
}

impl Gateway {
    /// Builds what is configured, starts the built-in upstream where no other is configured, and binds. The
    /// gateway ends when `shutdown` is asked for. `metrics` are those of the process, if it records any.
    ///
    /// # Errors
    ///
    /// Where the configuration cannot work, or an address cannot be bound.
    pub async fn bind(
        config: &Config,
        metrics: Option<Metrics>,
        shutdown: Shutdown,
    ) -> Result<Self, StartError> {
        config.check().map_err(StartError::Config)?;
        let configured = config.upstreams();
        let demo = if configured.is_empty() {
            Some(DemoUpstream::start().await.map_err(StartError::Demo)?)
        } else {
            None
        };
        let demo_url = demo.as_ref().map(|demo| demo.url().clone());
        let (listener, address) = bind(config.listen).await?;
        let admin = if config.admin.enabled {
            Some(bind(config.admin.listen).await?)
        } else {
            None
        };
        let calls = config.call_log.as_ref().map(|config| {
            CallLog::open(config).map_err(|error| {
                let reason = format!("`{}` cannot be opened: {error}", config.path.display());
                StartError::Config(Violation::new("call_log.path", reason))
            })
        });
        let telemetry = Telemetry::with(calls.transpose()?);
        let upstreams = configured.into_iter().map(|upstream| upstream.url);
        let upstreams = upstreams.chain(demo_url.clone()).collect();
        let demo_config = demo_url.map(Into::into);
        let in_force = InForce::begin(config, demo_config, telemetry, shutdown.clone())
            .map_err(StartError::Config)?;
        Ok(Self {
            listener,
            address,
            admin,
            metrics,
            upstreams,
            demo,
            in_force,
            shutdown,
        })
    }

    /// The address that it listens on; the real port where the configured one was 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address for operators, if there is one; the real port where the configured one was 0.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address)| *address)
    }

    /// The upstreams that it forwards to, in order of preference.
    #[must_use]
    pub fn upstreams(&self) -> &[UpstreamUrl] {
        &self.upstreams
    }

    /// Whether the upstream is the built-in one.
    #[must_use]
    pub const fn has_demo_upstream(&self) -> bool {
        self.demo.is_some()
    }

    /// What is in force, to put something else into force while the gateway runs.
    #[must_use]
    pub fn in_force(&self) -> InForce {
        self.in_force.clone()
    }

    /// Serves until the shutdown, and then until what is in flight has finished or `timeouts.shutdown` is
    /// over. Tells whether it finished.
    pub async fn run(self) -> bool {
        // Operators may look until the last call has ended; a scraper that keeps its connection is not waited
        // for.
        let admin = self.admin.map(|(listener, _)| {
            let served = admin::serve(listener, self.in_force.clone(), self.metrics.clone());
            AbortOnDropHandle::new(tokio::spawn(served))
        });
        let upkeep = self
            .metrics
            .map(|metrics| AbortOnDropHandle::new(tokio::spawn(admin::keep_up(metrics))));
        serve(self.listener, self.in_force.clone(), &self.shutdown).await;
        // As it was told last.
        let bound = self.in_force.stack().config().timeouts.shutdown;
        let by_itself = self.shutdown.drain(bound).await;
        if let Some(calls) = self.in_force.telemetry().call_log() {
            // A disk that hangs is not waited for either.
            let _ = time::timeout(bound, calls.flush()).await;
        }
        drop((admin, upkeep));
        by_itself
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound
        .await
        .map_err(|error| StartError::Bind(address, error))
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
