//! A tonic service with a rate limit by the caller's address.

use buttress::{ClientIp, ConfigError, Policy, Quota, RateLimitLayer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// What tonic makes of the description in `build.rs`.
#[allow(missing_docs, reason = "tonic wrote it")]
pub mod hello {
    tonic::include_proto!("hello.Greeter");
}

/// Who is to be greeted.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloRequest {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The greeting.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloReply {
    /// The text.
    #[prost(string, tag = "1")]
    pub message: String,
}

struct Greeter;

#[tonic::async_trait]
impl hello::greeter_server::Greeter for Greeter {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let message = format!("hello {}", request.into_inner().name);
        Ok(Response::new(HelloReply { message }))
    }
}

/// The limit: three calls at once, and one more every two seconds.
///
/// It is the *HTTP* layer: its refusals are responses, and to a gRPC caller they are statuses. An error in
/// their place would make tonic's server reset the stream.
///
/// # Errors
///
/// None: the quota is a good one.
pub fn limit() -> Result<RateLimitLayer, ConfigError> {
    let quota = Quota::per_minute(30).burst(3);
    RateLimitLayer::http(Policy::new("per-ip", quota).key(ClientIp::peer())).build()
}

/// Serves until the process ends.
///
/// # Errors
///
/// Where the socket fails.
pub async fn serve(
    listener: TcpListener,
    limit: RateLimitLayer,
) -> Result<(), tonic::transport::Error> {
    Server::builder()
        .layer(limit)
        .add_service(hello::greeter_server::GreeterServer::new(Greeter))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}
