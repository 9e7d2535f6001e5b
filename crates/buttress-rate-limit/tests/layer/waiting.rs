//! Waiting for one's turn instead of being refused. R10 and R11 of the traps.

use std::{
    future::Future,
    net::Ipv4Addr,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use buttress_http::ClientIp;
use buttress_http::{FieldStyle, Head};
use buttress_rate_limit::{Event, Pacing, Permit, Policy, RateLimitLayer, RateLimiter};
use tokio::time::Instant;
use tower::{Layer as _, Service as _, ServiceExt as _, limit::ConcurrencyLimitLayer};

use crate::support::{Handler, from_peer, http, status_of};

const SECOND: Duration = Duration::from_secs(1);

fn paced(quota: &str, longest_wait: Duration) -> RateLimitLayer {
    http(Policy::new("pace", quota).algorithm(Pacing::up_to(longest_wait)))
        .build()
        .unwrap()
}

pub(crate) fn request() -> ::http::Request<()> {
    from_peer(Ipv4Addr::LOCALHOST)
}

#[expect(
    clippy::disallowed_methods,
    reason = "tokio's paused time, which the layer follows"
)]
fn now() -> Instant {
    Instant::now()
}

/// When it was answered, in milliseconds from `start`, and how.
async fn answered(layer: &RateLimitLayer, handler: &Handler, start: Instant) -> (u128, u16) {
    let response = layer
        .layer(handler.service())
        .oneshot(request())
        .await
        .unwrap();
    (start.elapsed().as_millis(), response.status().as_u16())
}

#[tokio::test(start_paused = true)]
async fn who_comes_first_goes_first_and_who_would_wait_too_long_is_refused() {
    let (handler, layer) = (
        Handler::default(),
        paced("10/s burst 1", Duration::from_millis(250)),
    );
    #[expect(
        clippy::disallowed_methods,
        reason = "tokio's paused time, which the layer follows"
    )]
    let start = Instant::now();
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let (layer, handler) = (layer.clone(), handler.clone());
            tokio::spawn(async move { answered(&layer, &handler, start).await })
        })
        .collect();
    let mut seen = Vec::new();
    for call in calls {
        seen.push(call.await.unwrap());
    }
    assert_eq!(seen, [(0, 200), (100, 200), (200, 200), (0, 429), (0, 429)]);
    assert_eq!(handler.calls(), 3);
}

pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_given_up_is_given_back_and_moves_nobody() {
    let (handler, layer) = (
        Handler::default(),
        paced("1/s burst 1", Duration::from_secs(9)),
    );
    let start = now();
    let call = || {
        let (layer, handler) = (layer.clone(), handler.clone());
        tokio::spawn(async move { answered(&layer, &handler, start).await.0 })
    };
    let calls = [call(), call(), call(), call()];
    // All have their places: after 0, 1, 2 and 3 seconds.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let [first, second, third, fourth] = calls;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    let late = call();
    let mut turns = Vec::new();
    for call in [first, third, fourth, late] {
        turns.push(call.await.unwrap());
    }
    // The others keep their turns; who came late takes the last place, which is free now.
    assert_eq!(turns, [0, 2_000, 3_000, 3_000]);
}

#[tokio::test(start_paused = true)]
async fn the_wait_holds_no_readiness_and_takes_it_when_the_turn_comes() {
    let (handler, layer) = (
        Handler::default(),
        paced("1/s burst 1", Duration::from_secs(9)),
    );
    let inner = ConcurrencyLimitLayer::new(1).layer(handler.service());
    let mut service = layer.layer(inner.clone());
    assert_eq!(status_of(&mut service, request()).await, 200);
    let mut waiting = Box::pin(service.ready().await.unwrap().call(request()));
    assert!(poll(waiting.as_mut()).is_pending());

    // Somebody takes the only permit while it waits, and still has it when the turn comes.
    let mut other = inner;
    assert!(
        other
            .poll_ready(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(
        poll(waiting.as_mut()).is_pending(),
        "its turn, but the service inside is busy"
    );
    drop(other);
    assert_eq!(waiting.await.unwrap().status(), 200);
}

/// Also behind a policy that asks elsewhere first.
#[tokio::test(start_paused = true)]
async fn who_waits_is_told_of_until_the_turn_comes_or_is_given_up() {
    let pace =
        || Policy::new("pace", "1/s burst 1").algorithm(Pacing::up_to(Duration::from_secs(9)));
    let looked_up = pace().quota_by_lookup(|_: &Head| async { None });
    for policy in [pace(), looked_up] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let observer = move |event: &Event<'_>| {
            let line = match event {
                Event::Queued { limit, wait, .. } => format!("{limit} waits {wait:?}"),
                Event::Dequeued { limit, .. } => format!("{limit} waits no more"),
                _ => return,
            };
            log.lock().unwrap().push(line);
        };
        let layer = http(Policy::new("all", "100/s"))
            .policy(policy)
            .observer(observer)
            .build()
            .unwrap();
        let handler = Handler::default();
        let call = || Box::pin(layer.layer(handler.service()).oneshot(request()));
        assert_eq!(call().await.unwrap().status(), 200);
        assert!(heard.lock().unwrap().is_empty(), "it need not wait");
        let (mut second, mut third) = (call(), call());
        assert!(poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        drop(third);
        assert_eq!(
            *heard.lock().unwrap(),
            ["pace waits 1s", "pace waits 2s", "pace waits no more"]
        );
        assert_eq!(second.await.unwrap().status(), 200);
        assert_eq!(heard.lock().unwrap().split_off(3), ["pace waits no more"]);
    }
}

/// Of several policies it waits for the last one's turn, which is the one that is told of.
#[tokio::test(start_paused = true)]
async fn the_longest_of_several_turns_counts() {
    let pace = |name, quota| Policy::new(name, quota).algorithm(Pacing::up_to(9 * SECOND));
    for orders in [["fast", "slow"], ["slow", "fast"]] {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heard);
        let [first, second] = orders.map(|name| match name {
            "fast" => pace(name, "2/s burst 1"),
            _ => pace(name, "1/s burst 1"),
        });
        let layer = http(first)
            .policy(second)
            .observer(move |event: &Event<'_>| {
                if let Event::Queued { limit, wait, .. } = event {
                    log.lock().unwrap().push(format!("{limit} {wait:?}"));
                }
            })
            .build()
            .unwrap();
        let (handler, start) = (Handler::default(), now());
        for expected in [0, 1_000] {
            assert_eq!(answered(&layer, &handler, start).await, (expected, 200));
        }
        assert_eq!(*heard.lock().unwrap(), ["slow 1s"]);
    }
}

/// A turn that was waited for is used: it is not given back when it has come.
#[tokio::test(start_paused = true)]
async fn a_layer_keeps_its_pace() {
    let (handler, layer) = (Handler::default(), paced("1/s burst 1", 9 * SECOND));
    let start = now();
    for expected in [0, 1_000, 2_000, 3_000] {
        assert_eq!(answered(&layer, &handler, start).await, (expected, 200));
    }
}

/// What it gives back is what it cost, to the keys that were charged: of one policy or of several.
#[tokio::test(start_paused = true)]
async fn who_leaves_gives_back_what_it_cost() {
    let costly = |name: &str| {
        Policy::new(name, "1/s burst 3")
            .key(ClientIp::peer())
            .algorithm(Pacing::up_to(Duration::from_secs(9)))
            .cost(|_: &Head| 3)
    };
    let several = http(costly("pace")).policy(Policy::new("all", "1000/s").cost(|_| 2));
    let later = http(Policy::new("all", "1000/s").cost(|_| 2)).policy(costly("pace"));
    for builder in [http(costly("pace")), several, later] {
        let (layer, handler) = (builder.build().unwrap(), Handler::default());
        let start = now();
        let call = || {
            let (layer, handler) = (layer.clone(), handler.clone());
            tokio::spawn(async move { answered(&layer, &handler, start).await })
        };
        let [first, second, third] = [call(), call(), call()];
        tokio::time::sleep(Duration::from_millis(500)).await;
        third.abort();
        assert!(third.await.unwrap_err().is_cancelled());
        let fourth = call();
        let mut turns = Vec::new();
        for call in [first, second, fourth] {
            turns.push(call.await.unwrap());
        }
        assert_eq!(turns, [(0, 200), (3_000, 200), (6_000, 200)]);
    }
}

/// Under the quota that it was charged under, though another one is in force by now.
#[tokio::test(start_paused = true)]
async fn who_leaves_after_a_change_gives_back_in_proportion() {
    let pace = RateLimiter::per_key("1/s burst 1")
        .algorithm(Pacing::up_to(Duration::from_secs(9)))
        .build()
        .unwrap();
    assert!(pace.until_ready("api").await.is_ok());
    let mut second = Box::pin(pace.until_ready("api"));
    assert!(poll(second.as_mut()).is_pending());
    pace.set_quota("4/s burst 2").unwrap();
    assert_eq!(pace.peek("api").delay(), Duration::from_millis(750));
    // One of one was two of two.
    drop(second);
    assert_eq!(pace.peek("api").delay(), Duration::from_millis(250));
}

/// Also behind a policy that asks elsewhere first.
#[tokio::test(start_paused = true)]
async fn who_waited_has_its_permit() {
    let pace =
        || Policy::new("pace", "1/s burst 1").algorithm(Pacing::up_to(Duration::from_secs(9)));
    for policy in [pace(), pace().quota_by_lookup(|_: &Head| async { None })] {
        let layer = http(policy).permits().build().unwrap();
        for _ in 0..2 {
            let handler = tower::service_fn(|request: ::http::Request<()>| async move {
                let permit = request.extensions().get::<Permit>().unwrap();
                assert_eq!(permit.charged("pace"), Some(1));
                Ok::<_, std::convert::Infallible>(::http::Response::new(String::new()))
            });
            let answer = layer.layer(handler).oneshot(request()).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_told_how_it_stands() {
    let layer =
        http(Policy::new("pace", "1/s burst 1").algorithm(Pacing::up_to(Duration::from_secs(5))))
            .fields(FieldStyle::Draft11)
            .build()
            .unwrap();
    for _ in 0..2 {
        let answer = layer
            .layer(Handler::default().service())
            .oneshot(request())
            .await
            .unwrap();
        assert!(
            answer.headers()["ratelimit"]
                .to_str()
                .unwrap()
                .starts_with(r#""pace";r=0;"#)
        );
    }
}

/// A turn that was waited for is used: it is not given back when it has come.
#[tokio::test(start_paused = true)]
async fn a_handle_keeps_its_pace() {
    let pace = RateLimiter::per_key("1/s burst 1")
        .algorithm(Pacing::up_to(Duration::from_secs(9)))
        .build()
        .unwrap();
    let start = now();
    for second in 0..4 {
        assert!(pace.until_ready("api").await.is_ok());
        assert_eq!(start.elapsed(), Duration::from_secs(second));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_gives_the_place_back_too() {
    let pace = RateLimiter::per_key("1/s burst 1")
        .algorithm(Pacing::up_to(Duration::from_secs(2)))
        .build()
        .unwrap();
    assert!(pace.until_ready("api").await.is_ok());
    {
        let mut second = pin!(pace.until_ready("api"));
        assert!(poll(second.as_mut()).is_pending());
        let mut third = pin!(pace.until_ready("api"));
        assert!(poll(third.as_mut()).is_pending());
        let refused = pace.until_ready("api").await.unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(1)));
    }
    // Both left before their turn.
    let mut again = pin!(pace.until_ready("api"));
    assert!(poll(again.as_mut()).is_pending());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(again.await.is_ok());
    assert!(pace.until_ready("somebody else").await.is_ok());
}
