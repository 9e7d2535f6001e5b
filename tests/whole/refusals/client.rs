use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use buttress::Random;
use buttress::retry::{
    Buffered, Event, Happening, Http, HyperErrors, LayerFor, ReplayBody, Report, Retry,
    RetryBuilder, RetryLayer,
};
use buttress_by_hand::within;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rude_server::{RudeServer, Script, Visit};
use tower::{Layer as _, ServiceExt as _};

pub(crate) type Policy = RetryBuilder<LayerFor<Http<Buffered, HyperErrors>>>;

pub(crate) type Retrying =
    Retry<Client<HttpConnector, ReplayBody<Full<Bytes>>>, Http<Buffered, HyperErrors>>;

/// Where a server tells no wait, this is waited, and nothing like what a server tells.
pub(crate) const UNTOLD: Duration = Duration::from_millis(30);

/// How much later than told the client may come: a tenth of the wait, and 5 ms at least.
pub(crate) fn latest(told: Duration) -> Duration {
    told + (told / 10).max(Duration::from_millis(5))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// A server that is cross, and what clients did about it.
#[derive(Clone)]
pub(crate) struct Rehearsal {
    server: Arc<RudeServer>,
    version: Version,
    waits: Arc<Mutex<Vec<Duration>>>,
}

/// What the caller received.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Result<Bytes, hyper::Error>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) report: Option<Report>,
}

impl Rehearsal {
    pub(crate) async fn new(version: Version) -> Self {
        let server = RudeServer::start(([127, 0, 0, 1], 0).into(), Script::default()).await;
        Self {
            server: Arc::new(server.unwrap()),
            version,
            waits: Arc::default(),
        }
    }

    /// The same server, and a client that was nowhere yet.
    pub(crate) fn anew(&self) -> Self {
        Self {
            waits: Arc::default(),
            ..self.clone()
        }
    }

    /// What the tests have in common: waits that no server would tell, and a jitter that can be checked.
    pub(crate) fn policy(&self, policy: RetryBuilder<LayerFor<Http>>) -> Policy {
        let waits = Arc::clone(&self.waits);
        policy
            .backoff(Duration::from_millis(1))
            .throttled_wait(UNTOLD)
            .spread(0.1, Duration::from_millis(5))
            .random(Random::seeded(7))
            .observer(move |event: &Event<'_>| {
                if let Happening::Retry { after, .. } = event.happening {
                    waits
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(after);
                }
            })
            .classify_errors(HyperErrors)
    }

    pub(crate) fn http(&self) -> Policy {
        self.policy(RetryLayer::http())
    }

    pub(crate) fn request(&self, method: &str, manner: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(self.server.uri(manner))
    }

    pub(crate) async fn get(&self, manner: &str) -> Result<Answer, legacy::Error> {
        let request = self.request("GET", manner).body(Full::default());
        self.send(self.http(), request.unwrap()).await
    }

    pub(crate) async fn post(
        &self,
        manner: &str,
        body: &'static str,
    ) -> Result<Answer, legacy::Error> {
        let request = self.request("POST", manner).body(Full::from(body));
        self.send(self.http(), request.unwrap()).await
    }

    /// Sends it through the policy, by a client of its own.
    pub(crate) async fn send(
        &self,
        policy: Policy,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, legacy::Error> {
        send(self.client(policy), request).await
    }

    /// hyper's client, which does nothing by itself, below the policy.
    pub(crate) fn client(&self, policy: Policy) -> Retrying {
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .http2_only(self.version == Version::Http2)
            .build(HttpConnector::new());
        policy.build().unwrap().layer(client)
    }

    /// Each wait before a retry, as it was planned.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        self.waits
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn visits(&self, id: &str) -> Vec<Visit> {
        self.server.visits(id)
    }
}

pub(crate) async fn send(
    client: Retrying,
    request: Request<Full<Bytes>>,
) -> Result<Answer, legacy::Error> {
    within(async {
        let response = client.oneshot(request).await?;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await;
        let trailers = collected
            .as_ref()
            .ok()
            .and_then(|body| body.trailers().cloned());
        Ok(Answer {
            status: parts.status,
            body: collected.map(http_body_util::Collected::to_bytes),
            trailers,
            report: parts.extensions.get().copied(),
        })
    })
    .await
}
