use std::{
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use buttress_circuit_breaker::Waited;
use buttress_core::{BoxFuture, Clock as _, Tick, clock::TokioClock};
use buttress_http::LocalRefusal;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body as _;
use hyper::{body::Incoming, ext::on_informational};
use intermediary::interim::Exchange;
use tower_service::Service;

use super::{
    download::Download,
    expect::{self, Expectation},
    next::{Plan, Planned},
    target::Target,
    upgrade,
    upload::{Upload, Watch},
};
use crate::{
    answer,
    call::{Call, Decision},
    failure::Failure,
    patience::Patience,
    shutdown::Shutdown,
};

/// One request to one upstream, which has so long to answer.
///
/// An error is the upstream's fault. What is the client's is an answer, marked as
/// [made here](LocalRefusal): the circuit must not open over it.
#[derive(Clone, Debug)]
pub(super) struct Attempt(pub(super) Arc<Destination>);

/// Where attempts go, and how long they may take.
#[derive(Debug)]
pub(super) struct Destination {
    /// The upstream's place among the others.
    pub(super) index: usize,
    pub(super) name: Arc<str>,
    pub(super) target: Arc<Target>,
    /// For calls whose path has no other.
    pub(super) patience: Patience,
    /// Whether its circuit asks how long its answers take.
    pub(super) may_be_slow: bool,
    /// Keeps the tunnels' tasks.
    pub(super) shutdown: Shutdown,
}

impl Service<Request<Planned>> for Attempt {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Response<Body>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // The pool makes a connection when it needs one.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Planned>) -> Self::Future {
        let destination = Arc::clone(&self.0);
        Box::pin(async move {
            let (mut parts, Planned { body, plan }) = request.into_parts();
            // Those who put something there are all on this side.
            parts.extensions.clear();
            let noted = Noted::begin(&destination.name, plan.note(destination.index));
            let result = destination.send(parts, body, &plan).await;
            noted.end(&result);
            match result {
                Err(failure) if failure.is_the_clients() => {
                    let mut response = failure.into_response();
                    LocalRefusal::new(None).mark(&mut response);
                    Ok(response)
                }
                result => result,
            }
        })
    }
}

impl Destination {
    async fn send(&self, parts: Parts, body: Body, plan: &Plan) -> Result<Response<Body>, Failure> {
        let exchange = plan.exchange();
        let patience = self.patience.at(plan.patience());
        match plan.tunnel() {
            // Boxed, so that requests for none, which are most, have no room for its making.
            Some(tunnel) => {
                let asked = upgrade::forward(self, parts, body, tunnel, exchange, patience);
                Box::pin(asked).await
            }
            None => {
                let (mut request, watch) = self.watched(parts, body, exchange, patience);
                self.target.address(&mut request)?;
                let answer = self.target.send(request, &watch);
                let answer = in_time(patience, &watch, answer).await?;
                answer::relay(self.read(answer, watch, patience))
            }
        }
    }

    /// The request with a watch on its body. Interim responses go to `exchange`.
    pub(super) fn watched(
        &self,
        parts: Parts,
        body: Body,
        exchange: Option<Exchange>,
        patience: Patience,
    ) -> (Request<Upload>, Watch) {
        let bound = patience.client_idle;
        // Over HTTP/2 hyper's client tells of no interim responses.
        let asks = exchange.is_some()
            && !self.target.speaks_http2()
            && !body.is_end_stream()
            && expect::is_in(&parts.headers);
        let expectation = asks.then(Expectation::default);
        let (upload, watch) = Upload::watched(body, bound, expectation.clone(), self.may_be_slow);
        let mut request = Request::from_parts(parts, upload);
        if let Some(exchange) = exchange {
            on_informational(&mut request, move |interim| match interim.status() {
                // With the first read of the body hyper's server says it.
                StatusCode::CONTINUE => {
                    if let Some(expectation) = &expectation {
                        expectation.is_met();
                    }
                }
                status => exchange.send(status, interim.headers()),
            });
        }
        (request, watch)
    }

    /// The answer with a watch on its body.
    pub(super) fn read(
        &self,
        answer: Response<Incoming>,
        request: Watch,
        patience: Patience,
    ) -> Response<Body> {
        let bound = patience.upstream_idle;
        let waited = request.waited();
        let mut answer =
            answer.map(|body| Body::new(Download::of(body, &self.name, bound, request)));
        if let Some(waited) = waited {
            answer.extensions_mut().insert(Waited(waited));
        }
        answer
    }
}

/// Waits for an answer's headers, and no longer than the upstream may take.
pub(super) async fn in_time<T>(
    patience: Patience,
    watch: &Watch,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        answer = answer => answer,
        () = watch.upstream_is_late(patience.response) => Err(Failure::Late),
    }
}

/// Writes into the call's record how an attempt ended, also where nobody waited for that.
struct Noted<'a> {
    upstream: &'a Arc<str>,
    attempt: u32,
    since: TokioClock,
    is_open: bool,
}

impl<'a> Noted<'a> {
    fn begin(upstream: &'a Arc<str>, attempt: u32) -> Self {
        Self {
            upstream,
            attempt,
            since: TokioClock::starting_now(),
            is_open: true,
        }
    }

    fn end(mut self, result: &Result<Response<Body>, Failure>) {
        match result {
            Ok(response) => self.note("answered", Some(response.status().as_u16())),
            Err(failure) => self.note(failure.name(), None),
        }
    }

    fn note(&mut self, verdict: &'static str, status: Option<u16>) {
        self.is_open = false;
        Call::note(|| {
            let took = self.since.now().saturating_duration_since(Tick::ZERO);
            Decision::of("upstream", verdict)
                .upstream(self.upstream)
                .attempt(self.attempt)
                .status(status)
                .took(took)
        });
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.note("cancelled", None);
        }
    }
}
