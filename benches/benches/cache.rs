//! The cache as a layer over a bare service, against http-cache-tower with its store in memory.

#![expect(
    clippy::disallowed_methods,
    reason = "a runtime's whole loop is measured here"
)]

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use buttress_cache::CacheLayer;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use http_cache::MokaManager;
use http_cache_tower::HttpCacheLayer;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

fn body(bytes: usize) -> Bytes {
    vec![b'x'; bytes].into()
}

/// What the origin answers, as a service with no other work would.
fn answer(body: &Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.clone()));
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=31536000"),
    );
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::ETAG, HeaderValue::from_static("\"v1\""));
    response
}

type Origin = Result<Response<Full<Bytes>>, Infallible>;

fn origin(
    body: Bytes,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send {
    service_fn(move |_: Request<Full<Bytes>>| {
        let response = answer(&body);
        async move { Origin::Ok(response) }
    })
}

fn request(uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    request
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without sockets")
}

/// So many calls one after another, each body read to its end.
async fn calls<S, B>(mut service: S, uris: impl Iterator<Item = Uri>) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let begin = Instant::now();
    for uri in uris {
        let service = service.ready().await.expect("it is always ready");
        let response = service.call(request(uri)).await.expect("it answers");
        let body = response.into_body().collect().await.expect("it ends");
        black_box(body.to_bytes());
    }
    begin.elapsed()
}

fn measure<S, B>(
    c: &mut Criterion,
    case: &str,
    implementation: &str,
    service: impl Fn() -> S,
    uri: impl Fn(u64) -> Uri,
) where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: std::fmt::Debug,
    B: http_body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    let (runtime, service) = (runtime(), service());
    let mut sent = 0;
    let mut group = c.benchmark_group("cache");
    group.throughput(Throughput::Elements(1));
    let id = BenchmarkId::new(case, implementation);
    group.bench_function(id, |b| {
        b.iter_custom(|iterations| {
            let uris: Vec<_> = (sent..sent + iterations).map(&uri).collect();
            sent += iterations;
            runtime.block_on(calls(service.clone(), uris.into_iter()))
        });
    });
}

fn hits(c: &mut Criterion) {
    for (case, bytes) in [("hit_1k", 1 << 10), ("hit_64k", 64 << 10)] {
        let same = |_| Uri::from_static("http://example.com/a/path?and=query");
        let ours = || {
            let cache = CacheLayer::shared()
                .build()
                .expect("the defaults are valid");
            cache.layer(origin(body(bytes)))
        };
        measure(c, case, "buttress", ours, same);
        let theirs = || HttpCacheLayer::new(MokaManager::default()).layer(origin(body(bytes)));
        measure(c, case, "http-cache-tower", theirs, same);
        measure(c, case, "bare", || origin(body(bytes)), same);
    }
}

fn misses(c: &mut Criterion) {
    let case = "miss_stored";
    let other = |n| {
        let uri = format!("http://example.com/a/path?and={n}");
        Uri::try_from(uri).expect("it is one")
    };
    let ours = || {
        let cache = CacheLayer::shared()
            .build()
            .expect("the defaults are valid");
        cache.layer(origin(body(1 << 10)))
    };
    measure(c, case, "buttress", ours, other);
    let theirs = || HttpCacheLayer::new(MokaManager::default()).layer(origin(body(1 << 10)));
    measure(c, case, "http-cache-tower", theirs, other);
    measure(c, case, "bare", || origin(body(1 << 10)), other);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = hits, misses
}
criterion_main!(benches);
