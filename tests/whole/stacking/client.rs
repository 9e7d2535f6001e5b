//! The order on a client. Time is tokio's, and paused: what is waited for takes none.

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{Request, Response, StatusCode};
use buttress::{
    CacheLayer, CircuitBreakerLayer, Clock as _, FieldStyle, Head, LocalRefusal, Outcome, Policy,
    RateLimitLayer, RetryLayer, Tick, Trip, View as _,
    circuit_breaker::{Event, Happening, State},
    clock::TokioClock,
    keys::Authority,
    rate_limit::Pacing,
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use tower::{
    Service, ServiceBuilder, ServiceExt as _, service_fn,
    util::{BoxCloneSyncService, MapResponseLayer},
};
use tower_http::timeout::TimeoutLayer;

const SECOND: Duration = Duration::from_secs(1);

fn request() -> Request<Empty<Bytes>> {
    Request::get("http://api.example/")
        .body(Empty::new())
        .unwrap()
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::from("an answer"))
        .unwrap()
}

/// An upstream that answers by the number of the request, and the times at which it was called.
#[derive(Clone, Default)]
struct Upstream {
    clock: TokioClock,
    called: Arc<Mutex<Vec<Tick>>>,
}

impl Upstream {
    fn answering<B: Send + 'static>(
        &self,
        script: impl Fn(usize) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
    ) -> BoxCloneSyncService<Request<B>, Response<Full<Bytes>>, Infallible> {
        let Self { clock, called } = self.clone();
        BoxCloneSyncService::new(service_fn(move |_: Request<B>| {
            let mut called = called.lock().unwrap();
            called.push(clock.now());
            ready(Ok(script(called.len())))
        }))
    }

    fn calls(&self) -> usize {
        self.called.lock().unwrap().len()
    }

    /// The time between one call and the next.
    fn gaps(&self) -> Vec<Duration> {
        let called = self.called.lock().unwrap();
        let gap = |pair: &[Tick]| pair[1].saturating_duration_since(pair[0]);
        called.windows(2).map(gap).collect()
    }

    /// The time since it was made.
    fn age(&self) -> Duration {
        self.clock.now().saturating_duration_since(Tick::ZERO)
    }
}

/// Three attempts, one right after the other where nobody says otherwise.
fn retry() -> RetryLayer {
    RetryLayer::http().backoff(Duration::ZERO).build().unwrap()
}

/// One request a second, and whoever comes earlier waits for up to ten.
fn pace() -> RateLimitLayer {
    paced(Pacing::up_to(10 * SECOND))
}

fn paced(pacing: Pacing) -> RateLimitLayer {
    let policy = Policy::new("pace", "1/s burst 1")
        .key(Authority)
        .algorithm(pacing);
    RateLimitLayer::http(policy).build().unwrap()
}

/// Opens after a failure, for five seconds.
fn breaker() -> CircuitBreakerLayer {
    CircuitBreakerLayer::http(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .probes(1)
        .build()
        .unwrap()
}

async fn status<S, B, C>(service: S, request: Request<B>) -> u16
where
    S: Service<Request<B>, Response = Response<C>, Error = Infallible>,
    C: http_body::Body<Data = Bytes>,
    C::Error: std::fmt::Debug,
{
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    status
}

/// The cache outermost: what is fresh is not sent, and does not wait for a turn either.
#[tokio::test(start_paused = true)]
async fn what_is_fresh_is_never_sent() {
    let fresh = |_| {
        let mut response = answer(200);
        let headers = response.headers_mut();
        headers.insert("cache-control", "max-age=60".parse().unwrap());
        response
    };
    let cache = || CacheLayer::private().build().unwrap();

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(cache())
        .layer(pace())
        .service(upstream.answering(fresh));
    let begun = upstream.age();
    for _ in 0..3 {
        assert_eq!(status(right.clone(), request()).await, 200);
    }
    assert_eq!(
        (upstream.calls(), upstream.age() - begun),
        (1, Duration::ZERO)
    );

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(pace())
        .layer(cache())
        .service(upstream.answering(fresh));
    let begun = upstream.age();
    for _ in 0..3 {
        assert_eq!(status(wrong.clone(), request()).await, 200);
    }
    assert_eq!(upstream.calls(), 1);
    assert!(
        upstream.age() - begun >= 2 * SECOND,
        "hits waited for a turn"
    );
}

/// Retry outside of the pace: every attempt waits for its turn.
#[tokio::test(start_paused = true)]
async fn every_attempt_is_paced() {
    let third_time = |call| answer(if call < 3 { 502 } else { 200 });

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(retry())
        .layer(pace())
        .service(upstream.answering(third_time));
    assert_eq!(status(right, request()).await, 200);
    assert!(
        upstream.gaps().iter().all(|gap| *gap >= SECOND),
        "{:?}",
        upstream.gaps()
    );

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(pace())
        .layer(retry())
        .service(upstream.answering(third_time));
    assert_eq!(status(wrong, request()).await, 200);
    assert!(
        upstream.gaps().iter().all(|gap| *gap < SECOND),
        "{:?}",
        upstream.gaps()
    );
}

/// Retry outside of the circuit breaker: an open circuit is a refusal whose time is waited for.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_waited_for() {
    let second_time = |call| answer(if call < 2 { 503 } else { 200 });

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(retry())
        .layer(breaker())
        .service(upstream.answering(second_time));
    assert_eq!(status(right, request()).await, 200);
    assert!(upstream.gaps()[0] >= 5 * SECOND, "{:?}", upstream.gaps());

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(breaker())
        .layer(retry())
        .service(upstream.answering(second_time));
    assert_eq!(status(wrong, request()).await, 200);
    assert!(
        upstream.gaps()[0] < SECOND,
        "the circuit was not asked again"
    );
}

/// A fallback's answer is one: who gave it did not want to wait, though it is marked as made on this side.
#[tokio::test(start_paused = true)]
async fn a_fallback_of_the_circuits_is_not_waited_past() {
    let upstream = Upstream::default();
    let breaker = CircuitBreakerLayer::http(Trip::consecutive_failures(1))
        .open_for(5 * SECOND)
        .fallback(|_, _| Response::new(Bytes::from("of yesterday")))
        .build()
        .unwrap();
    breaker
        .breaker()
        .try_acquire()
        .unwrap()
        .record(Outcome::Failure);
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(breaker)
        .service(upstream.answering(|_| answer(200)));
    let begun = upstream.age();
    assert_eq!(status(service, request()).await, 200);
    assert_eq!(
        (upstream.calls(), upstream.age() - begun),
        (0, Duration::ZERO)
    );
}

/// The pace outside of the circuit breaker: what the pace refuses says nothing of the upstream, whose circuit does not
/// even hear of it, and parks nobody. D7 of the traps.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_our_own_opens_no_circuit_and_parks_nobody() {
    let heard = Arc::new(AtomicUsize::new(0));
    let breaker = || {
        let heard = Arc::clone(&heard);
        let count = move |event: &Event<'_>| {
            if matches!(event.happening, Happening::Call { .. }) {
                heard.fetch_add(1, Ordering::SeqCst);
            }
        };
        let trip = Trip::consecutive_failures(1);
        let breaker = CircuitBreakerLayer::http(trip).observer(count);
        breaker.build().unwrap()
    };
    let impatient = || paced(Pacing::up_to(Duration::ZERO));

    let upstream = Upstream::default();
    let (retry, right) = (retry(), breaker());
    let circuit = right.breaker();
    let service = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(impatient())
        .layer(right)
        .service(upstream.answering(|_| answer(200)));
    let (first, second) = (
        status(service.clone(), request()),
        status(service, request()),
    );
    let watched = async {
        // The second was refused by now, and waits.
        tokio::time::sleep(SECOND / 2).await;
        (upstream.calls(), retry.parked(Head::of(&request())))
    };
    let (first, second, watched) = tokio::join!(first, second, watched);
    assert_eq!((first, second), (200, 200));
    assert_eq!(watched, (1, None));
    assert_eq!(circuit.state(), State::Closed);
    assert!(upstream.gaps()[0] >= SECOND);
    assert_eq!(heard.swap(0, Ordering::SeqCst), 2);

    let wrong = ServiceBuilder::new()
        .layer(breaker())
        .layer(impatient())
        .service(Upstream::default().answering(|_| answer(200)));
    assert_eq!(status(wrong.clone(), request()).await, 200);
    assert_eq!(status(wrong, request()).await, 429);
    assert_eq!(heard.load(Ordering::SeqCst), 2, "of one that was not sent");
}

/// It is the mark that does it: without it the same refusal is the upstream's word.
#[tokio::test(start_paused = true)]
async fn without_its_mark_a_refusal_would_be_the_upstreams() {
    let unmark = MapResponseLayer::new(|mut response: Response<_>| {
        let mark = response.extensions_mut().remove::<LocalRefusal>();
        assert_eq!(mark.is_some(), response.status() == 429);
        response
    });
    let upstream = Upstream::default();
    let retry = retry();
    let service = ServiceBuilder::new()
        .layer(retry.clone())
        .layer(unmark)
        .layer(paced(Pacing::up_to(Duration::ZERO)))
        .service(upstream.answering(|_| answer(200)));
    let (first, second) = (
        status(service.clone(), request()),
        status(service, request()),
    );
    let watched = async {
        tokio::time::sleep(SECOND / 2).await;
        retry.parked(Head::of(&request()))
    };
    let (_, _, parked) = tokio::join!(first, second, watched);
    assert!(parked.is_some());
}

/// An upstream's own 429 parks it for everybody, and opens no circuit. T8 and B8 of the traps.
#[tokio::test(start_paused = true)]
async fn an_upstreams_429_parks_everybody() {
    let refused_once = |call| {
        let mut response = answer(if call == 1 { 429 } else { 200 });
        if call == 1 {
            let headers = response.headers_mut();
            headers.insert("retry-after", "3".parse().unwrap());
        }
        response
    };
    let upstream = Upstream::default();
    let breaker = breaker();
    let circuit = breaker.breaker();
    let service = ServiceBuilder::new()
        .layer(retry())
        .layer(breaker)
        .service(upstream.answering(refused_once));
    let crowd = (0..5).map(|_| tokio::spawn(status(service.clone(), request())));
    for call in crowd.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap(), 200);
    }
    assert_eq!(upstream.calls(), 6);
    assert!(upstream.gaps()[0] >= 3 * SECOND, "{:?}", upstream.gaps());
    assert_eq!(circuit.snapshot().failures, 0);
}

/// A pace that tells of itself in the answers of others: GitHub's 403 means that something is forbidden, unless a limit
/// is used up, and that would be our own.
#[tokio::test(start_paused = true)]
async fn the_fields_of_a_pace_are_not_taken_for_the_providers() {
    let forbidden = |_| {
        let mut response = answer(403);
        let headers = response.headers_mut();
        headers.insert("x-github-request-id", "1".parse().unwrap());
        headers.insert("x-ratelimit-remaining", "4999".parse().unwrap());
        response
    };
    let policy = || {
        Policy::new("pace", "1/s burst 1")
            .key(Authority)
            .algorithm(Pacing::up_to(10 * SECOND))
    };
    let silent = RateLimitLayer::http(policy()).fields(FieldStyle::None);
    let telling = RateLimitLayer::http(policy());
    for (pace, calls) in [(silent, 1), (telling, 3)] {
        let upstream = Upstream::default();
        let service = ServiceBuilder::new()
            .layer(retry())
            .layer(pace.build().unwrap())
            .service(upstream.answering(forbidden));
        let response = service.oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(upstream.calls(), calls, "{:?}", response.headers());
    }
}

/// The circuit breaker inside of the pace: who waited for a turn had passed the park, and meets it again in the circuit.
#[tokio::test(start_paused = true)]
async fn who_has_waited_for_a_turn_hears_what_the_upstream_asked_for() {
    async fn crowd<S, B>(service: &S, upstream: &Upstream) -> Vec<Duration>
    where
        S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let ask = || status(service.clone(), request());
        // The first one has its turn at once, the others stand in line for a second each.
        assert_eq!(tokio::join!(ask(), ask(), ask()), (200, 200, 200));
        upstream.gaps()
    }
    let refuses_the_second = |call| {
        let mut response = answer(if call == 2 { 429 } else { 200 });
        if call == 2 {
            let headers = response.headers_mut();
            headers.insert("retry-after", "5".parse().unwrap());
        }
        response
    };

    let upstream = Upstream::default();
    let right = ServiceBuilder::new()
        .layer(retry())
        .layer(pace())
        .layer(breaker())
        .service(upstream.answering(refuses_the_second));
    let gaps = crowd(&right, &upstream).await;
    assert!(gaps.len() == 3 && gaps[1] >= 5 * SECOND, "{gaps:?}");

    let upstream = Upstream::default();
    let wrong = ServiceBuilder::new()
        .layer(retry())
        .layer(pace())
        .service(upstream.answering(refuses_the_second));
    let gaps = crowd(&wrong, &upstream).await;
    assert!(
        gaps[1] < 2 * SECOND,
        "it was called, and had asked not to be: {gaps:?}"
    );
}

/// The timeout inside of the circuit breaker: an attempt that takes too long is a failure.
#[tokio::test(start_paused = true)]
async fn a_timeout_of_an_attempt_counts_as_failure() {
    let calls = Arc::new(AtomicUsize::new(0));
    let stuck = || {
        let calls = Arc::clone(&calls);
        service_fn(move |_: Request<_>| {
            calls.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(3_600 * SECOND).await;
                Ok::<_, Infallible>(answer(200))
            }
        })
    };
    let timeout = || TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, SECOND);
    let once = || RetryLayer::http().max_attempts(1).build().unwrap();

    let right = breaker();
    let circuit = right.breaker();
    let service = ServiceBuilder::new()
        .layer(once())
        .layer(right)
        .layer(timeout())
        .service(stuck());
    assert_eq!(status(service, request()).await, 504);
    assert_eq!(circuit.state(), State::Open);

    let wrong = breaker();
    let circuit = wrong.breaker();
    let service = ServiceBuilder::new()
        .layer(once())
        .layer(timeout())
        .layer(wrong)
        .service(stuck());
    assert_eq!(status(service, request()).await, 504);
    assert_eq!(circuit.state(), State::Closed);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

/// The pace outside of the circuit breaker: what waits for its turn here is no slowness of the upstream's.
#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_is_no_slowness() {
    let breaker = || {
        let trip = Trip::over_calls(10).slow_call_rate(1.0, SECOND / 2);
        CircuitBreakerLayer::http(trip).build().unwrap()
    };
    let upstream = Upstream::default();

    let right = breaker();
    let circuit = right.breaker();
    let service = ServiceBuilder::new()
        .layer(pace())
        .layer(right)
        .service(upstream.answering(|_| answer(200)));
    for _ in 0..3 {
        assert_eq!(status(service.clone(), request()).await, 200);
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.calls, snapshot.slow_calls), (3, 0));

    let wrong = breaker();
    let circuit = wrong.breaker();
    let service = ServiceBuilder::new()
        .layer(wrong)
        .layer(pace())
        .service(upstream.answering(|_| answer(200)));
    for _ in 0..3 {
        assert_eq!(status(service.clone(), request()).await, 200);
    }
    let snapshot = circuit.snapshot();
    assert_eq!((snapshot.calls, snapshot.slow_calls), (3, 2));
}

/// The pace inside of retry and outside of the circuit breaker: what the circuit refuses was never sent, and
/// the place in the queue that it had can be given back.
#[tokio::test(start_paused = true)]
async fn a_turn_that_the_circuit_refuses_is_given_back() {
    let refunding = |refunds: bool| {
        let policy = Policy::new("pace", "1/min burst 1").key(Authority);
        let pace = RateLimitLayer::http(policy);
        if refunds {
            pace.refund_local_refusals()
        } else {
            pace
        }
    };
    for (refunds, statuses) in [(true, [503, 503, 503]), (false, [503, 429, 429])] {
        let breaker = breaker();
        breaker.breaker().force_open();
        let upstream = Upstream::default();
        let service = ServiceBuilder::new()
            .layer(refunding(refunds).build().unwrap())
            .layer(breaker)
            .service(upstream.answering(|_| answer(200)));
        for expected in statuses {
            assert_eq!(status(service.clone(), request()).await, expected);
        }
        assert_eq!(upstream.calls(), 0);
    }
}
