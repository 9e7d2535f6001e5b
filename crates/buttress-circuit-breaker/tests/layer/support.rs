use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use buttress_circuit_breaker::{CircuitBreakerBuilder, CircuitBreakerLayer, Http, LayerFor, Trip};
use buttress_core::clock::ManualClock;
use buttress_http::{Head, LocalRefusal};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A layer whose circuit opens at the first failure for five seconds, and lets one probe through.
pub(crate) fn touchy(clock: &ManualClock) -> CircuitBreakerBuilder<LayerFor<Head, Http>> {
    CircuitBreakerLayer::http(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .probes(1)
        .clock(clock.clone())
}

/// A body of given frames, which may break off.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    /// Whether it says that it is at its end as soon as it is, without being polled once more.
    knows_its_end: bool,
}

impl Frames {
    pub(crate) fn data(mut self, data: &'static str) -> Self {
        self.frames
            .push_back(Ok(Frame::data(Bytes::from_static(data.as_bytes()))));
        self
    }

    pub(crate) fn trailers(self, name: &'static str, value: &'static str) -> Self {
        self.fields(&[(name, value)])
    }

    pub(crate) fn fields(mut self, fields: &[(&'static str, &'static str)]) -> Self {
        let mut trailers = HeaderMap::new();
        for (name, value) in fields {
            trailers.insert(*name, value.parse().unwrap());
        }
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }

    pub(crate) fn breaks_off(mut self) -> Self {
        self.frames.push_back(Err("connection reset"));
        self
    }

    pub(crate) fn knows_its_end(mut self) -> Self {
        self.knows_its_end = true;
        self
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.knows_its_end && self.frames.is_empty()
    }
}

pub(crate) type Answers = Response<Frames>;

pub(crate) fn status(status: u16) -> Answers {
    let mut response = Response::new(Frames::default().knows_its_end());
    *response.status_mut() = status.try_into().unwrap();
    response
}

/// Answers what it was told to, one after the other, and then 200; and counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstream {
    answers: Arc<Mutex<VecDeque<Result<Answers, &'static str>>>>,
    calls: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) fn will(&self, answer: impl Into<Result<Answers, &'static str>>) -> &Self {
        self.answers.lock().unwrap().push_back(answer.into());
        self
    }

    pub(crate) fn will_say(&self, code: u16) -> &Self {
        self.will(Ok(status(code)))
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn service(
        &self,
    ) -> impl Service<Request<()>, Response = Answers, Error = &'static str, Future: Send>
    + Clone
    + Send
    + 'static {
        let upstream = self.clone();
        service_fn(move |_: Request<()>| {
            upstream.calls.fetch_add(1, Ordering::SeqCst);
            let answer = upstream.answers.lock().unwrap().pop_front();
            async { answer.unwrap_or_else(|| Ok(status(200))) }
        })
    }
}

/// What came back of one request, its body read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) local: Option<LocalRefusal>,
    pub(crate) body: Result<Bytes, &'static str>,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

pub(crate) fn request() -> Request<()> {
    Request::new(())
}

pub(crate) fn grpc_request() -> Request<()> {
    Request::post("/hello.Greeter/SayHello")
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .body(())
        .unwrap()
}

/// Sends one request through a fresh service of `layer`, as axum does for each connection.
pub(crate) async fn send(
    layer: &CircuitBreakerLayer,
    upstream: &Upstream,
    request: Request<()>,
) -> Result<Answer, &'static str> {
    let response = layer.layer(upstream.service()).oneshot(request).await?;
    let local = LocalRefusal::of(&response);
    let (parts, body) = response.into_parts();
    let (body, trailers) = match body.collect().await {
        Ok(collected) => {
            let trailers = collected.trailers().cloned();
            (Ok(collected.to_bytes()), trailers)
        }
        Err(error) => (Err(error), None),
    };
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        local,
        body,
        trailers,
    })
}
