//! The upstream, the layers before it, and who asks.

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::{Request, Response};
use buttress::{
    CircuitBreakerLayer, Clock as _, Policy, RateLimitLayer, RetryLayer, Tick, Trip,
    clock::TokioClock, keys::Authority, rate_limit::Pacing,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use tower::{Service, ServiceExt as _, service_fn, util::BoxCloneSyncService};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn request() -> Request<Empty<Bytes>> {
    Request::get("http://api.example/")
        .body(Empty::new())
        .unwrap()
}

pub(crate) fn answer(status: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::from("an answer"))
        .unwrap()
}

/// An upstream that answers by the number of the request, and the times at which it was called.
#[derive(Clone, Default)]
pub(crate) struct Upstream {
    clock: TokioClock,
    called: Arc<Mutex<Vec<Tick>>>,
}

impl Upstream {
    pub(crate) fn answering<B: Send + 'static>(
        &self,
        script: impl Fn(usize) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
    ) -> BoxCloneSyncService<Request<B>, Response<Full<Bytes>>, Infallible> {
        let Self { clock, called } = self.clone();
        BoxCloneSyncService::new(service_fn(move |_: Request<B>| {
            let mut called = called.lock().unwrap();
            called.push(clock.now());
            ready(Ok(script(called.len())))
        }))
    }

    pub(crate) fn calls(&self) -> usize {
        self.called.lock().unwrap().len()
    }

    /// The time between one call and the next.
    pub(crate) fn gaps(&self) -> Vec<Duration> {
        let called = self.called.lock().unwrap();
        let gap = |pair: &[Tick]| pair[1].saturating_duration_since(pair[0]);
        called.windows(2).map(gap).collect()
    }

    /// The time since it was made.
    pub(crate) fn age(&self) -> Duration {
        self.clock.now().saturating_duration_since(Tick::ZERO)
    }
}

/// Three attempts, one right after the other where nobody says otherwise.
pub(crate) fn retry() -> RetryLayer {
    RetryLayer::http().backoff(Duration::ZERO).build().unwrap()
}

/// One request a second, and whoever comes earlier waits for up to ten.
pub(crate) fn pace() -> RateLimitLayer {
    paced(Pacing::up_to(10 * SECOND))
}

pub(crate) fn paced(pacing: Pacing) -> RateLimitLayer {
    let policy = Policy::new("pace", "1/s burst 1")
        .key(Authority)
        .algorithm(pacing);
    RateLimitLayer::http(policy).build().unwrap()
}

/// Opens after a failure, for five seconds.
pub(crate) fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::http(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .probes(1)
        .build()
        .unwrap()
}

pub(crate) async fn status<S, B, C>(service: S, request: Request<B>) -> u16
where
    S: Service<Request<B>, Response = Response<C>, Error = Infallible>,
    C: http_body::Body<Data = Bytes>,
    C::Error: std::fmt::Debug,
{
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    status
}
