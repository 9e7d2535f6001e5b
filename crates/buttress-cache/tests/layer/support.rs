//! An origin by hand, a calendar by hand, and what there is to say to them.

use std::{
    error::Error,
    fmt,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use buttress_cache::{Cache, CacheBody, CacheLayer, CacheLayerBuilder, CacheService};
use buttress_core::clock::WallClock;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, Full, channel::Sender, combinators::UnsyncBoxBody};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use tower::{Layer, Service, ServiceExt};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type OriginBody = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Answer = Result<Response<OriginBody>, Unreachable>;
pub(crate) type Cached = Response<CacheBody<OriginBody>>;

/// The calendar of a test: begins at noon, 22 November 2026.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wall(Arc<AtomicU64>);

impl Wall {
    pub(crate) fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl WallClock for Wall {
    fn now(&self) -> SystemTime {
        let noon = Duration::from_secs(1_795_348_800);
        SystemTime::UNIX_EPOCH + noon + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable;

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody there")
    }
}

impl Error for Unreachable {}

/// The origin's end of the wire. It panics when called unready, as a service may.
#[derive(Debug)]
pub(crate) struct Origin {
    calls: mpsc::UnboundedSender<Call>,
    ready: bool,
}

impl Clone for Origin {
    fn clone(&self) -> Self {
        Self {
            calls: self.calls.clone(),
            ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for Origin {
    type Response = Response<OriginBody>;
    type Error = Unreachable;
    type Future = std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unreachable>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        let (answer, answered) = oneshot::channel();
        let _ = self.calls.send(Call { request, answer });
        Box::pin(async {
            answered
                .await
                .unwrap_or_else(|_| panic!("the origin is gone"))
        })
    }
}

/// A request that reached the origin.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request: Request<Full<Bytes>>,
    answer: oneshot::Sender<Answer>,
}

impl Call {
    /// Answers. Whether somebody still waits for it.
    pub(crate) fn answer(self, answer: Response<OriginBody>) -> bool {
        self.answer.send(Ok(answer)).is_ok()
    }

    pub(crate) fn fail(self) {
        let _ = self.answer.send(Err(Unreachable));
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.answer.is_closed()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.request.headers().get(name)?.to_str().unwrap())
    }
}

/// A cache, and what lies behind it.
pub(crate) struct Setup {
    pub(crate) service: CacheService<Origin>,
    pub(crate) cache: Cache,
    pub(crate) wall: Wall,
    calls: mpsc::UnboundedReceiver<Call>,
    pub(crate) events: Events,
}

pub(crate) type Events = Arc<Mutex<Vec<String>>>;

impl Setup {
    pub(crate) fn shared() -> Self {
        Self::with(CacheLayer::shared())
    }

    pub(crate) fn with(builder: CacheLayerBuilder) -> Self {
        let (wall, events) = (Wall::default(), Events::default());
        let heard = Arc::clone(&events);
        let layer = builder
            .wall_clock(wall.clone())
            .observer(move |event: &buttress_cache::Event<'_>| {
                heard.lock().unwrap().push(format!("{event:?}"));
            })
            .build()
            .unwrap();
        let (sender, calls) = mpsc::unbounded_channel();
        let origin = Origin {
            calls: sender,
            ready: false,
        };
        Self {
            service: layer.layer(origin),
            cache: layer.cache(),
            wall,
            calls,
            events,
        }
    }

    /// Sends a request, in a task of its own.
    pub(crate) fn ask(
        &self,
        request: Request<Full<Bytes>>,
    ) -> JoinHandle<Result<Cached, Unreachable>> {
        let answer = self.service.clone().oneshot(request);
        tokio::spawn(in_time("an answer", answer))
    }

    pub(crate) fn get(&self, path: &str) -> JoinHandle<Result<Cached, Unreachable>> {
        self.ask(get(path).body(Full::default()).unwrap())
    }

    /// The next request that reaches the origin.
    pub(crate) async fn call(&mut self) -> Call {
        let call = in_time("a request for the origin", self.calls.recv());
        call.await.unwrap()
    }

    /// What has reached the origin by now, when everybody has had a turn.
    pub(crate) async fn calls(&mut self) -> Vec<Call> {
        settle().await;
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }

    #[track_caller]
    pub(crate) fn origin_is_left_alone(&mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let calls = self.calls().await;
            assert!(calls.is_empty(), "{calls:?} at {caller}");
        }
    }

    /// Asks for `path`, which the origin answers with `answer`.
    pub(crate) async fn fill(&mut self, path: &str, answer: Response<OriginBody>) -> Read {
        let asked = self.get(path);
        self.call().await.answer(answer);
        read(asked).await
    }

    /// Asks for `path`, which reaches nobody.
    #[track_caller]
    pub(crate) fn hit(&mut self, path: &str) -> impl Future<Output = Read> {
        let asked = self.get(path);
        async move {
            let read = read(asked).await;
            self.origin_is_left_alone().await;
            read
        }
    }

    pub(crate) fn heard(&self, event: &str) -> usize {
        let events = self.events.lock().unwrap();
        events.iter().filter(|heard| heard.contains(event)).count()
    }
}

/// What does not come in a day of the paused clock, which goes on where everybody waits, never does.
async fn in_time<F: Future>(what: &'static str, comes: F) -> F::Output {
    let a_day = Duration::from_secs(86_400);
    let comes = tokio::time::timeout(a_day, comes).await;
    comes.unwrap_or_else(|_| panic!("there never is {what}"))
}

/// Lets every task go on until it waits for something.
pub(crate) async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn get(path: &str) -> http::request::Builder {
    method(Method::GET, path)
}

pub(crate) fn method(method: Method, path: &str) -> http::request::Builder {
    let uri = format!("http://example.com{path}");
    Request::builder().method(method).uri(uri)
}

pub(crate) fn empty(request: http::request::Builder) -> Request<Full<Bytes>> {
    request.body(Full::default()).unwrap()
}

/// An answer with these fields, a line each, and this body.
pub(crate) fn answer(fields: &[(&str, &str)], body: &str) -> Response<OriginBody> {
    status(200, fields, body)
}

pub(crate) fn status(status: u16, fields: &[(&str, &str)], body: &str) -> Response<OriginBody> {
    let body = Full::new(Bytes::from(body.to_owned()));
    response(
        status,
        fields,
        body.map_err(|never| match never {}).boxed_unsync(),
    )
}

pub(crate) fn response(
    status: u16,
    fields: &[(&str, &str)],
    body: OriginBody,
) -> Response<OriginBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for &(name, value) in fields {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// An answer whose body is sent by hand.
pub(crate) fn streaming(
    fields: &[(&str, &str)],
) -> (Sender<Bytes, BoxError>, Response<OriginBody>) {
    let (sender, body) = Channel::new(1);
    (sender, response(200, fields, body.boxed_unsync()))
}

/// All of an answer.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) trailers: Option<HeaderMap>,
}

impl Read {
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    pub(crate) fn cache_status(&self) -> &str {
        self.one("cache-status").unwrap_or("none")
    }
}

pub(crate) async fn read(asked: JoinHandle<Result<Cached, Unreachable>>) -> Read {
    collect(asked.await.unwrap().unwrap()).await
}

pub(crate) async fn collect(response: Cached) -> Read {
    let (parts, body) = response.into_parts();
    let body = in_time("an end of the body", body.collect()).await.unwrap();
    let trailers = body.trailers().cloned();
    Read {
        status: parts.status.as_u16(),
        headers: parts.headers,
        trailers,
        body: String::from_utf8(body.to_bytes().into()).unwrap(),
    }
}

/// The next piece of a body.
pub(crate) async fn piece(body: &mut CacheBody<OriginBody>) -> String {
    let frame = in_time("a piece", body.frame()).await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().into()).unwrap()
}
