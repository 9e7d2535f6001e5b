//! The stories of `tests/vectors/cache/`, told to the layer.

#[path = "../rfc9111/corpus.rs"]
mod corpus;

use std::time::{Duration, SystemTime};

use buttress_cache::{CacheLayer, CacheLayerBuilder, CacheService};
use buttress_core::clock::WallClock;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt as _, Channel, Full};
use std::sync::{Arc, Mutex};
use tower::{Layer as _, ServiceExt as _};

use self::corpus::{Case, Origin, Step, begin, cases, has, lacks};
use crate::support::{OriginBody, Unreachable, settle};

/// The calendar of a story.
#[derive(Clone, Debug)]
struct Story(Arc<Mutex<SystemTime>>);

impl WallClock for Story {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// What the origin is about to be asked, and was.
#[derive(Clone, Debug, Default)]
struct Script(Arc<Mutex<(Option<Step>, Vec<HeaderMap>)>>);

fn layer(case: &Case, story: &Story) -> CacheLayer {
    let options = case.options();
    let builder: CacheLayerBuilder = match options.shared {
        true => CacheLayer::shared(),
        false => CacheLayer::private(),
    };
    builder
        .scheme("https")
        .targeted_fields(options.targeted)
        .heuristic(options.heuristic)
        .set_cookie(options.set_cookie)
        .stale_while_revalidate(options.stale_while_revalidate)
        .stale_if_error(options.stale_if_error)
        .stale_if_unreachable(options.stale_if_unreachable)
        .wall_clock(story.clone())
        .build()
        .unwrap()
}

/// The origin: takes its time, and answers as the step says.
async fn origin(
    script: Script,
    story: Story,
    request: Request<Full<Bytes>>,
) -> Result<Response<OriginBody>, Unreachable> {
    let (
        Parts {
            method, headers, ..
        },
        _,
    ) = request.into_parts();
    let step = {
        let mut script = script.0.lock().unwrap();
        script.1.push(headers);
        script.0.clone().unwrap_or_default()
    };
    *story.0.lock().unwrap() += Duration::from_secs_f64(step.delay);
    let Origin::Answers(status, headers, body) = step.origin() else {
        return Err(Unreachable);
    };
    let bare = method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let body = if bare { String::new() } else { body };
    let body: OriginBody = if step.broken {
        let (mut sender, broken) = Channel::<Bytes, crate::support::BoxError>::new(2);
        sender.send_data(body.into()).await.unwrap();
        sender.abort("broken off".into());
        broken.boxed_unsync()
    } else {
        Full::from(body)
            .map_err(|never| match never {})
            .boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[tokio::test(start_paused = true)]
async fn every_case_of_the_corpus() {
    let cases = cases();
    assert!(cases.len() > 200, "only {} cases were found", cases.len());
    let mut wrong = Vec::new();
    for (file, case) in &cases {
        if let Err(what) = play(case).await {
            wrong.push(format!("{file}: {} (RFC {}): {what}", case.name, case.rfc));
        }
    }
    let (all, wrong) = (cases.len(), wrong.join("\n"));
    assert!(wrong.is_empty(), "of {all} cases:\n{wrong}");
}

async fn play(case: &Case) -> Result<(), String> {
    let story = Story(Arc::new(Mutex::new(begin())));
    let script = Script::default();
    let service = {
        let (script, story) = (script.clone(), story.clone());
        tower::service_fn(move |request| origin(script.clone(), story.clone(), request))
    };
    let layer = layer(case, &story);
    let (service, cache) = (layer.layer(service), layer.cache());
    let mut now = begin();
    for (number, step) in case.steps.iter().enumerate() {
        if let Some(seconds) = step.at {
            now = begin() + Duration::from_secs_f64(seconds);
        }
        *story.0.lock().unwrap() = now;
        let stored = cache.stats().stored;
        let taken = take(&service, &script, step).await;
        let stored = cache.stats().stored - stored;
        taken
            .and_then(|()| is_kept(step, stored))
            .map_err(|what| format!("step {}: {what}", number + 1))?;
    }
    Ok(())
}

async fn take<S>(service: &CacheService<S>, script: &Script, step: &Step) -> Result<(), String>
where
    S: tower::Service<
            Request<Full<Bytes>>,
            Response = Response<OriginBody>,
            Error = Unreachable,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    *script.0.lock().unwrap() = (Some(step.clone()), Vec::new());
    let (method, uri, headers) = step.request();
    let body = if step.has_content { "content" } else { "" };
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let answered = service.clone().oneshot(request).await;
    let got = match answered {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            // A body that is broken off is broken off for the client, too.
            let body = body
                .collect()
                .await
                .map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            (parts.status, parts.headers, body)
        }
        Err(Unreachable) => (StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new()),
    };
    // What is done in the background is done before the next step.
    settle().await;
    let asked = std::mem::take(&mut script.0.lock().unwrap().1);
    check(step, &got, &asked)
}

/// Whether so many new responses were stored as the step says.
fn is_kept(step: &Step, stored: u64) -> Result<(), String> {
    let expected = match step.kept.as_deref() {
        None => return Ok(()),
        Some("yes" | "combined") => 1,
        Some(_) => 0,
    };
    match stored == expected {
        true => Ok(()),
        false => Err(format!("{stored} stored, kept: {:?}", step.kept)),
    }
}

fn check(
    step: &Step,
    (status, headers, body): &(StatusCode, HeaderMap, Bytes),
    asked: &[HeaderMap],
) -> Result<(), String> {
    let told = headers
        .get("cache-status")
        .map_or("none", |it| it.to_str().unwrap());
    let expected = match step.origin() {
        Origin::Silent => 0,
        _ => 1,
    };
    if asked.len() != expected {
        return Err(format!(
            "the origin was asked {} times ({told})",
            asked.len()
        ));
    }
    let hit = ["fresh", "max-stale", "stale-while-revalidate"].contains(&step.expect.as_str());
    if hit != told.contains(";hit") {
        return Err(format!("{:?} is told as {told}", step.expect));
    }
    if step.status.is_some_and(|expected| *status != expected) {
        return Err(format!("the status is {status} ({told})"));
    }
    if let Some(content) = &step.content
        && body != content.as_bytes()
        && !step.broken
    {
        return Err(format!("the content is {body:?} ({told})"));
    }
    has("the client", headers, &step.has)?;
    lacks("the client", headers, &step.lacks)?;
    let none = HeaderMap::new();
    let asked = asked.first().unwrap_or(&none);
    has("the origin", asked, &step.asked)?;
    lacks("the origin", asked, &step.unasked)
}
