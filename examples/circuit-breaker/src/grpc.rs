//! A gRPC client behind a circuit breaker. Its server begins every answer well, and fails at its end: the
//! failure is in the trailers, where only who watches the body sees it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use buttress_circuit_breaker::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakerService, ConfigError, Trip,
};
use tokio::net::TcpListener;
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{
    Request, Response, Status,
    transport::{Channel, Server},
};
use tower::Layer as _;

/// What tonic makes of the description in `build.rs`.
#[allow(missing_docs, reason = "tonic wrote it")]
pub mod count {
    tonic::include_proto!("count.Counter");
}

/// How far to count.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct CountRequest {
    /// The last number.
    #[prost(uint32, tag = "1")]
    pub to: u32,
}

/// One number.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Number {
    /// The number.
    #[prost(uint32, tag = "1")]
    pub number: u32,
}

/// The client, guarded: its errors and its types are tonic's.
pub type Counter = count::counter_client::CounterClient<CircuitBreakerService<Channel>>;

/// A client of the server at `channel`, and the handle of its circuit, which opens at three failures in a row.
///
/// # Errors
///
/// None: the configuration is a good one.
pub fn client(channel: Channel) -> Result<(Counter, CircuitBreaker), ConfigError> {
    let circuit = CircuitBreakerLayer::http(Trip::consecutive_failures(3))
        .open_for(Duration::from_secs(30))
        .build()?;
    let client = Counter::new(circuit.layer(channel));
    Ok((client, circuit.breaker()))
}

/// A server that counts as far as it is asked to, and then breaks; and how often it was asked.
#[derive(Clone, Debug, Default)]
pub struct Breaking(Arc<AtomicU32>);

impl Breaking {
    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    ///
    /// Where the socket fails.
    pub async fn serve(self, listener: TcpListener) -> Result<(), tonic::transport::Error> {
        Server::builder()
            .add_service(count::counter_server::CounterServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
    }
}

#[tonic::async_trait]
impl count::counter_server::Counter for Breaking {
    type CountStream = Pin<Box<dyn Stream<Item = Result<Number, Status>> + Send>>;

    async fn count(
        &self,
        request: Request<CountRequest>,
    ) -> Result<Response<Self::CountStream>, Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let numbers = (1..=request.into_inner().to).map(|number| Ok(Number { number }));
        let end = std::iter::once(Err(Status::internal("the disk is full")));
        let answer = tokio_stream::iter(numbers.chain(end));
        Ok(Response::new(Box::pin(answer)))
    }
}
