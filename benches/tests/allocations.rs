//! What is allocated where nothing goes wrong, and an upper bound where something has to be said.

#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    future::{Future as _, Ready, poll_fn, ready},
    hint::black_box,
    net::SocketAddr,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody as _},
    extract::ConnectInfo,
};
use buttress_benches::keys;
use buttress_cache::CacheLayer;
use buttress_circuit_breaker::{
    CircuitBreaker, CircuitBreakerLayer, CircuitBreakers, Outcome, Trip,
};
use buttress_http::{ClientIp, FieldStyle, Head};
use buttress_rate_limit::{
    Algorithm, DirectRateLimiter, FixedWindow, LeakyBucket, Pacing, Policy, Quota, QuotaBuilder,
    RateLimitLayer, RateLimiter, SlidingLog, SlidingWindow, TokenBucket,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, Service, service_fn};

/// The system's allocator, with a count for each thread: tests run beside each other.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: all is passed on to the system's allocator as it is. Counting neither allocates nor unwinds: the
// thread's cell is initialised at compile time and needs no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `GlobalAlloc`'s contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(Box::new(1))), 1);
    assert_eq!(allocations(|| ()), 0);
}

/// Known keys, new keys, and keys that are refused: the room for all was made when the handle was.
#[test]
fn a_handle_does_not_allocate() {
    let keyed = RateLimiter::per_key(Quota::per_minute(2))
        .max_keys(1_000)
        .build()
        .unwrap();
    let text = keys::text(7);
    let of_keyed = allocations(|| {
        for n in 0..5_000 {
            let _ = keyed.check(&keys::ip(n % 2_000));
            let _ = keyed.check(&text);
        }
    });
    let direct = DirectRateLimiter::of(Quota::per_minute(2)).unwrap();
    let of_direct = allocations(|| {
        for _ in 0..100 {
            let _ = direct.check();
        }
    });
    assert_eq!((of_keyed, of_direct), (0, 0));
}

/// Nor with any of the other algorithms, whose states may be of several words.
#[test]
fn no_algorithm_allocates() {
    let algorithms: [fn() -> Box<dyn Algorithm>; 6] = [
        || Box::new(TokenBucket::refilled_at_intervals()),
        || Box::new(LeakyBucket::as_queue()),
        || Box::new(Pacing::up_to(Duration::ZERO)),
        || Box::new(FixedWindow),
        || Box::new(SlidingWindow::of_sub_windows(10)),
        || Box::new(SlidingLog::for_counts_up_to(2)),
    ];
    for algorithm in algorithms {
        let keyed = RateLimiter::per_key(Quota::per_minute(2)).max_keys(1_000);
        let keyed = keyed.algorithm(algorithm()).build().unwrap();
        let direct = DirectRateLimiter::builder(Quota::per_minute(2));
        let direct = direct.algorithm(algorithm()).build().unwrap();
        let allocations = allocations(|| {
            for n in 0..5_000 {
                let _ = keyed.check(&keys::ip(n % 2_000));
                let _ = keyed.peek(&keys::ip(n % 3_000));
                let _ = direct.check();
                let _ = direct.peek();
                direct.refund(1);
            }
        });
        assert_eq!(allocations, 0, "{keyed:?}");
    }
}

#[test]
fn a_layer_without_fields_does_not_allocate() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = layer(Quota::per_second(1_000_000), FieldStyle::None);
    let limited = per_request(layer.layer(service()), StatusCode::OK);
    assert_eq!(limited - bare, 0);
}

/// Nor where the quota comes by request, also while the key goes to and fro between two.
#[test]
fn a_quota_by_request_does_not_allocate() {
    let bare = per_request(service(), StatusCode::OK);
    let turn = AtomicUsize::new(0);
    let quotas = [Quota::per_second(1_000_000), Quota::per_minute(1_000_000)];
    let quotas = quotas.map(|quota| quota.build().unwrap());
    let by_turns = move |_: &Head| {
        let nth = turn.fetch_add(1, Ordering::Relaxed);
        quotas.get(nth % 2).copied()
    };
    let policy = Policy::new("per-ip", "10/s").key(ClientIp::peer());
    let layer = RateLimitLayer::http(policy.quota_by(by_turns))
        .fields(FieldStyle::None)
        .build()
        .unwrap();
    let limited = per_request(layer.layer(service()), StatusCode::OK);
    assert_eq!(limited - bare, 0);
}

/// One box, in which the user's future lies, however large it is and however often it is polled.
#[test]
fn a_quota_that_is_looked_up_costs_one_allocation() {
    let at_once = policy("at once").quota_by_lookup(|_: &Head| ready(wide()));
    let by_the_policy = policy("by the policy").quota_by_lookup(|_: &Head| ready(None));
    let pending_once = policy("pending once").quota_by_lookup(|_: &Head| async {
        yield_now().await;
        wide()
    });
    let large = policy("large").quota_by_lookup(|_: &Head| async {
        let kept = black_box([7_u8; 4_096]);
        yield_now().await;
        black_box(kept);
        wide()
    });
    for looked_up in [&at_once, &by_the_policy, &pending_once, &large] {
        assert_eq!(of_policies([looked_up.clone()]), 1, "{looked_up:?}");
        // Nor do the others beside it cost anything.
        let others = ["a", "b", "c"].map(policy);
        assert_eq!(
            of_policies([looked_up.clone()].into_iter().chain(others)),
            1,
            "{looked_up:?}"
        );
    }
    // Each has a box of its own.
    assert_eq!(of_policies([at_once, pending_once, policy("a"), large]), 3);
}

fn policy(name: &str) -> Policy {
    Policy::new(name, "1000000/s").key(ClientIp::peer())
}

fn wide() -> Option<Quota> {
    Quota::per_minute(1_000_000).build().ok()
}

/// What a layer of these policies allocates for a request.
fn of_policies(policies: impl IntoIterator<Item = Policy>) -> usize {
    let mut policies = policies.into_iter();
    let first = RateLimitLayer::http(policies.next().unwrap());
    let layer = policies.fold(first, |layer, policy| layer.policy(policy));
    let layer = layer.fields(FieldStyle::None).build().unwrap();
    let bare = per_request(service(), StatusCode::OK);
    per_request(layer.layer(service()), StatusCode::OK) - bare
}

/// Pending once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|_| match std::mem::replace(&mut yielded, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// The table of the header map, its entries, and one value: what varies. The other one is shared.
#[test]
fn fields_cost_their_place_and_what_varies() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = layer(Quota::per_second(1_000_000), FieldStyle::Draft11);
    let limited = per_request(layer.layer(service()), StatusCode::OK);
    assert!(limited - bare <= 4, "{} allocations", limited - bare);
}

/// As above, `Retry-After`, and the mark for the layers further out. The body is shared.
#[test]
fn a_refusal_costs_a_few_allocations() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = layer(Quota::per_day(1), FieldStyle::Draft11);
    let refused = per_request(layer.layer(service()), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused - bare <= 9, "{} allocations", refused - bare);
}

/// Closed or open, timed or not; what is allocated for a key is its circuit, once.
#[test]
fn a_circuit_breaker_does_not_allocate() {
    let trip = Trip::over_time(Duration::from_secs(10))
        .slow_call_rate(0.5, Duration::from_secs(1))
        .minimum_calls(100);
    let circuit = CircuitBreaker::on(trip).build().unwrap();
    let circuits = CircuitBreakers::per_key(trip).build().unwrap();
    circuits.try_acquire("a").unwrap().record(Outcome::Success);
    let closed = allocations(|| {
        for outcome in [Outcome::Success, Outcome::Success, Outcome::Failure] {
            circuit.try_acquire().unwrap().record(outcome);
            circuit.try_acquire_owned().unwrap().record(outcome);
            circuits.try_acquire("a").unwrap().record(outcome);
        }
    });
    circuit.force_open();
    let open = allocations(|| assert!(circuit.try_acquire().is_err()));
    assert_eq!((closed, open), (0, 0));
}

#[test]
fn a_closed_circuits_layer_does_not_allocate() {
    let bare = per_request(service(), StatusCode::OK);
    let layer = CircuitBreakerLayer::http(Trip::over_time(Duration::from_secs(10)))
        .build()
        .unwrap();
    let guarded = per_request(layer.layer(service()), StatusCode::OK);
    assert_eq!(guarded - bare, 0);
}

fn layer(quota: QuotaBuilder, style: FieldStyle) -> RateLimitLayer {
    RateLimitLayer::http(Policy::new("per-ip", quota).key(ClientIp::peer()))
        .fields(style)
        .build()
        .unwrap()
}

type Answer = Ready<Result<Response<Body>, Infallible>>;

fn service()
-> impl Service<Request<()>, Response = Response<Body>, Error = Infallible, Future = Answer> + Clone
{
    service_fn(|_request| ready(Ok(Response::new(Body::empty()))))
}

/// What one more request allocates, once its peer is known. The request itself is not counted.
fn per_request<S, B>(mut service: S, status: StatusCode) -> usize
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let mut cx = Context::from_waker(Waker::noop());
    let mut answer = || {
        let mut request = Request::new(());
        let peer = SocketAddr::new(keys::ip(7), 50_000);
        request.extensions_mut().insert(ConnectInfo(peer));
        let mut answered = None;
        let allocations = allocations(|| {
            assert!(service.poll_ready(&mut cx).is_ready());
            let mut call = pin!(service.call(request));
            // Some wait once.
            for _ in 0..4 {
                if let Poll::Ready(Ok(response)) = call.as_mut().poll(&mut cx) {
                    answered = Some(response.status());
                    break;
                }
            }
        });
        (answered, allocations)
    };
    answer();
    let (answered, allocations) = answer();
    assert_eq!(answered, Some(status));
    allocations
}

/// How often a call allocates that is answered at once.
fn allocations_of<S, B>(service: &mut S, method: &Method) -> usize
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
{
    let mut request = Request::new(Full::default());
    *request.method_mut() = method.clone();
    *request.uri_mut() = http::Uri::from_static("http://example.com/a?b=c");
    allocations(|| {
        let answered = pin!(service.call(request));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(answered.poll(&mut cx).is_ready(), "it waits for nobody");
    })
}

/// One for what is kept of the call and one for Cache-Status; where an answer may be stored after all, one for its place
/// among the fetches (and two for a copy of the request's fields, which has none here). No task.
#[test]
fn what_is_not_stored_allocates_up_to_three_times() {
    let origin = |_: Request<Full<Bytes>>| {
        let mut response = Response::new(Full::<Bytes>::default());
        let value = http::HeaderValue::from_static("no-store");
        response.headers_mut().insert("cache-control", value);
        ready(Ok::<_, Infallible>(response))
    };
    let bare = allocations_of(&mut service_fn(origin), &Method::GET);
    let mut service = CacheLayer::shared()
        .build()
        .unwrap()
        .layer(service_fn(origin));
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let mut request = Request::new(Full::default());
            *request.uri_mut() = http::Uri::from_static("http://example.com/a?b=c");
            let answered = service.call(request).await.unwrap();
            assert!(!answered.headers()["cache-status"].is_empty());
        });
    for (method, most) in [(Method::PUT, 2), (Method::POST, 3), (Method::GET, 3)] {
        let once = allocations_of(&mut service, &method);
        assert_eq!(once - bare, most, "{method}");
    }
}

/// Two for the map of fields, one each for Age and Cache-Status; the body is shared.
#[test]
fn a_hit_in_the_cache_allocates_four_times() {
    let origin = |_: Request<Full<Bytes>>| async {
        let mut response = Response::new(Full::<Bytes>::from(vec![b'x'; 1024]));
        for (name, value) in [
            ("cache-control", "max-age=31536000"),
            ("content-type", "text/plain"),
            ("etag", "\"v1\""),
            ("server", "hand-made"),
        ] {
            let value = http::HeaderValue::from_static(value);
            response.headers_mut().insert(name, value);
        }
        Ok::<_, Infallible>(response)
    };
    let cache = CacheLayer::shared().build().unwrap();
    let mut service = cache.layer(service_fn(origin));
    let uri = http::Uri::from_static("http://example.com/a?b=c");
    let request = || {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.clone();
        request
    };
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async {
            let stored = service.call(request()).await.unwrap();
            stored.into_body().collect().await.unwrap();
        });
    let mut hit = || {
        let request = request();
        let mut served = None;
        let count = allocations(|| {
            let answered = pin!(service.call(request));
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(Ok(response)) = answered.poll(&mut cx) else {
                panic!("a hit waits for nobody");
            };
            let (parts, body) = response.into_parts();
            let mut body = pin!(body);
            let frame = body.as_mut().poll_frame(&mut cx);
            served = Some((parts, frame));
        });
        assert!(served.unwrap().0.headers.contains_key("age"));
        count
    };
    // The first one makes the stored bytes shared.
    hit();
    assert_eq!(hit(), 4);
}
