//! Permits: a handler says what a request truly cost.

use std::{
    convert::Infallible,
    future::Future as _,
    net::Ipv4Addr,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use buttress_http::ClientIp;
use buttress_rate_limit::{
    Access, CountBytes, FixedWindow, OnMissingKey, Permit, Policy, RateLimitLayer,
};
use http::{Request, Response, StatusCode};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

use crate::support::{Handled, clock, from_peer, http, remaining, told};

fn settling(
    actual: u64,
) -> impl Service<Request<()>, Response = Response<String>, Error = Infallible> + Clone {
    service_fn(move |request: Request<()>| async move {
        let permit = request.extensions().get::<Permit>().unwrap();
        assert_eq!(
            (permit.charged("tokens"), permit.charged("other")),
            (Some(10), None)
        );
        assert!(permit.settle(actual));
        assert!(!permit.settle(90), "the first settlement wins");
        assert!(!permit.clone().refund());
        Handled::Ok(Response::default())
    })
}

fn tokens() -> RateLimitLayer {
    // An estimate of ten for the request under test; the probe after it is free.
    let calls = AtomicU64::new(0);
    let cost = move |_: &buttress_http::Head| {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            10
        } else {
            0
        }
    };
    http(
        Policy::new("tokens", "100/h")
            .key(ClientIp::peer())
            .cost(cost),
    )
    .permits()
    .clock(clock())
    .build()
    .unwrap()
}

#[tokio::test]
async fn the_difference_is_charged_or_given_back() {
    assert_eq!(remaining(&tokens(), settling(10)).await, 90);
    assert_eq!(remaining(&tokens(), settling(35)).await, 65);
    assert_eq!(remaining(&tokens(), settling(1)).await, 99);
    assert_eq!(
        remaining(&tokens(), settling(0)).await,
        100,
        "and never more than full"
    );
    assert_eq!(remaining(&tokens(), settling(1_000_000)).await, 0, "debt");
}

/// Also against the rules of the layer, which come after the handler: by the head, and at the end of the body.
#[tokio::test]
async fn what_a_handler_has_settled_is_settled() {
    let layer = http(Policy::new("tokens", "100/h").cost(|_| 10))
        .permits()
        .settle_by_response("tokens", |_| Some(50))
        .settle_by_body("tokens", |_| Some(CountBytes::default()))
        .clock(clock())
        .build()
        .unwrap();
    // And ten for who asks.
    assert_eq!(remaining(&layer, settling(35)).await, 55);
}

/// Whoever it is that comes first, of several with one permit.
#[tokio::test]
async fn of_settlements_at_the_same_time_one_wins() {
    for _ in 0..50 {
        let handler = service_fn(|request: Request<()>| async move {
            let permit = request.extensions().get::<Permit>().unwrap();
            let together = Barrier::new(4);
            let won = thread::scope(|scope| {
                let settle = |actual| {
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        permit.settle(actual).then_some(actual)
                    })
                };
                let all = [20, 30, 40, 50].map(settle);
                all.map(|settled| settled.join().unwrap())
            });
            let won: Vec<u64> = won.into_iter().flatten().collect();
            assert_eq!(won.len(), 1, "{won:?}");
            Handled::Ok(Response::new(won[0].to_string()))
        });
        let layer = tokens();
        let settled = Arc::new(AtomicU64::new(0));
        let noted = Arc::clone(&settled);
        let noting = handler.map_response(move |response: Response<String>| {
            noted.store(response.body().parse().unwrap(), Ordering::SeqCst);
            response
        });
        let left = remaining(&layer, noting).await;
        assert_eq!(left, 100 - settled.load(Ordering::SeqCst));
    }
}

/// What was called is spent: who does not wait for the answer leaves no rule anything to read.
#[tokio::test]
async fn who_leaves_before_the_answer_leaves_the_charge() {
    let layer = http(Policy::new("all", "9/h").cost(|_| 2))
        .permits()
        .settle_by_response("all", |_| Some(0))
        .settle_by_body("all", |_| Some(CountBytes::default()))
        .clock(clock())
        .build()
        .unwrap();
    let never = service_fn(|_: Request<()>| std::future::pending::<Handled>());
    let mut call = Box::pin(layer.layer(never).oneshot(Request::new(())));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    drop(call);
    let told = told(&layer).await;
    assert!(told.starts_with(r#""all";r=5;"#), "{told}");
}

#[tokio::test]
async fn a_permit_that_is_dropped_leaves_the_charge() {
    let handler = service_fn(|_: Request<()>| async { Handled::Ok(Response::default()) });
    assert_eq!(remaining(&tokens(), handler).await, 90);
}

/// D6 of the traps: an overrun is debt, not forgiven; and the debt is bounded.
#[tokio::test]
async fn an_overrun_is_paid_back_within_two_refill_times() {
    let clock = clock();
    let layer = http(Policy::new("all", "10/min"))
        .permits()
        .clock(clock.clone())
        .build()
        .unwrap();
    let overrun = service_fn(|request: Request<()>| async move {
        request
            .extensions()
            .get::<Permit>()
            .unwrap()
            .settle(u64::MAX);
        Handled::Ok(Response::default())
    });
    let send = || layer.layer(overrun).oneshot(from_peer(Ipv4Addr::LOCALHOST));
    assert_eq!(send().await.unwrap().status(), 200);
    let refused = send().await.unwrap();
    assert_eq!(
        (refused.status(), &refused.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"66".parse().unwrap())
    );
    clock.advance(Duration::from_secs(66));
    assert_eq!(send().await.unwrap().status(), 200);
}

/// What is settled late goes where it belongs: given back to the window that was charged, and to no later one;
/// charged to the one that is now.
#[tokio::test]
async fn what_is_settled_in_a_later_window_credits_no_other() {
    let clock = clock();
    let layer = http(Policy::new("all", "3/min").algorithm(FixedWindow))
        .permits()
        .clock(clock.clone())
        .build()
        .unwrap();
    let permits = Arc::new(Mutex::new(Vec::<Permit>::new()));
    let taken = Arc::clone(&permits);
    let handler = service_fn(move |request: Request<()>| {
        let permit = request.extensions().get::<Permit>().unwrap();
        taken.lock().unwrap().push(permit.clone());
        async { Handled::Ok(Response::default()) }
    });
    let left = async || {
        let request = from_peer(Ipv4Addr::LOCALHOST);
        let answer = layer.layer(handler.clone()).oneshot(request).await.unwrap();
        let fields = answer.headers()["ratelimit"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), fields.contains(";r=0;"))
    };
    assert_eq!(left().await, (200, false));
    assert_eq!(left().await, (200, false));
    clock.advance(Duration::from_secs(60));
    assert_eq!(left().await, (200, false));
    // One of three is used in this window, and stays so.
    assert!(permits.lock().unwrap()[0].refund());
    assert_eq!(left().await, (200, false));
    assert_eq!(left().await, (200, true));
    assert_eq!(left().await, (429, true));
    clock.advance(Duration::from_secs(60));
    assert!(permits.lock().unwrap()[1].settle(3));
    assert_eq!(left().await, (200, true), "two were charged to this window");
    assert_eq!(left().await, (429, true));
}

#[tokio::test]
async fn one_policy_of_several_can_be_settled() {
    let layer = http(Policy::new("requests", "10/h"))
        .policy(Policy::new("tokens", "1000/h").cost(|_| 100))
        .permits()
        .clock(clock())
        .build()
        .unwrap();
    let handler = service_fn(|request: Request<()>| async move {
        let permit = request.extensions().get::<Permit>().unwrap();
        assert!(permit.settle_for("tokens", 40));
        assert!(!permit.settle_for("tokens", 50));
        assert!(!permit.settle_for("no such policy", 50));
        assert_eq!(permit.charged("requests"), Some(1));
        Handled::Ok(Response::default())
    });
    for _ in 0..2 {
        layer
            .layer(handler)
            .oneshot(from_peer(Ipv4Addr::LOCALHOST))
            .await
            .unwrap();
    }
    let fields = told(&layer).await;
    assert!(
        fields.starts_with(r#""requests";r=7;"#) && fields.contains(r#""tokens";r=820;"#),
        "{fields}"
    );
}

/// A handler that settles need not know who is on the list: nothing was charged, and nothing is settled.
#[tokio::test]
async fn who_is_not_limited_has_a_permit_too() {
    let layer = http(Policy::new("all", "5/h"))
        .access(|_| Access::Allow)
        .permits()
        .clock(clock())
        .build()
        .unwrap();
    let exempt = Policy::new("all", "5/h").key(ClientIp::peer());
    let exempt = http(exempt.missing_key(OnMissingKey::Exempt))
        .permits()
        .build()
        .unwrap();
    for layer in [layer, exempt] {
        let handler = service_fn(|request: Request<()>| async move {
            let permit = request.extensions().get::<Permit>().unwrap();
            assert_eq!(permit.charged("all"), None);
            // Whose it is stands in no log.
            assert_eq!(format!("{permit:?}"), "Permit { .. }");
            assert!(!permit.settle(5) && !permit.settle_for("all", 5) && !permit.refund());
            Handled::Ok(Response::default())
        });
        let answer = layer.layer(handler).oneshot(Request::new(())).await;
        assert_eq!(answer.unwrap().status(), 200);
    }
}

#[cfg(feature = "axum")]
#[tokio::test]
async fn in_axum_it_is_an_extractor() {
    use axum_core::extract::FromRequestParts as _;

    let handler = service_fn(|request: Request<()>| async move {
        let (mut parts, ()) = request.into_parts();
        let permit = Permit::from_request_parts(&mut parts, &()).await.unwrap();
        let same = Option::<Permit>::from_request_parts(&mut parts, &()).await;
        assert!(permit.settle(35) && !same.unwrap().unwrap().settle(90));
        Handled::Ok(Response::default())
    });
    assert_eq!(remaining(&tokens(), handler).await, 65);

    let (mut parts, ()) = Request::new(()).into_parts();
    let none = Option::<Permit>::from_request_parts(&mut parts, &()).await;
    assert!(none.unwrap().is_none());
    let (status, _) = Permit::from_request_parts(&mut parts, &())
        .await
        .unwrap_err();
    assert_eq!(status, 500);
}
