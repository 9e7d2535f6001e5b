use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use buttress_core::{Clock as _, Tick, clock::TokioClock};
use buttress_http::LocalRefusal;
use buttress_retry::{
    Attempt, Budget, Ended, Exponential, Http, Jitter, LayerFor, ReplayBody, Report, RetryBody,
    RetryBuilder, RetryLayer,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service, ServiceExt as _};

/// At the start, or at once.
pub(crate) const NOW: Duration = Duration::ZERO;
pub(crate) const S: Duration = Duration::from_secs(1);
pub(crate) const MS: Duration = Duration::from_millis(1);

/// Three attempts, backoffs of 100 and 200 ms without jitter, and no budget that is in the way.
pub(crate) fn http() -> RetryBuilder<LayerFor<Http>> {
    steady(RetryLayer::http())
}

pub(crate) fn steady<For>(builder: RetryBuilder<For>) -> RetryBuilder<For> {
    builder
        .backoff(Exponential::starting_at(100 * MS).jitter(Jitter::None))
        .budget(Budget::unlimited())
        .spread(0.0, Duration::ZERO)
}

/// A body of given frames, which may break off, or hang.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    frames: VecDeque<Result<Frame<Bytes>, &'static str>>,
    hangs: bool,
    /// Told when it is gone: how many frames were left.
    dropped: Option<Arc<Mutex<Option<usize>>>>,
}

impl Frames {
    pub(crate) fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.frames.push_back(Ok(Frame::data(data.into())));
        self
    }

    pub(crate) fn trailers(mut self, fields: &[(&'static str, &'static str)]) -> Self {
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        self.frames
            .push_back(Ok(Frame::trailers(HeaderMap::from_iter(fields))));
        self
    }

    pub(crate) fn breaks_off(mut self) -> Self {
        self.frames.push_back(Err("connection reset"));
        self
    }

    /// At its end there is nothing, for ever.
    pub(crate) fn hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    pub(crate) fn tells(mut self, dropped: &Arc<Mutex<Option<usize>>>) -> Self {
        self.dropped = Some(Arc::clone(dropped));
        self
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Some(dropped) = &self.dropped {
            *dropped.lock().unwrap() = Some(self.frames.len());
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        match self.frames.pop_front() {
            None if self.hangs => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.hangs
    }
}

pub(crate) type Answer = Result<Response<Frames>, &'static str>;

pub(crate) fn answer(status: u16) -> Response<Frames> {
    let mut response = Response::new(Frames::default());
    *response.status_mut() = status.try_into().unwrap();
    response
}

pub(crate) fn with(
    mut response: Response<Frames>,
    name: &'static str,
    value: &str,
) -> Response<Frames> {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

pub(crate) fn too_many(retry_after: &str) -> Response<Frames> {
    with(answer(429), "retry-after", retry_after)
}

/// What the upstream saw of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) headers: HeaderMap,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) length: Option<u64>,
    pub(crate) body: Result<Bytes, String>,
    pub(crate) trailers: Option<HeaderMap>,
}

enum Plan {
    Answer(Answer),
    /// Never answers.
    Hang,
    /// Answers without having read the body.
    Hasty(Answer),
}

/// Answers as it was told to, one after the other, and then 200; and remembers what it saw.
#[derive(Clone)]
pub(crate) struct Upstream {
    plans: Arc<Mutex<VecDeque<Plan>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    clock: TokioClock,
}

impl Upstream {
    pub(crate) fn new() -> Self {
        Self {
            plans: Arc::default(),
            seen: Arc::default(),
            clock: TokioClock::starting_now(),
        }
    }

    fn will(self, plan: Plan) -> Self {
        self.plans.lock().unwrap().push_back(plan);
        self
    }

    pub(crate) fn answers(self, response: Response<Frames>) -> Self {
        self.will(Plan::Answer(Ok(response)))
    }

    pub(crate) fn says(self, status: u16) -> Self {
        self.answers(answer(status))
    }

    pub(crate) fn fails(self) -> Self {
        self.will(Plan::Answer(Err("broken pipe")))
    }

    pub(crate) fn hangs(self) -> Self {
        self.will(Plan::Hang)
    }

    pub(crate) fn hasty(self, response: Response<Frames>) -> Self {
        self.will(Plan::Hasty(Ok(response)))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// When the attempts came, since the start.
    pub(crate) fn times(&self) -> Vec<Duration> {
        self.seen().iter().map(|seen| seen.at).collect()
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn now(&self) -> Duration {
        self.clock.now().saturating_duration_since(Tick::ZERO)
    }
}

impl<B> Service<Request<B>> for Upstream
where
    B: Body<Data = Bytes, Error: std::fmt::Display> + Send + 'static,
{
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let upstream = self.clone();
        let plan = self.plans.lock().unwrap().pop_front();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let mut seen = Seen {
                at: upstream.now(),
                headers: parts.headers,
                attempt: parts.extensions.get().copied(),
                length: body.size_hint().exact(),
                body: Ok(Bytes::new()),
                trailers: None,
            };
            if !matches!(plan, Some(Plan::Hasty(_))) {
                match Box::pin(body).collect().await {
                    Ok(collected) => {
                        seen.trailers = collected.trailers().cloned();
                        seen.body = Ok(collected.to_bytes());
                    }
                    Err(error) => seen.body = Err(error.to_string()),
                }
            }
            upstream.seen.lock().unwrap().push(seen);
            match plan {
                Some(Plan::Answer(answer) | Plan::Hasty(answer)) => answer,
                Some(Plan::Hang) => std::future::pending().await,
                None => Ok(answer(200)),
            }
        })
    }
}

pub(crate) type Out = Result<Response<RetryBody<Frames>>, &'static str>;

/// Sends one request through a fresh service of `layer`, as axum does for each connection.
pub(crate) async fn send<B>(layer: &RetryLayer, upstream: &Upstream, request: Request<B>) -> Out
where
    B: Body<Data = Bytes, Error: std::fmt::Display + Send> + Send + 'static,
{
    layer.layer(upstream.clone()).oneshot(request).await
}

pub(crate) fn status(out: &Out) -> u16 {
    out.as_ref().unwrap().status().as_u16()
}

pub(crate) fn report(out: &Out) -> Option<Report> {
    out.as_ref().unwrap().extensions().get().copied()
}

/// Why it ended, and after how many attempts; as far as that was told.
pub(crate) fn ended(out: &Out) -> Option<(Ended, u32)> {
    report(out).map(|report| (report.ended(), report.attempts()))
}

pub(crate) fn local(out: &Out) -> Option<LocalRefusal> {
    LocalRefusal::of(out.as_ref().unwrap())
}

pub(crate) fn get() -> Request<Full<Bytes>> {
    to("https://api.example/")
}

pub(crate) fn to(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

pub(crate) fn post(body: &'static str) -> Request<Full<Bytes>> {
    Request::post("https://api.example/")
        .body(Full::from(body))
        .unwrap()
}

pub(crate) fn put(body: &'static str) -> Request<Full<Bytes>> {
    let mut request = post(body);
    *request.method_mut() = Method::PUT;
    request
}

pub(crate) fn frames(frames: Frames) -> Request<Frames> {
    put("").map(|_| frames)
}

pub(crate) fn call(body: &'static str) -> Request<Full<Bytes>> {
    let mut request = post(body);
    *request.version_mut() = Version::HTTP_2;
    let grpc = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", grpc);
    request
}

/// The body of the request as the service inside gets it.
pub(crate) type Inner<B> = Request<ReplayBody<B>>;

pub(crate) const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
