//! The layer over a `governor::RateLimiter` of the user's own.

use std::{
    net::Ipv4Addr,
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use buttress_core::{Digest, DigestKey};
use buttress_http::ClientIp;
use buttress_rate_limit::{Event, IntoQuota as _, Policy, Quota, store::Governor};
use governor::{
    RateLimiter,
    clock::FakeRelativeClock,
    middleware::StateInformationMiddleware,
    state::keyed::{DashMapStateStore, KeyedStateStore},
};

use crate::support::{Handler, from_peer, http, send};

const ALICE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const BOB: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

fn quota() -> governor::Quota {
    let three = NonZeroU32::new(3).unwrap();
    governor::Quota::with_period(Duration::from_secs(20))
        .unwrap()
        .allow_burst(three)
}

fn keyed<S: KeyedStateStore<Digest> + Default>(
    clock: &FakeRelativeClock,
) -> Arc<RateLimiter<Digest, S, FakeRelativeClock, StateInformationMiddleware>> {
    Arc::new(RateLimiter::new(quota(), S::default(), clock.clone()))
}

#[tokio::test]
async fn keys_are_limited_by_governor_and_told_how_they_stand() {
    let (handler, clock) = (Handler::default(), FakeRelativeClock::default());
    let (limiter, secret) = (
        keyed::<DashMapStateStore<_>>(&clock),
        DigestKey::from_words(1, 2),
    );
    let refused = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&refused);
    let layer = http(Policy::new("per-ip", quota()).key(ClientIp::peer()))
        .store(Arc::new(Governor::keyed(Arc::clone(&limiter), |key| key)))
        .digest_key(secret)
        .observer(move |event: &Event<'_>| {
            if let Event::Refused { decision, .. } = event {
                told.lock().unwrap().push(decision.reset_after());
            }
        })
        .build()
        .unwrap();

    let answer = send(&layer, &handler, from_peer(ALICE)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("ratelimit-policy"),
        Some(r#""per-ip";q=3;w=60"#)
    );
    assert_eq!(answer.header("ratelimit"), Some(r#""per-ip";r=2;t=20"#));
    for (expected, told) in [
        (200, r#""per-ip";r=1;t=40"#),
        (200, r#""per-ip";r=0;t=20"#),
        (429, r#""per-ip";r=0;t=20"#),
    ] {
        let answer = send(&layer, &handler, from_peer(ALICE)).await;
        assert_eq!(answer.status, expected);
        assert_eq!(answer.header("ratelimit"), Some(told));
    }
    let minute = Duration::from_secs(60);
    assert_eq!(*refused.lock().unwrap(), [minute], "until all is back");
    assert_eq!(send(&layer, &handler, from_peer(BOB)).await.status, 200);

    clock.advance(Duration::from_secs(5));
    let refused = send(&layer, &handler, from_peer(ALICE)).await;
    assert_eq!(refused.header("retry-after"), Some("15"));
    clock.advance(Duration::from_secs(15));
    assert_eq!(send(&layer, &handler, from_peer(ALICE)).await.status, 200);
    assert_eq!(limiter.len(), 2, "the states are governor's");
    assert_eq!(handler.calls(), 5);
}

#[tokio::test]
async fn without_keys_and_with_costs() {
    let (handler, clock) = (Handler::default(), FakeRelativeClock::default());
    let limiter = RateLimiter::direct_with_clock(quota(), clock.clone())
        .with_middleware::<StateInformationMiddleware>();
    let limiter = Arc::new(limiter);
    let layer = |cost| {
        let policy = Policy::new("all", quota()).cost(move |_| cost);
        http(policy)
            .store(Arc::new(Governor::direct(Arc::clone(&limiter))))
            .build()
            .unwrap()
    };
    let ask = async |cost| send(&layer(cost), &handler, from_peer(ALICE)).await;
    assert_eq!(ask(2).await.header("ratelimit"), Some(r#""all";r=1;t=40"#));
    let refused = ask(2).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("20"))
    );
    for never in [4, u64::from(u32::MAX) + 1] {
        let refused = ask(never).await;
        assert_eq!((refused.status, refused.header("retry-after")), (429, None));
    }
    assert_eq!(ask(0).await.status, 200);
    assert_eq!(ask(1).await.status, 200);
    assert!(limiter.check().is_err(), "whoever else asks it");
}

#[test]
fn more_than_one_policy_is_an_error() {
    let limiter = keyed::<DashMapStateStore<_>>(&FakeRelativeClock::default());
    let error = http(Policy::new("per-ip", quota()).key(ClientIp::peer()))
        .policy(Policy::new("all", quota()))
        .store(Arc::new(Governor::keyed(limiter, |key| key)))
        .build()
        .unwrap_err();
    assert_eq!(error.field(), "policies");
}

#[test]
fn its_quotas_are_quotas() {
    let ours: Quota = quota().into_quota().unwrap();
    assert_eq!((ours.burst(), ours.interval().as_secs()), (3, 20));
}
