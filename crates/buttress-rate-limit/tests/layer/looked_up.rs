//! Quotas that are looked up: in what order, and what becomes of a charge whose service has to be waited for.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use buttress_http::{Head, keys};
use buttress_rate_limit::{AsError, Error, Policy, Quota, RateLimitLayer};
use http::Request;
use tokio::task::yield_now;
use tower::{
    Layer as _, Service, ServiceExt as _,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
};

use crate::support::{Handler, by_tier, clock, http, send, with};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn one_is_looked_up_after_the_other_and_nothing_is_charged_before() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let looked_up = |name: &'static str, quota: &'static str| {
        let log = Arc::clone(&log);
        Policy::new(name, "1/h").quota_by_lookup(move |_: &Head| {
            log.lock().unwrap().push(format!("{name}?"));
            let log = Arc::clone(&log);
            async move {
                yield_now().await;
                log.lock().unwrap().push(format!("{name}!"));
                quota.parse().ok()
            }
        })
    };
    let layer = http(looked_up("first", "5/h"))
        .policy(Policy::new("between", "6/h"))
        .policy(looked_up("last", "7/h"))
        .clock(clock())
        .build()
        .unwrap();
    let handler = Handler::default();
    {
        let mut given_up = Box::pin(layer.layer(handler.service()).oneshot(Request::new(())));
        assert!(poll(given_up.as_mut()).is_pending());
        assert!(poll(given_up.as_mut()).is_pending());
        assert_eq!(*log.lock().unwrap(), ["first?", "first!", "last?"]);
    }
    log.lock().unwrap().clear();
    let answer = send(&layer, &handler, Request::new(())).await;
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""first";r=4;t=720, "between";r=5;t=600, "last";r=6;t=515"#)
    );
    assert_eq!(*log.lock().unwrap(), ["first?", "first!", "last?", "last!"]);
}

#[tokio::test]
async fn a_quota_can_be_looked_up() {
    let handler = Handler::default();
    let tenant = || keys::Header::named("x-tenant").unwrap();
    let per_tenant = Policy::new("per-tenant", "1/h")
        .key(tenant())
        .quota_by_lookup(|head: &Head| {
            let found = by_tier(head);
            async move {
                tokio::task::yield_now().await;
                found
            }
        });
    let layer = http(per_tenant)
        .policy(Policy::new("all", "1000/d"))
        .clock(clock())
        .build()
        .unwrap();
    let silver = || with(&[("x-tenant", "umbrella"), ("x-tier", "silver")]);
    let answer = send(&layer, &handler, silver()).await;
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-tenant";q=2;w=1800, "all";q=1000;w=86400"#)
    );
    assert_eq!(
        answer.header("ratelimit"),
        Some(r#""per-tenant";r=1;t=900, "all";r=999;t=87"#)
    );
    assert_eq!(send(&layer, &handler, silver()).await.status, 200);
    let refused = send(&layer, &handler, silver()).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("900"))
    );
    assert_eq!(
        send(&layer, &handler, with(&[("x-tenant", "initech")]))
            .await
            .status,
        200
    );
    assert_eq!(
        send(&layer, &handler, with(&[("x-tenant", "initech")]))
            .await
            .status,
        429
    );
    assert_eq!(
        send(&layer, &handler, with(&[])).await.status,
        400,
        "nobody is looked up without a key"
    );
    assert_eq!(handler.calls(), 3);
}

#[tokio::test]
async fn every_policy_can_have_its_quota_looked_up() {
    let looked_up = |name: &str, quota: &'static str| {
        let found = move || quota.parse::<Quota>().ok();
        Policy::new(name, "1/h").quota_by_lookup(move |_: &Head| async move { found() })
    };
    let layer = http(Policy::new("own", "9/h"))
        .policy(looked_up("one", "5/h"))
        .policy(looked_up("other", "3/h"))
        .clock(clock())
        .build()
        .unwrap();
    let answer = send(&layer, &Handler::default(), with(&[])).await;
    let policies = answer.header("ratelimit-policy").unwrap();
    assert_eq!(
        policies,
        r#""own";q=9;w=3600, "one";q=5;w=3600, "other";q=3;w=3600"#
    );
}

#[tokio::test]
async fn who_leaves_while_the_quota_is_looked_up_was_charged_nothing() {
    let lookup = |_: &Head| std::future::pending::<Option<Quota>>();
    let looked_up = http(Policy::new("all", "1/h").quota_by_lookup(lookup))
        .clock(clock())
        .build()
        .unwrap();
    let mut call = Box::pin(
        looked_up
            .layer(Handler::default().service())
            .oneshot(with(&[])),
    );
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(call.as_mut().poll(&mut context).is_pending());
    drop(call);

    // A single policy takes the same way, and a clone of the policy is the same policy.
    let policy = Policy::new("all", "1/h")
        .quota_by_lookup(|_: &Head| async { None })
        .clone();
    let layer = http(policy).clock(clock()).build().unwrap();
    assert_eq!(
        send(&layer, &Handler::default(), with(&[])).await.status,
        200
    );
    assert_eq!(
        send(&layer, &Handler::default(), with(&[])).await.status,
        429
    );
}

type Limited = RateLimitLayer<u32, AsError>;

/// One an hour, which somebody has to be asked about.
fn one_an_hour() -> Limited {
    let policy = Policy::<u32>::new("all", "9/h").quota_by_lookup(|_: &u32| async {
        yield_now().await;
        Some(Quota::per_hour(1).build().unwrap())
    });
    RateLimitLayer::typed(policy)
        .clock(clock())
        .build()
        .unwrap()
}

fn one_at_a_time() -> ConcurrencyLimit<
    impl Service<u32, Response = u32, Error = String, Future: Send> + Clone + Send + 'static,
> {
    let service = service_fn(|number: u32| async move { Ok::<_, String>(number + 1) });
    ConcurrencyLimitLayer::new(1).layer(service)
}

#[tokio::test]
async fn who_leaves_while_the_service_is_not_ready_gives_the_charge_back() {
    let (layer, inner) = (one_an_hour(), one_at_a_time());
    let mut given_up = Box::pin(layer.layer(inner.clone()).oneshot(1));
    assert!(poll(given_up.as_mut()).is_pending());
    // While the quota is looked up, somebody else takes the only place.
    let mut other = inner.clone();
    assert!(other.ready().await.is_ok());
    assert!(poll(given_up.as_mut()).is_pending());
    let elsewhere = || layer.layer(one_at_a_time()).oneshot(1);
    assert!(
        matches!(elsewhere().await, Err(Error::Refused { .. })),
        "it is charged"
    );
    drop(given_up);
    assert_eq!(elsewhere().await, Ok(2));
    drop(other);
}

#[tokio::test]
async fn who_stays_until_the_service_is_ready_is_served() {
    let (layer, inner) = (one_an_hour(), one_at_a_time());
    let mut call = Box::pin(layer.layer(inner.clone()).oneshot(1));
    assert!(poll(call.as_mut()).is_pending());
    let mut other = inner.clone();
    assert!(other.ready().await.is_ok());
    assert!(poll(call.as_mut()).is_pending());
    drop(other);
    assert_eq!(call.await, Ok(2));
}

/// Ready as often as it says, and gone then.
#[derive(Clone)]
struct Gone(Arc<Mutex<u32>>);

impl Service<u32> for Gone {
    type Response = u32;
    type Error = String;
    type Future = std::future::Ready<Result<u32, String>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), String>> {
        let mut left = self.0.lock().unwrap();
        let Some(less) = left.checked_sub(1) else {
            return Poll::Ready(Err("gone".into()));
        };
        *left = less;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        std::future::ready(Ok(number + 1))
    }
}

#[tokio::test]
async fn a_service_that_fails_after_the_lookup_costs_nothing() {
    let layer = one_an_hour();
    let gone = Gone(Arc::new(Mutex::new(1)));
    let failed = layer.layer(gone).oneshot(1).await;
    assert_eq!(failed, Err(Error::Inner("gone".to_owned())));
    assert_eq!(layer.layer(one_at_a_time()).oneshot(1).await, Ok(2));
}
