//! reqwest with retries and a pace.
//!
//! What reqwest repeats by itself, the budget, the pace and the report do not know of. Its own retries are switched off, and
//! could do nothing anyway: below the layers a body is a stream, which reqwest does not clone. What it keeps is hyper-util's
//! (`retry_canceled_requests`), for which it has no switch: a request that was given to a pooled connection, and that this gave
//! back unsent since the server had closed it, goes to another one at once. It comes to the server once all the same.
//!
//! Nor does reqwest follow redirects: of a request that failed its errors do not tell whether it was the first, and a POST whose
//! answer leads nowhere would be taken for one that was never sent. Around the layers each is a request of its own. As a body is a
//! stream, a 307 or 308 is followed only where the request has none; one that has, gets it as the answer.

use std::{error::Error, time::Duration};

use buttress::{
    ConfigError, FieldStyle, Policy, Quota, RateLimitLayer, RetryLayer,
    keys::Authority,
    rate_limit::Pacing,
    retry::{HyperErrors, ReplayBody},
};
use reqwest::{Body, Request, Response};
use tower::{ServiceBuilder, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use tower_http::follow_redirect::FollowRedirectLayer;

/// Sends what reqwest builds, and answers as reqwest does. All clones share the pace, the retry budget, and the word of a
/// server that asked to be left alone.
#[derive(Clone, Debug)]
pub struct Client {
    reqwest: reqwest::Client,
    stack: BoxCloneSyncService<http::Request<Body>, http::Response<Body>, reqwest::Error>,
}

impl Client {
    /// The client.
    ///
    /// # Errors
    ///
    /// Where reqwest finds no TLS that it was promised.
    pub fn new() -> Result<Self, Box<dyn Error>> {
        Self::with(reqwest::Client::builder())
    }

    /// A client with more to it, such as a proxy.
    ///
    /// # Errors
    ///
    /// As of [`new`](Self::new), and where reqwest does not like what it is told.
    pub fn with(reqwest: reqwest::ClientBuilder) -> Result<Self, Box<dyn Error>> {
        // That is the layers' work now.
        let reqwest = reqwest
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let stack = stack(reqwest.clone())?;
        Ok(Self { reqwest, stack })
    }

    /// reqwest's client, to build requests with.
    #[must_use]
    pub fn reqwest(&self) -> &reqwest::Client {
        &self.reqwest
    }

    /// Sends a request: as `reqwest::Client::execute` does, and again where that is safe and helps.
    ///
    /// # Errors
    ///
    /// Where reqwest fails, at the last attempt.
    pub async fn execute(&self, request: Request) -> Result<Response, reqwest::Error> {
        let request = http::Request::try_from(request)?;
        let response = self.stack.clone().oneshot(request).await?;
        Ok(Response::from(response))
    }
}

fn stack(
    reqwest: reqwest::Client,
) -> Result<
    BoxCloneSyncService<http::Request<Body>, http::Response<Body>, reqwest::Error>,
    ConfigError,
> {
    let retry = RetryLayer::http()
        .max_attempts(4)
        .total_timeout(Duration::from_secs(60))
        // reqwest's errors have hyper's as their source.
        .classify_errors(HyperErrors)
        .build()?;
    let policy = Policy::new("pace", Quota::per_second(50).burst(1))
        .key(Authority)
        .algorithm(Pacing::up_to(Duration::from_secs(10)));
    let pace = RateLimitLayer::http(policy)
        .fields(FieldStyle::None)
        .build()?;

    // reqwest takes and gives its own types only: below the layers its requests are made of `http`'s.
    let send = service_fn(move |request: http::Request<ReplayBody<Body>>| {
        let reqwest = reqwest.clone();
        async move {
            let request = Request::try_from(request.map(Body::wrap))?;
            reqwest
                .execute(request)
                .await
                .map(http::Response::<Body>::from)
        }
    });
    let stack = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(retry)
        .layer(pace)
        .service(send);
    Ok(BoxCloneSyncService::new(stack.map_response(
        |response: http::Response<_>| response.map(Body::wrap),
    )))
}
