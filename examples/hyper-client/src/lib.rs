//! hyper's client with retries and a pace: the pairing to start from.

use std::time::Duration;

use buttress::{
    ConfigError, FieldStyle, Policy, Quota, RateLimit, RateLimitLayer, RetryLayer,
    keys::Authority,
    rate_limit::Pacing,
    retry::{Buffered, Event, Http, HyperErrors, ReplayBody, Retry},
};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::ServiceBuilder;

/// A `tower::Service` of `Request<Full<Bytes>>`. Clone it as you like: all clones share the pace, the retry budget, and
/// the word of a server that asked to be left alone.
pub type Client = Retry<
    RateLimit<legacy::Client<HttpConnector, ReplayBody<Full<Bytes>>>>,
    Http<Buffered, HyperErrors>,
>;

/// The client. `hear` is told of every retry, and of every call.
///
/// # Errors
///
/// None: the configuration is a good one.
pub fn client(hear: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Result<Client, ConfigError> {
    let retry = RetryLayer::http()
        .max_attempts(4)
        .total_timeout(Duration::from_secs(60))
        // Which of hyper's errors prove that nothing was processed: then even a POST is repeated.
        .classify_errors(HyperErrors)
        .observer(hear)
        .build()?;

    // Inside of the retries, so that each attempt is paced: 50 a second to each host, and no burst.
    let policy = Policy::new("pace", Quota::per_second(50).burst(1))
        .key(Authority)
        .algorithm(Pacing::up_to(Duration::from_secs(10)));
    let pace = RateLimitLayer::http(policy)
        .fields(FieldStyle::None)
        .build()?;

    // hyper's client repeats requests by itself when a pooled connection turns out closed. That is the layer's work now,
    // which the budget and the pace know of.
    let hyper = legacy::Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build_http();
    Ok(ServiceBuilder::new()
        .layer(retry)
        .layer(pace)
        .service(hyper))
}
