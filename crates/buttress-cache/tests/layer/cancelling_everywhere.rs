//! Whoever asks may leave at each of its awaits: it is polled once, twice, and so on until it would have come to
//! its end, and dropped. The others are answered, and nothing that it held is left behind.

use std::{
    convert::Infallible,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress_cache::{Cache, CacheLayer, CacheLayerBuilder, OnDisconnect};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Channel, Full, combinators::UnsyncBoxBody};
use tokio::time::{sleep, timeout};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _};

use crate::{remote_store::Remote, support::Wall};

type Body = UnsyncBoxBody<Bytes, Infallible>;

const PERMITS: usize = 2;
const CALLERS: usize = 5;
const PIECES: [&str; 3] = ["01234", "567", "89"];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// All share one answer.
    Shared,
    /// The answer is for one alone: the others go on, more of them than there are permits.
    Alone,
    /// The same, and it was so the last time: all go straight on.
    Passed,
    /// All go straight on, and what they get may be stored after all.
    PassedAndStored,
    /// The body outgrows what may be stored.
    Outgrown,
    /// What is stored is validated.
    Validated,
    /// A part is stored, and completed.
    Completed,
    /// The same, but the rest may not be stored.
    Joined,
    /// The store is elsewhere.
    Remote,
}

const WAYS: [Way; 9] = [
    Way::Shared,
    Way::Alone,
    Way::Passed,
    Way::PassedAndStored,
    Way::Outgrown,
    Way::Validated,
    Way::Completed,
    Way::Joined,
    Way::Remote,
];

/// An origin that takes its time for everything.
async fn origin(way: Way, request: Request<Full<Bytes>>) -> Result<Response<Body>, Infallible> {
    sleep(Duration::from_millis(2)).await;
    let mut response = Response::builder().header(header::ETAG, "\"1\"");
    let range = request.headers().get(header::RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    let cache_control = match way {
        Way::Alone | Way::Passed => "private",
        Way::PassedAndStored if request.headers().contains_key("first") => "private",
        Way::Joined if range == Some("bytes=5-") => "no-store",
        _ => "max-age=60",
    };
    response = response.header(header::CACHE_CONTROL, cache_control);
    let pieces = match range {
        _ if request.headers().contains_key(header::IF_NONE_MATCH) => {
            response = response.status(StatusCode::NOT_MODIFIED);
            &[][..]
        }
        Some("bytes=0-4") => {
            response = response.header(header::CONTENT_RANGE, "bytes 0-4/10");
            &PIECES[..1]
        }
        Some("bytes=5-") => {
            response = response.header(header::CONTENT_RANGE, "bytes 5-9/10");
            &PIECES[1..]
        }
        _ => &PIECES,
    };
    if range.is_some() {
        response = response.status(StatusCode::PARTIAL_CONTENT);
    }
    let (mut sender, body) = Channel::new(1);
    tokio::spawn(async move {
        for &piece in pieces {
            sleep(Duration::from_millis(2)).await;
            if sender.send_data(piece.into()).await.is_err() {
                return;
            }
        }
        if way == Way::Outgrown {
            let filling = Bytes::from(vec![b'x'; 8 << 10]);
            let _ = sender.send_data(filling).await;
        }
    });
    Ok(response.body(body.boxed_unsync()).unwrap())
}

fn builder(way: Way, on_disconnect: OnDisconnect) -> CacheLayerBuilder {
    let builder = CacheLayer::shared()
        .capacity(64 << 10)
        .largest_entry(4 << 10)
        .on_disconnect(on_disconnect);
    match way {
        Way::Remote => builder.store(Remote::new()),
        _ => builder,
    }
}

fn request() -> Request<Full<Bytes>> {
    let request = Request::get("http://example.com/a");
    request.body(Full::default()).unwrap()
}

async fn is_right(way: Way, body: impl http_body::Body<Data = Bytes, Error: std::fmt::Debug>) {
    let body = body.collect().await.unwrap().to_bytes();
    assert!(body.starts_with(b"0123456789"), "{body:?}");
    assert_eq!(body.len() > 10, way == Way::Outgrown);
}

/// Polls a call, then its body, so often at most. Whether it came to its end.
async fn leave_after<S, B>(polls: usize, call: S) -> bool
where
    S: Future<Output = Result<Response<B>, Infallible>>,
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let call = pin!(async {
        let body = call.await.unwrap().into_body();
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            frame.unwrap();
        }
    });
    let mut call = call;
    for _ in 0..polls {
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(()) = call.as_mut().poll(&mut cx) {
            return true;
        }
        // Everybody else gets as far as they can, and timers too.
        sleep(Duration::from_millis(1)).await;
    }
    false
}

/// The caller at `leaver` leaves after so many polls. Whether it would have come to its end.
async fn one_leaves(way: Way, on_disconnect: OnDisconnect, leaver: usize, polls: usize) -> bool {
    let wall = Wall::default();
    let layer = builder(way, on_disconnect)
        .wall_clock(wall.clone())
        .build()
        .unwrap();
    let cache: Cache = layer.cache();
    let service = layer.layer(
        ServiceBuilder::new()
            .concurrency_limit(PERMITS)
            .service_fn(move |request| origin(way, request)),
    );
    if !matches!(way, Way::Shared | Way::Alone | Way::Outgrown | Way::Remote) {
        let mut first = request();
        let mark = http::HeaderValue::from_static("1");
        first.headers_mut().insert("first", mark);
        if matches!(way, Way::Completed | Way::Joined) {
            let range = http::HeaderValue::from_static("bytes=0-4");
            first.headers_mut().insert(header::RANGE, range);
        }
        let stored = service.clone().oneshot(first).await.unwrap();
        stored.into_body().collect().await.unwrap();
        if way == Way::Validated {
            wall.pass(61);
        }
    }

    let mut others = Vec::new();
    let mut leaves = None;
    for n in 0..CALLERS {
        let mut service = service.clone();
        let call = service.ready().await.unwrap().call(request());
        if n == leaver {
            leaves = Some(call);
        } else {
            others.push(tokio::spawn(async move {
                let response = call.await.unwrap();
                assert_eq!(response.status(), 200);
                is_right(way, response.into_body()).await;
            }));
        }
    }
    let came_to_its_end = leave_after(polls, leaves.unwrap()).await;
    let case = format!("{way:?}, {on_disconnect:?}, {leaver} leaves after {polls} polls");
    for other in others {
        let answered = timeout(Duration::from_secs(600), other).await;
        answered.expect(&case).expect(&case);
    }
    sleep(Duration::from_secs(60)).await;
    assert_eq!(cache.stats().under_way, 0, "{case}");
    // Nothing is held.
    let mut ready = Vec::new();
    for _ in 0..PERMITS {
        let mut service = service.clone();
        let permit = timeout(Duration::from_secs(60), service.ready()).await;
        assert!(permit.is_ok(), "a permit is held: {case}");
        ready.push(service);
    }
    drop(ready);
    // And whoever comes next is answered.
    let next = timeout(Duration::from_secs(60), service.oneshot(request())).await;
    let next = next.expect(&case).unwrap();
    is_right(way, next.into_body()).await;
    came_to_its_end
}

#[tokio::test(start_paused = true)]
async fn everybody_may_leave_at_every_await() {
    let finish = OnDisconnect::Finish {
        within: Duration::from_secs(5),
    };
    for way in WAYS {
        let mut awaits = 0;
        for on_disconnect in [OnDisconnect::Abort, finish] {
            for leaver in 0..CALLERS {
                let mut polls = 0;
                while !one_leaves(way, on_disconnect, leaver, polls).await {
                    polls += 1;
                    assert!(polls < 200, "{way:?}: it does not come to its end");
                }
                awaits += polls;
            }
        }
        // There was something to be left.
        assert!(awaits > 2 * CALLERS, "{way:?}: {awaits}");
    }
}
