//! The same stories, told to the layer over an origin that keeps to the script.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use buttress_cache::{CacheBody, CacheLayer, CacheService, rfc9111::Options};
use buttress_core::clock::WallClock;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Channel, Empty, Full, combinators::UnsyncBoxBody};
use tower::{Layer, Service, ServiceExt};

use crate::{
    corpus::{self, Case, Step, begin},
    vectors::{has, lacks},
};

type OriginBody = UnsyncBoxBody<Bytes, Gone>;

/// What becomes of a connection that is broken off, or never comes about.
#[derive(Clone, Copy, Debug)]
struct Gone;

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("gone")
    }
}

impl std::error::Error for Gone {}

impl From<Infallible> for Gone {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Milliseconds since the story's begin.
#[derive(Clone, Debug, Default)]
struct Wall(Arc<AtomicU64>);

impl Wall {
    fn set(&self, seconds: f64) {
        self.0.store((seconds * 1_000.0) as u64, Ordering::SeqCst);
    }
}

impl WallClock for Wall {
    fn now(&self) -> SystemTime {
        begin() + Duration::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// What the origin is to answer now, and what it was asked.
#[derive(Clone, Debug, Default)]
struct Script {
    step: Step,
    asked: Vec<HeaderMap>,
}

#[derive(Clone, Debug, Default)]
struct Origin {
    script: Arc<Mutex<Script>>,
    wall: Wall,
}

impl Service<Request<Full<Bytes>>> for Origin {
    type Response = Response<OriginBody>;
    type Error = Gone;
    type Future = Ready<Result<Response<OriginBody>, Gone>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let mut script = self.script.lock().unwrap();
        script.asked.push(request.headers().clone());
        let step = &script.step;
        let delay = Duration::from_secs_f64(step.delay);
        self.wall
            .0
            .fetch_add(delay.as_millis() as u64, Ordering::SeqCst);
        let corpus::Origin::Answers(status, headers, content) = step.origin() else {
            return ready(Err(Gone));
        };
        let empty = *request.method() == Method::HEAD || status == 304;
        let mut response = Response::new(match (empty, step.broken) {
            (true, _) => Empty::new().map_err(Gone::from).boxed_unsync(),
            (false, false) => Full::from(content).map_err(Gone::from).boxed_unsync(),
            (false, true) => {
                let (mut sender, body) = Channel::<Bytes, Gone>::new(2);
                sender
                    .try_send(http_body::Frame::data(content.into()))
                    .unwrap();
                sender.abort(Gone);
                body.boxed_unsync()
            }
        });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        ready(Ok(response))
    }
}

#[tokio::test(start_paused = true)]
async fn every_case_of_the_corpus() {
    let cases = corpus::cases();
    let mut wrong = Vec::new();
    for (file, case) in &cases {
        if let Err(what) = play(case).await {
            wrong.push(format!("{file}: {} (RFC {}): {what}", case.name, case.rfc));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

async fn play(case: &Case) -> Result<(), String> {
    let origin = Origin::default();
    let mut service = layer(case.options(), origin.wall.clone()).layer(origin.clone());
    for (number, step) in case.steps.iter().enumerate() {
        if let Some(seconds) = step.at {
            origin.wall.set(seconds);
        }
        *origin.script.lock().unwrap() = Script {
            step: step.clone(),
            asked: Vec::new(),
        };
        take(&mut service, &origin, step)
            .await
            .map_err(|what| format!("step {}: {what}", number + 1))?;
    }
    Ok(())
}

fn layer(options: Options, wall: Wall) -> CacheLayer {
    let builder = match options.shared {
        true => CacheLayer::shared(),
        false => CacheLayer::private(),
    };
    builder
        .heuristic(options.heuristic)
        .targeted_fields(options.targeted)
        .set_cookie(options.set_cookie)
        .stale_while_revalidate(options.stale_while_revalidate)
        .stale_if_error(options.stale_if_error)
        .stale_if_unreachable(options.stale_if_unreachable)
        .scheme("https")
        .wall_clock(wall)
        .build()
        .unwrap()
}

async fn take(
    service: &mut CacheService<Origin>,
    origin: &Origin,
    step: &Step,
) -> Result<(), String> {
    let (method, uri, headers) = step.request();
    let mut request = Request::new(Full::from(if step.has_content { "content" } else { "" }));
    (
        *request.method_mut(),
        *request.uri_mut(),
        *request.headers_mut(),
    ) = (method, uri, headers);
    let answer = service.ready().await.unwrap().call(request).await;
    let result = match answer {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let body = read(body).await;
            Some((parts, body))
        }
        Err(_) => None,
    };
    // What is left to do in the background.
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
    let asked = origin.script.lock().unwrap().asked.clone();
    match step.origin() {
        corpus::Origin::Silent if !asked.is_empty() => {
            return Err("the origin was asked".to_owned());
        }
        corpus::Origin::Silent => {}
        _ if asked.is_empty() => return Err("the origin was not asked".to_owned()),
        _ if asked.len() > 1 => return Err(format!("the origin was asked {} times", asked.len())),
        _ => {}
    }

    let Some((parts, body)) = result else {
        return match step.expect.ends_with(" unreachable") {
            true => Ok(()),
            false => Err("the origin's failure came through".to_owned()),
        };
    };
    // The layer cannot have a request again: see `Validated::Refetch`.
    if step.expect.ends_with(" refetch") {
        return Ok(());
    }
    handled(step, &parts.headers)?;
    if step.status.is_some_and(|status| parts.status != status) {
        return Err(format!("the status is {}", parts.status));
    }
    match (&step.content, body) {
        (Some(_), None) => return Err("the content was broken off".to_owned()),
        (Some(content), Some(body)) if *content != body => {
            return Err(format!("the content is {body:?}"));
        }
        _ => {}
    }
    has("the client", &parts.headers, &step.has)?;
    lacks("the client", &parts.headers, &step.lacks)?;
    let asked = asked.into_iter().next().unwrap_or_default();
    has("the origin", &asked, &step.asked)?;
    lacks("the origin", &asked, &step.unasked)
}

async fn read(body: CacheBody<OriginBody>) -> Option<Bytes> {
    Some(body.collect().await.ok()?.to_bytes())
}

/// That Cache-Status tells what the story expects.
fn handled(step: &Step, headers: &HeaderMap) -> Result<(), String> {
    let said = headers.get_all("cache-status").iter().next_back();
    let said = said.map_or("", |said| said.to_str().unwrap());
    let is = |parameter: &str| said.split(';').skip(1).any(|one| one == parameter);
    let fresh = || {
        said.split(";ttl=")
            .nth(1)
            .is_some_and(|ttl| !ttl.starts_with(['-', '0']))
    };
    let expected = match step.expect.as_str() {
        "fresh" => is("hit") && fresh(),
        "max-stale" | "stale-while-revalidate" => is("hit") && !fresh(),
        "stale-if-error" | "unreachable" => is("fwd=stale") || is("fwd=request"),
        "timeout" => !is("hit"),
        // Upgrades, and what has no key, pass untouched.
        "bypass" => said.is_empty() || is("fwd=bypass"),
        forward => is(&format!("fwd={forward}")),
    };
    if !expected {
        return Err(format!("expected {:?}, but it was {said:?}", step.expect));
    }
    // Whether the body comes to a good end is not known when the head is sent.
    match step.kept.as_deref() {
        Some("yes" | "combined" | "BrokenOff" | "Length") | None => Ok(()),
        Some(_) if !is("stored") => Ok(()),
        Some(kept) => Err(format!("expected {kept:?}, but it was {said:?}")),
    }
}
