//! A tonic client that repeats its calls.

use std::time::Duration;

use buttress::{
    ConfigError, GrpcCode, RetryLayer,
    retry::{Buffered, Http, HyperErrors, ReplayBody, Retry},
};
use http::Request;
use tonic::{body::Body, transport::Channel};
use tower::{Layer as _, ServiceExt as _, util::MapRequest};

/// What tonic makes of the description in `build.rs`.
#[allow(missing_docs, reason = "tonic wrote it")]
pub mod echo {
    tonic::include_proto!("echo.Echo");
}

/// What is said, and what is said back.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Said {
    /// The words.
    #[prost(string, tag = "1")]
    pub words: String,
}

/// The channel, as the layer needs it: tonic's takes bodies of tonic's own type only.
pub type Mapped = MapRequest<Channel, fn(Request<ReplayBody<Body>>) -> Request<Body>>;

/// The client: its errors are tonic's. A `Channel` repeats nothing by itself, so there is nothing to switch off.
pub type Client = echo::echo_client::EchoClient<Retry<Mapped, Http<Buffered, HyperErrors>>>;

/// A client of the server at `channel`.
///
/// # Errors
///
/// None: the configuration is a good one.
pub fn client(channel: Channel) -> Result<Client, ConfigError> {
    // The codes are our word that to say something twice does no harm.
    let retry = RetryLayer::grpc([GrpcCode::Unavailable, GrpcCode::ResourceExhausted])
        .max_attempts(4)
        .total_timeout(Duration::from_secs(60))
        .classify_errors(HyperErrors)
        // `Say` has one answer: it may be withheld until its status is there, and a failure in the trailers is seen.
        .await_trailers(64 * 1_024, Duration::from_secs(5), |head| {
            head.uri().path() == "/echo.Echo/Say"
        })
        .build()?;
    let own_body: fn(Request<ReplayBody<Body>>) -> Request<Body> = |request| request.map(Body::new);
    Ok(Client::new(retry.layer(channel.map_request(own_body))))
}
